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


def test_an_integral_of_glass_has_exponent_three():
    """As in the last layer: each coordinate is the value of hinges of its own, with a slope that diffuses."""
    rng = np.random.default_rng(0)
    offsets, signals = rng.uniform(-20, 20, (4000, 100)), rng.standard_normal((4000, 100))

    def gradient(theta):
        return np.sum(signals * np.maximum(theta[:, None] - offsets, 0), axis=1)

    fit = gc.variation_exponent(gradient, np.zeros(4000), [1.0, 2.0, 4.0], samples=2, rng=1)
    # Over fresh hinges the exponent has the standard deviation 0.018.
    assert fit.exponent["all"] == pytest.approx(3, abs=0.2)


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
        for k in range(150)
    ]
    exponents = np.array([fit.exponent["all"] for fit in fits])
    stated = np.mean([fit.standard_error["all"] for fit in fits])
    # The misfit term makes the stated error a little conservative with three lengths.
    assert 0.8 < stated / exponents.std(ddof=1) < 1.6
    assert abs(exponents.mean() - 2) < critical_value() * exponents.std(ddof=1) / np.sqrt(150) + 0.01


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


def test_lengths_that_occur_twice_count_once():
    toy = gc.RandomHinges(4, 500, half_width=8.0, rng=0)
    fit = gc.variation_exponent(toy.gradient, np.zeros(4), [0.1, 0.1, 0.3], rng=0)
    assert fit.lengths.tolist() == [0.1, 0.3]
    with pytest.warns(RuntimeWarning, match="within a hundred times the spacing"):
        gc.variation_exponent(lambda x: x**3, np.ones(2), [1e-14, 0.05, 0.1], order=1, rng=0)
    with pytest.warns(RuntimeWarning, match="within a hundred times the spacing"):
        gc.suggest_length(np.array, np.ones(2), [1e-15, 1e-3, 0.01, 0.1, 0.2], rng=0)


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
