"""The fused loops of the steps, against their slow rewrites and against themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv import _threads
from glasscurv.core import steps as core
from glasscurv.optimizers.alice import HESSIANS
from glasscurv.steps import LIMITERS
from tests.oracles import slow_averages, slow_move

B1, B2 = 0.9, 0.99
OPTIONS = {"l1": 0.01, "l2": 0.02, "eps": 1e-8, "step_fraction": 0.1, "lookahead": 1.2, "glass": True}


def state(size, dtype=np.float64, seed=0):
    """Gradient, ν, G, V, μ, C, R of ordinary sizes."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((7, size)) * 10.0 ** rng.uniform(-4, 1, (7, size))
    vectors[3:] = abs(vectors[3:])
    return [vector.astype(dtype) for vector in vectors]


def update_arguments(vectors, options, lr_min, lr_max):
    o = OPTIONS | options
    gradient, nu, average, moment, theta, curvature, density = vectors
    yield from (gradient, nu, average, moment, B1, B2, o["l1"], o["l2"], theta, curvature, density)
    yield from (HESSIANS[o["hessian"]], gc.GLASS_STEP_COEFFICIENT if o["glass"] else 0.0, o["eps"])
    yield from (LIMITERS[o["limiter"]], lr_min, lr_max, o["step_fraction"], o["lookahead"])


def slow_update(vectors, options, lr_min, lr_max):
    """Return ν, G, V and μ after section 8, steps 2 and 3, a coordinate at a time in double precision."""
    results = []
    gradient, nu, average, moment, theta, curvature, density = (vector.astype(float) for vector in vectors)
    bounds = np.broadcast_to(lr_min, gradient.shape), np.broadcast_to(lr_max, gradient.shape)
    for i in range(gradient.size):
        o = OPTIONS | options | {"lr_min": float(bounds[0][i]), "lr_max": float(bounds[1][i])}
        G, V = slow_averages(gradient[i], nu[i], average[i], moment[i], B1, B2, o)
        mu, ahead = slow_move(theta[i], G, V, curvature[i], density[i], o)
        results.append((ahead, G, V, mu))
    return np.array(results).T


def displacements(slopes, moment, *arguments):
    """`core.alice_displacements` with averages that stay as they are."""
    none = np.zeros_like(slopes)
    return core.alice_displacements(none, none, slopes, moment, 1.0, 1.0, 0.0, 0.0, *arguments)


def check_update(vectors, options, rates, tolerance):
    expected = slow_update(vectors, options, *rates)
    _, nu, average, moment, theta, *_ = vectors
    core.alice_update(*update_arguments(vectors, options, *rates))
    for found, values in zip((nu, average, moment, theta), expected, strict=True):
        np.testing.assert_allclose(found, values, rtol=tolerance, atol=tolerance * abs(values).max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 4e-6)])
@pytest.mark.parametrize("size", [1, 7, core.BLOCK - 1, core.BLOCK + 1, 2 * core.BLOCK + 5])
def test_the_fused_update_is_the_slow_rewrite(dtype, tolerance, size):
    for k, limiter in enumerate(LIMITERS):
        options = {"limiter": limiter, "hessian": tuple(HESSIANS)[k % 4], "glass": k != 1}
        check_update(state(size, dtype, k), options, (1e-4, 2e-2), tolerance)
    rates = abs(state(size, dtype, 9)[0]) * dtype(1e-3)
    check_update(state(size, dtype), {"limiter": "adam", "hessian": "rms"}, (dtype(0.1) * rates, rates), tolerance)


@settings(deadline=None)
@given(
    st.floats(-36, 36).map(lambda exponent: 10.0**exponent),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(tuple(LIMITERS)),
)
def test_sizes_beyond_the_safe_range_are_as_exact(size, dtype, limiter):
    # Gradients of any size: their squares leave the range of single precision, as V would, and so are not asked for.
    vectors = state(8, np.float64)
    for k, power in enumerate([1, 0, 1, 2, 0, 1, 2]):
        vectors[k] *= size**power
    vectors[3] = np.clip(vectors[3], 1e-36, 1e36)
    vectors[6] = np.clip(vectors[6], 1e-36, 1e36)
    vectors = [np.clip(vector, -1e36, 1e36).astype(dtype) for vector in vectors]
    moment, average = vectors[3].copy(), vectors[2].copy()
    bounds = (0.0, 1e-2 / size if limiter == "sgdm" else 1e-2)
    options = {"limiter": limiter, "hessian": "abs", "eps": 1e-8 * size}
    out = np.empty(8, dtype)
    codes = (HESSIANS["abs"], gc.GLASS_STEP_COEFFICIENT, options["eps"], LIMITERS[limiter], *bounds)
    slopes = np.clip(average, -1e18, 1e18)
    if not displacements(slopes, moment, *vectors[5:], *codes, out):
        core.alice_displacements_anywhere(slopes, moment, *vectors[5:], *codes, out)
    o = OPTIONS | options | {"lr_min": bounds[0], "lr_max": bounds[1], "step_fraction": 1.0}
    arguments = zip(slopes, moment, *vectors[5:], strict=True)
    expected = [slow_move(0.0, *map(float, row), o)[0] for row in arguments]
    spacing = float(np.finfo(dtype).smallest_subnormal)
    np.testing.assert_allclose(out, expected, rtol=2e-6 if dtype == np.float32 else 1e-13, atol=spacing)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_beyond_the_safe_range_leaves_the_others_alone(dtype):
    size = 3 * core.BLOCK
    ordinary, extreme = state(size, dtype), state(size, dtype)
    middle = core.BLOCK + 3
    extreme[2][middle] = 1e18  # G, and its D is beyond single precision's range
    extreme[5][middle] = 1e18
    extreme[5][middle + 1] = 1e300 if dtype == np.float64 else 1e36
    for vectors in (ordinary, extreme):
        core.alice_update(*update_arguments(vectors, {"limiter": "fixed", "hessian": "abs"}, 0.0, 1e-2))
    for one, other in zip(ordinary, extreme, strict=True):
        assert np.isfinite(other).all()
        for block in (slice(0, core.BLOCK), slice(2 * core.BLOCK, size)):
            assert one[block].tobytes() == other[block].tobytes()


def on_threads(monkeypatch, threads, loop, arguments):
    monkeypatch.setattr(_threads, "num_threads", lambda: threads)
    return _threads.parallel(loop, *arguments)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_updates_and_sums_have_the_same_bits_on_any_number_of_threads(monkeypatch, dtype):
    size = 3 * _threads.PIECE + 17
    options, runs = {"limiter": "adam", "hessian": "abs"}, []
    for threads in (1, 2, 5):
        vectors = state(size, dtype)
        on_threads(monkeypatch, threads, core.alice_update, update_arguments(vectors, options, 0.0, 1e-2))
        steps = [
            step(vectors[0], vectors[5], vectors[6]) for step in (gc.quasi_newton_step, gc.joint_quasi_newton_step)
        ]
        runs.append(b"".join(vector.tobytes() for vector in (*vectors, *steps)))
    assert runs[0] == runs[1] == runs[2]


exponents = st.floats(-300, 300)


@settings(deadline=None)
@given(st.lists(st.tuples(exponents, exponents, exponents), min_size=1, max_size=5), st.sampled_from([0.0, 1e-8]))
def test_where_the_fast_formulas_hold_they_agree_with_those_for_the_whole_range(rows, eps):
    gradient, hessian, density = (10.0 ** np.array(column) for column in zip(*rows, strict=True))
    fast, anywhere = np.empty_like(gradient), np.empty_like(gradient)
    arguments = (gradient, hessian, density, gc.GLASS_STEP_COEFFICIENT, eps, core.LARGEST)
    if core.quasi_newton_step(*arguments, fast):
        core.quasi_newton_step_anywhere(*arguments, anywhere)
        np.testing.assert_allclose(fast, anywhere, rtol=1e-14, atol=np.finfo(float).tiny)
    scaled = (gradient, hessian, density, 1.0, 1.0, 1.0, 2.0)
    terms = np.zeros((2, gradient.size))
    if core.joint_terms(*scaled, *terms):
        expected = core.joint_sums_anywhere(*scaled)  # where h dominates, its derivative is a small difference
        np.testing.assert_allclose(terms.sum(axis=1), expected, rtol=1e-13, atol=1e-15 * expected[0])
    if core.joint_step(*scaled, eps, core.LARGEST, fast):
        core.joint_step_anywhere(*scaled, gc.GLASS_STEP_COEFFICIENT, eps, core.LARGEST, anywhere)
        np.testing.assert_allclose(fast, anywhere, rtol=1e-12, atol=np.finfo(float).tiny)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounded_steps_called_safe_agree_with_those_for_the_whole_range(dtype):
    rng, limits = np.random.default_rng(0), np.finfo(dtype)
    low, high = np.log10(float(limits.smallest_subnormal)), np.log10(float(limits.max))
    fast, anywhere, safe = np.empty(1, dtype), np.empty(1, dtype), 0
    for case in range(6000):
        slope, moment, curvature, density, lr_max = 10.0 ** rng.uniform(low, 0.99 * high, (5, 1))
        slope = 0.0 * slope if case % 7 == 0 else np.minimum(slope, np.sqrt(float(limits.max)))
        moment = slope**2 if case % 2 else moment  # V is often near G²
        eps, lr_min = 10.0 ** rng.uniform(low - 2, 2), float(lr_max[0]) * (0.0, 1e-3, 1.0)[case % 3]
        limiter = (core.ADAM, core.SGDM, core.FIXED)[case % 5 % 3]
        arrays = [vector.astype(dtype) for vector in (slope, moment, curvature, density)]
        arguments = (*arrays, core.ABS, gc.GLASS_STEP_COEFFICIENT, eps, limiter, lr_min, float(lr_max[0]))
        if displacements(*arguments, fast):
            safe += 1
            core.alice_displacements_anywhere(*arguments, anywhere)
            lost = float(lr_max[0]) * (1e-12 if limiter == core.FIXED else limits.smallest_subnormal)
            np.testing.assert_allclose(fast, anywhere, 20 * limits.eps, 2 * limits.smallest_subnormal + lost)
    assert safe > 1000


def test_ordinary_sizes_are_in_the_safe_range():
    gradient, _, _, moment, _, curvature, density = state(100)
    out = np.empty(100)
    assert core.quasi_newton_step(gradient, curvature, density, gc.GLASS_STEP_COEFFICIENT, 1e-8, core.LARGEST, out)
    assert core.joint_step(gradient, curvature, density, 1.0, 1.0, 1.0, 2.0, 1e-8, core.LARGEST, out)
    for dtype in (np.float32, np.float64):
        vectors = [vector.astype(dtype) for vector in (gradient, moment, curvature, density)]
        options = (core.ABS, gc.GLASS_STEP_COEFFICIENT, 1e-8, core.ADAM, 0.0, 1e-3)
        assert displacements(*vectors, *options, out.astype(dtype))
