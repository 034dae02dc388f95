import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.statistics import assert_mean_is, critical_value

seeds = st.integers(0, 2**32 - 1)
ARRAYS = ("gradient", "glass_density", "hessian_diagonal", "hessian_abs", "hessian_rms")


def dense_hessian(n, seed):
    root = np.random.default_rng(seed).standard_normal((n, n))
    return root @ root.T


def slow_estimate(gradient, theta, length, samples, nodes, distribution, rng):
    """Sections 3 and 4 by the book, all samples kept."""
    z = [distribution.sample(theta.size, rng) for _ in range(samples)]
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
    estimate = gc.estimate_curvature(toy.gradient, theta, 0.05, samples, nodes, distribution, rng=seed)
    expected = slow_estimate(toy.gradient, theta, 0.05, samples, nodes, distribution, np.random.default_rng(seed))
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(estimate, name), expected[name], rtol=1e-9, atol=1e-11, err_msg=name)
    assert estimate.evaluations == 1 + samples * sum(t != 0 for t in nodes)
    assert (estimate.samples, estimate.length) == (samples, 0.05)


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
    estimates = np.empty((16_000, 2))
    for k in range(len(estimates)):
        problem = toy.redraw(rng) + quadratic
        estimate = gc.estimate_curvature(problem.gradient, np.zeros(2), 0.5, 1, nodes, distribution, rng)
        estimates[k] = estimate.glass_density
    assert_mean_is(estimates, exact, resolution=0.2)


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


def test_chi_square_interval_is_conservative_for_the_centre_and_not_an_interval_of_the_ensemble():
    rng = np.random.default_rng(35)
    n, samples, landscapes = 8, 16, 1000
    toy = gc.RandomHinges(n, 400, half_width=16.0, rng=rng)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * n)).reshape(n, -1).T
    ensemble = np.mean([toy.density(z) for z in signs], axis=0)[0]
    center_covered = ensemble_covered = 0
    for _ in range(landscapes):
        landscape = toy.redraw(rng)
        estimate = gc.estimate_curvature(landscape.gradient, np.zeros(n), 1.0, samples=samples, rng=rng)
        low, high = estimate.glass_density_interval(0.95)[:, 0]
        # The average over all 2^n directions (z and −z give the same line).
        exact = 2 * np.mean(second_differences(landscape, signs[: len(signs) // 2], 1.0)[:, 0] ** 2)
        center_covered += low <= exact <= high
        ensemble_covered += low <= ensemble <= high
    assert center_covered >= 0.95 * landscapes - critical_value() * np.sqrt(landscapes * 0.95 * 0.05)
    # Shared boundaries leave a relative variance of 2 (2 − sqrt 2)² that more directions do not remove.
    assert ensemble_covered < 0.7 * landscapes


def test_interval_has_the_quantiles_of_chi_square():
    estimate = gc.estimate_curvature(gc.RandomHinges(1, 50, rng=0).gradient, [0.0], 0.3, samples=5, nodes=(-1, 0, 1, 2))
    assert estimate.degrees_of_freedom == 10
    # χ²(10): 3.24697 and 20.48318 hold 95 %.
    np.testing.assert_allclose(
        estimate.glass_density_interval(0.95)[:, 0] / estimate.glass_density, [10 / 20.48318, 10 / 3.24697], rtol=1e-5
    )


def test_result_is_the_same_for_any_workers():
    toy = gc.RandomHinges(20, 200, rng=0)
    results = [gc.estimate_curvature(toy.gradient, np.zeros(20), 0.1, 9, rng=5, workers=w) for w in (1, 2, map)]
    with ThreadPoolExecutor(3) as pool:
        results.append(gc.estimate_curvature(toy.gradient, np.zeros(20), 0.1, 9, rng=5, workers=pool.map))
    for other in results[1:]:
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(other, name), getattr(results[0], name))


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
    with pytest.raises(ValueError, match="workers must give one result for each of the 8 samples, got 2"):
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
    with pytest.raises(TypeError, match="gradient must be callable, got NoneType"):
        gc.variation_exponent(None, [1.0], [0.1, 0.2])
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
    with pytest.raises(ValueError, match="workers must be ≥ 1"):
        gc.estimate_curvature(gradient, [1.0], workers=0)
    with pytest.raises(ValueError, match=r"gradient returned at the centre must have shape \(1,\), got \(2,\)"):
        gc.estimate_curvature(lambda theta: np.ones(2), [1.0])
    with pytest.raises(TypeError, match="the gradient returned by the callable must be real numbers"):
        gc.estimate_curvature(lambda theta: np.array([1j]), [1.0])
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 95"):
        gc.estimate_curvature(gradient, [1.0], rng=0).glass_density_interval(95)
    with pytest.raises(ValueError, match="lengths must be positive and hold at least two different values"):
        gc.variation_exponent(gradient, [1.0], [0.1, 0.1])
    with pytest.raises(ValueError, match="lengths must be positive and hold at least two different values"):
        gc.variation_exponent(gradient, [1.0], [0.1, -0.1])
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        gc.variation_exponent(gradient, [1.0], [0.1, 0.2], order=3)
    with pytest.raises(ValueError, match="samples must be ≥ 2, got 1"):
        gc.variation_exponent(gradient, [1.0], [0.1, 0.2], samples=1)
