import numpy as np
import pytest

import glasscurv as gc
from tests.statistics import critical_value

LENGTHS = [0.1, 0.2, 0.3, 0.4, 0.5]


def dense_hessian(n, seed):
    root = np.random.default_rng(seed).standard_normal((n, n))
    return root @ root.T


@pytest.mark.parametrize("order", [1, 2])
def test_glass_has_exponent_one_in_both_differences(order):
    toy = gc.RandomHinges(8, 4000, half_width=16.0, rng=0)
    fit = gc.variation_exponent(toy.gradient, np.zeros(8), np.geomspace(0.01, 1, 7), order=order, samples=60, rng=1)
    # One landscape: the sums over its hinges make a common error beyond the sampling error of the directions.
    assert fit.exponent["all"] == pytest.approx(1, abs=0.15)


def test_smooth_losses_have_exponents_two_and_four():
    lengths = [0.01, 0.03, 0.1]
    quadratic = gc.Quadratic(dense_hessian(4, 3))
    first = gc.variation_exponent(quadratic.gradient, np.zeros(4), lengths, order=1, samples=200, rng=0)
    assert first.exponent["all"] == pytest.approx(2, abs=5 * first.standard_error["all"])
    assert first.standard_error["all"] < 0.1
    # ½((θ+σ)³ + (θ−σ)³) − θ³ = 3θσ²: exponent 4 without sampling error.
    second = gc.variation_exponent(lambda x: x**3, np.ones(4), lengths, order=2, samples=2, rng=0)
    assert second.exponent["all"] == pytest.approx(4, rel=1e-9)
    np.testing.assert_allclose(second.mean_square["all"], 9 * np.array(lengths) ** 4, rtol=1e-9)


def test_exponents_are_separate_for_each_group():
    hinges = gc.RandomHinges(20, 4000, half_width=30.0, rng=0)
    groups = {"glass": slice(0, 20), "smooth": np.array([20, 21])}

    def gradient(theta):
        return np.concatenate([hinges.gradient(theta[:20]), theta[20:] ** 3])

    theta = np.concatenate([np.zeros(20), np.ones(2)])
    fit = gc.variation_exponent(gradient, theta, [0.1, 0.3, 1.0], groups=groups, samples=60, rng=0)
    assert fit.exponent["glass"] == pytest.approx(1, abs=0.3)
    assert fit.exponent["smooth"] == pytest.approx(4, rel=1e-6)
    assert fit.evaluations == 1 + 3 * 60 * 2


def test_standard_error_is_that_of_repeated_fits():
    """The spread of exponents over landscapes that differ only in the directions matches the stated error."""
    hessian = gc.Quadratic(dense_hessian(3, 4))
    fits = [
        gc.variation_exponent(hessian.gradient, np.zeros(3), [0.01, 0.02, 0.04], 1, samples=50, rng=k)
        for k in range(300)
    ]
    exponents = np.array([fit.exponent["all"] for fit in fits])
    stated = np.mean([fit.standard_error["all"] for fit in fits])
    # The misfit term makes the stated error a little conservative with three lengths.
    assert 0.8 < stated / exponents.std(ddof=1) < 1.6
    assert abs(exponents.mean() - 2) < critical_value() * exponents.std(ddof=1) / np.sqrt(300) + 0.01


def test_group_without_any_variation_has_no_exponent():
    fit = gc.variation_exponent(lambda x: np.zeros(2), np.zeros(2), [0.1, 0.2], rng=0)
    assert np.isnan(fit.exponent["all"])


def test_local_slopes_show_where_glass_gives_way():
    hinges = gc.RandomHinges(200, 4000, half_width=60.0, rng=0)

    def gradient(theta):
        return hinges.gradient(theta) + 20 * theta**2

    fit = gc.variation_exponent(gradient, np.zeros(200), np.geomspace(0.01, 10, 7), samples=20, rng=0)
    slopes = fit.local_slope["all"]
    assert slopes.shape == (6,)
    np.testing.assert_allclose(
        slopes, np.diff(np.log(fit.mean_square["all"])) / np.diff(np.log(fit.lengths)), rtol=1e-12
    )
    assert slopes[0] == pytest.approx(1, abs=0.3)
    assert slopes[-1] == pytest.approx(4, abs=0.1)
    assert fit.exponent["all"] < slopes[-1]


def test_lengths_come_back_in_order():
    toy = gc.RandomHinges(4, 500, half_width=8.0, rng=0)
    fit = gc.variation_exponent(toy.gradient, np.zeros(4), [0.5, 0.05, 0.2], rng=0)
    assert fit.lengths.tolist() == [0.05, 0.2, 0.5]
    assert (np.diff(fit.mean_square["all"]) > 0).all()


def test_rounding_does_not_enter_the_fit():
    """A quadratic has no second difference; a cubic has one that rounding hides below some length."""
    quadratic = gc.Quadratic(dense_hessian(4, 3), linear=np.ones(4))
    with pytest.warns(RuntimeWarning, match=r"group 'all' are no larger than rounding explains at lengths 0\.01, 0\.1"):
        none = gc.variation_exponent(quadratic.gradient, np.ones(4), [0.01, 0.1], rng=0)
    assert np.isnan(none.exponent["all"])
    with pytest.warns(RuntimeWarning, match="rounding explains at lengths 1e-09, 1e-08"):
        cubic = gc.variation_exponent(lambda x: x**3, np.ones(4), [1e-9, 1e-8, 1e-3, 1e-2], rng=0)
    assert cubic.exponent["all"] == pytest.approx(4, rel=1e-5)


@pytest.mark.parametrize(("bend", "expected"), [(10.0, (2 / 900) ** (1 / 3)), (3.0, (2 / 81) ** (1 / 3))])
def test_suggested_glass_length_is_where_the_smooth_part_makes_a_tenth(bend, expected):
    hinges = gc.RandomHinges(300, 6000, half_width=80.0, rng=1)
    root = hinges.density(np.ones(300)) ** 0.5
    found = gc.suggest_length(
        lambda x: hinges.gradient(x) / root + bend / 2 * x**2, np.zeros(300), np.geomspace(0.01, 2, 9), rng=0
    )
    # One centre: the density of 300 coordinates varies by a tenth to a fifth, the length by a third of that.
    assert found.glass["all"] == pytest.approx(expected, rel=0.2)
    assert found.glass_density["all"] == pytest.approx(1, rel=0.4)
    assert found.second_derivative["all"] == pytest.approx(bend, rel=0.1)
    assert found.reason["all"].startswith("glass up to")
    assert found.evaluations == 1 + 8 * 2 * 9


def test_suggested_hessian_length_minimises_the_error():
    """g = Q x³/6 along Rademacher directions has the third derivative Q in every coordinate."""
    hinges = gc.RandomHinges(300, 6000, half_width=80.0, rng=0)
    root, third = hinges.density(np.ones(300)) ** 0.5, 40.0
    found = gc.suggest_length(
        lambda x: hinges.gradient(x) / root + third / 6 * x**3, np.zeros(300), np.geomspace(0.02, 2, 9), rng=0
    )
    assert found.third_derivative["all"] == pytest.approx(third, rel=0.05)
    assert found.hessian["all"] == pytest.approx((9 / (2 * third**2)) ** 0.2, rel=0.06)


def test_smooth_losses_and_pure_glass_get_a_reason():
    lengths = np.geomspace(1e-3, 0.1, 5)
    smooth = gc.suggest_length(lambda x: np.sin(3 * x), np.ones(3), lengths, rng=0)
    assert np.isnan(smooth.glass["all"])
    assert "no glass: the second difference grows like that of a smooth loss" in smooth.reason["all"]
    assert smooth.hessian["all"] == 1e-3
    assert "the shortest length tried" in smooth.reason["all"]
    hinges = gc.RandomHinges(50, 20000, half_width=30.0, rng=0)
    glass = gc.suggest_length(hinges.gradient, np.zeros(50), lengths, samples=30, rng=0)
    assert glass.glass["all"] == pytest.approx(0.1)
    assert "up to the longest tried" in glass.reason["all"]
    linear = gc.suggest_length(lambda x: np.ones(2), np.zeros(2), lengths, rng=0)
    assert "no larger than rounding explains" in linear.reason["all"]
    # Kinks of the gradient, as in the last layer: d ∝ σ^{3/2}, which is neither.
    kinks = np.random.default_rng(0).uniform(-3, 3, 20000)
    signals = np.random.default_rng(1).standard_normal(20000)
    kinked = gc.suggest_length(
        lambda x: np.array([signals @ np.maximum(x[0] - kinks, 0)]), np.zeros(1), lengths, samples=30, rng=0
    )
    assert np.isnan(kinked.glass["all"])


def test_rare_jumps_that_short_lines_miss_are_glass_all_the_same():
    """One boundary in a hundred carries nearly all of the density."""
    rng = np.random.default_rng(3)
    toy = gc.RandomHinges(20, 3000, half_width=40.0, rng=rng)
    toy.signals *= np.where(np.arange(3000) % 100 == 0, 30.0, 1.0)
    found = [gc.suggest_length(toy.gradient, 0.5 * rng.standard_normal(20), rng=k) for k in range(10)]
    assert all(np.isfinite(one.glass["all"]) for one in found)


def test_rare_jumps_on_a_smooth_loss_are_glass_all_the_same():
    """The glass dominates below (2ρ/(9T²))^{1/3}, with few large jumps to show it."""
    rng = np.random.default_rng(3)
    toy = gc.RandomHinges(20, 6000, half_width=10.0, rng=rng)
    toy.signals *= np.where(np.arange(6000) % 100 == 0, 30.0, 1.0)

    def gradient(theta):
        return toy.gradient(theta) + 100 * theta**2

    lengths = np.geomspace(1e-3, 0.3, 9)
    found = [gc.suggest_length(gradient, 0.3 * rng.standard_normal(20), lengths, rng=k) for k in range(10)]
    assert sum(np.isfinite(one.glass["all"]) for one in found) >= 9


def test_differences_that_do_not_grow_fit_no_model():
    noise = np.random.default_rng(0)
    found = gc.suggest_length(lambda x: noise.standard_normal(3), np.zeros(3), rng=0)
    assert np.isnan(found.glass["all"])
    assert "grows neither as glass nor as a smooth loss" in found.reason["all"]


def test_the_reason_states_the_density_that_the_field_holds():
    toy = gc.RandomHinges(30, 2000, half_width=30.0, rng=0)
    found = gc.suggest_length(
        toy.gradient, np.zeros(30), np.geomspace(0.01, 1, 9), distribution=gc.Uniform(0.1, 0.3), rng=0
    )
    assert f"ρ = {found.glass_density['all']:.3g}" in found.reason["all"]


def test_lengths_that_occur_twice_count_once():
    toy = gc.RandomHinges(4, 500, half_width=8.0, rng=0)
    fit = gc.variation_exponent(toy.gradient, np.zeros(4), [0.1, 0.1, 0.3], rng=0)
    assert fit.lengths.tolist() == [0.1, 0.3]
    with pytest.warns(RuntimeWarning, match="within a hundred times the spacing"):
        gc.variation_exponent(lambda x: x**3, np.ones(2), [1e-14, 0.05, 0.1], order=1, rng=0)
    with pytest.warns(RuntimeWarning, match="within a hundred times the spacing"):
        gc.suggest_length(np.array, np.ones(2), [1e-15, 1e-3, 0.01, 0.1, 0.2], rng=0)


def test_groups_get_suggestions_of_their_own():
    hinges = gc.RandomHinges(100, 4000, half_width=40.0, rng=0)

    def gradient(theta):
        return np.concatenate([hinges.gradient(theta[:100]), np.sin(theta[100:])])

    theta = np.concatenate([np.zeros(100), np.ones(5)])
    found = gc.suggest_length(
        gradient, theta, np.geomspace(0.01, 1, 5), groups={"glass": slice(100), "smooth": slice(100, None)}, rng=0
    )
    assert found.glass["glass"] == 1
    assert np.isnan(found.glass["smooth"])


def test_non_finite_gradients_name_sample_and_length():
    calls = 0

    def gradient(theta):
        nonlocal calls
        calls += 1
        return np.array([np.nan if calls == 4 else 1.0])

    with pytest.raises(gc.NonFiniteError, match=r"in sample 1, node -1, length 0\.1"):
        gc.variation_exponent(gradient, [1.0], [0.1, 0.2], rng=0)
    calls = 2
    with pytest.raises(gc.NonFiniteError, match=r"in sample 0, node -1, length 0\.1"):
        gc.suggest_length(gradient, [1.0], [0.1, 0.2, 0.3, 0.4, 0.5], rng=0)


def test_bad_arguments_are_refused():
    def gradient(theta):
        return np.array(theta)

    for function in (gc.variation_exponent, gc.suggest_length):
        with pytest.raises(TypeError, match="gradient must be callable, got NoneType"):
            function(None, [1.0], LENGTHS)
        with pytest.raises(ValueError, match=r"lengths must be positive and hold at least (two|five) different values"):
            function(gradient, [1.0], [0.1, 0.1])
        with pytest.raises(ValueError, match=r"lengths must be positive and hold at least (two|five) different values"):
            function(gradient, [1.0], [0.1, -0.1, 0.2])
        with pytest.raises(ValueError, match="samples must be ≥ 2, got 1"):
            function(gradient, [1.0], LENGTHS, samples=1)
        with pytest.raises(TypeError, match="groups must map names to slices or index arrays, got list"):
            function(gradient, [1.0], LENGTHS, groups=[slice(None)])
        with pytest.raises(ValueError, match=r"groups\['none'\] must select at least one of the 1 coordinates"):
            function(gradient, [1.0], LENGTHS, groups={"none": slice(3, 4)})
        with pytest.raises(ValueError, match=r"groups\['far'\] must select some of the 1 coordinates"):
            function(gradient, [1.0], LENGTHS, groups={"far": np.array([7])})
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        gc.variation_exponent(gradient, [1.0], [0.1, 0.2], order=3)
