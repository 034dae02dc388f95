import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.oracles import all_vectors
from tests.statistics import assert_mean_is, critical_value

seeds = st.integers(0, 2**32 - 1)
ARRAYS = ("gradient", "glass_density", "hessian_diagonal", "hessian_abs", "hessian_rms")


def dense_hessian(n, seed):
    root = np.random.default_rng(seed).standard_normal((n, n))
    return root @ root.T


class Recorded:
    """A distribution that keeps what it draws."""

    def __init__(self, distribution):
        self.distribution, self.directions = distribution, []

    def sample(self, n, rng):
        self.directions.append(self.distribution.sample(n, rng))
        return self.directions[-1]

    def absolute_moment(self, p):
        return self.distribution.absolute_moment(p)


def slow_estimate(gradient, theta, length, nodes, distribution, z):
    """Sections 3 and 4 by the book, all samples kept."""
    lines = [np.array([gradient(theta + t * length * d) for t in nodes]) for d in z]
    density = np.mean([gc.glass_kernel(nodes).apply(line, length) for line in lines], axis=0)
    products = np.array([gc.hessian_kernel(nodes).apply(line, length) for line in lines])
    first, second = distribution.absolute_moment(1), distribution.absolute_moment(2)
    return {
        "gradient": gradient(theta),
        "glass_density": density / first,
        "hessian_diagonal": np.mean(np.array(z) * products, axis=0) / second,
        "hessian_abs": abs(products).mean(axis=0) / first,
        "hessian_rms": np.sqrt((products**2).mean(axis=0) / second),
    }


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([gc.Rademacher(), gc.Gaussian(), gc.Uniform(0.5, 1.5), gc.SparseRademacher(0.5), gc.Sphere(5)]),
    st.sampled_from([(-1, 0, 1), (-2, -0.5, 0, 1), (0, 1, 2, 4), (0.5, 1, 3), (-3, -1, 1, 3)]),
    st.integers(1, 5),
    seeds,
)
def test_estimate_agrees_with_the_formulas(distribution, nodes, samples, seed):
    toy = gc.Quadratic(dense_hessian(5, seed)) + gc.RandomHinges(5, 300, half_width=4.0, rng=seed)
    theta = 0.1 * np.random.default_rng(seed).standard_normal(5)
    recorded = Recorded(distribution)
    estimate = gc.estimate_curvature(toy.gradient, theta, 0.05, samples, nodes, recorded, rng=seed)
    assert len(recorded.directions) == samples
    expected = slow_estimate(toy.gradient, theta, 0.05, nodes, distribution, recorded.directions)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(estimate, name), expected[name], rtol=1e-9, atol=1e-11, err_msg=name)
    assert estimate.evaluations == 1 + samples * sum(t != 0 for t in nodes)
    assert (estimate.samples, estimate.length) == (samples, 0.05)


def side_by_side(toy, quadratic, count, rng):
    """Return the gradient of independent landscapes of the toy's law, each with the quadratic, in one vector."""
    offsets = rng.uniform(-toy.half_width, toy.half_width, (count, len(toy.normals)))
    signals = toy.signal_scale * rng.standard_normal(offsets.shape)

    def gradient(theta):
        points = theta.reshape(count, toy.size)
        active = np.where(points @ toy.normals.T > offsets, signals, 0.0)
        return (active @ toy.normals + points @ quadratic.hessian).ravel()

    return gradient


def test_landscapes_side_by_side_are_those_of_the_toy():
    toy, quadratic = gc.RandomHinges(2, 7, rng=0), gc.Quadratic([[50.0, 20.0], [20.0, -30.0]])
    gradient = side_by_side(toy, quadratic, 3, np.random.default_rng(1))
    rng, theta = np.random.default_rng(1), np.linspace(-1, 1, 6)
    offsets = rng.uniform(-toy.half_width, toy.half_width, (3, 7))
    signals = toy.signal_scale * rng.standard_normal((3, 7))
    for k in range(3):
        toy.offsets, toy.signals = offsets[k], signals[k]
        expected = (toy + quadratic).gradient(theta[2 * k : 2 * k + 2])
        np.testing.assert_allclose(gradient(theta)[2 * k : 2 * k + 2], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("nodes", "distribution"),
    [
        ((-1, 0, 1), gc.Rademacher()),
        ((-2, -1, 0, 1, 2), gc.Rademacher()),
        ((0, 1, 3), gc.Rademacher()),
        ((-1, 0, 1), gc.Uniform(0.5, 1.5)),
        ((-1, 0, 1), gc.SparseRademacher(0.8)),
    ],
    ids=repr,
)
def test_density_estimate_is_unbiased(nodes, distribution):
    """Over landscapes and directions, whatever the nodes and the law, next to a large Hessian."""
    rng = np.random.default_rng(31)
    toy = gc.RandomHinges(2, 200, half_width=8.0, rng=rng)
    quadratic = gc.Quadratic([[50.0, 20.0], [20.0, -30.0]])
    if isinstance(distribution, gc.Rademacher):
        exact = np.mean([toy.density(z) for z in ([1.0, 1.0], [1.0, -1.0])], axis=0)
    else:
        draws = np.array([toy.density(distribution.sample(2, rng)) for _ in range(100_000)])
        exact = draws.mean(axis=0) / distribution.absolute_moment(1)
    estimates = []
    for _ in range(16):
        gradient = side_by_side(toy, quadratic, 1000, rng)
        estimate = gc.estimate_curvature(gradient, np.zeros(2000), 0.5, 1, nodes, distribution, rng)
        estimates.append(estimate.glass_density.reshape(1000, 2))
    assert_mean_is(np.concatenate(estimates), exact, resolution=0.2)


def test_diagonal_is_told_from_row_sums_and_row_norms():
    """A sampler stuck at one sign would return row sums as the diagonal."""
    hessian = dense_hessian(6, seed=1)
    estimate = gc.estimate_curvature(gc.Quadratic(hessian).gradient, np.zeros(6), 0.1, samples=20_000, rng=0)
    spread = np.sqrt((hessian**2).sum(axis=1) - hessian.diagonal() ** 2)
    margin = critical_value(6) * spread / np.sqrt(estimate.samples)
    assert (abs(estimate.hessian_diagonal - hessian.diagonal()) <= margin).all()
    assert (abs(estimate.hessian_diagonal - hessian.sum(axis=1)) > margin).sum() >= 5
    np.testing.assert_allclose(estimate.hessian_rms, np.linalg.norm(hessian, axis=1), rtol=0.05)
    assert (estimate.hessian_abs <= estimate.hessian_rms).all()


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 6), st.integers(1, 4), seeds)
def test_measures_of_the_hessian_are_in_order(n, samples, seed):
    """|average of z∘Hz| ≤ average of |Hz| ≤ root of that of (Hz)², and the first two equal in dominated rows."""
    hessian = dense_hessian(n, seed)
    for dominated in (False, True):
        if dominated:
            hessian += np.diag(abs(hessian).sum(axis=1))
        estimate = gc.estimate_curvature(gc.Quadratic(hessian).gradient, np.zeros(n), 0.1, samples, rng=seed)
        rounding = 1e-12 * abs(hessian).sum(axis=1)
        assert (abs(estimate.hessian_diagonal) <= estimate.hessian_abs + rounding).all()
        assert (estimate.hessian_abs <= estimate.hessian_rms + rounding).all()
    np.testing.assert_allclose(estimate.hessian_diagonal, estimate.hessian_abs, rtol=1e-11)


def test_quadratic_has_no_glass():
    quadratic = gc.Quadratic(dense_hessian(6, seed=2), linear=np.ones(6))
    estimate = gc.estimate_curvature(quadratic.gradient, np.ones(6), 0.1, rng=0)
    rounding = 16 * np.finfo(float).eps * abs(quadratic.hessian).sum()
    assert estimate.glass_density.max() <= 2 * rounding**2 / 0.1


def test_chi_square_interval_is_exact_for_one_dense_line():
    """Nominal 95 %: 1900 ± 48 of 2000 landscapes cover (4.9 standard deviations)."""
    rng = np.random.default_rng(33)
    toy = gc.RandomHinges(2, 3000, half_width=12.0, rng=rng)
    mirrored = np.concatenate([toy.normals, toy.normals * [1, -1]])  # the same density along both diagonals
    toy = gc.RandomHinges(2, 6000, half_width=12.0, normals=mirrored, rng=rng)
    exact = toy.density([1.0, 1.0])[0]
    covered = 0
    for _ in range(2000):
        estimate = gc.estimate_curvature(toy.redraw(rng).gradient, np.zeros(2), 1.0, samples=1, rng=rng)
        low, high = estimate.glass_density_interval(0.95)[:, 0]
        covered += low <= exact <= high
    assert abs(covered - 1900) <= critical_value() * np.sqrt(2000 * 0.95 * 0.05)


def test_densities_that_differ_between_lines_add_three_times_their_variance():
    """Normals (2, 1): one diagonal has three times the density of the other; one random line in each landscape."""
    rng = np.random.default_rng(35)
    toy = gc.RandomHinges(2, 1500, half_width=6.0, normals=np.tile([2.0, 1.0], (1500, 1)), rng=rng)
    densities = [toy.density([1.0, sign])[0] for sign in (1, -1)]
    mean, between = np.mean(densities), np.var(densities)
    assert between == pytest.approx(mean**2 / 4, rel=1e-12)
    estimates = []
    for _ in range(30_000):
        z = rng.choice([-1.0, 1.0], (1, 2))
        estimates.append(2 * second_differences(toy.redraw(rng), z, 1.0)[0, 0] ** 2)
    assert_mean_is(estimates, mean)
    # 250 boundaries or more on a line: normal but for a hundredth.
    assert_mean_is((np.array(estimates) - mean) ** 2, 2 * mean**2 + 3 * between, resolution=0.3)


def second_differences(toy, directions, length):
    """d = ½(g₊ + g₋) − g₀ at 0 along many directions at once, one row a direction.

    Hinge k adds ½ s_k a_k sign(b_k) where |a_k·σz| > |b_k|, on whichever side it is crossed.
    """
    crossed = abs(directions @ toy.normals.T) * length > abs(toy.offsets)
    return crossed @ (0.5 * (toy.signals * np.sign(toy.offsets))[:, None] * toy.normals)


def test_lines_through_one_centre_share_boundaries():
    """The second differences along two random directions correlate with 2 − sqrt(2) in the dense limit."""
    rng = np.random.default_rng(34)
    n = 60
    toy = gc.RandomHinges(n, 1500, half_width=30.0, rng=rng)
    products, squares = np.empty((2, 1500))
    for k in range(1500):
        landscape = toy.redraw(rng)
        z = np.stack([gc.Rademacher().sample(n, rng) for _ in range(2)])
        d = second_differences(landscape, z, 1.0)
        if k == 0:
            line = [landscape.gradient(t * z[0]) for t in (-1, 0, 1)]
            np.testing.assert_allclose(d[0], (line[0] + line[2]) / 2 - line[1], atol=1e-11)
        products[k], squares[k] = np.mean(d[0] * d[1]), np.mean(d**2)
    assert_mean_is(products / squares.mean(), 2 - np.sqrt(2), resolution=0.08)


def landscapes(crossings, n, rng):
    """Hinges of which a Rademacher perturbation of length 1 crosses `crossings` on average, and their density."""
    half_width = 6 * np.sqrt(n)
    hinges = round(crossings * 2 * half_width / np.sqrt(2 * n / np.pi))
    toy = gc.RandomHinges(n, hinges, half_width=half_width, rng=rng)
    signs = all_vectors(n)
    return toy, np.mean([toy.density(z) for z in signs], axis=0)


@pytest.mark.parametrize(("crossings", "count"), [(0.3, 500), (3, 500), (30, 700), (300, 700)])
def test_interval_covers_and_says_where_it_does_not(crossings, count):
    """Nominal 95 %. The intervals of a landscape's three coordinates cover independently of each other, as measured.

    With 700 landscapes and a true 95 % the bounds lie 4.2 standard deviations away.
    """
    rng = np.random.default_rng(round(10 * crossings))
    toy, exact = landscapes(crossings, 3, rng)
    covered, valid = np.empty((count, 3), bool), np.empty(count, bool)
    for k in range(count):
        estimate = gc.estimate_curvature(toy.redraw(rng).gradient, np.zeros(3), 1.0, rng=rng, second_length=1 / 30)
        low, high = estimate.glass_density_interval(0.95)
        covered[k], valid[k] = (low <= exact) & (exact <= high), estimate.dense
    if crossings < 30:
        # One boundary that happens to lie next to the centre looks like many: a false claim now and then.
        assert valid.mean() < (0.03 if crossings < 1 else 0.12)
        assert covered.mean() >= 0.9  # widened by the few crossings, and without an upper end where nothing is crossed
    else:
        assert valid.mean() > (0.3 if crossings < 300 else 0.8)
        assert 0.93 <= covered[valid].mean() <= 0.97
        assert 0.93 <= covered.mean() <= 0.97


def test_the_same_interval_covers_for_many_parameters_and_any_nodes():
    """Directions of 100 coordinates count as orthogonal.

    The variance of a landscape's coverage is, as measured, 1.1 times that of 100 independent intervals: with 60
    landscapes and a true 95 % the bounds lie 6.8 standard deviations away.
    """
    rng = np.random.default_rng(36)
    n, covered = 100, []
    toy = gc.RandomHinges(n, 2000, half_width=60.0, rng=rng)
    exact = np.mean([toy.density(gc.Rademacher().sample(n, rng)) for _ in range(2000)], axis=0)
    for _ in range(60):
        estimate = gc.estimate_curvature(toy.redraw(rng).gradient, np.zeros(n), 1.0, 6, (-2, -1, 0, 1, 2), rng=rng)
        low, high = estimate.glass_density_interval(0.95)
        covered.append((low <= exact) & (exact <= high))
    assert estimate.chi_square_weights.shape == (1, 18)
    assert estimate.dense is None
    assert 0.93 <= np.mean(covered) <= 0.97


def test_one_line_has_the_quantiles_of_chi_square():
    estimate = gc.estimate_curvature(
        gc.RandomHinges(1, 50, rng=0).gradient, [0.0], 0.3, samples=1, nodes=(-1, 0, 0.5, 1, 2, 3, 4), rng=0
    )
    # χ²(5): 0.831212 and 12.832502 hold 95 %.
    np.testing.assert_allclose(
        estimate.glass_density_interval(0.95)[:, 0] / estimate.glass_density, [5 / 12.832502, 5 / 0.831212], rtol=1e-5
    )


def test_silent_perturbations_are_counted_exactly():
    """Hinges at ±0.5 and ±2 along the first coordinate only: the second is silent always, the first within 0.5."""
    toy = gc.RandomHinges(2, 4, normals=[[1.0, 0.0]] * 4, rng=0)
    toy.offsets[:] = [-2, -0.5, 0.5, 2]
    toy.signals[:] = [1.0, 2.0, 3.0, 4.0]

    def silent(length):
        return gc.estimate_curvature(toy.gradient, np.zeros(2), length, 5, rng=0).diagnostics.silent_fraction

    assert [silent(length) for length in (0.4, 0.6, 3.0)] == [1.0, 0.5, 0.5]
    # Rounding on top of a large gradient does not count as a crossing.
    noise = np.random.default_rng(0)

    def rounded(theta):
        return toy.gradient(theta) + 1e3 * (1 + np.finfo(float).eps * noise.choice([-1, 0, 1], 2))

    with pytest.warns(RuntimeWarning, match="differ by no more than rounding explains"):
        assert gc.estimate_curvature(rounded, np.zeros(2), 0.4, 5, rng=0).diagnostics.silent_fraction == 1


def test_crossings_are_counted_where_perturbations_are_silent_often_enough():
    rng = np.random.default_rng(37)
    toy, _ = landscapes(20, 6, rng)
    found = [
        gc.estimate_curvature(toy.redraw(rng).gradient, np.zeros(6), 1.0, 8, rng=rng, second_length=0.02)
        for _ in range(1000)
    ]
    # exp(−2 N σ₂/σ), averaged before the logarithm: 0.449 silent at σ₂ on average.
    silent = np.array([np.exp(-2 * estimate.diagnostics.crossings * 0.02) for estimate in found])
    assert_mean_is(silent, np.exp(-0.8), resolution=0.3)
    assert {estimate.evaluations for estimate in found} == {1 + 4 * 8}


@pytest.mark.parametrize("nodes", [(-1, 0, 1), (-1e-3, 0, 1e-3), tuple(np.linspace(-1, 1, 17))])
def test_rounding_is_silent_whatever_the_nodes(nodes):
    noise = np.random.default_rng(0)

    def gradient(theta):
        return 1e3 * (1 + np.finfo(float).eps * noise.choice([-1, 0, 1], 50)) + 1e-3 * theta

    estimate = gc.estimate_curvature(gradient, np.zeros(50), 1.0, 8, nodes, rng=0)
    assert estimate.diagnostics.silent_fraction == 1


def test_a_smooth_loss_crosses_nothing():
    """Its second differences are far above rounding, and grow as σ²."""
    estimate = gc.estimate_curvature(lambda x: np.sin(3 * x), np.ones(5), 0.1, rng=0, second_length=0.003)
    assert estimate.diagnostics.silent_fraction == 0
    assert estimate.diagnostics.crossings == 0
    assert estimate.dense is False


def test_dead_and_smooth_coordinates_do_not_count():
    rng = np.random.default_rng(39)
    toy, _ = landscapes(300, 3, rng)

    def gradient(theta):
        return np.concatenate([toy.gradient(theta[:3]), np.zeros(3), 1e-3 * theta[6:] ** 2])

    alone = gc.estimate_curvature(toy.gradient, np.zeros(3), 1.0, rng=0, second_length=0.03)
    among = gc.estimate_curvature(gradient, np.concatenate([np.zeros(6), np.ones(3)]), 1.0, rng=1, second_length=0.03)
    assert among.diagnostics.crossings >= 40
    assert alone.diagnostics.crossings >= 40
    low, high = among.glass_density_interval()
    assert (low[3:6] == 0).all()
    assert np.isinf(high[3:6]).all()


def test_contamination_is_the_share_of_the_smooth_loss():
    """g = 5θ² has d = 5σ² along every direction: all of the density is smooth. Next to glass its share is known."""

    def smooth(theta):
        return 5 * theta**2

    only = gc.estimate_curvature(smooth, np.ones(4), 0.1, rng=0, second_length=0.02)
    assert only.diagnostics.contamination == pytest.approx(1, rel=1e-6)
    assert only.dense is False
    np.testing.assert_allclose(only.glass_density, 2 * (5 * 0.1**2) ** 2 / 0.1, rtol=1e-9)

    hinges = gc.RandomHinges(400, 4000, half_width=60.0, rng=0)
    root = hinges.density(np.ones(400)) ** 0.5
    for bend, share in ((0.0, 0.0), (1.0, 0.5), (3.0, 0.9)):  # glass 1 and smooth σ³T²/2 = 2 bend² in each coordinate
        estimate = gc.estimate_curvature(
            lambda theta, bend=bend: hinges.gradient(theta) / root + bend * theta**2 / np.sqrt(2),
            np.zeros(400), 1.0, rng=1, second_length=1 / 30,
        )  # fmt: skip
        found = estimate.diagnostics
        expected = bend**2 / (1 + bend**2)
        assert found.contamination == pytest.approx(expected, abs=0.15), share
        assert estimate.dense is (bend == 0)


def test_relative_error_is_the_spread_over_directions():
    rng = np.random.default_rng(38)
    toy = gc.RandomHinges(50, 1000, half_width=40.0, rng=rng)
    found = [gc.estimate_curvature(toy.gradient, np.zeros(50), 1.0, 16, rng=rng) for _ in range(400)]
    densities = np.array([estimate.glass_density for estimate in found])
    spread = np.sqrt((densities.var(axis=0, ddof=1)).sum() / np.square(densities.mean(axis=0)).sum())
    stated = np.mean([estimate.diagnostics.relative_error for estimate in found])
    assert stated == pytest.approx(spread, rel=0.1)
    single = gc.estimate_curvature(toy.gradient, np.zeros(50), 1.0, 1, rng=0)
    assert np.isnan(single.diagnostics.relative_error)


def test_lengths_at_the_resolution_of_theta_raise_a_warning():
    toy = gc.RandomHinges(3, 50, rng=0)
    with pytest.warns(RuntimeWarning, match="a length of 1e-15 is within a hundred times the spacing"):
        gc.estimate_curvature(toy.gradient, np.ones(3), 1e-15, rng=0)
    with pytest.warns(RuntimeWarning, match="what is measured is rounding; use a larger length"):
        gc.estimate_curvature(lambda theta: theta.astype(np.float32), np.ones(3), 1e-7, rng=0)


def test_single_precision_stays_single_precision():
    toy = gc.RandomHinges(3, 50, rng=0)
    seen = []

    def gradient(theta):
        seen.append(theta.dtype)
        return toy.gradient(theta).astype(np.float32)

    estimate = gc.estimate_curvature(gradient, np.zeros(3, np.float32), 0.1, rng=0)
    assert set(seen) == {np.dtype(np.float32)}
    for name in ARRAYS:
        assert getattr(estimate, name).dtype == np.float32
    assert estimate.glass_density_interval().dtype == np.float32


def test_a_gradient_that_reuses_its_buffer_is_copied():
    toy, buffer = gc.RandomHinges(4, 80, rng=0), np.empty(4)

    def gradient(theta):
        buffer[:] = toy.gradient(theta)
        return buffer

    first = gc.estimate_curvature(toy.gradient, np.zeros(4), 0.2, rng=1)
    second = gc.estimate_curvature(gradient, np.zeros(4), 0.2, rng=1)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_theta_is_not_changed_and_points_are_read_only():
    theta = np.ones(3)

    def gradient(point):
        assert not point.flags.writeable
        return np.array(point)

    gc.estimate_curvature(gradient, theta, rng=0)
    assert theta.tolist() == [1, 1, 1]
    assert theta.flags.writeable


def test_memory_does_not_grow_with_the_samples():
    n = 100_000

    def peak(samples):
        tracemalloc.start()
        gc.estimate_curvature(lambda theta: theta, np.zeros(n), samples=samples, rng=0)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(1)  # compiles
    assert peak(40) <= peak(3) + n  # bytes: less than an eighth of one vector


def test_non_finite_gradient_names_the_sample_and_the_node():
    calls = 0

    def gradient(theta):
        nonlocal calls
        calls += 1
        return np.array([1.0, np.nan if calls == 5 else 2.0])

    with pytest.raises(
        gc.NonFiniteError, match=r"non-finite gradient in sample 1, node 1, .* the first is nan at index 1"
    ):
        gc.estimate_curvature(gradient, np.zeros(2), rng=0)
    calls = 4
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient at the centre: 1 of 2 entries"):
        gc.estimate_curvature(gradient, np.zeros(2), rng=0)


def test_workers_that_lose_samples_are_refused():
    with pytest.raises(ValueError, match="workers must give one result for each task: of 8 tasks, 2 came back"):
        gc.estimate_curvature(np.array, [1.0], samples=8, rng=0, workers=lambda f, items: list(map(f, items))[:2])


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # the plain Python loops warn first
def test_gradients_too_large_for_their_dtype_are_refused():
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient at the centre: 2 of 2 entries"):
        gc.estimate_curvature(lambda theta: np.full(2, 1e39), np.ones(2, np.float32), rng=0)
    huge = np.array([1e30, -1e30], np.float32)
    with pytest.raises(gc.NonFiniteError, match="the gradients are too large: their squares overflow float32"):
        gc.estimate_curvature(lambda theta: huge * np.sign(theta - 1), np.ones(2, np.float32), length=0.5, rng=0)


def test_bad_arguments_are_refused():
    def gradient(theta):
        return np.array(theta)

    with pytest.raises(TypeError, match="gradient must be callable, got str"):
        gc.estimate_curvature("gradient", [1.0])
    with pytest.raises(ValueError, match="theta must be finite"):
        gc.estimate_curvature(gradient, [np.inf])
    with pytest.raises(TypeError, match="theta must be real numbers"):
        gc.estimate_curvature(gradient, [1j])
    with pytest.raises(ValueError, match=r"theta must have shape \(n,\)"):
        gc.estimate_curvature(gradient, [])
    with pytest.raises(ValueError, match="length must be finite and > 0, got 0"):
        gc.estimate_curvature(gradient, [1.0], length=0)
    with pytest.raises(ValueError, match="samples must be ≥ 1, got 0"):
        gc.estimate_curvature(gradient, [1.0], samples=0)
    with pytest.raises(ValueError, match="nodes must hold at least 3 positions"):
        gc.estimate_curvature(gradient, [1.0], nodes=(0, 1))
    with pytest.raises(TypeError, match="distribution must have the methods sample and absolute_moment, got str"):
        gc.estimate_curvature(gradient, [1.0], distribution="rademacher")
    with pytest.raises(ValueError, match=r"workers .* must be ≥ 1"):
        gc.estimate_curvature(gradient, [1.0], workers=0)
    with pytest.raises(ValueError, match=r"gradient returned at the centre must have shape \(1,\), got \(2,\)"):
        gc.estimate_curvature(lambda theta: np.ones(2), [1.0])
    with pytest.raises(TypeError, match="the gradient returned by the callable must be real numbers"):
        gc.estimate_curvature(lambda theta: np.array([1j]), [1.0])
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 95"):
        gc.estimate_curvature(gradient, [1.0], rng=0).glass_density_interval(95)
    with pytest.raises(ValueError, match=r"second_length must be at most half of length=0\.001, got 0\.0006"):
        gc.estimate_curvature(gradient, [1.0], second_length=0.0006)
    with pytest.raises(TypeError, match="distribution must be an instance, got the class Rademacher itself"):
        gc.estimate_curvature(gradient, [1.0], distribution=gc.Rademacher)
    with pytest.raises(TypeError, match="must return the gradient and nothing else, got tuple at the centre"):
        gc.estimate_curvature(lambda theta: (0.0, theta), [1.0])
    with pytest.raises(TypeError, match="must return the gradient and nothing else, got NoneType at the centre"):
        gc.estimate_curvature(lambda theta: None, [1.0])
    with pytest.raises(ValueError, match="level must be at least 1e-6 away from 0 and 1"):
        gc.estimate_curvature(gradient, [1.0], rng=0).glass_density_interval(1 - 1e-9)
    with pytest.raises(ValueError, match="second_length must be finite and > 0, got -1"):
        gc.estimate_curvature(gradient, [1.0], second_length=-1)


@pytest.mark.parametrize(
    "kept",
    [
        lambda point: point,
        lambda point: point[3:],
        lambda point: point.reshape(2, -1),
        memoryview,
        lambda point: memoryview(point) if point.base is None else point.base,
    ],
)
def test_a_gradient_may_keep_the_points_it_gets(kept):
    toy, points, copies = gc.Quadratic(np.diag(np.arange(1.0, 9.0))), [], []

    def gradient(point):
        points.append(kept(point))
        copies.append(kept(point.copy()))
        return toy.gradient(point)

    found = gc.estimate_curvature(gradient, np.ones(8), samples=5, rng=0, second_length=1e-5)
    expected = gc.estimate_curvature(toy.gradient, np.ones(8), samples=5, rng=0, second_length=1e-5)
    np.testing.assert_array_equal(found.glass_density, expected.glass_density)
    np.testing.assert_array_equal(found.hessian_diagonal, expected.hessian_diagonal)
    for point, copy in zip(points, copies, strict=True):
        np.testing.assert_array_equal(point, copy)


def test_the_point_itself_may_be_the_gradient():
    found = gc.estimate_curvature(lambda point: point, np.ones(8), samples=5, rng=0)
    np.testing.assert_allclose(found.hessian_diagonal, 1, rtol=1e-9)
    np.testing.assert_allclose(found.glass_density, 0, atol=1e-20)
