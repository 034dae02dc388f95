"""Alice as a method of ``scipy.optimize.minimize``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, OptimizeResult

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import (
    NonFiniteError,
    function,
    generator,
    integer,
    number,
    refuse_nonfinite,
    returned_gradient,
    vector,
)
from glasscurv.optimizers import Alice
from glasscurv.optimizers.alice import warm_up_steps

# Measured on the test set of tests/integrations/test_scipy.py; the notes of `minimize_alice` say why.
DEFAULTS: dict[str, Any] = {"betas": (0.8, 0.9), "lookahead": 2.0, "step_fraction": 2.0, "glass": False}
OPTIONS = [name for name in inspect.signature(Alice).parameters if name not in ("theta0", "lr", "rng", "l1", "l2")]
RELATIVE_LENGTH = 0.1  # of the perturbations, in learning rates
# In shortest steps, tol · max(1, max|x|): the least first learning rate; the learning rate at which the confirming
# descent starts; and the movement of the best point, in that descent, up to which it confirms.
LEAST_FIRST, CONFIRMING, CONFIRMED = 10.0, 1e3, 10.0
LEAP = 100.0  # learning rate of the next confirming descent, in movements of one that found something better
CONVERGED, EXHAUSTED, NON_FINITE, STOPPED = 0, 1, 2, 99  # 99 is SciPy's own status after StopIteration

Callback = Callable[..., object]


def minimize_alice(
    fun: Callable[..., float],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    jac: Callable[..., ArrayLike] | None = None,
    hess: object = None,
    hessp: object = None,
    bounds: object = None,
    constraints: object = (),
    callback: Callback | None = None,
    *,
    maxiter: int = 20_000,
    tol: float = 1e-8,
    gtol: float = 1e-8,
    lr: float = 0.1,
    rng: RngLike = 0,
    disp: bool = False,
    **options: Any,
) -> OptimizeResult:
    """Minimise a deterministic function with Alice: ``scipy.optimize.minimize(..., method=gc.minimize_alice)``.

    Parameters
    ----------
    fun : callable
        Function ``fun(x: (n,), *args) -> float``; with ``jac=True`` in SciPy's ``minimize`` it returns value and
        gradient.
    x0 : array_like of shape (n,)
        Where to start. float32 stays float32.
    args : tuple
        Further arguments of `fun` and `jac`.
    jac : callable
        Gradient ``jac(x: (n,), *args) -> (n,)``. It is needed: nothing is differenced.
    hess, hessp : object
        Not used; SciPy's warning for a method that ignores them is given.
    bounds : sequence of tuple or scipy.optimize.Bounds, optional
        Not supported: they must bound nothing, all of them None or infinite.
    constraints : sequence
        Not supported: it must be empty.
    callback : callable, optional
        Called after every step as ``callback(intermediate_result=result)``, a result with ``x`` and ``fun``, if its
        only parameter has that name, and else as ``callback(x)``: always with the best point so far. It may raise
        StopIteration.
    maxiter : int
        Most steps, ≥ 0.
    tol : float
        Tolerance ≥ 0: the search ends when steps of the length tol · max(1, max|x|) lead no further (see the notes). It
        is at least ten times the machine precision of `x0`, below which perturbations would be rounded away.
    gtol : float
        Tolerance ≥ 0 (gradient): the search also ends where no entry of the gradient is larger. Like SciPy's it is
        absolute, and so the one threshold in the unit of `fun`: 0 leaves the end to `tol`.
    lr : float
        First learning rate > 0 (length); at least ten times the steps at which the search ends.
    rng : None, int or Generator
        Source of Alice's directions. The default makes the search deterministic.
    disp : bool
        Whether to print how the search ended.
    **options : object
        Other options of `Alice`, except l1 and l2, which would change the function. By default eps is the largest
        entry of the gradient at `x0` times the square of the machine precision.

    Returns
    -------
    scipy.optimize.OptimizeResult
        Its ``x`` is the best point evaluated, ``fun`` and ``jac`` are its value and gradient. ``nit`` counts the steps;
        ``nfev`` and ``njev`` the evaluations. ``status`` is 0 (converged), 1 (`maxiter` steps), 2 (a value or gradient
        that was not finite, or too large) or 99 (stopped by the callback); ``message`` says it in words, and
        ``success`` is True for 0 only.

    Raises
    ------
    ValueError, TypeError
        No gradient, bounds or constraints, an option that is unknown or out of range, or bad arguments and values.

    Warns
    -----
    RuntimeWarning
        A `hess` or `hessp` is given.

    See Also
    --------
    Alice : The optimizer, one step at a time and with noise.
    Quadratic : A function with value and gradient to try it on.

    Notes
    -----
    A function without noise lets the learning rate fall to nothing, and the function itself tells when. After every
    20 + 4n moving steps, compare how far the best point has moved (in its fastest coordinate) with the learning rate:

    - less than one learning rate: the steps lead nowhere at that scale. Halve it, and start a fresh Alice at the best
      point;
    - more than half of one learning rate a step: the steps are too short. Double it.

    Where the shortest steps, tol · max(1, max|x|), lead nowhere, a confirming descent starts again from steps 1,000
    times as long (but not longer than the first). If it moves the best point by no more than ten shortest steps, the
    search has converged. Else a descent from steps 100 times as long as that movement follows, and so on. No rule
    but `gtol` depends on the scale of `fun`.

    The defaults of Alice differ from those for training. Short memories (betas 0.8 and 0.9) cost little at every fresh
    start. A step fraction as large as the look-ahead gives momentum, which cuts the steps through the curved
    valley of Rosenbrock's function to a fraction. The glass is off: it prices the gradient's random walk over
    very many small jumps, and where a function has few kinks, as the maximum of a few affine functions has, steps
    that obey it stop early. For functions of thousands of kinks ``options={"glass": True}`` turns it on. The
    perturbation length is lr/10 unless ``length`` is given.

    What to expect: with its coordinate-wise curvature Alice converges linearly on smooth functions, at a rate set by
    their coupling. Where BFGS works it takes far fewer evaluations: 41 on Rosenbrock's function in two dimensions, and
    Alice 13,000; a coupled quadratic of condition 10⁴ took 16,000. On piecewise-linear functions of 2 to 20 parameters
    (weighted sums, maxima of absolute values or of affine functions, absolute residuals, leaky units) it came within
    2e-7 of the minimum from 35 random starts, in 1,800 to 12,000 evaluations. BFGS and L-BFGS-B stall at kinks of
    most maxima, but are more exact and ten times faster on absolute residuals. Down the kink of
    |x₀ − x₁| + w |x₀ + x₁|, with w from 0.001 to 0.3, it came within 1e-9, in 2,000 to 17,000 evaluations.

    Success at a kink is no proof of a minimum. Where several kinks meet, the directions that still lead down may be
    so few, and so flat, that no step finds one. On maxima of affine functions plus a weighted sum of absolute values,
    8 of 12 random ones ended with success 1e-4 to 5e-3 above the minimum; at three of these points the steepest descent
    left had a slope of 0.01.

    References
    ----------
    Theory, section 8.

    Examples
    --------
    >>> import numpy as np, scipy, glasscurv as gc
    >>> def largest(x):
    ...     i = np.argmax(abs(x))
    ...     return abs(x[i]), np.sign(x[i]) * np.eye(x.size)[i]
    >>> result = scipy.optimize.minimize(largest, [3.0, -1.0, 2.0], jac=True, method=gc.minimize_alice)
    >>> bool(result.success), bool(result.fun < 1e-7)
    (True, True)
    """
    if not callable(jac):
        raise ValueError(
            "minimize_alice needs the gradient: give jac=True to scipy.optimize.minimize, with fun returning "
            f"(value, gradient), or a callable jac; got jac={jac!r}"
        )
    _refuse_unsupported(bounds, constraints)
    _warn_unused(hess, hessp)
    objective = _Objective(function(fun, "fun"), jac, args, vector(x0, "x0").copy())
    search = _Search(
        objective,
        number(lr, "lr", 0, open_low=True),
        max(number(tol, "tol", 0), 10 * float(np.finfo(objective.x.dtype).eps)),
        number(gtol, "gtol", 0),
        generator(rng),
        _known(options),
    )
    status, message = search.run(integer(maxiter, "maxiter", 0), _callback_on_best(callback, objective))
    if disp:
        print(f"{message}\n{search.steps} steps, {objective.evaluations} evaluations, fun = {objective.value:g}")
    return _result(
        x=objective.x,
        fun=objective.value,
        jac=objective.gradient,
        nit=search.steps,
        nfev=objective.evaluations,
        njev=objective.evaluations,
        status=status,
        success=status == CONVERGED,
        message=message,
    )


class _Objective:
    """Value and gradient in one call; counts the calls and keeps the best point."""

    def __init__(
        self, fun: Callable[..., float], jac: Callable[..., ArrayLike], args: tuple[Any, ...], x0: FloatArray
    ) -> None:
        self._fun, self._jac, self._args = fun, jac, args
        self.x, self.value, self.gradient = x0, np.nan, np.full_like(x0, np.nan)
        self.evaluations = 0
        self._last: tuple[FloatArray, float, FloatArray] | None = None

    def __call__(self, x: FloatArray) -> tuple[float, FloatArray]:
        # Alice's first move starts where the last measurement was made: nothing needs to be computed again.
        if self._last is not None and np.array_equal(x, self._last[0]):
            return self._last[1:]
        self.evaluations += 1
        # A copy each, as in SciPy: what the caller's functions keep or change is theirs.
        value = self._scalar(self._fun(x.copy(), *self._args))
        if self.evaluations == 1:
            self.value = value
        if not np.isfinite(value):
            raise NonFiniteError(f"fun returned {value}")
        returned = self._jac(x.copy(), *self._args)
        where = f"at evaluation {self.evaluations}"
        gradient = returned_gradient(returned, x, where).copy()
        refuse_nonfinite(gradient, where)
        self._last = x.copy(), value, gradient
        if self.evaluations == 1 or value < self.value:
            self.x, self.value, self.gradient = self._last
        return value, gradient

    @staticmethod
    def _scalar(value: Any) -> float:
        array = np.asarray(value)
        if array.size != 1:
            raise ValueError(f"fun must return a scalar, got shape {array.shape}")
        return float(array.item())


class _Search:
    """Runs of Alice, each from the best point of the one before, at learning rates that fit the progress."""

    def __init__(
        self,
        objective: _Objective,
        lr: float,
        tol: float,
        gtol: float,
        rng: np.random.Generator,
        options: dict[str, Any],
    ) -> None:
        self._objective, self._tol, self._gtol = objective, tol, gtol
        self._first_lr = self._lr = lr
        self._rng, self._options = rng, options
        self._window = 20 + 4 * objective.x.size
        self._descent_start, self._confirming, self._confirmed = objective.x, False, False
        self.steps = 0

    def run(self, maxiter: int, callback: Callable[[], bool]) -> tuple[int, str]:
        """Return the status and the message with which the search ended."""
        best = self._objective
        try:
            best(best.x)
        except NonFiniteError:
            return NON_FINITE, "The value or the gradient at x0 is not finite."
        self._lr = self._first_lr = max(self._lr, LEAST_FIRST * self._shortest())
        self._scale_eps()
        self._fresh()
        while (end := self._end(maxiter)) is None:
            try:
                self._optimizer.step(best)
            except NonFiniteError:
                return NON_FINITE, f"A value or gradient in step {self.steps + 1} was not finite, or too large."
            self.steps += 1
            if callback():
                return STOPPED, "`callback` raised `StopIteration`."
            if self._optimizer.steps == self._judged_at:
                self._judge()
        return end

    def _end(self, maxiter: int) -> tuple[int, str] | None:
        """Return how the search ends here, or None to go on."""
        best = self._objective
        if abs(best.gradient).max() <= self._gtol:
            return CONVERGED, f"No entry of the gradient is larger than gtol = {self._gtol:g}."
        if self._confirmed:
            return CONVERGED, f"Steps of the relative length tol = {self._tol:g} lead no further."
        if self.steps == maxiter:
            return EXHAUSTED, f"Reached the largest number of steps, maxiter = {maxiter}."
        return None

    def _judge(self) -> None:
        """Fit the learning rate to the progress of a window of moving steps."""
        progress = self._distance(self._window_start)
        if progress < self._lr:
            if self._lr / 2 < self._shortest():
                self._end_descent()
            else:
                self._lr /= 2
            self._fresh()
            return
        if progress > self._window * self._lr / 2:
            self._lr *= 2
        self._lr = max(self._lr, self._shortest())  # which grows with the best point
        self._set_lr()
        self._open_window()

    def _end_descent(self) -> None:
        """Start a descent from longer steps that confirms the end of this one, unless this one did so."""
        shortest, moved = self._shortest(), self._distance(self._descent_start)
        lr = min(self._first_lr, CONFIRMING * shortest)
        if self._confirming:
            self._confirmed = moved <= CONFIRMED * shortest
            lr = max(lr, LEAP * moved)
        self._confirming, self._descent_start, self._lr = True, self._objective.x, lr

    def _distance(self, start: FloatArray) -> float:
        """Return how far the best point has moved in its fastest coordinate."""
        return float(abs(self._objective.x - start).max())

    def _shortest(self) -> float:
        """Return the step that is short enough to stop, at the best point."""
        return self._tol * max(1.0, float(abs(self._objective.x).max()))

    def _scale_eps(self) -> None:
        """Make Alice's eps negligible beside the gradient: a fixed one would have its unit."""
        if "eps" not in self._options:
            limits = np.finfo(self._objective.x.dtype)
            largest = float(abs(self._objective.gradient).max())
            self._options["eps"] = max(float(limits.eps) ** 2 * largest, float(limits.tiny))

    def _fresh(self) -> None:
        """Start Alice at the best point, without a memory of the path there."""
        self._optimizer = Alice(self._objective.x, lr=self._first_lr, rng=self._rng, **self._options)
        self._set_lr()
        self._open_window(warm_up_steps(self._optimizer.betas[0]))

    def _open_window(self, warm_up: int = 0) -> None:
        self._window_start = self._objective.x
        self._judged_at = self._optimizer.steps + warm_up + self._window

    def _set_lr(self) -> None:
        self._optimizer.lr = self._lr  # scales bounds that the caller chose, too
        if self._options.get("length") is None:
            self._optimizer.length = RELATIVE_LENGTH * self._lr


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Return Alice's options with the defaults of a deterministic function."""
    unknown = sorted(options.keys() - set(OPTIONS))
    if unknown:
        raise ValueError(
            f"unknown options {', '.join(unknown)}; known are maxiter, tol, gtol, lr, rng, disp, {', '.join(OPTIONS)}"
        )
    return {**DEFAULTS, **options}


def _refuse_unsupported(bounds: Any, constraints: object) -> None:
    if not _bound_nothing(bounds):
        raise ValueError(f"minimize_alice supports no bounds, got bounds={bounds!r}")
    if constraints is not None and not (isinstance(constraints, Sized) and len(constraints) == 0):
        raise ValueError(f"minimize_alice supports no constraints, got constraints={constraints!r}")


def _bound_nothing(bounds: Any) -> bool:
    """Tell whether bounds, in either form that SciPy knows, leave every point allowed; malformed ones do not."""
    if bounds is None:
        return True
    try:
        pairs = [(bounds.lb, bounds.ub)] if isinstance(bounds, Bounds) else bounds
        return all(
            bool(np.all(np.equal(-np.inf if low is None else low, -np.inf)))
            and bool(np.all(np.equal(np.inf if high is None else high, np.inf)))
            for low, high in pairs
        )
    except (TypeError, ValueError):
        return False


def _warn_unused(hess: object, hessp: object) -> None:
    for name, value, what in (("hess", hess, "Hessian"), ("hessp", hessp, "Hessian-vector product")):
        if value is not None:
            # 4: this function, minimize_alice and scipy.optimize.minimize
            warnings.warn(f"minimize_alice does not use {what} information ({name}).", RuntimeWarning, stacklevel=4)


def _result(**fields: Any) -> OptimizeResult:
    result = OptimizeResult()
    result.update(fields)
    return result


def _callback_on_best(callback: Callback | None, best: _Objective) -> Callable[[], bool]:
    """Return a function that calls `callback` with the best point, in SciPy's style, and tells whether to stop."""
    if callback is None:
        return lambda: False
    wants_result = set(inspect.signature(function(callback, "callback")).parameters) == {"intermediate_result"}

    def call() -> bool:
        try:
            if wants_result:
                callback(intermediate_result=_result(x=best.x.copy(), fun=best.value))
            else:
                callback(best.x.copy())
        except StopIteration:
            return True
        return False

    return call
