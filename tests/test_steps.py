import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import optimize

import glasscurv as gc
from glasscurv.core import steps as core
from tests.oracles import best_step_length, joint_model, joint_model_gradient, joint_model_hessian, step_model

ordinary = st.floats(1e-6, 1e6)
anything = st.floats(-300, 300).map(lambda exponent: 10.0**exponent)
anything_single = st.floats(-37.9, 38.4).map(lambda exponent: float(np.float32(10.0**exponent)))
STEPS = [gc.joint_quasi_newton_step, gc.quasi_newton_step]
LARGEST, SMALLEST = float(np.finfo(float).max), float(np.finfo(float).tiny)


def length(g, h, rho, eps=0.0):
    return -float(gc.quasi_newton_step([g], [h], [rho], eps)[0])


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_step_is_the_minimiser_to_the_last_digits(g, h, rho):
    assert length(g, h, rho) == pytest.approx(float(best_step_length(g, h, rho)), rel=2e-15)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_no_other_length_has_a_smaller_model_value(g, h, rho):
    d = length(g, h, rho)
    candidates = d * np.concatenate([np.geomspace(1e-6, 1e6, 201), np.linspace(0.9, 1.1, 21)])
    best = min(step_model(x, g, h, rho) for x in candidates)
    assert step_model(d, g, h, rho) <= best + 1e-12 * abs(best)


@settings(deadline=None, max_examples=300)
@given(anything, st.one_of(st.just(0.0), anything), st.one_of(st.just(0.0), anything))
def test_no_overflow_underflow_or_nan_over_the_whole_range(g, h, rho):
    assume(h > 0 or rho > 0)
    d, exact = length(g, h, rho), best_step_length(g, h, rho)
    assert math.isfinite(d)
    if exact > LARGEST:
        assert d == LARGEST
    elif exact < SMALLEST:
        assert d <= SMALLEST * (1 + 1e-12)
    else:
        assert d == pytest.approx(float(exact), rel=1e-14)


@settings(deadline=None, max_examples=300)
@given(anything_single, st.one_of(st.just(0.0), anything_single), st.one_of(st.just(0.0), anything_single))
def test_single_precision_covers_its_whole_range(g, h, rho):
    assume(h > 0 or rho > 0)
    info = np.finfo(np.float32)
    arrays = (np.array([x], np.float32) for x in (g, h, rho))
    step = gc.quasi_newton_step(*arrays, eps=0.0)
    assert step.dtype == np.float32
    d, exact = -float(step[0]), best_step_length(g, h, rho)
    if exact > float(info.max):
        assert d == float(info.max)
    elif exact < float(info.tiny):
        assert d <= float(info.tiny) * (1 + 1e-6)
    else:
        assert d == pytest.approx(float(exact), rel=float(info.eps))


@settings(deadline=None)
@given(anything, anything, anything)
def test_default_eps_gives_finite_steps_over_the_whole_range(g, h, rho):
    values = np.array([g, -g, 0.0, g, g])
    step = gc.quasi_newton_step(values, [h, h, h, 0.0, h], [rho, rho, rho, rho, 0.0])
    assert np.isfinite(step).all()
    assert (np.sign(step) * np.sign(values) <= 0).all()


def test_limits_are_newton_and_glass_alone():
    assert length(3.0, 2.0, 0.0) == pytest.approx(1.5, rel=1e-15)
    assert length(3.0, 0.0, 2.0) == pytest.approx(2 * math.pi * 9 / (3 * 2), rel=1e-15)


@settings(deadline=None)
@given(ordinary)
def test_small_gradients_make_steps_of_their_square(rho):
    g = 1e-12 * math.sqrt(rho)
    assert length(g, 1.0, rho) == pytest.approx(2 * math.pi * g**2 / (3 * rho), rel=1e-5)


def test_zero_gradient_makes_no_step_whatever_the_curvature():
    for h in (0.0, 1.0):
        for rho in (0.0, 1.0):
            for eps in (0.0, 1e-8):
                assert gc.quasi_newton_step([0.0], [h], [rho], eps)[0] == 0


def test_flat_model_takes_the_largest_finite_step():
    assert gc.quasi_newton_step([1.0, -1.0], 0.0, 0.0, eps=0.0).tolist() == [-LARGEST, LARGEST]
    assert gc.quasi_newton_step([1.0], 0.0, 0.0, eps=1e-8)[0] == pytest.approx(-1e8, rel=1e-15)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary, st.floats(1.001, 1e3))
def test_length_rises_with_the_gradient_and_falls_with_either_curvature(g, h, rho, factor):
    d = length(g, h, rho)
    assert length(g * factor, h, rho) > d
    # A curvature of less than one part in 1e16 may be rounded away.
    assert length(g, h * factor, rho) <= d
    assert length(g, h, rho * factor) <= d
    assert length(g, h * factor, rho * factor) < d


@settings(deadline=None)
@given(ordinary, ordinary, ordinary, ordinary)
def test_scaling_the_loss_leaves_the_step_unchanged(g, h, rho, kappa):
    assert length(kappa * g, kappa * h, kappa**2 * rho) == pytest.approx(length(g, h, rho), rel=1e-13)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary, ordinary)
def test_scaling_the_parameters_scales_the_step(g, h, rho, s):
    assert length(g / s, h / s**2, rho / s**3) == pytest.approx(s * length(g, h, rho), rel=1e-13)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary, st.floats(1e-12, 1e-3))
def test_eps_enters_as_in_the_reference(g, h, rho, eps):
    alpha = 3 * rho / (4 * math.pi * (g + eps))
    expected = g / (alpha + h + math.sqrt(alpha * (alpha + 2 * h)) + eps)
    assert length(g, h, rho, eps) == pytest.approx(expected, rel=1e-13)


def test_step_constant_follows_from_the_loss_constant():
    assert pytest.approx(9 / 8 * gc.GLASS_LOSS_COEFFICIENT**2, rel=1e-15) == gc.GLASS_STEP_COEFFICIENT
    assert pytest.approx(0.238732, abs=5e-7) == gc.GLASS_STEP_COEFFICIENT


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_a_larger_alpha_shortens_the_step_by_its_share(g, h, rho):
    alpha, by = gc.GLASS_STEP_COEFFICIENT * rho / g, 1e-4
    logarithms = [math.log(length(g, h, rho * math.exp(sign * by))) for sign in (1, -1)]
    shorter = (logarithms[1] - logarithms[0]) / (2 * by)
    assert shorter == pytest.approx(math.sqrt(alpha / (alpha + 2 * h)), abs=1e-8)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_predicted_decrease_is_largest_at_the_step(g, h, rho):
    d = length(g, h, rho)
    decrease = gc.predicted_decrease([-d], [g], [h], [rho])
    assert decrease == pytest.approx(-step_model(d, g, h, rho), rel=1e-9)
    assert decrease >= 0
    for factor in (0.9, 1.1):
        assert gc.predicted_decrease([-d * factor], [g], [h], [rho]) < decrease


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_the_promise_at_the_step_has_its_closed_form(g, h, rho):
    d = length(g, h, rho)
    assert gc.predicted_decrease([-d], [g], [h], [rho]) == pytest.approx(g * d / 3 + h * d**2 / 6, rel=1e-9)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_a_step_gains_between_once_and_three_times_its_promise(g, h, rho):
    d = length(g, h, rho)
    x, gain, promise = h * d / g, g * d - h * d**2 / 2, gc.predicted_decrease([-d], [g], [h], [rho])
    assert gain == pytest.approx(3 * (2 - x) / (2 + x) * promise, rel=1e-9)
    assert promise * (1 - 1e-9) <= gain <= 3 * promise * (1 + 1e-9)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_the_step_promises_half_of_what_each_curvature_costs(g, h, rho):
    d = length(g, h, rho)
    promise = h * d**2 / 2 + gc.GLASS_LOSS_COEFFICIENT * math.sqrt(rho) * d**1.5 / 2
    assert gc.predicted_decrease([-d], [g], [h], [rho]) == pytest.approx(promise, rel=1e-9)


@settings(deadline=None)
@given(ordinary, ordinary, ordinary)
def test_the_promise_is_the_mean_over_the_unlucky_half(g, h, rho):
    d = length(g, h, rho)
    glass = math.sqrt(2 / math.pi) * math.sqrt(rho * d**3 / 3)  # the mean of |X|, X normal with the variance of (6)
    assert gc.predicted_decrease([-d], [g], [h], [rho]) == pytest.approx(g * d - h * d**2 / 2 - glass, rel=1e-9)
    root, kappa = math.sqrt(d * h / g), rho / (g * h)
    assert root**2 + 1.5 * gc.GLASS_LOSS_COEFFICIENT * math.sqrt(kappa) * root == pytest.approx(1, rel=1e-12)


@settings(deadline=None)
@given(ordinary, ordinary, st.one_of(st.just(0.0), ordinary))
def test_the_step_raises_the_loss_less_often_than_one_time_in_eight(g, rho, h):
    """Φ(−(|g|d − ½hd²)/sqrt(ρd³/3)) ≤ Φ(−3/sqrt(2π)) = 0.116, with equality without a Hessian."""
    d = length(g, h, rho)
    distance = (g * d - h * d**2 / 2) / math.sqrt(rho * d**3 / 3)
    assert distance >= 3 / math.sqrt(2 * math.pi) * (1 - 1e-9)
    if h == 0:
        assert distance == pytest.approx(3 / math.sqrt(2 * math.pi), rel=1e-9)


def test_with_glass_alone_the_promise_changes_its_sign_at_four_fifths_of_eps():
    for share, sign in ((0.79, -1), (0.81, 1)):
        g, eps, rho = share * 1e-8, 1e-8, 1.0
        assert math.copysign(1, gc.predicted_decrease([-length(g, 0.0, rho, eps)], [g], 0.0, rho)) == sign
        assert length(g, 0.0, rho, eps) == pytest.approx(2 * math.pi * g * (g + eps) / (3 * rho), rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.floats(0, 0.99), st.floats(0.1, 10))
def test_equal_coupling_has_its_rate(n, kappa, h):
    """H_ii = 1 and H_ij = κ: Newton steps by one h multiply the two eigenvectors by 1 − λ/h."""
    problem = gc.Quadratic((1 - kappa) * np.eye(n) + kappa)
    for theta, eigenvalue in ((np.ones(n), 1 + (n - 1) * kappa), (np.eye(n)[0] - np.eye(n)[1], 1 - kappa)):
        after = theta + gc.quasi_newton_step(problem.gradient(theta), h, 0.0, eps=0.0)
        np.testing.assert_allclose(after, (1 - eigenvalue / h) * theta, atol=1e-12 * (1 + n / h))


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_steps_by_sums_of_rows_lower_every_convex_quadratic(n, seed):
    """h_i = Σ_j |H_ij|: the loss falls by half of Σ g²/h at least, whatever the coupling."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n)) * 10 ** rng.uniform(-2, 2, n)
    problem, theta = gc.Quadratic(root @ root.T), rng.standard_normal(n)
    g, h = problem.gradient(theta), abs(problem.hessian).sum(axis=1)
    after = problem.value(theta + gc.quasi_newton_step(g, h, 0.0, eps=0.0))
    before = problem.value(theta)
    assert after <= before - np.sum(g**2 / h) / 2 + 1e-12 * before


# Joint step


def random_problem(n, rng, spread=2.0):
    g = rng.standard_normal(n) * 10 ** rng.uniform(-spread, spread, n)
    return g, 10 ** rng.uniform(-spread, spread, n), 10 ** rng.uniform(-spread, spread, n)


@settings(deadline=None)
@given(anything, anything, anything, st.sampled_from([0.0, 1e-8]))
def test_joint_step_of_one_coordinate_is_the_coordinate_step(g, h, rho, eps):
    joint, coordinate = (step([g], [h], [rho], eps)[0] for step in STEPS)
    assert abs(joint) == pytest.approx(abs(coordinate), rel=1e-12, abs=10 * SMALLEST)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-300, 1e-8, 1.0]))
def test_joint_step_ends_finite_over_the_whole_range(n, seed, eps):
    rng = np.random.default_rng(seed)
    g, h, rho = 10.0 ** rng.uniform(-300, 300, (3, n)) * (rng.random((3, n)) > 0.15)
    assert np.isfinite(gc.joint_quasi_newton_step(g, h, rho, eps)).all()


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-300, 1e-8, 1.0]))
def test_joint_step_is_longer_for_coordinates_of_very_different_size(n, seed, eps):
    rng = np.random.default_rng(seed)
    g, h, rho = 10.0 ** rng.uniform(-90, 90, (3, n)) * (rng.random((3, n)) > 0.15)
    joint, coordinate = (abs(step(g, h, rho, eps)) for step in STEPS)
    assert (joint >= coordinate * (1 - 1e-11)).all()


def test_coordinates_without_a_gradient_have_no_part_in_the_joint_step():
    g, rho = np.zeros(1_000_000), np.ones(1_000_000)
    g[0] = 1e-6
    step = gc.joint_quasi_newton_step(g, 0.0, rho)
    assert step[0] == pytest.approx(gc.quasi_newton_step([1e-6], 0.0, 1.0)[0], rel=1e-12)
    assert not step[1:].any()


def test_newton_does_not_cycle_where_the_slope_of_the_ratio_changes_fast(monkeypatch):
    """Levels of very different size, at which plain Newton steps alternate inside the bracket."""
    passes, exact = [], core.joint_sums
    monkeypatch.setattr(core, "joint_sums", lambda *arguments: passes.append(1) or exact(*arguments))
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = 10 ** rng.integers(0, 5, 4)
        levels = 10.0 ** rng.uniform(-6, 6, (3, 4))
        g, h, rho = (np.repeat(level, counts) for level in levels)
        passes.clear()
        gc.joint_quasi_newton_step(g, h, rho, eps=0.0)
        assert len(passes) <= 40


def test_joint_step_of_many_scales_satisfies_its_equation():
    """One coordinate's glass outweighs the others' by 80 decades: each equation still holds to its own scale."""
    g, h, rho = np.array([[1e-40, 1e80, 1.0], [1e20, 1e-70, 3.0], [1e-90, 1e70, 2.0]])
    d = abs(gc.joint_quasi_newton_step(g, h, rho, eps=0.0))
    scale = float(mpmath.sqrt(mpmath.fsum(mpmath.mpf(r) * mpmath.mpf(x) ** 3 for r, x in zip(rho, d, strict=True))))
    for x, slope, curvature, density in zip(d, g, h, rho, strict=True):
        glass = mpmath.mpf(6 * gc.GLASS_LOSS_COEFFICIENT) * density * slope / scale
        implied = 2 * mpmath.mpf(slope) / (curvature + mpmath.sqrt(mpmath.mpf(curvature) ** 2 + glass))
        assert x == pytest.approx(float(implied), rel=1e-11)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_joint_step_satisfies_the_optimality_conditions(n, seed):
    g, h, rho = random_problem(n, np.random.default_rng(seed))
    step = gc.joint_quasi_newton_step(g, h, rho, eps=0.0)
    d = abs(step)
    assert (np.sign(step) == -np.sign(g)).all()
    np.testing.assert_allclose(joint_model_gradient(d, abs(g), h, rho), 0, atol=1e-10 * abs(g).max())
    # Each coordinate's own equation, to its own scale.
    scale = np.sqrt(np.sum(rho * d**3))
    implied = 2 * abs(g) / (h + np.sqrt(h**2 + 6 * gc.GLASS_LOSS_COEFFICIENT * rho * abs(g) / scale))
    np.testing.assert_allclose(d, implied, rtol=1e-11)


@pytest.mark.parametrize("seed", range(12))
def test_joint_step_is_the_global_minimiser(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 51))
    g, h, rho = random_problem(n, rng, spread=1.0)
    d = abs(gc.joint_quasi_newton_step(g, h, rho, eps=0.0))
    # A convex solver that knows nothing of the formula, in units of the coordinate step, from there.
    unit = abs(gc.quasi_newton_step(g, h, rho, eps=0.0))
    solution = optimize.minimize(
        lambda x: joint_model(x * unit, abs(g), h, rho) if (x > 0).all() else np.inf,
        np.ones(n),
        jac=lambda x: unit * joint_model_gradient(x * unit, abs(g), h, rho),
        hess=lambda x: np.outer(unit, unit) * joint_model_hessian(x * unit, h, rho),
        method="trust-exact",
        options={"gtol": 1e-12 * abs(g * unit).max(), "maxiter": 2000},
    )
    ours = joint_model(d, abs(g), h, rho)
    assert ours == pytest.approx(solution.fun, rel=1e-12)
    np.testing.assert_allclose(d, solution.x * unit, rtol=1e-4, atol=1e-7 * d.max())


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(-60, 60), st.floats(-60, 60))
def test_joint_step_keeps_the_scaling_laws_over_a_wide_range(n, seed, log_kappa, log_s):
    kappa, s = 10.0**log_kappa, 10.0**log_s
    g, h, rho = random_problem(n, np.random.default_rng(seed))
    step = gc.joint_quasi_newton_step(g, h, rho, eps=0.0)
    scaled = gc.joint_quasi_newton_step(kappa * g / s, kappa * h / s**2, kappa**2 * rho / s**3, eps=0.0)
    np.testing.assert_allclose(scaled, s * step, rtol=1e-11)


def test_joint_step_without_glass_is_the_newton_step():
    g, h = np.array([1.0, -2.0, 0.0]), np.array([2.0, 4.0, 1.0])
    np.testing.assert_allclose(gc.joint_quasi_newton_step(g, h, 0.0, eps=0.0), -g / h, rtol=1e-15)


def test_joint_step_mixes_coordinates_with_and_without_glass():
    g, h, rho = np.array([1.0, -1.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    step = gc.joint_quasi_newton_step(g, h, rho, eps=0.0)
    assert step[0] == pytest.approx(gc.quasi_newton_step([1.0], [1.0], [1.0], 0.0)[0], rel=1e-13)
    assert step[1:].tolist() == [1.0, 0.0, -LARGEST]


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_joint_step_is_at_least_as_long_in_every_coordinate(n, seed):
    g, h, rho = random_problem(n, np.random.default_rng(seed))
    joint, coordinate = gc.joint_quasi_newton_step(g, h, rho), gc.quasi_newton_step(g, h, rho)
    assert (abs(joint) >= abs(coordinate) * (1 - 1e-12)).all()


def test_joint_step_of_equal_coordinates_has_its_closed_form():
    # With n equal coordinates S = sqrt(n ρ d³): the coordinate step with ρ/n in place of ρ.
    step = gc.joint_quasi_newton_step(np.full(10_000, 2.0), np.full(10_000, 3.0), np.full(10_000, 5.0), eps=0.0)
    np.testing.assert_allclose(step, -length(2.0, 3.0, 5.0 / 10_000), rtol=1e-12)


def test_joint_step_keeps_single_precision():
    assert gc.joint_quasi_newton_step(*np.ones((3, 4), np.float32)).dtype == np.float32


# Bounds

vectors = st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**32 - 1)))


@settings(deadline=None)
@given(vectors, st.floats(1e-6, 10.0))
def test_equal_bounds_reproduce_the_first_order_methods_exactly(shape, lr):
    n, seed = shape
    rng = np.random.default_rng(seed)
    step, gradient, moment = rng.standard_normal((3, n))
    moment = moment**2
    fixed = gc.bound_step(step, gradient, moment, lr, lr, limiter="fixed")
    np.testing.assert_array_equal(fixed, -lr * np.sign(gradient))
    np.testing.assert_array_equal(gc.bound_step(step, gradient, moment, lr, lr, limiter="sgdm"), -lr * gradient)
    adam = gc.bound_step(step, gradient, moment, lr, lr, limiter="adam", eps=1e-8)
    np.testing.assert_array_equal(adam, -lr * (gradient / (np.sqrt(moment) + 1e-8)))


@settings(deadline=None)
@given(vectors, st.sampled_from(["fixed", "sgdm", "adam"]))
def test_nan_becomes_the_upper_bound(shape, limiter):
    n, seed = shape
    gradient, moment = np.random.default_rng(seed).standard_normal((2, n))
    bounded = gc.bound_step(np.full(n, np.nan), gradient, moment**2, 0.01, 0.5, limiter=limiter)
    upper = gc.bound_step(np.full(n, np.inf), gradient, moment**2, 0.01, 0.5, limiter=limiter)
    np.testing.assert_array_equal(bounded, upper)
    np.testing.assert_array_equal(bounded, gc.bound_step(gradient, gradient, moment**2, 0.5, 0.5, limiter=limiter))


@settings(deadline=None)
@given(vectors, st.sampled_from(["fixed", "sgdm", "adam"]), st.floats(0, 1), st.floats(1, 2))
def test_length_is_clamped_and_goes_against_the_gradient(shape, limiter, low, high):
    n, seed = shape
    step, gradient, moment = np.random.default_rng(seed).standard_normal((3, n))
    unit = {"fixed": 1.0, "sgdm": abs(gradient), "adam": abs(gradient) / (abs(moment) + 1e-8)}[limiter]
    bounded = gc.bound_step(step, gradient, moment**2, low, high, limiter=limiter)
    np.testing.assert_allclose(abs(bounded), np.clip(abs(step), low * unit, high * unit), rtol=1e-15)
    assert (bounded * gradient <= 0).all()


@settings(deadline=None)
@given(st.integers(1, 2000), st.floats(0.05, 1), st.floats(-10, 10))
def test_bounds_hold_the_centre_where_all_coordinates_are_coupled(n, fraction, start):
    """H = 11ᵀ: rows have the norm sqrt(n); the centre takes the part `fraction` of the step (section 6)."""
    gradient, lr_max = np.array([n * start]), 0.1  # all coordinates are alike: one stands for them
    step = gc.quasi_newton_step(gradient, math.sqrt(n), 0.0, eps=0.0)
    assert start + fraction * step[0] == pytest.approx((1 - fraction * math.sqrt(n)) * start, rel=1e-9, abs=1e-12)
    moved = start + fraction * gc.bound_step(step, gradient, 1.0, 0.0, lr_max, limiter="fixed")[0]
    assert abs(moved) <= max(abs(start), fraction * lr_max)
    if abs(start) > fraction * lr_max and fraction * math.sqrt(n) >= 1:
        assert abs(moved) == pytest.approx(abs(start) - fraction * lr_max, abs=1e-12)


def test_zero_gradient_moves_up_as_in_the_reference():
    assert gc.bound_step([0.0], [0.0], [1.0], 0.1, 0.2, limiter="fixed")[0] == 0.1
    assert gc.bound_step([1.0], [0.0], [0.0], 0.1, 0.2, limiter="adam", eps=0.0)[0] == 0.0


def test_step_inputs_are_left_unchanged_and_any_layout_works():
    g, h, rho = np.ones(8)[::2], np.ones((4, 2))[:, 0], np.broadcast_to(np.array(2.0), (4,))
    np.testing.assert_array_equal(gc.quasi_newton_step(g, h, rho), gc.quasi_newton_step(np.ones(4), 1.0, 2.0))
    assert g.tolist() == [1.0] * 4
    assert gc.quasi_newton_step([1, 2], [1, 1], [0, 0]).dtype == np.float64


@pytest.mark.parametrize("step", STEPS)
def test_bad_step_arguments_are_refused(step):
    one = np.ones(2)
    with pytest.raises(ValueError, match=r"gradient must be finite, got nan at index 1"):
        step([1.0, np.nan], one, one)
    with pytest.raises(ValueError, match=r"hessian must be ≥ 0, got -1\.0 at index 0"):
        step(one, [-1.0, 1.0], one)
    with pytest.raises(ValueError, match=r"density must be ≥ 0, got -2.0 at index 1"):
        step(one, one, [1.0, -2.0])
    with pytest.raises(ValueError, match=r"density must be finite, got inf"):
        step(one, one, [1.0, np.inf])
    with pytest.raises(ValueError, match=r"hessian must be finite, got inf"):  # although 0 needs no curvature
        step(0 * one, [1.0, np.inf], one, eps=0.0)
    with pytest.raises(ValueError, match=r"gradient must have shape \(n,\)"):
        step([[1.0]], one, one)
    with pytest.raises(ValueError, match=r"gradient must have shape \(n,\)"):
        step([], one, one)
    with pytest.raises(ValueError, match=r"hessian must be a scalar or have shape \(2,\)"):
        step(one, np.ones(3), one)
    with pytest.raises(TypeError, match=r"gradient must be real numbers .* got dtype complex128"):
        step([1j, 0], one, one)
    with pytest.raises(TypeError, match=r"density must be real numbers .* got dtype object"):
        step(one, one, [None, 1])
    with pytest.raises(ValueError, match=r"eps must be finite and ≥ 0, got -1"):
        step(one, one, one, eps=-1)


def test_bad_bounds_are_refused():
    one = np.ones(2)
    with pytest.raises(ValueError, match="lr_min must not exceed lr_max, got lr_min=2 and lr_max=1"):
        gc.bound_step(one, one, one, 2, 1)
    with pytest.raises(ValueError, match="limiter must be one of 'fixed', 'sgdm', 'adam', got 'none'"):
        gc.bound_step(one, one, one, 0, 1, limiter="none")
    with pytest.raises(ValueError, match=r"step must have shape \(2,\) like gradient, got \(3,\)"):
        gc.bound_step(np.ones(3), one, one, 0, 1)
    with pytest.raises(ValueError, match="second_moment must be ≥ 0"):
        gc.bound_step(one, one, -one, 0, 1)
    with pytest.raises(ValueError, match=r"lr_max must be finite"):
        gc.bound_step(one, one, one, 0, np.inf)
    with pytest.raises(ValueError, match=r"gradient must be finite"):
        gc.bound_step(one, [np.nan, 1], one, 0, 1)


def test_bad_decrease_arguments_are_refused():
    one = np.ones(2)
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\)"):
        gc.predicted_decrease(one, np.ones(3), one, one)
    with pytest.raises(ValueError, match=r"density must be ≥ 0"):
        gc.predicted_decrease(one, one, one, -one)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_can_be_written_into_an_array(step, dtype):
    arguments = [np.array([1.0, -2.0], dtype), 1.0, np.array([0.5, 3.0], dtype)]
    out = np.empty(2, dtype)
    assert step(*arguments, out=out) is out
    np.testing.assert_array_equal(out, step(*arguments))


@pytest.mark.parametrize("step", STEPS)
def test_an_array_that_cannot_take_the_step_is_refused(step):
    g = np.ones(3)
    read_only = np.empty(3)
    read_only.setflags(write=False)
    for out in (np.empty(2), np.empty((3, 1)), np.empty(6)[::2], read_only):
        with pytest.raises(ValueError, match=r"out must be contiguous, writeable and of shape \(3,\), got shape"):
            step(g, 1.0, 1.0, out=out)
    for out, kind in ((np.empty(3, np.float32), "float32"), ([0.0, 0.0, 0.0], "list")):
        with pytest.raises(TypeError, match=f"out must be an array of dtype float64, got {kind}"):
            step(g, 1.0, 1.0, out=out)
    with pytest.raises(ValueError, match="out must not overlap gradient, hessian or density"):
        step(g, 1.0, 1.0, out=g)
    np.testing.assert_array_equal(g, 1)


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_short_steps_are_as_many_as_their_promises_say(n, seed):
    """Steps with and without glass, all shortened: the same decrease takes the inverse of the promises."""
    rng = np.random.default_rng(seed)
    problem = gc.Quadratic(np.diag(rng.uniform(0.5, 2, n)))
    start, density = rng.uniform(1, 2, n), rng.uniform(0.1, 10, n)
    counts, promises = [], []
    for glass in (0.0, density):
        theta, found = start, []
        while problem.value(theta) > 0.9 * problem.value(start):
            gradient = problem.gradient(theta)
            step = gc.quasi_newton_step(gradient, np.diag(problem.hessian), glass)
            found.append(-gradient @ step)
            theta = theta + 5e-4 * step
        counts.append(len(found))
        promises.append(np.mean(found))
    assert counts[1] / counts[0] == pytest.approx(
        promises[0] / promises[1], rel=0.03
    )  # of a hundred at least, one more or less
