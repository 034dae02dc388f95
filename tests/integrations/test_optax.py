import copy
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

import glasscurv as gc  # noqa: E402
from glasscurv.integrations import optax as module  # noqa: E402
from glasscurv.integrations.optax import alice, gradient_function  # noqa: E402
from paper_checks.replays import CASES, STATE, Replayed, alice_options, load, replay  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def advance(optimizer, params, state, function, updates=None):
    updates, state = optimizer.update(params if updates is None else updates, state, params, value_and_grad_fn=function)
    return optax.apply_updates(params, updates), state


def run(optimizer, params, function, steps):
    """The parameters and the state after a number of steps, not compiled."""
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = advance(optimizer, params, state, function)
    return params, state


def same(one, other):
    """Whether two pytrees are equal, bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def close(one, other, **tolerances):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerances), one, other)


# The core: the same signs and gradients give the same trajectory


def check_the_trajectory(monkeypatch, optimizer, theta0, directions, evaluated, evaluations, thetas, states):
    """Follow a run of the core, step by step, with its directions, losses and gradients; every point is compared."""
    signs = iter(directions)
    monkeypatch.setattr(module, "_directions", lambda key, like: jnp.asarray(next(signs)))
    theta = jnp.asarray(theta0)
    state, used = optimizer.init(theta), 0
    for count, expected_theta, expected_state in zip(evaluations, thetas, states, strict=True):
        # the core ends with the centre, here it comes first
        order = iter([used + count - 1, *range(used, used + count - 1)])
        used += count

        def function(point, order=order):
            expected, loss, gradient = evaluated[next(order)]
            np.testing.assert_allclose(point, expected, rtol=1e-10, atol=1e-10)
            return loss, gradient

        theta, state = advance(optimizer, theta, state, function)
        assert next(order, None) is None
        np.testing.assert_allclose(theta, expected_theta, rtol=1e-10, atol=1e-10)
        for name, expected in zip(STATE, expected_state, strict=True):
            scale = max(1, np.abs(expected).max())
            np.testing.assert_allclose(getattr(state, name), expected, rtol=1e-10, atol=1e-10 * scale, err_msg=name)
        assert state.value == evaluated[used - 1][1]
        assert state.evaluations == used
    assert next(signs, None) is None
    assert used == len(evaluated)
    assert (int(state.skipped), int(state.first_nonfinite)) == (0, -1)
    assert theta.dtype == state.density.dtype == np.float64


@pytest.mark.parametrize("case", CASES)
def test_the_replays_are_those_of_the_core(case, x64, monkeypatch):
    arrays, options = load(case), alice_options(case)
    optimizer = alice(options.pop("lr"), **options)
    core = replay(case)
    evaluated = list(zip(core.points, arrays["losses"], arrays["gradients"], strict=True))
    directions = [signs for signs in arrays["signs"] if signs.any()]
    check_the_trajectory(
        monkeypatch, optimizer, arrays["theta0"], directions, evaluated, core.evaluations, core.theta, core.state
    )


CHOICES = st.fixed_dictionaries(
    {
        "betas": st.tuples(st.sampled_from([0.0, 0.5, 0.8, 0.9]), st.sampled_from([0.8, 0.99, 0.999])),
        "eps": st.sampled_from([1e-8, 1e-1]),
        "l1": st.sampled_from([0.0, 0.3]),
        "l2": st.sampled_from([0.0, 0.1]),
        "step_fraction": st.sampled_from([None, 0.0, 1.0]),
        "lookahead": st.sampled_from([0.0, 1.0, 1.3]),
        "limiter": st.sampled_from(["adam", "sgdm", "fixed"]),
        "lr_min": st.sampled_from([0.0, 1e-3, 1e-2]),
        "lr_max": st.sampled_from([None, 1e-2, 1.0]),
        "hessian": st.sampled_from(["zero", "abs", "rms", "diagonal"]),
        "glass": st.booleans(),
        "quick_steps": st.integers(0, 4),
        "length": st.sampled_from([None, 0.5]),
    }
)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), options=CHOICES, changing=st.booleans())
def test_random_options_give_the_trajectory_of_the_core(seed, options, changing):
    steps, rng = 20, np.random.default_rng(seed)
    theta0, normals, signals = rng.normal(size=4), rng.normal(size=(20, 4)), rng.normal(size=20)
    rates = 0.01 * (0.8 ** np.arange(steps) if changing else np.ones(steps))
    directions = [rng.choice([-1.0, 1.0], 4) for _ in range(steps)]
    evaluated = []

    def hinged(theta):
        margins = normals @ theta - 0.5
        loss = theta @ theta + signals @ np.maximum(margins, 0)
        evaluated.append((theta.copy(), loss, 2 * theta + (signals * (margins > 0)) @ normals))
        return evaluated[-1][1:]

    core = gc.Alice(theta0, rates[0], **options, distribution=Replayed(directions))
    evaluations, thetas, states = [], [], []
    for rate in rates:
        core.lr = rate
        before = core.evaluations
        core.step(hinged)
        evaluations.append(core.evaluations - before)
        thetas.append(core.theta)
        states.append([core.state[name].copy() for name in STATE])

    before = jax.config.jax_enable_x64  # Hypothesis has no fixtures for single examples
    jax.config.update("jax_enable_x64", True)
    try:
        optimizer = alice((lambda count: jnp.asarray(rates)[count]) if changing else rates[0], **options)
        used = directions[: sum(count == 3 for count in evaluations)]
        with pytest.MonkeyPatch.context() as patch:
            check_the_trajectory(patch, optimizer, theta0, used, evaluated, evaluations, thetas, states)
    finally:
        jax.config.update("jax_enable_x64", before)


# What JAX and Optax do with it: a kinked loss of a pytree

PARAMS = {"a": np.linspace(-1, 1, 6).reshape(2, 3), "b": [np.array(0.5), None, (np.array(-0.2),)]}
NORMALS = np.random.default_rng(0).normal(size=(12, 8))


def parameters(dtype=None):
    return jax.tree.map(lambda p: jnp.asarray(p, dtype or jnp.result_type(float)), PARAMS)


def vectors():
    """The same numbers in vectors of one size: what is not compiled as a whole compiles once for every shape."""
    flat = jnp.linspace(-1, 1, 8)
    return {"a": flat[:4], "b": [None, (flat[4:],)]}


def kinked(params):
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])
    return jnp.sum(abs(jnp.asarray(NORMALS, flat.dtype) @ flat - 1)) + jnp.sum((flat - 0.3) ** 2)


FUNCTION = jax.value_and_grad(kinked)
START = np.array([1.0, -2.0, 0.5, 3.0], np.float32)


def bowl(theta):
    return jnp.sum(theta**2), 2 * theta


CALLS = []


def counted(params):
    jax.debug.callback(lambda _: CALLS.append(None), params["a"])
    return FUNCTION(params)


def seeded(seed):
    """An optimizer whose steps see all of the curvature, and so the seed."""
    return alice(0.02, quick_steps=2, limiter="fixed", lr_min=1e-3, lr_max=1.0, length=0.5, seed=seed)


def train(seed):
    """A whole run as one function of its seed: parameters and state."""
    optimizer = seeded(seed)
    carry = vectors(), optimizer.init(vectors())
    return jax.lax.scan(lambda carry, _: (advance(optimizer, *carry, counted), None), carry, None, length=20)[0]


def test_compiled_scanned_and_mapped_runs_are_the_plain_run_and_evaluate_as_often(x64):
    seeds, evaluations = jnp.array([0, 1, 2]), 3 * (10 + 3) + 7  # full: the warm-up, 12, 15, 18
    single, runs = jax.jit(train), []
    for seed in seeds:
        CALLS.clear()
        runs.append(single(seed))
        jax.effects_barrier()
        assert len(CALLS) == runs[-1][1].evaluations == evaluations
    CALLS.clear()
    mapped = jax.jit(jax.vmap(train))(seeds)
    jax.effects_barrier()
    assert len(CALLS) == 3 * evaluations
    for i, expected in enumerate(runs):
        close(jax.tree.map(lambda leaf, i=i: leaf[i], mapped), expected, rtol=1e-10, atol=1e-12)
    close(run(seeded(0), vectors(), FUNCTION, 20), runs[0], rtol=1e-10, atol=1e-12)
    assert abs(runs[0][0]["a"] - runs[1][0]["a"]).max() > 1e-6


@pytest.fixture(scope="module")
def compiled():
    """A compiled step that donates its buffers."""
    optimizer = alice(0.02)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, offset):
        return advance(optimizer, params, state, lambda params: FUNCTION(jax.tree.map(lambda p: p + offset, params)))

    def start():
        params = parameters()
        return params, optimizer.init(params)  # which shares no buffer with them, else both could not be donated

    return start, step


def test_a_state_that_was_saved_goes_on_to_the_same_bits(compiled, tmp_path):
    start, step = compiled
    offsets = np.random.default_rng(1).normal(0, 0.1, 25)
    carry = start()
    for i, offset in enumerate(offsets):
        if i == 15:
            leaves, structure = jax.tree.flatten(carry)
            np.savez(tmp_path / "run.npz", *leaves)
        carry = step(*carry, offset)
    with np.load(tmp_path / "run.npz") as arrays:
        resumed = jax.tree.unflatten(structure, [arrays[name] for name in arrays.files])
    assert resumed[1].count == 15
    for offset in offsets[15:]:
        resumed = step(*resumed, offset)
    assert same(resumed, carry)


def test_a_failing_update_changes_nothing_but_the_counters(compiled):
    start, step = compiled
    carry = start()
    for i in range(1, 15):
        bad = i in (3, 12, 13)  # in the warm-up; a full and a quick step after it
        before = jax.tree.map(np.array, carry)
        carry = step(*carry, np.nan if bad else 0.0)
        params, state = carry
        # which updates are full depends on no data
        assert state.evaluations == i + 2 * (min(i, 10) + (i >= 12))
        if bad:
            assert same(params, before[0])
            kept = {
                "count": i,
                "value": state.value,
                "evaluations": state.evaluations,
                "skipped": before[1].skipped + 1,
            }
            expected = before[1]._replace(**kept, first_nonfinite=np.int32(3))
            expected = jax.tree.map(jnp.asarray, expected._replace(count=jnp.int32(i)))
            assert same(state._replace(value=jnp.float32(0)), expected._replace(value=jnp.float32(0)))
            assert np.isnan(state.value)
        else:
            assert np.isfinite(state.value)
    assert int(state.skipped) == 3
    assert int(state.first_nonfinite) == 3


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("bad", [(np.nan, 0.0), (np.inf, 0.0), (0.0, np.nan), (0.0, -np.inf), (0.0, 1e30)])
def test_no_evaluation_may_fail_and_no_average_overflow(bad, call):
    calls = []

    def function(params):
        calls.append(None)
        value, gradient = bad if len(calls) == 15 + call else (0.0, 1.0)  # in step 6, after five full ones
        return value, jnp.where(jnp.arange(4) == 1, gradient, params)

    optimizer = alice(0.1, betas=(0.5, 0.9), quick_steps=0)
    before = run(optimizer, jnp.ones(4), function, 5)
    assert not np.array_equal(before[0], np.ones(4))
    params, state = advance(optimizer, *before, function)
    assert (int(state.skipped), int(state.first_nonfinite), int(state.count), len(calls)) == (1, 6, 6, 18)
    assert same((params, *state[2:7]), (before[0], *before[1][2:7]))
    params, state = advance(optimizer, params, state, function)
    assert (int(state.skipped), int(state.first_nonfinite)) == (1, 6)
    assert not np.array_equal(params, before[0])


def test_averages_and_warm_up_are_those_of_the_updates_that_count(monkeypatch):
    monkeypatch.setattr(module, "_directions", lambda key, like: jnp.array([1.0, -1.0, 1.0, 1.0]))
    optimizer, params = alice(0.1, betas=(0.75, 0.9), quick_steps=0), jnp.asarray(START)

    state = optimizer.init(params)
    for bad in (True, False, True, False, False, True, False, False, False):
        params, state = advance(optimizer, params, state, lambda p, bad=bad: (np.nan, p) if bad else bowl(p))
    expected, clean = run(optimizer, jnp.asarray(START), bowl, 6)
    assert same((params, *state[2:8]), (expected, *clean[2:8]))
    assert (int(state.count), int(state.skipped), int(state.first_nonfinite)) == (9, 3, 1)


def test_a_rate_of_zero_has_no_perturbations_and_is_named():
    for gradient in (1.0, 0.0):
        optimizer = alice(optax.linear_schedule(0.1, 0.0, 4), quick_steps=0)
        _, state = run(optimizer, jnp.ones(4), lambda p, gradient=gradient: (0.0, gradient * p), 6)
        assert (int(state.skipped), int(state.first_nonfinite)) == (2, 5)
        assert np.isfinite(state.density).all()
    _, state = run(alice(optax.linear_schedule(0.1, 0.0, 4), length=0.1), jnp.ones(4), lambda p: (0.0, p), 6)
    assert int(state.skipped) == 0


def test_a_pytree_moves_as_its_flat_vector(x64, monkeypatch):
    flat, unravel = jax.flatten_util.ravel_pytree(vectors())
    draw = np.random.default_rng(2)
    directions = [draw.choice([-1.0, 1.0], flat.size) for _ in range(12)]
    results = []
    for start, shape in ((vectors(), unravel), (flat, lambda vector: vector)):
        signs = iter(directions)
        monkeypatch.setattr(module, "_directions", lambda key, like, signs=signs, shape=shape: shape(next(signs)))
        results.append(run(alice(0.02), start, FUNCTION, 15))
    (tree, state), (vector, expected) = results
    close(jax.flatten_util.ravel_pytree(tree)[0], vector, rtol=1e-12)
    for name in STATE:
        leaves = jax.flatten_util.ravel_pytree(getattr(state, name))[0]
        close(leaves, getattr(expected, name), rtol=1e-10, atol=1e-12)


def test_the_value_is_the_loss_at_the_look_ahead_point():
    optimizer, params = alice(0.1, betas=(0.5, 0.9)), jnp.asarray(START)
    state = optimizer.init(params)
    assert np.isinf(state.value)
    for _ in range(5):
        expected = bowl(state.lookahead)[0]
        params, state = advance(optimizer, params, state, bowl)
        assert state.value == expected
    assert not np.array_equal(params, state.lookahead)


def test_l1_pushes_zeros_down():
    _, state = run(alice(0.1, l1=0.25), jnp.array([0.0, -1.0, 1.0, 0.0]), bowl, 1)
    np.testing.assert_array_equal(state.gradient, [0.25, -2.25, 2.25, 0.25])


# Precision


@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16, np.float16])
def test_precision_is_that_of_the_parameters_and_at_least_float32(dtype, x64):
    seen, start = set(), jnp.asarray(START, dtype)

    def function(params):
        seen.add(params.dtype)
        return np.float64(1.0), params

    options = {"betas": (0.5, 0.9), "l1": 1e-3, "l2": 1e-3}
    params, state = run(alice(lambda count: jnp.asarray(0.1, float), **options), start, function, 4)
    assert seen == {params.dtype} == {np.dtype(dtype)}
    wide = np.float64 if dtype == np.float64 else np.float32
    assert {leaf.dtype for leaf in state if jnp.issubdtype(leaf.dtype, jnp.floating)} == {np.dtype(wide)}
    assert not np.array_equal(params, start)


def test_each_parameter_has_its_own_precision(x64):
    params = {"a": jnp.ones(4, jnp.float32), "b": jnp.ones(4, jnp.float64), "c": jnp.ones(4, jnp.bfloat16)}
    # numbers of the highest precision, as optax.inject_hyperparams makes them
    optimizer = optax.inject_hyperparams(alice)(0.1, (0.5, 0.9), l1=0.1, lr_min=0.01)
    state = optimizer.init(params)
    for _ in range(4):
        params, state = advance(optimizer, params, state, lambda p: (jnp.float32(1.0), p))
    inner = state.inner_state
    for tree in (inner.lookahead, inner.gradient, inner.second_moment, inner.curvature, inner.density):
        assert [leaf.dtype for leaf in tree.values()] == [np.float32, np.float64, np.float32]
    assert [leaf.dtype for leaf in params.values()] == [np.float32, np.float64, jnp.bfloat16]
    assert inner.value.dtype == np.float64


def test_the_density_of_nearly_equal_gradients_is_exact():
    ulp = 2.0**-23
    gradients = iter(np.float32([[1.0], [1 + ulp], [1.0]]))  # centre, plus, minus
    optimizer = alice(0.5)
    state = optimizer.init(jnp.ones(1))
    _, state = advance(optimizer, jnp.ones(1), state, lambda params: (0.0, next(gradients)))
    assert state.density == 2 * (ulp / 2) ** 2 / 0.5  # the sum of both is rounded to 2


@pytest.fixture
def displacement(monkeypatch):
    """The bounded step of an option and arrays."""
    rules = []
    monkeypatch.setattr(module._Alice, "init", lambda self, params: rules.append(self))

    def step(bounds, arrays, **options):
        alice(0.1, **options).init(None)
        return np.array(rules[-1]._displacement(bounds, *arrays))

    return step


@pytest.mark.parametrize("limiter", ["adam", "sgdm", "fixed"])
def test_the_step_is_that_of_the_public_functions_over_the_whole_range_of_float32(limiter, displacement):
    rng = np.random.default_rng(3)
    powers = 10.0 ** rng.uniform(-17, 17, (4, 3000))  # whatever gradients of that size leave in the averages
    powers[1:, :30], powers[0, 30:40] = 0.0, 0.0
    g, *others = (powers * [rng.choice([-1, 1], 3000), *np.ones((3, 3000))]).astype(np.float32)
    moment, curvature, density = others
    for glass in (True, False):
        delta = displacement((1e-4, 10.0), (g, *others), limiter=limiter, glass=glass)
        wide = [a.astype(np.float64) for a in (g, curvature, density if glass else 0 * density)]
        step = gc.quasi_newton_step(*wide, eps=1e-8)
        expected = gc.bound_step(step, wide[0], moment.astype(np.float64), 1e-4, 10.0, limiter, 1e-8)
        np.testing.assert_allclose(delta, expected, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("hessian", ["zero", "abs", "rms", "diagonal"])
@pytest.mark.parametrize("limiter", ["adam", "sgdm", "fixed"])
def test_the_largest_and_smallest_numbers_leave_the_step_finite_and_within_its_bounds(limiter, hessian, displacement):
    values = np.array([0.0, 1e-37, 1e-20, 1.0, 1e20, 3e38], np.float32)
    arrays = [grid.ravel() for grid in np.meshgrid(values, values, values, values)]
    gradient, moment = arrays[:2]
    delta = displacement((0.01, 0.2), arrays, limiter=limiter, hessian=hessian)
    wide = abs(gradient.astype(np.float64))
    unit = {"fixed": 1.0, "sgdm": wide, "adam": wide / (np.sqrt(moment, dtype=np.float64) + 1e-8)}[limiter]
    lower, upper = (np.minimum(bound * unit, np.finfo(np.float32).max) for bound in (0.01, 0.2))
    assert np.isfinite(delta).all()
    assert (abs(delta) <= upper * (1 + 1e-6)).all()
    smallest = np.finfo(np.float32).tiny  # below which XLA takes numbers as 0
    assert (abs(delta) >= lower * (1 - 1e-6) - smallest).all()
    assert ((delta < 0) == ((gradient > 0) & (delta != 0))).all()


@pytest.mark.parametrize("limiter", ["adam", "sgdm", "fixed"])
def test_an_eps_too_small_for_float32_leaves_no_zero_to_divide_by(limiter, displacement):
    arrays = [np.array([0.0, 1.0], np.float32), *np.zeros((3, 2), np.float32)]
    delta = displacement((0.01, 0.2), arrays, limiter=limiter, eps=1e-50)
    largest = -0.2 / np.finfo(np.float32).tiny
    expected = {"adam": [0.0, largest], "sgdm": [0.0, -0.2], "fixed": [0.01, -0.2]}[limiter]
    np.testing.assert_allclose(delta, expected, rtol=1e-6)


# Learning rates, seeds and other transformations


def test_bounds_and_length_follow_a_schedule_from_the_rate_of_step_0():
    points = []

    def function(params):
        points.append(params)
        return 0.0, jnp.ones(4)

    # constant slopes: every step is the upper bound
    optimizer = alice(lambda count: 0.1 / (1 + count), betas=(0.0, 0.9), limiter="fixed", lr_max=0.4, step_fraction=1.0)
    params, state = jnp.zeros(4), optimizer.init(jnp.zeros(4))
    for count in range(4):
        before = params
        params, state = advance(optimizer, params, state, function)
        np.testing.assert_allclose(before - params, 0.0 if count == 0 else 0.4 / (1 + count), rtol=1e-6)
    center, plus, minus = points[-3:]
    np.testing.assert_allclose(abs(plus - center), 0.1 / 4, rtol=1e-4)
    np.testing.assert_allclose(plus - center, center - minus, rtol=1e-4)
    assert state.first_rate == np.float32(0.1)


def test_a_schedule_may_start_at_0_where_nothing_belongs_to_its_first_rate():
    warm_up = optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 8)
    options = {"length": 0.05, "betas": (0.0, 0.9), "limiter": "fixed", "step_fraction": 1.0}
    optimizer = alice(warm_up, **options)
    params, state = jnp.zeros(4), optimizer.init(jnp.zeros(4))
    for count in range(8):  # constant slopes: every step but the first, a full one, is the upper bound
        before = params
        params, state = advance(optimizer, params, state, lambda params: (0.0, jnp.ones(4)))
        np.testing.assert_allclose(before - params, 0.0 if count == 0 else 2 * warm_up(count), rtol=1e-5)
    assert (int(state.skipped), warm_up(0)) == (0, 0)
    for more in ({"lr_max": 0.1}, {"lr_min": 0.01}, {"length": None}):
        with pytest.raises(ValueError, match="learning_rate at step 0 must be finite and > 0, got 0"):
            alice(warm_up, **options | more)


def test_injected_hyperparameters_are_a_schedule():
    options = {"betas": (0.5, 0.9), "lr_min": 0.01, "lr_max": 0.03, "seed": 3, "quick_steps": 1}
    schedule = optax.exponential_decay(0.05, 5, 0.5)
    injected = optax.inject_hyperparams(alice)(schedule, **options)

    @jax.jit
    def step(params, state):
        return advance(injected, params, state, bowl)

    params = jnp.asarray(START)
    state = injected.init(params)
    for _ in range(8):
        params, state = step(params, state)
    expected, plain = run(alice(schedule, **options), jnp.asarray(START), bowl, 8)
    close(params, expected, rtol=1e-4, atol=1e-6)
    assert state.inner_state.evaluations == plain.evaluations
    assert state.inner_state.skipped == 0


def test_seeds_and_keys_name_the_same_directions():
    def directions(seed):
        points = []
        run(alice(0.5, seed=seed), jnp.zeros(4), lambda p: (points.append(p), (0.0, p))[1], 10)
        return np.array(points[1::3])

    first = directions(0)
    assert set(np.unique(first)) == {-0.5, 0.5}
    assert len(np.unique(first, axis=0)) > 1
    for same_seed in (np.int64(0), jnp.int32(0), jax.random.key(0), jax.random.PRNGKey(0), np.zeros(2, np.uint32)):
        np.testing.assert_array_equal(directions(same_seed), first)
    for other in (1, 2**32 - 1, jax.random.key(0, impl="rbg")):
        assert not np.array_equal(directions(other), first)  # 40 signs: equal by chance once in 10¹²


def test_every_parameter_has_its_own_directions():
    signs = module._directions(jax.random.key(0), {"a": jnp.ones(64), "b": jnp.ones(64)})
    assert set(np.unique(signs["a"])) == {-1.0, 1.0}
    assert abs(signs["a"] @ signs["b"]) < 64  # equal or opposite by chance once in 10¹⁹


def test_a_chain_scales_the_updates_and_what_comes_first_is_not_used():
    plain, params = alice(0.1, betas=(0.5, 0.9)), jnp.asarray(START)
    chained = optax.chain(optax.clip_by_global_norm(1e-9), plain, optax.scale(0.5))
    state, chained_state = plain.init(params), chained.init(params)
    for _ in range(3):
        updates, state = plain.update(params, state, params, value_and_grad_fn=bowl, unknown=1)
        halved, chained_state = chained.update(params, chained_state, params, value_and_grad_fn=bowl, unknown=1)
    np.testing.assert_array_equal(halved, updates / 2)
    assert abs(updates).min() > 0


@pytest.mark.parametrize("frame", ["masked", "multi_transform"])
def test_under_a_mask_the_function_gets_what_is_trained(frame):
    params = {"a": jnp.ones(4), "b": jnp.ones(4), "c": {}}
    if frame == "masked":
        optimizer = optax.masked(alice(0.1, betas=(0.5, 0.9)), {"a": True, "b": False, "c": {}})
    else:
        parts = {"trained": alice(0.1, betas=(0.5, 0.9)), "frozen": optax.set_to_zero()}
        optimizer = optax.multi_transform(parts, {"a": "trained", "b": "frozen", "c": {}})

    def function(trained):
        assert isinstance(trained["b"], optax.MaskedNode)
        value, gradient = bowl(trained["a"])
        return value, trained | {"a": gradient}

    state = optimizer.init(params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    moved = params
    for _ in range(4):
        moved, state = advance(optimizer, moved, state, function, zeros)
    alone, _ = run(alice(0.1, betas=(0.5, 0.9)), params["a"], bowl, 4)
    assert same(moved["b"], params["b"])
    assert same(moved["a"], alone)
    assert (moved["a"] < 1).all()


def test_optax_finds_what_belongs_to_the_parameters():
    optimizer = alice(0.1)
    state = optimizer.init(parameters())
    doubled = optax.tree_map_params(optimizer, lambda leaf: leaf + 1, state)
    close(doubled.lookahead, jax.tree.map(lambda leaf: leaf + 1, state.lookahead))
    assert (doubled.density["a"] == 1).all()
    assert same(doubled._replace(**{name: getattr(state, name) for name in STATE}), state)


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be finite and > 0, got 0.0"),
        ({"learning_rate": jnp.array(-1.0)}, "learning_rate must be finite and > 0, got -1.0"),
        (
            {"learning_rate": optax.linear_schedule(0.0, 0.1, 9)},
            "learning_rate at step 0 must be finite and > 0, got 0",
        ),
        ({"betas": (1.0, 0.9)}, r"betas\[0\] must be in \[0, 1\), got 1.0"),
        ({"eps": 0.0}, "eps must be finite and > 0, got 0.0"),
        ({"l1": -0.1}, "l1 must be finite and ≥ 0, got -0.1"),
        ({"l2": math.nan}, "l2 must be finite and ≥ 0, got nan"),
        ({"step_fraction": -1.0}, "step_fraction must be finite and ≥ 0, got -1.0"),
        ({"lookahead": -1.0}, "lookahead must be finite and ≥ 0, got -1.0"),
        ({"limiter": "rmsprop"}, "limiter must be one of .*, got 'rmsprop'"),
        ({"lr_min": -1.0}, "lr_min must be finite and ≥ 0, got -1.0"),
        ({"lr_max": math.inf}, "lr_max must be finite and ≥ 0, got inf"),
        ({"lr_min": 0.3, "lr_max": 0.1}, "lr_min must not exceed lr_max, got 0.3 and 0.1"),
        ({"lr_min": 0.3}, "lr_min must not exceed lr_max, got 0.3 and 0.2"),
        ({"hessian": "full"}, "hessian must be one of 'zero', 'abs', 'rms', 'diagonal', got 'full'"),
        ({"quick_steps": -1}, "quick_steps must be ≥ 0, got -1"),
        ({"length": 0.0}, "length must be finite and > 0, got 0.0"),
        ({"seed": -1}, "seed must be ≥ 0, got -1"),
        ({"seed": 2**32}, r"seed must be in \[0, 2\*\*32\) or a random key of JAX, got 4294967296"),
        ({"seed": jax.random.split(jax.random.key(0))}, r"seed must be one random key, got shape \(2,\)"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        alice(**{"learning_rate": 0.1} | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": "fast"}, "learning_rate must be a real number, got str"),
        ({"learning_rate": jnp.ones(2)}, "learning_rate must be a real number, got Array"),
        ({"betas": 0.9}, "betas must be two numbers"),
        ({"l1": None}, "l1 must be a real number, got NoneType"),
        ({"quick_steps": 1.5}, "quick_steps must be an integer, got float"),
        ({"seed": 1.5}, "seed must be an integer, got float"),
        ({"seed": None}, "seed must be an integer, got NoneType"),
        ({"seed": np.zeros(2)}, "seed must be an integer, got ndarray"),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused(options, message):
    with pytest.raises(TypeError, match=message):
        alice(**{"learning_rate": 0.1} | options)


def test_betas_cannot_be_traced():
    with pytest.raises(TypeError, match=r"betas\[0\] must be a real number, got \w*Tracer"):
        jax.jit(lambda beta: alice(0.1, (beta, 0.9)).init(jnp.ones(2)))(0.5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (jnp.arange(3), "params must be real floating-point arrays, got int32$"),
        ({"w": [jnp.ones(2), True]}, r"params must be real floating-point arrays, got bool at \['w'\]\[1\]$"),
        ({"w": jnp.ones(2, complex)}, r"params must be real floating-point arrays, got complex64 at \['w'\]$"),
        ({"w": "float32"}, r"params must be real floating-point arrays, got str at \['w'\]$"),
        ({"w": abs}, r"params must be real floating-point arrays, got builtin_function_or_method at \['w'\]$"),
        (jax.random.key(0), r"params must be real floating-point arrays, got key<fry>$"),
    ],
)
def test_parameters_that_cannot_be_trained_are_refused_by_name(params, message):
    with pytest.raises(TypeError, match=message):
        alice(0.1).init(params)
    with pytest.raises(TypeError, match=message):
        gradient_function(kinked, params)


def test_missing_arguments_of_an_update_are_named():
    optimizer = alice(0.1)
    state = optimizer.init(parameters())
    with pytest.raises(ValueError, match=r"needs the parameters: update\(updates, state, params, value_and_grad_fn"):
        optimizer.update(parameters(), state, value_and_grad_fn=FUNCTION)
    with pytest.raises(TypeError, match="value_and_grad_fn must be callable, got NoneType"):
        optimizer.update(parameters(), state, parameters())


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (jnp.ones(2), TypeError, r"value_and_grad_fn must return \(value, gradients\), got ArrayImpl"),
        (((1.0, "aux"), jnp.ones(2)), ValueError, "value_and_grad_fn must return a scalar value, got tuple"),
        ((jnp.ones(2), jnp.ones(2)), ValueError, r"value_and_grad_fn must return a scalar value, got shape \(2,\)"),
        ((1.0, {"w": jnp.ones(2)}), ValueError, r"gradients of the structure of params, .*\*.*, got .*'w'"),
        ((1.0, jnp.ones(1)), ValueError, r"the gradient must have shape \(2,\), got \(1,\)"),
    ],
)
def test_what_the_function_returns_is_checked(returned, error, message):
    optimizer = alice(0.1)
    with pytest.raises(error, match=message):
        optimizer.update(None, optimizer.init(jnp.ones(2)), jnp.ones(2), value_and_grad_fn=lambda params: returned)


# For the estimators


def test_a_gradient_function_is_the_loss_of_the_flat_vector(x64):
    f = gradient_function(kinked, parameters())
    value, gradients = FUNCTION(parameters())
    assert f.groups == {"a": slice(0, 6), "b/0": slice(6, 7), "b/2/0": slice(7, 8)}
    assert f.value_and_grad(f.theta)[0] == pytest.approx(float(value), rel=1e-14)
    np.testing.assert_allclose(f(f.theta), jax.flatten_util.ravel_pytree(gradients)[0], rtol=1e-14)
    assert same(f.unflatten(f.theta), parameters())
    for array in (f.theta, f(f.theta)):
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float64
        assert array.flags.writeable
    profile = gc.curvature_profile(f, f.theta, f.groups, length=8.0, samples=64, rng=0)
    assert profile.groups == ("a", "b/0", "b/2/0")
    optimizer = gc.Alice(f.theta, 0.02, rng=0)
    losses = [optimizer.step(f.value_and_grad) for _ in range(30)]
    assert losses[-1] < losses[0]


def test_a_gradient_function_keeps_float32_and_is_compiled_once():
    traces = []

    def loss(params):
        traces.append(None)
        return jnp.sum(params**2)

    f = gradient_function(loss, np.ones(4, np.float32))
    assert f.groups == {"all": slice(0, 4)}
    assert f.theta.dtype == np.float32
    for theta in (f.theta, f.theta.astype(np.float64), [1, 2, 3, 4]):
        assert f(theta).dtype == np.float32
    assert len(traces) == 1
    estimate = gc.estimate_curvature(f, f.theta, length=0.125, rng=0)
    assert estimate.gradient.dtype == np.float32


def test_a_leaf_without_numbers_is_no_group():
    params = {"a": np.ones(2, np.float32), "b": np.ones(0, np.float32)}
    assert gradient_function(kinked, params).groups == {"a": slice(0, 2)}


def test_a_gradient_function_refuses_what_it_cannot_be():
    with pytest.raises(TypeError, match="loss must be callable, got int"):
        gradient_function(3, jnp.ones(2))
    with pytest.raises(TypeError, match=r"must be float32 or float64, got bfloat16 at \['w'\], in which perturbations"):
        gradient_function(kinked, {"w": jnp.ones(2, jnp.bfloat16)})
    with pytest.raises(ValueError, match=r"params must have shape \(n,\) with n ≥ 1, got \(0,\)"):
        gradient_function(kinked, {})
    with pytest.raises(ValueError, match="params must be finite, got nan at index 1"):
        gradient_function(kinked, jnp.array([1.0, jnp.nan]))
    f = gradient_function(kinked, parameters())
    for refusing in (f, f.unflatten, f.value_and_grad):
        with pytest.raises(ValueError, match=r"theta must have shape \(8,\), got \(9,\)"):
            refusing(np.ones(9))


def test_a_gradient_function_refuses_a_forked_process(monkeypatch):
    f = gradient_function(kinked, parameters())
    expected = f(f.theta)
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(RuntimeError, match=r"JAX does not survive a fork: use threads, workers=ThreadPoolExecutor"):
        f(f.theta)
    assert np.array_equal(copy.copy(f)(f.theta), expected)  # as it arrives in a process that it was sent to


# The documentation


def test_the_page_runs_from_top_to_bottom(capsys):
    namespace = {}
    for example in re.findall(r"^```python\n(.*?)^```", (DOCS / "jax.md").read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(example, "jax.md", "exec"), namespace)
    trained, verdicts = capsys.readouterr().out.splitlines()
    found, evaluations, skipped = re.fullmatch(r"loss (\S+), (\d+) gradients, (\d+) updates skipped", trained).groups()
    assert float(found) < 0.2
    assert (int(evaluations), int(skipped)) == (400 + 2 * (10 + 98), 0)
    assert "'layer2': 'glass'" in verdicts
