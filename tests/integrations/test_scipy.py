import inspect
import warnings

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, linprog, minimize, rosen, rosen_der

import glasscurv as gc
from glasscurv.integrations import scipy as module


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def bowl(x):
    return 0.5 * float(x @ x), x.copy()


class Counting:
    """Counts its calls and keeps the points and values."""

    def __init__(self, function):
        self.function, self.points, self.values = function, [], []

    def __call__(self, x, *args):
        value = self.function(x, *args)
        self.points.append(x.copy())
        self.values.append(value[0])
        return value


def alice(fun, x0, **options):
    arguments = {
        name: options.pop(name) for name in ("args", "callback", "tol", "jac", "hess", "hessp") if name in options
    }
    arguments = {"jac": True, **arguments}
    return minimize(fun, x0, method=gc.minimize_alice, options=options, **arguments)


# Rosenbrock and piecewise-linear functions


@pytest.mark.parametrize(("n", "tol", "error"), [(2, 1e-4, 1e-2), (5, 1e-4, 1e-2)])
def test_rosenbrock_is_solved_from_the_classic_start(n, tol, error):
    x0 = np.tile([-1.2, 1.0], n)[:n]
    result = alice(rosenbrock, x0, tol=tol)
    assert result.success, result.message
    assert abs(result.x - 1).max() < error
    assert result.fun < error**2 * 1000  # the largest curvature at the minimum


def weighted_l1(n, rng):
    weights, center = rng.uniform(0.1, 10, n), rng.normal(size=n)
    return lambda x: (float(weights @ abs(x - center)), weights * np.sign(x - center)), center


def largest_entry(n, rng):
    """MAXL, max |x_i − c_i|: only one entry of the gradient is not zero."""
    center = rng.normal(size=n)

    def function(x):
        i = np.argmax(abs(x - center))
        return float(abs(x[i] - center[i])), np.sign(x[i] - center[i]) * np.eye(n)[i]

    return function, center


def largest_affine(n, rng):
    """The largest of 5n affine functions: 0 is in the hull of the 2n gradients that meet at the minimum."""
    meeting, others = rng.normal(size=(2 * n, n)), rng.normal(size=(3 * n, n))
    meeting -= rng.dirichlet(np.full(2 * n, 2.0)) @ meeting
    center = rng.normal(size=n)
    slopes, offsets = np.vstack([meeting, others]), np.r_[np.zeros(2 * n), -rng.uniform(0.1, 2, 3 * n)]

    def function(x):
        values = slopes @ (x - center) + offsets
        i = np.argmax(values)
        return float(values[i]), slopes[i]

    return function, center


def absolute_residuals(n, rng):
    """Least absolute deviations with a perfect fit."""
    rows, center = rng.normal(size=(5 * n, n)), rng.normal(size=n)

    def function(x):
        residual = rows @ (x - center)
        return float(abs(residual).mean()), np.sign(residual) @ rows / len(rows)

    return function, center


def rectified_residuals(n, rng):
    """Absolute residuals of leaky rectified linear units with a perfect fit: not convex, minimum 0."""
    rows, offsets, center = rng.normal(size=(8 * n, n)), 0.5 * rng.normal(size=8 * n), rng.normal(size=n)

    def units(x):
        u = rows @ x - offsets
        return np.where(u > 0, u, 0.3 * u), np.where(u > 0, 1.0, 0.3)

    def function(x):
        values, slopes = units(x)
        residual = values - units(center)[0]
        return float(abs(residual).mean()), (np.sign(residual) * slopes) @ rows / len(rows)

    return function, center


PIECEWISE_LINEAR = [weighted_l1, largest_entry, largest_affine, absolute_residuals, rectified_residuals]


@pytest.mark.parametrize(("n", "distance", "seed"), [(2, 30.0, 0), (5, 0.1, 1)])
@pytest.mark.parametrize("make", PIECEWISE_LINEAR)
def test_piecewise_linear_functions_are_minimised_to_a_millionth(make, n, distance, seed):
    rng = np.random.default_rng(seed)
    function, center = make(n, rng)
    start = center + distance * rng.normal(size=n)
    result = alice(function, start, tol=1e-7)
    assert result.success, result.message
    gap = result.fun - function(center)[0]
    assert -1e-12 <= gap < 1e-6
    assert function(start)[0] - function(center)[0] > 1e-2


def kinked_valley(slope):
    """|x₀ − x₁| + w |x₀ + x₁|: with sign(0) = 0 a start on the kink sees only the slope w along it."""

    def function(x):
        across, along = x[0] - x[1], x[0] + x[1]
        return float(abs(across) + slope * abs(along)), np.sign(across) * np.array([1, -1]) + slope * np.sign(along)

    return function


@pytest.mark.parametrize(
    ("slope", "start", "seed", "tol"),
    [(0.1, (5, 5), 0, 1e-4), (0.03, (5, 5), 0, 1e-6)],
)
def test_descents_that_lead_further_are_followed_along_a_kink(slope, start, seed, tol):
    result = alice(kinked_valley(slope), start, rng=seed, tol=tol)
    assert result.success, result.message
    assert result.nfev < 10_000  # as long as the longer steps grow with what they find
    assert result.fun < 1e-5  # 0.1 to 0.5 after the first descent


def affine_and_l1(n, rng):
    """The largest of 4n affine functions plus a weighted sum of absolute values, and the minimum from a linear program.

    The program: least t + λ Σu with t ≥ a·x + b for all pieces, and −u ≤ x − c ≤ u.
    """
    slopes, offsets, center, weight = rng.normal(size=(4 * n, n)), rng.normal(size=4 * n), rng.normal(size=n), 0.3
    slopes -= slopes.mean(axis=0)  # 0 in the hull: bounded from below

    def function(x):
        values = slopes @ x + offsets
        i = np.argmax(values)
        return float(values[i] + weight * abs(x - center).sum()), slopes[i] + weight * np.sign(x - center)

    one, zero = np.eye(n), np.zeros((n, 1))
    largest = np.hstack([slopes, np.zeros_like(slopes), -np.ones((4 * n, 1))])
    program = linprog(
        np.r_[np.zeros(n), np.full(n, weight), 1.0],
        A_ub=np.vstack([largest, np.hstack([one, -one, zero]), np.hstack([-one, -one, zero])]),
        b_ub=np.r_[-offsets, center, -center],
        bounds=(None, None),
    )
    return function, program.fun


@pytest.mark.parametrize("seed", range(3))
def test_flat_ways_down_from_where_kinks_meet_may_be_missed_but_not_by_much(seed):
    rng = np.random.default_rng(seed)
    function, least = affine_and_l1(3, rng)
    start = 3 * rng.normal(size=3)
    result = alice(function, start, tol=1e-6)
    assert result.success, result.message
    assert -1e-9 <= result.fun - least < 1e-2
    assert function(start)[0] - least > 1


def test_the_glass_can_be_turned_on():
    function, center = absolute_residuals(2, np.random.default_rng(3))
    with_glass, without = (alice(function, center + 1, glass=glass) for glass in (True, False))
    assert with_glass.fun < 1e-6
    assert with_glass.fun != without.fun


# The result


@pytest.mark.parametrize("maxiter", [0, 1, 3, 40, 100_000])
def test_the_result_is_the_best_point_of_all_that_were_evaluated(maxiter):
    function = Counting(absolute_residuals(3, np.random.default_rng(1))[0])
    result = alice(function, [2.0, -1.0, 0.5], maxiter=maxiter)
    assert isinstance(result, OptimizeResult)
    assert result.nfev == result.njev == len(function.points)
    assert result.fun == min(function.values)
    assert np.array_equal(result.x, function.points[int(np.argmin(function.values))])
    value, gradient = function.function(result.x)
    assert result.fun == value
    assert np.array_equal(result.jac, gradient)


@pytest.mark.parametrize("maxiter", [0, 1, 6, 57, 200])
def test_the_largest_number_of_steps_is_kept_exactly(maxiter):
    result = alice(rosenbrock, [-1.2, 1.0], maxiter=maxiter)
    assert (result.nit, result.status, result.success) == (maxiter, 1, False)
    assert result.message == f"Reached the largest number of steps, maxiter = {maxiter}."


def test_a_smooth_minimum_is_reported_by_its_gradient():
    result = alice(bowl, [3.0, -2.0])
    assert (result.status, result.success) == (0, True)
    assert result.message == "No entry of the gradient is larger than gtol = 1e-08."
    assert abs(result.jac).max() <= 1e-8


def test_a_start_at_the_minimum_costs_one_evaluation():
    result = alice(bowl, [0.0, 0.0])
    assert (result.nit, result.nfev, result.status, result.fun) == (0, 1, 0, 0.0)


def test_a_kink_is_reported_by_the_length_of_the_steps_and_tol_sets_it():
    function, center = largest_entry(3, np.random.default_rng(4))
    coarse, fine = (alice(function, center + np.array([3.0, -1.0, 2.0]), tol=tol) for tol in (1e-3, 1e-6))
    assert (coarse.status, fine.status) == (0, 0)
    assert coarse.message == "Steps of the relative length tol = 0.001 lead no further."
    assert fine.fun < 1e-5 < coarse.fun < 1e-2
    assert coarse.nfev < fine.nfev
    assert alice(function, center + np.array([3.0, -1.0, 2.0]), tol=1e-3).nfev == coarse.nfev


def sphere(x):
    return float(x @ x), 2 * x


@pytest.mark.parametrize(
    ("center", "start", "tol"),
    [
        (0.0, np.array([1e8, 1e8]), 1e-8),
        (0.0, np.array([2e5, 1.0], np.float32), 1e-8),
        (0.0, np.array([1e12], np.float32), 1e-8),
        (1e8, np.array([1e8 + 5e4]), 1e-8),
        (0.0, np.array([3.0]), 0.2),
    ],
)
def test_a_shortest_step_above_the_first_learning_rate_ends_nothing(center, start, tol):
    result = alice(lambda x: sphere(x - x.dtype.type(center)), start, tol=tol)
    assert result.success
    assert result.nit > 0
    assert abs(result.x - center).max() < max(tol, 1e-6)


def test_the_shortest_step_grows_with_the_best_point():
    function, center = kinked_valley(0.5), np.array([1e9, -1e9])
    result = alice(lambda x: function(x - center), [0.0, 0.0], tol=1e-6)
    assert result.success
    assert 1e-3 < abs(result.x - center).max() < 1e5  # the shortest steps are 1e3 at the end, and 1e-6 at the start


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tol_is_at_least_ten_times_the_machine_precision(dtype):
    result = alice(lambda x: (0.0, np.ones(1, dtype)), np.zeros(1, dtype), tol=0)
    assert result.message == f"Steps of the relative length tol = {10 * np.finfo(dtype).eps:g} lead no further."


def test_tol_counts_relative_to_the_largest_entry():
    def function(x):
        return float(abs(x - 1e6).max()), np.sign(x - 1e6) * (abs(x - 1e6) == abs(x - 1e6).max())

    result = alice(function, [1e6 + 3, 1e6 - 2], tol=1e-6)
    assert result.success
    assert 1e-3 < result.fun < 10  # steps of one unit are the shortest


# Powers of 2 change no digit, as long as Alice computes in one precision: in single precision, steps whose squares of
# gradients leave the middle of its range are computed in double precision.
@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float32, 2.0**-10), (np.float32, 2.0**10), (np.float64, 2.0**-40), (np.float64, 2.0**40)]
)
def test_the_path_does_not_depend_on_the_scale_of_the_function(scale, dtype):
    def scaled(x):
        return scale * rosen(x), dtype(scale) * rosen_der(x).astype(dtype)

    x0 = np.array([-1.2, 1.0], dtype)
    one = alice(lambda x: (rosen(x), rosen_der(x).astype(dtype)), x0, gtol=0, maxiter=200)
    other = alice(scaled, x0, gtol=0, maxiter=200)
    assert one.nit == other.nit == 200
    assert one.x.tobytes() == other.x.tobytes()


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_scale_of_the_function_does_not_matter_to_the_end(scale):
    one, other = (
        alice(lambda x, c=c: (c * rosen(x), c * rosen_der(x)), [-1.2, 1.0], gtol=0, tol=1e-2) for c in (1.0, scale)
    )
    assert one.success
    assert other.success
    np.testing.assert_allclose(other.x, one.x, rtol=1e-6)
    assert rosen(one.x) < 0.1


def test_an_eps_that_is_given_is_kept():
    one, other = (alice(bowl, [3.0, -2.0], maxiter=8, **options) for options in ({}, {"eps": 1e3}))
    assert one.fun < other.fun
    assert other.fun > 6


@pytest.mark.parametrize("lr", [1e-6, 1e4])
def test_the_learning_rate_finds_its_own_scale(lr):
    function, center = absolute_residuals(3, np.random.default_rng(6))
    result = alice(function, center + 5, lr=lr)
    assert result.fun < 1e-6
    assert result.nfev < 8000


def test_the_learning_rate_doubles_down_a_long_slope_and_halves_where_nothing_is_gained(monkeypatch):
    rates, set_lr = [], module._Search._set_lr

    def spy(search):
        rates.append(search._lr)
        set_lr(search)

    monkeypatch.setattr(module._Search, "_set_lr", spy)
    # down |x|, two learning rates times the step fraction a step, and 20 + 4 moves a window after 5 that only measure
    alice(lambda x: (float(abs(x).sum()), np.sign(x)), [1e5], maxiter=5 + 4 * 24)
    assert rates == [0.1, 0.2, 0.4, 0.8, 1.6]
    rates.clear()
    # values that never fall: a fresh start, and so a fresh warm-up, at every halving
    alice(lambda x: (0.0, np.ones(1)), [0.0], maxiter=4 * (5 + 24))
    assert rates == [0.1, 0.05, 0.025, 0.0125, 0.00625]
    rates.clear()
    # once more from the first learning rate, ten shortest steps, where nothing is found
    result = alice(lambda x: (0.0, np.ones(1)), [0.0], tol=0.02)
    assert rates == [0.2, 0.1, 0.05, 0.025, 0.2, 0.1, 0.05, 0.025, 0.2]
    assert (result.nit, result.success) == (8 * (5 + 24), True)


# Calls as SciPy makes them


def test_gradient_may_be_a_function_of_its_own():
    one = alice(rosenbrock, [-1.2, 1.0], maxiter=60)
    other = alice(rosen, [-1.2, 1.0], jac=rosen_der, maxiter=60)
    assert one.x.tobytes() == other.x.tobytes()
    assert one.nfev == other.nfev


def test_arguments_reach_function_and_gradient():
    def value(x, center, weight):
        return float(weight * abs(x - center).sum())

    def gradient(x, center, weight):
        return weight * np.sign(x - center)

    center = np.array([1.0, -2.0])
    result = alice(value, [0.0, 0.0], jac=gradient, args=(center, 3.0))
    np.testing.assert_allclose(result.x, center, atol=1e-6)
    both = alice(lambda x, *args: (value(x, *args), gradient(x, *args)), [0.0, 0.0], args=(center, 3.0))
    assert np.array_equal(both.x, result.x)


@pytest.mark.parametrize("jac", [None, False, "2-point"])
def test_a_function_without_gradient_is_refused(jac):
    with pytest.raises(ValueError, match=r"minimize_alice needs the gradient: give jac=True .* got jac=None"):
        minimize(rosen, [0.0, 0.0], jac=jac, method=gc.minimize_alice)


def test_bounds_and_constraints_are_refused_by_name():
    with pytest.raises(ValueError, match=r"minimize_alice supports no bounds, got bounds=\[\(0, 1\)\]"):
        minimize(bowl, [0.5], jac=True, method=gc.minimize_alice, bounds=[(0, 1)])
    refused = [Bounds(0, np.inf), Bounds(-np.inf, [np.inf, 1]), [(None, 1)], [(np.inf, None)], [(None, -np.inf)]]
    for bounds in [*refused, [(None, None), (0, None)], [None], [(None,)], 3, [("low", None)]]:
        with pytest.raises(ValueError, match="minimize_alice supports no bounds, got bounds="):
            gc.minimize_alice(rosen, [0.5, 0.5], jac=rosen_der, bounds=bounds)
    for constraints in ({"type": "eq", "fun": sum}, [{"type": "eq", "fun": sum}], LinearConstraint([1.0])):
        with pytest.raises(ValueError, match="minimize_alice supports no constraints, got constraints="):
            minimize(bowl, [0.5], jac=True, method=gc.minimize_alice, constraints=constraints)
    assert minimize(bowl, [0.0], jac=True, method=gc.minimize_alice, constraints=[]).success


@pytest.mark.parametrize("bounds", [Bounds(), [], (), [(None, None)] * 2, [(-np.inf, None), (None, np.inf)]])
def test_bounds_that_bound_nothing_are_accepted(bounds):
    assert minimize(bowl, [1.0, 0.0], jac=True, method=gc.minimize_alice, bounds=bounds).fun < 1e-15


@pytest.mark.parametrize(("name", "what"), [("hess", "Hessian"), ("hessp", "Hessian-vector product")])
def test_a_hessian_is_not_used_and_said_so(name, what):
    message = rf"minimize_alice does not use {what} information \({name}\)"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        alice(bowl, [0.0], **{name: lambda *arguments: np.eye(1)})
    assert caught[0].filename == __file__


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown options l2, maxfun; known are maxiter, tol, .*quick_steps"):
        alice(bowl, [1.0], maxfun=3, l2=0.1)
    with pytest.raises(ValueError, match="limiter must be one of"):
        alice(bowl, [1.0], limiter="none")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"maxiter": -1}, ValueError, "maxiter must be ≥ 0, got -1"),
        ({"maxiter": 1.5}, TypeError, "maxiter must be an integer, got float"),
        ({"lr": 0.0}, ValueError, "lr must be finite and > 0, got 0.0"),
        ({"tol": -1.0}, ValueError, "tol must be finite and ≥ 0, got -1.0"),
        ({"gtol": np.nan}, ValueError, "gtol must be finite and ≥ 0, got nan"),
        ({"rng": "seed"}, TypeError, "rng must be None, an int or a numpy.random.Generator, got str"),
        ({"callback": 3}, TypeError, "callback must be callable, got int"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, error, message):
    with pytest.raises(error, match=message):
        alice(bowl, [1.0], **options)


def test_bad_starts_functions_and_gradients_are_refused():
    with pytest.raises(ValueError, match="x0 must be finite, got nan at index 1"):
        alice(bowl, [1.0, np.nan])
    with pytest.raises(TypeError, match="fun must be callable, got int"):
        gc.minimize_alice(3, [1.0], jac=rosen_der)
    with pytest.raises(ValueError, match=r"fun must return a scalar, got shape \(2,\)"):
        alice(lambda x: (x, x), [1.0, 2.0])
    with pytest.raises(ValueError, match=r"the gradient returned at evaluation 1 must have shape \(2,\), got \(1,\)"):
        alice(lambda x: (1.0, np.ones(1)), [1.0, 2.0])


def test_all_the_arguments_that_scipy_passes_to_a_method_are_known():
    names = ["fun", "x0", "args", "jac", "hess", "hessp", "bounds", "constraints", "callback"]
    assert list(inspect.signature(gc.minimize_alice).parameters)[: len(names)] == names


def test_ending_is_printed_on_request(capsys):
    result = alice(bowl, [1.0], disp=True)
    assert (
        capsys.readouterr().out
        == f"{result.message}\n{result.nit} steps, {result.nfev} evaluations, fun = {result.fun:g}\n"
    )
    alice(bowl, [1.0])
    assert capsys.readouterr().out == ""


# Callbacks


def test_callback_gets_the_best_point_after_every_step():
    points = []
    function = Counting(rosenbrock)
    result = alice(function, [-1.2, 1.0], maxiter=30, callback=lambda xk: points.append((xk, min(function.values))))
    assert len(points) == result.nit == 30
    assert [rosen(x) for x, _ in points] == [best for _, best in points]
    assert np.array_equal(points[-1][0], result.x)


def test_callback_may_ask_for_an_intermediate_result():
    results = []

    def callback(intermediate_result):
        assert isinstance(intermediate_result, OptimizeResult)
        results.append(intermediate_result)

    alice(rosenbrock, [-1.2, 1.0], maxiter=30, callback=callback)
    assert len(results) == 30
    assert all(result.fun == rosen(result.x) for result in results)


def test_callback_that_changes_its_point_changes_nothing_else():
    def spoil(xk):
        xk[:] = 7.0

    expected = alice(rosenbrock, [-1.2, 1.0], maxiter=30)
    assert np.array_equal(alice(rosenbrock, [-1.2, 1.0], maxiter=30, callback=spoil).x, expected.x)


@pytest.mark.parametrize("style", ["point", "result"])
def test_callback_stops_the_search(style):
    steps = []

    def stop():
        steps.append(None)
        if len(steps) == 9:
            raise StopIteration

    callback = (lambda x: stop()) if style == "point" else (lambda intermediate_result: stop())
    result = alice(rosenbrock, [-1.2, 1.0], callback=callback)
    assert (result.nit, result.status, result.success) == (9, 99, False)
    assert result.message == "`callback` raised `StopIteration`."
    # SciPy's own methods end in the same way
    steps.clear()
    own = minimize(rosenbrock, [-1.2, 1.0], jac=True, method="BFGS", callback=callback)
    assert (own.nit, own.status, own.success, own.message) == (9, 99, False, result.message)


# Values that are not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["value", "gradient"])
def test_a_value_that_is_not_finite_ends_the_search_with_the_step_and_the_best_point(bad, where):
    calls = []

    def function(x):
        calls.append(x.copy())
        value, gradient = rosenbrock(x)
        if len(calls) == 1 + 3 * 5 + 1:  # the start, five steps of three, one at a point that is known, one of one
            value, gradient = (bad, gradient) if where == "value" else (value, np.array([0.0, bad]))
        return value, gradient

    result = alice(function, [-1.2, 1.0])
    assert (result.status, result.success, result.nit) == (2, False, 6)
    assert result.message == "A value or gradient in step 7 was not finite, or too large."
    assert result.nfev == len(calls)
    assert result.fun == rosen(result.x) == min(rosen(x) for x in calls[:-1])


def test_the_step_is_counted_over_all_learning_rates():
    function, center = absolute_residuals(2, np.random.default_rng(7))
    complete = alice(function, center + 1, tol=1e-4)
    calls = []

    def fails_late(x):
        calls.append(None)
        return function(x) if len(calls) < complete.nfev else (np.nan, x)

    result = alice(fails_late, center + 1, tol=1e-4)
    assert result.message == f"A value or gradient in step {complete.nit} was not finite, or too large."


def test_a_start_that_is_not_finite_is_reported():
    result = alice(lambda x: (np.inf, x), [1.0, 2.0])
    assert (result.status, result.nit, result.nfev, result.fun) == (2, 0, 1, np.inf)
    assert result.message == "The value or the gradient at x0 is not finite."
    assert result.x.tolist() == [1.0, 2.0]


def test_a_function_without_minimum_ends_with_a_message():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the function itself overflows
        result = alice(lambda x: (float(-np.exp(x[0])), -np.exp(x)), [1.0])
    assert result.status == 2
    assert result.x[0] > 100


# What stays as it was


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_start_and_its_precision_are_kept(dtype):
    function, center = absolute_residuals(3, np.random.default_rng(8))
    x0 = (center + 1).astype(dtype)
    before = x0.tobytes()
    seen = set()

    def checked(x):
        seen.add(x.dtype)
        return function(x)

    result = alice(checked, x0, tol=1e-6)
    assert x0.tobytes() == before
    assert result.x.dtype == dtype
    assert seen == {np.dtype(dtype)}
    assert result.success
    assert result.fun < 1e-5


def test_integers_start_as_float64():
    result = alice(bowl, [3, -2])
    assert result.x.dtype == np.float64
    assert result.fun < 1e-15


def test_a_function_may_keep_and_change_its_point_and_return_one_buffer():
    buffer = np.zeros(2)

    def careless(x):
        value, gradient = rosenbrock(x)
        x[:] = np.nan
        buffer[:] = gradient
        return value, buffer

    expected = alice(rosenbrock, [-1.2, 1.0], maxiter=200)
    result = gc.minimize_alice(lambda x: careless(x)[0], [-1.2, 1.0], jac=lambda x: careless(x)[1], maxiter=200)
    assert np.array_equal(result.x, expected.x)
    assert np.array_equal(result.jac, expected.jac)


def test_the_search_is_deterministic_and_its_seed_counts():
    first, second = (alice(rosenbrock, [-1.2, 1.0], maxiter=300) for _ in range(2))
    assert first.x.tobytes() == second.x.tobytes()
    assert first.nfev == second.nfev
    assert alice(rosenbrock, [-1.2, 1.0], maxiter=300, rng=1).x.tobytes() != first.x.tobytes()
    generator = np.random.default_rng(0)
    assert alice(rosenbrock, [-1.2, 1.0], maxiter=300, rng=generator).x.tobytes() == first.x.tobytes()


def test_a_length_that_is_given_is_kept():
    probed = []

    def function(x):
        probed.append(x.copy())
        return bowl(x)

    alice(function, [1.0, 1.0], maxiter=1, length=0.25)
    assert abs(abs(probed[1] - probed[0]) - 0.25).max() == 0
    probed.clear()
    alice(function, [1.0, 1.0], maxiter=1)
    np.testing.assert_allclose(abs(probed[1] - probed[0]), 0.01, rtol=1e-12)
