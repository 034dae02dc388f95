import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.statistics import assert_mean_is, critical_value

finite = st.floats(-1e3, 1e3)
density = st.floats(0, 1e3)
pairs = st.lists(st.tuples(finite, finite, finite, density), min_size=1, max_size=20).map(lambda rows: np.array(rows).T)


def toy_with_crossings(crossings, t, seed=0, dimension=4):
    """A toy and a unit direction along which a movement by t crosses `crossings` hinges on average."""
    rng = np.random.default_rng(seed)
    hinges = max(200, math.ceil(20 * crossings))  # enough that no hinge is crossed for certain
    u = rng.standard_normal(dimension)
    u /= np.linalg.norm(u)
    toy = gc.RandomHinges(dimension, hinges, rng=rng)
    half_width = toy.expected_crossings(t * u) / crossings
    toy = gc.RandomHinges(dimension, hinges, half_width, normals=toy.normals, rng=rng)
    assert toy.covers(np.zeros(dimension), t * u)
    assert toy.expected_crossings(t * u) == pytest.approx(crossings)
    return toy, u


def glass_changes(toy, displacement, landscapes, seed):
    """Loss change beyond the tangent, over fresh landscapes."""
    rng = np.random.default_rng(seed)
    changes = np.empty(landscapes)
    for k in range(landscapes):
        landscape = toy.redraw(rng)
        start, slope = landscape.value_and_grad(np.zeros(toy.size))
        changes[k] = landscape.value(displacement) - start - slope @ displacement
    return changes


def test_constants_are_exact():
    with mpmath.workdps(40):
        assert float(mpmath.sqrt(2 / (3 * mpmath.pi))) == pytest.approx(gc.GLASS_LOSS_COEFFICIENT, rel=2e-16)
        assert float(3 / (4 * mpmath.pi)) == pytest.approx(gc.GLASS_STEP_COEFFICIENT, rel=2e-16)


@settings(deadline=None)
@given(pairs)
def test_models_are_the_sums_of_the_theory(rows):
    delta, gradient, hessian, rho = rows
    c = math.sqrt(2 / (3 * math.pi))
    coordinate = c * math.fsum(math.sqrt(r) * abs(d) ** 1.5 for d, r in zip(delta, rho, strict=True))
    independent = c * math.sqrt(math.fsum(r * abs(d) ** 3 for d, r in zip(delta, rho, strict=True)))
    assert gc.expected_glass_change(delta, rho) == pytest.approx(coordinate, rel=1e-12)
    assert gc.expected_glass_change(delta, rho, model="independent") == pytest.approx(independent, rel=1e-12)
    smooth = math.fsum(g * d + h * d * d / 2 for d, g, h in zip(delta, gradient, hessian, strict=True))
    scale = abs(gradient * delta).sum() + abs(hessian * delta**2).sum() + coordinate
    predicted = gc.predict_loss_change(delta, gradient, hessian, rho)
    assert predicted == pytest.approx(smooth + coordinate, abs=1e-13 * scale)
    predicted = gc.predict_loss_change(delta, gradient, hessian, rho, model="independent")
    assert predicted == pytest.approx(smooth + independent, abs=1e-13 * scale)


@settings(deadline=None)
@given(pairs)
def test_independent_glass_adds_up_to_no_more_than_the_coordinate_model(rows):
    delta, _, _, rho = rows
    coordinate = gc.expected_glass_change(delta, rho)
    assert gc.expected_glass_change(delta, rho, model="independent") <= coordinate * (1 + 1e-12)


@settings(deadline=None)
@given(finite, density)
def test_all_models_agree_for_one_coordinate(d, rho):
    expected = gc.directional_glass_change(abs(d), rho)
    assert gc.expected_glass_change([d], [rho]) == pytest.approx(expected, rel=1e-13)
    assert gc.expected_glass_change([d], rho, model="independent") == pytest.approx(expected, rel=1e-13)


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(1e-3, 1e3))
def test_directional_change_bends_like_the_power_three_halves(t, rho, factor):
    ratio = gc.directional_glass_change(factor * t, rho) / gc.directional_glass_change(t, rho)
    assert ratio == pytest.approx(factor**1.5, rel=1e-12)
    assert gc.directional_glass_change(t, rho) ** 2 == pytest.approx(2 / (3 * math.pi) * rho * t**3, rel=1e-12)


# Statistics over landscapes; error rates are those of tests/statistics.py.


@pytest.mark.parametrize("signals", ["gaussian", "rademacher"])
def test_variation_covariance_is_that_of_equation_2(signals):
    rng = np.random.default_rng(21)
    toy = gc.RandomHinges(3, 600, half_width=8.0, signal_scale=0.7, signals=signals, rng=rng)
    displacement = np.array([0.3, -0.2, 0.5])
    assert toy.covers(np.zeros(3), displacement)
    variations = np.empty((50_000, 3))
    for k in range(len(variations)):
        landscape = toy.redraw(rng)
        variations[k] = landscape.gradient(displacement) - landscape.gradient(np.zeros(3))
    assert_mean_is(variations**2, toy.covariance(displacement).diagonal())
    upper = np.triu_indices(3, 1)
    products = (variations[:, :, None] * variations[:, None, :])[:, *upper]
    assert_mean_is(products, toy.covariance(displacement)[upper], resolution=None)


def test_variation_variance_of_one_moving_coordinate_is_the_density_matrix():
    rng = np.random.default_rng(22)
    toy = gc.RandomHinges(3, 600, half_width=6.0, rng=rng)
    start, distance = np.array([0.1, 0.2, -0.1]), 0.4
    for j in range(3):
        displacement = -distance * np.eye(3)[j]
        assert toy.covers(start, displacement)
        squares = np.empty((30_000, 3))
        for k in range(len(squares)):
            landscape = toy.redraw(rng)
            squares[k] = (landscape.gradient(start + displacement) - landscape.gradient(start)) ** 2
        assert_mean_is(squares, toy.density_matrix()[:, j] * distance)


def test_loss_change_has_zero_mean_and_the_variance_of_equation_6():
    t = 0.5
    toy, u = toy_with_crossings(40, t)
    changes = glass_changes(toy, t * u, 30_000, seed=23)
    assert_mean_is(changes, 0.0, resolution=None)
    assert_mean_is(changes**2, toy.directional_density(u) * t**3 / 3)


def test_mean_absolute_loss_change_is_that_of_equation_7_in_the_dense_limit():
    t = 0.5
    toy, u = toy_with_crossings(200, t)
    changes = glass_changes(toy, t * u, 20_000, seed=24)
    assert_mean_is(abs(changes), gc.directional_glass_change(t, toy.directional_density(u)))


@pytest.mark.parametrize("crossings", [0.1, 0.3, 1, 3, 10, 30, 100])
def test_bound_7_holds_at_every_crossing_count(crossings):
    t = 0.5
    toy, u = toy_with_crossings(crossings, t)
    changes = abs(glass_changes(toy, t * u, 10_000, seed=25))
    error = changes.std(ddof=1) / math.sqrt(changes.size)
    bound = gc.directional_glass_change(t, toy.directional_density(u))
    assert changes.mean() <= bound + critical_value() * error
    if crossings <= 3:  # far from the dense limit the inequality is strict
        assert changes.mean() + critical_value() * error < bound
    # The distribution-free bound sqrt(Var X) holds a fortiori.
    assert bound < math.sqrt(toy.directional_density(u) * t**3 / 3)


def test_gaussian_jumps_matter_to_bound_7():
    """A single certain jump of fixed size exceeds c sqrt(ρ_u) t^{3/2}: bound (7) needs mixtures of Gaussians."""
    t = 1.0
    normals = np.ones((1, 1))
    toy = gc.RandomHinges(1, 1, half_width=0.5, signals="rademacher", normals=normals, rng=0)
    # From −½ to ½ the hinge is crossed for certain, at a uniform place: X = s U, E|X| = ½, Var X = 1/3.
    rng = np.random.default_rng(26)
    changes = np.empty(20_000)
    for k in range(changes.size):
        landscape = toy.redraw(rng)
        changes[k] = landscape.value([0.5]) - landscape.value([-0.5])
    assert_mean_is(abs(changes), 0.5, resolution=0.05)
    rho = toy.directional_density([1.0])
    assert abs(changes).mean() > gc.directional_glass_change(t, rho) * 1.05
    assert abs(changes).mean() < math.sqrt(rho * t**3 / 3)


def test_bad_arguments_are_refused():
    one = np.ones(2)
    with pytest.raises(ValueError, match="model must be one of 'coordinate', 'independent', got 'directional'"):
        gc.expected_glass_change(one, one, model="directional")
    with pytest.raises(ValueError, match=r"density must be ≥ 0, got -1\.0 at index 0"):
        gc.expected_glass_change(one, -one)
    with pytest.raises(ValueError, match=r"density must have shape \(2,\), got \(3,\)"):
        gc.expected_glass_change(one, np.ones(3))
    with pytest.raises(ValueError, match="displacement must be finite"):
        gc.expected_glass_change([np.nan], [1.0])
    with pytest.raises(TypeError, match="displacement must be real numbers"):
        gc.expected_glass_change([1j], [1.0])
    with pytest.raises(ValueError, match="distance must be finite and ≥ 0, got -1"):
        gc.directional_glass_change(-1, 1)
    with pytest.raises(ValueError, match="directional_density must be finite and ≥ 0, got nan"):
        gc.directional_glass_change(1, math.nan)
    with pytest.raises(TypeError, match="distance must be a real number, got bool"):
        gc.directional_glass_change(True, 1)
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\)"):
        gc.predict_loss_change(one, np.ones(3), one, one)
    with pytest.raises(ValueError, match=r"hessian must have shape \(2,\)"):
        gc.predict_loss_change(one, one, np.ones((2, 2)), one)
