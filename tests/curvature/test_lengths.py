import numpy as np
import pytest

import glasscurv as gc


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
