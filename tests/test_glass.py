import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

import glasscurv as gc
from tests.oracles import all_vectors
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
    independent = c * math.hypot(*(math.sqrt(r) * abs(d) ** 1.5 for d, r in zip(delta, rho, strict=True)))
    assert gc.expected_glass_change(delta, rho) == pytest.approx(coordinate, rel=1e-12, abs=1e-300)
    assert gc.expected_glass_change(delta, rho, "independent") == pytest.approx(independent, rel=1e-12, abs=1e-300)
    smooth = math.fsum(g * d + h * d * d / 2 for d, g, h in zip(delta, gradient, hessian, strict=True))
    scale = abs(gradient * delta).sum() + abs(hessian * delta**2).sum() + coordinate
    scale += 1e-290  # subnormal numbers have fewer digits
    predicted = gc.predict_loss_change(delta, gradient, hessian, rho)
    assert predicted == pytest.approx(smooth + coordinate, abs=1e-13 * scale)
    predicted = gc.predict_loss_change(delta, gradient, hessian, rho, model="independent")
    assert predicted == pytest.approx(smooth + independent, abs=1e-13 * scale)


@settings(deadline=None)
@given(pairs)
def test_independent_glass_adds_up_to_no_more_than_the_coordinate_model(rows):
    delta, _, _, rho = rows
    coordinate = gc.expected_glass_change(delta, rho)
    independent = gc.expected_glass_change(delta, rho, model="independent")
    assert independent <= coordinate * (1 + 1e-12) + 1e-300  # subnormal numbers have fewer digits
    assert coordinate <= math.sqrt(delta.size) * independent * (1 + 1e-12) + 1e-300


@pytest.mark.parametrize("length", [1e-200, 1e-105, 1e105, 1e200])
def test_cubes_of_very_short_and_very_long_movements_are_not_lost(length):
    one = gc.expected_glass_change([length], [5.0])  # the other coordinate adds 1.6 times as much
    two = [length, -4 * length], [5.0, 0.2]
    assert gc.expected_glass_change(*two) == pytest.approx(one * 2.6)
    assert gc.expected_glass_change(*two, model="independent") == pytest.approx(one * math.hypot(1, 1.6))


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("model", ["coordinate", "independent"])
def test_a_movement_beyond_every_number_is_infinitely_dear(model):
    assert gc.expected_glass_change([1e300, 0.0], [1.0, 1.0], model) == math.inf


def directional_over_coordinate(toy, delta):
    """(8c) over (8a), with the exact density of all movements by random signs."""
    rho = np.mean([toy.density(z) for z in all_vectors(toy.size)], axis=0)
    along = gc.directional_glass_change(float(np.linalg.norm(delta)), toy.directional_density(delta))
    return along / gc.expected_glass_change(delta, rho)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.floats(0, 2), st.integers(0, 2**32 - 1))
def test_the_coordinate_model_is_too_small_by_no_more_than_the_theorem_says(n, hinges, spread, seed):
    rng = np.random.default_rng(seed)
    normals = (1 + spread * rng.standard_normal((hinges, n))) * rng.exponential(size=(hinges, 1))
    toy = gc.RandomHinges(n, hinges, normals=normals, rng=rng)
    delta = 1 + spread * rng.standard_normal(n)
    bound = math.sqrt(n / abs(all_vectors(n).sum(axis=1)).mean())
    assert directional_over_coordinate(toy, delta) <= bound * (1 + 1e-9)
    assert directional_over_coordinate(toy, delta[0] * np.eye(n)[0]) <= 1 + 1e-9


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_aligned_normals_attain_the_bound_of_the_theorem(n):
    toy = gc.RandomHinges(n, 2, normals=[[1.0] * n, [-1.0] * n], rng=0)
    ratio = directional_over_coordinate(toy, np.ones(n))
    assert ratio == pytest.approx(math.sqrt(n / abs(all_vectors(n).sum(axis=1)).mean()))
    assert ratio <= (2 * n) ** 0.25 * (1 + 1e-12)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.25])
def test_random_signs_exceed_the_independent_model_by_their_factor(share):
    rng, n = np.random.default_rng(27), 400
    toy = gc.RandomHinges(n, 100, half_width=1e3, normals=rng.choice([-1.0, 1.0], (100, n)), rng=rng)
    signs = rng.choice([-1.0, 1.0], (1000, n))
    moved = signs * (rng.random(signs.shape) < share)
    rho = np.mean([toy.density(z) for z in signs], axis=0)
    cubes = np.mean(abs(moved @ toy.normals.T) ** 3, axis=0)
    squared = 2 / (3 * math.pi) * cubes.sum() / (2 * toy.half_width)
    independent = gc.expected_glass_change(share ** (1 / 3) * np.ones(n), rho, "independent")  # E|δ_i|³ is the share
    # Of 100 000 cubes of nearly normal numbers, of relative variance 4.9: six standard errors of the root.
    ratio = math.sqrt(squared) / independent
    assert ratio == pytest.approx(math.sqrt(2) * share**0.25, rel=6 * math.sqrt(4.9 / 1e5) / 2)


@pytest.mark.parametrize("n", [4, 6, 10])
def test_random_signs_along_one_normal_exceed_the_independent_model_in_the_root_mean_square_only(n):
    """Section 10: the sum over boundaries varies like |a·z|³. For even n, E|Σz|³ = 2n E|Σz| as in the normal limit."""
    toy = gc.RandomHinges(n, 3, half_width=100.0, normals=np.ones((3, n)), rng=0)
    signs = all_vectors(n)
    rho = np.mean([toy.density(z) for z in signs], axis=0)
    norm = math.sqrt(n)
    directional = np.array([gc.directional_glass_change(norm, toy.directional_density(z / norm)) for z in signs])
    independent = gc.expected_glass_change(np.ones(n), rho, "independent")
    assert math.sqrt(np.mean(directional**2)) / independent == pytest.approx(math.sqrt(2), rel=1e-12)
    assert np.mean(directional) < independent


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


@settings(deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_glass_and_hessian_change_the_loss_alike_at_their_crossover(rho, curvature):
    t = 4 * gc.GLASS_LOSS_COEFFICIENT**2 * rho / curvature**2
    for factor in (0.25, 1.0, 9.0):
        hessian = (factor * t) ** 2 * curvature / 2
        assert gc.directional_glass_change(factor * t, rho) == pytest.approx(hessian / math.sqrt(factor), rel=1e-12)


@settings(deadline=None)
@given(st.integers(1, 4), st.floats(0.1, 0.9), st.integers(0, 2**32 - 1))
def test_increments_along_a_line_are_uncorrelated(n, share, seed):
    """The mean over all signs of the signals, with the boundaries where they are: no boundary is in two increments."""
    rng = np.random.default_rng(seed)
    toy = gc.RandomHinges(n, 4, half_width=1.0, rng=rng)
    line = 2 * rng.standard_normal(n)
    increments = []
    for signals in all_vectors(4):
        toy.signals = signals
        increments.append(np.diff([toy.gradient(t * line) for t in (0, share, 1)], axis=0))
    here, after = np.transpose(increments, (1, 2, 0))
    np.testing.assert_allclose(here @ after.T, 0, atol=1e-12 * (1 + np.sum(toy.normals**2)))


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_equal_signals_add_a_curvature_to_the_loss_and_a_slope_to_the_gradient(n, seed):
    """Signals of one sign: E X = ½ p s (a·δ)² and E v = p s a (a·δ), with offsets on a fine grid for a uniform one."""
    rng = np.random.default_rng(seed)
    normal, delta, signal, count = rng.standard_normal(n), rng.standard_normal(n), rng.standard_normal(), 2000
    half_width = 2 * abs(normal) @ abs(delta)
    toy = gc.RandomHinges(n, count, half_width, normals=np.tile(normal, (count, 1)), rng=rng)
    toy.offsets = half_width * (2 * (np.arange(count) + 0.5) / count - 1)
    toy.signals = np.full(count, signal)
    value, gradient = toy.value_and_grad(np.zeros(n))
    change = (toy.value(delta) - value - gradient @ delta) / count
    variation = (toy.gradient(delta) - gradient) / count
    slope, p = normal @ delta, 1 / (2 * half_width)
    # One offset more or less: a share 2B/count of the jump and of what the jump adds to the loss.
    assert change == pytest.approx(p * signal * slope**2 / 2, abs=abs(signal * slope) / count)
    np.testing.assert_allclose(variation, p * signal * slope * normal, atol=abs(signal) * abs(normal).max() / count)


def test_the_difference_of_both_sides_has_the_variance_of_equation_6_whatever_the_mean_of_the_signal():
    """One boundary, its offset on a fine grid for a uniform one: (X₊ − X₋)/√2, with the second moment of the signal."""
    count, slope, signal = 1000, 0.8, 1.5
    toy = gc.RandomHinges(1, 1, half_width=1.0, signal_scale=signal, normals=[[slope]], rng=0)
    toy.signals = np.array([signal])
    sides = np.empty((count, 2))
    for k in range(count):
        toy.offsets = np.array([2 * (k + 0.5) / count - 1])
        value, gradient = toy.value_and_grad([0.0])
        sides[k] = [toy.value([t]) - value - gradient[0] * t for t in (1.0, -1.0)]
    density = toy.directional_density([1.0])
    assert sides.mean(axis=0) == pytest.approx(signal * slope**2 / 4, rel=1e-4)
    assert np.mean((sides[:, 0] - sides[:, 1]) ** 2) / 2 == pytest.approx(density / 3, rel=1e-4)
    assert sides.var(axis=0) == pytest.approx(density / 3 - (signal * slope**2 / 4) ** 2, rel=1e-3)


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
    """Of two hinges with y_2 = −y_1 one is crossed for certain: with jumps of one size (7) is too small."""
    toy = gc.RandomHinges(1, 2, half_width=1.0, signals="rademacher", normals=np.ones((2, 1)), rng=0)
    assert toy.covers([0.0], [1.0])
    count = 1000
    places = (np.arange(count) + 0.5) / count  # the midpoints are exact for |X|, which is linear in the place
    changes = np.empty((2, count))
    for side, sign in enumerate((1, -1)):
        for k, place in enumerate(places):
            toy.offsets = sign * np.array([place, -place])
            start, slope = toy.value_and_grad([0.0])
            changes[side, k] = toy.value([1.0]) - start - slope[0]
    rho = toy.directional_density([1.0])
    assert abs(changes).mean() == pytest.approx(0.5, rel=1e-12)
    assert np.mean(changes**2) == pytest.approx(rho / 3 - 1 / (12 * count**2), rel=1e-12)  # of the midpoints
    assert abs(changes).mean() > gc.directional_glass_change(1.0, rho) * 1.05
    assert abs(changes).mean() < math.sqrt(rho / 3)


@given(st.floats(1e-3, 1), st.floats(1e-3, 1), st.floats(0, 100))
def test_bound_7_holds_for_independent_hinges_with_jumps_of_one_size(first, second, a):
    """Two hinges with slopes q ≤ B = 1, and what the proof has for any number of them."""
    small, large = sorted([first, second])
    toy = gc.RandomHinges(1, 2, half_width=1.0, signals="rademacher", normals=[[large], [small]], rng=0)
    assert toy.covers([0.0], [1.0])
    one, other = large / 2, small / 2  # the probabilities of being crossed
    # Both are crossed: X = ± qU ± q'V, with E|qU + q'V| = (q + q')/2 and E|qU − q'V| = (q − q')/2 + q'²/(3q).
    both = (large + small**2 / (3 * large)) / 2
    mean = one * (1 - other) * large / 2 + other * (1 - one) * small / 2 + one * other * both
    assert mean <= gc.directional_glass_change(1.0, toy.directional_density([1.0]))
    assert (1 + np.sinc(a / np.pi)) / 2 >= math.exp(-(a**2) / 12) - 1e-15


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


positive = st.floats(1e-3, 1e3)


@settings(deadline=None, max_examples=25)
@given(positive, positive, st.floats(0.01, 5), st.integers(2, 60))
def test_multiples_of_the_directional_model_cover_what_the_normal_and_students_law_say(t, rho, k, increments):
    bound, spread = k * gc.directional_glass_change(t, rho), math.sqrt(rho * t**3 / 3)
    assert stats.norm.cdf(bound, scale=spread) - stats.norm.cdf(-bound, scale=spread) == pytest.approx(
        math.erf(k / math.sqrt(math.pi)), rel=1e-9
    )
    # With an estimate in the place of ρ, averaged over its χ² law.
    law = stats.chi2(increments - 1)
    covered, _ = integrate.quad(
        lambda share: special.erf(k * np.sqrt(law.ppf(share) / (increments - 1)) / math.sqrt(math.pi)), 0, 1, limit=200
    )
    student = stats.t.cdf(k * math.sqrt(2 / math.pi), increments - 1)
    assert covered == pytest.approx(2 * student - 1, abs=1e-6)


@settings(deadline=None)
@given(positive, positive, st.floats(-1e3, 1e3), st.floats(0, 1))
def test_the_mean_and_the_directional_model_together_bound_the_mean_absolute_change(t, rho, mean, share):
    """Mixtures of two centred normal laws, with the variance of (6), beside a mean."""

    def folded(spread):
        ratio = mean / spread
        return spread * math.sqrt(2 / math.pi) * math.exp(-(ratio**2) / 2) + mean * math.erf(ratio / math.sqrt(2))

    variance = rho * t**3 / 3
    wide, narrow = math.sqrt(variance * (1 + share)), math.sqrt(max(variance * (1 - share), 1e-300))
    change = (folded(wide) + folded(narrow)) / 2
    assert change <= (abs(mean) + gc.directional_glass_change(t, rho)) * (1 + 1e-12)
    if share == 0 and mean == 0:
        assert change == pytest.approx(gc.directional_glass_change(t, rho))


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_a_change_that_is_not_negative_has_the_mean_absolute_value_but_for_no_change(n, seed):
    """All signs of the jumps of n boundaries, each of which is crossed with some probability."""
    rng = np.random.default_rng(seed)
    sizes, crossed = rng.exponential(size=n), rng.uniform(size=n)
    signs = all_vectors(n, (-1, 0, 1))
    probability = np.where(signs == 0, 1 - crossed, crossed / 2).prod(axis=1)
    change = signs @ sizes
    rises = change >= 0
    mean = (probability * change)[rises].sum() / probability[rises].sum()
    silent = np.prod(1 - crossed)
    assert mean == pytest.approx((probability * abs(change)).sum() / (1 + silent), rel=1e-9)
