import numpy as np
import pytest

import glasscurv as gc
from glasscurv.constants import GLASS_LOSS_COEFFICIENT
from glasscurv.curvature.profile import CurvatureProfile, above_rounding
from tests.statistics import assert_mean_is


@pytest.fixture(scope="module")
def hinges():
    return gc.RandomHinges(40, 4000, half_width=50.0, rng=0)


def test_glass_has_exponent_one_its_density_and_nearly_the_whole_bend():
    """Means over landscapes with the same normals."""
    first = gc.RandomHinges(40, 4000, half_width=150.0, rng=0)
    profiles = [
        gc.curvature_profile(first.redraw(k).gradient, np.zeros(40), length=1.0, samples=8, rng=k) for k in range(120)
    ]
    assert_mean_is([p.exponent[0] for p in profiles], 1)
    # One density varies by a fifth: it takes a few thousand landscapes to notice a tenth.
    density = first.density(np.ones(40)).mean()
    assert_mean_is([p.glass_density[0] for p in profiles], density, resolution=0.25)
    assert {p.verdict for p in profiles} == {("glass",)}
    assert np.mean([p.glass_share[0] for p in profiles]) > 0.8


@pytest.mark.filterwarnings("ignore:differences of group:RuntimeWarning", "ignore:.*rounding:RuntimeWarning")
def test_quadratic_has_its_hessian_and_no_glass():
    hessian = np.diag([1.0, 2.0, -3.0, 4.0])
    problem = gc.Quadratic(hessian, linear=np.ones(4))
    profile = gc.curvature_profile(
        problem.gradient, np.ones(4), {"a": slice(0, 2), "b": np.array([2, 3])}, length=0.1, rng=0
    )
    assert profile.groups == ("a", "b")
    assert profile.parameters.tolist() == [2, 2]
    np.testing.assert_allclose(profile.hessian_diagonal, [1.5, 0.5], rtol=1e-12)
    np.testing.assert_allclose(profile.hessian_abs, [1.5, 3.5], rtol=1e-12)
    np.testing.assert_allclose(profile.hessian_rms, [1.5, 3.5], rtol=1e-12)
    assert (profile.glass_density < 1e-25).all()
    assert (profile.glass_share < 1e-12).all()
    assert np.isnan(profile.exponent).all()
    assert profile.verdict == ("none", "none")


class Steps:
    """Movements of every coordinate by the same multiple of the length, either way."""

    def __init__(self, multiple):
        self.multiple = multiple

    def sample(self, n, rng):
        return self.multiple * rng.choice([-1.0, 1.0], n)

    def absolute_moment(self, p):
        return self.multiple**p


@pytest.mark.parametrize("multiple", [1.0, 2.0])
def test_share_is_that_of_the_two_terms_of_the_loss(multiple):
    """Coordinates that each cross one hinge of their own, with signal s on one side, on a parabola."""
    signal, curvature, length = 2.0, 5.0, 0.1

    def gradient(theta):
        return signal * (theta > length / 2) + curvature * theta

    profile = gc.curvature_profile(
        gradient, np.zeros(50), length=length, lengths=[0.06, 0.1], distribution=Steps(multiple), rng=0
    )
    # The second difference is s/2 on every line, whichever way it goes.
    density = 2 * (signal / 2) ** 2 / (length * multiple)
    assert profile.glass_density[0] == pytest.approx(density)
    bend = curvature * length * multiple
    h = np.sqrt(2 / np.pi * (signal + bend) * bend) / (length * multiple)
    glass = GLASS_LOSS_COEFFICIENT * np.sqrt(density) * length**1.5
    assert profile.glass_share[0] == pytest.approx(glass / (glass + h * length**2 / 2))


def test_groups_are_told_apart_whether_slices_or_index_arrays(hinges):
    def gradient(theta):
        return np.concatenate([hinges.gradient(theta[:40]), theta[40:] ** 3])

    theta = np.concatenate([np.zeros(40), np.ones(10)])
    slices = {"glass": slice(0, 40), "smooth": slice(40, 50)}
    first = gc.curvature_profile(gradient, theta, slices, length=0.1, rng=3)
    indices = {name: np.arange(50)[part] for name, part in slices.items()}
    second = gc.curvature_profile(gradient, theta, indices, length=0.1, rng=3)
    assert first.verdict == ("glass", "smooth")
    assert first.exponent[1] == pytest.approx(4, rel=1e-6)
    assert first.parameters.tolist() == second.parameters.tolist() == [40, 10]
    for name in ("glass_density", "hessian_abs", "glass_share", "exponent", "exponent_error"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(("power", "verdict"), [(0.5, "glass"), (1.0, "mixed"), (1.5, "kinks"), (2.0, "smooth")])
def test_verdict_follows_the_exponent(power, verdict):
    """|θ|^p at 0 has a second difference σ^p: the mean square has exponent 2p."""
    profile = gc.curvature_profile(lambda x: abs(x) ** power, np.zeros(3), length=0.1, rng=0)
    assert profile.exponent[0] == pytest.approx(2 * power, abs=1e-9)
    assert profile.verdict == (verdict,)


def test_verdict_is_unclear_where_the_exponent_is():
    """A boundary that only the longer movements reach, one that all cross, and no power law."""
    far = gc.curvature_profile(lambda x: 1.0 * (x > 0.15), np.zeros(1), length=0.1, rng=0)
    assert np.isnan(far.exponent[0])
    near = gc.curvature_profile(lambda x: 1.0 * (x > 0.0), np.zeros(1), length=0.1, rng=0)
    assert near.exponent[0] == pytest.approx(0, abs=1e-9)
    growing = gc.curvature_profile(lambda x: np.exp(40 * abs(x)), np.zeros(1), length=0.1, rng=0)
    assert growing.exponent_error[0] > 0.5
    assert far.verdict == near.verdict == growing.verdict == ("unclear",)


def test_nothing_bends_where_the_gradient_is_constant():
    profile = gc.curvature_profile(lambda x: np.ones(2), np.zeros(2), length=0.1, rng=0)
    assert np.isnan(profile.glass_share[0])
    assert profile.verdict == ("none",)


def test_evaluations_are_counted_and_lengths_are_used(hinges):
    calls = 0

    def gradient(theta):
        nonlocal calls
        calls += 1
        return hinges.gradient(theta)

    default = gc.curvature_profile(gradient, np.zeros(40), length=0.1, samples=3, rng=0)
    assert default.evaluations == calls == 2 + 2 * 3 * (1 + 5)
    calls = 0
    chosen = gc.curvature_profile(gradient, np.zeros(40), length=0.1, samples=3, lengths=[0.1, 0.2], rng=0)
    assert chosen.evaluations == calls == 2 + 2 * 3 * (1 + 2)


def test_same_seed_same_profile_for_any_workers(hinges):
    first, again, spread, other = (
        gc.curvature_profile(hinges.gradient, np.zeros(40), length=0.1, samples=4, rng=seed, workers=workers)
        for seed, workers in ((5, 1), (5, 1), (5, map), (6, 1))
    )
    for same in (again, spread):
        assert first.glass_density[0] == same.glass_density[0]
        assert first.exponent[0] == same.exponent[0]
    assert first.glass_density[0] != other.glass_density[0]


def test_float32_is_measured_in_float32_and_averaged_in_float64(hinges):
    seen = set()

    def gradient(theta):
        seen.add(theta.dtype)
        return hinges.gradient(theta).astype(theta.dtype)

    profile = gc.curvature_profile(gradient, np.zeros(40, np.float32), length=0.1, rng=1)
    reference = gc.curvature_profile(hinges.gradient, np.zeros(40), length=0.1, rng=1)
    assert seen == {np.dtype(np.float32)}
    assert profile.glass_density.dtype == np.float64
    np.testing.assert_allclose(profile.glass_density, reference.glass_density, rtol=1e-3)


def test_bad_arguments_are_refused(hinges):
    def profile(**changes):
        return gc.curvature_profile(**{"gradient": hinges.gradient, "theta": np.zeros(40), "rng": 0, **changes})

    with pytest.raises(ValueError, match="length must be finite and > 0, got 0"):
        profile(length=0)
    with pytest.raises(ValueError, match="samples must be ≥ 2, got 1"):
        profile(samples=1)
    with pytest.raises(ValueError, match="lengths must be positive and hold at least two different values"):
        profile(lengths=[0.1])
    with pytest.raises(TypeError, match="groups must map names to slices or index arrays, got list"):
        profile(groups=[slice(None)])
    with pytest.raises(ValueError, match=r"groups\['none'\] must select at least one"):
        profile(groups={"none": slice(0, 0)})
    with pytest.raises(TypeError, match="gradient must be callable"):
        profile(gradient=None)
    with pytest.raises(TypeError, match="distribution"):
        profile(distribution="normal")
    with pytest.raises(TypeError, match="rng must be None, an int or a numpy"):
        profile(rng="seed")
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient"):
        profile(gradient=lambda x: x * np.nan)


def test_what_rounding_explains_is_nan():
    """With a gradient of 2 and a length of 1 the floor is (8 eps)²: of ρ/2, and of h²."""
    floor = (8 * np.finfo(float).eps) ** 2
    density = np.array([3.0, 3.0, 1.0, 1.0, 1.0]) * floor
    hessian = np.sqrt(np.array([2.0, 0.5, 2.0, 0.5, 2.0]) * floor)
    profile = CurvatureProfile(
        groups=tuple("abcde"),
        parameters=np.ones(5, np.int64),
        glass_density=density,
        hessian_abs=hessian,
        hessian_rms=hessian,
        hessian_diagonal=-hessian,
        glass_share=np.full(5, 0.5),
        exponent=np.array([1.0, np.nan, np.nan, np.nan, 4.0]),
        exponent_error=np.zeros(5),
        verdict=("glass", "unclear", "unclear", "unclear", "smooth"),
        length=1.0,
        evaluations=9,
    )
    found = above_rounding(profile, np.full(5, 2.0), {name: slice(k, k + 1) for k, name in enumerate("abcde")})
    assert found.verdict == ("glass", "unclear", "none", "none", "smooth")
    np.testing.assert_array_equal(found.glass_density, [*density[:2], *[np.nan] * 3])
    np.testing.assert_array_equal(found.glass_share, [0.5, 0.5, *[np.nan] * 3])
    bends = np.array([1, np.nan, 1, np.nan, 1])
    for name in ("hessian_abs", "hessian_rms", "hessian_diagonal"):
        np.testing.assert_array_equal(getattr(found, name), bends * getattr(profile, name))
