"""The glass and Hessian quasi-Newton step, and its bounds (theory, sections 5 and 6).

===============  =====================================================
code             theory
===============  =====================================================
``gradient``     g
``hessian``      h ≥ 0, curvature of every coordinate
``density``      ρ ≥ 0, glass density of every coordinate
returned step    δ = −sign(g) d
===============  =====================================================
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._threads import parallel
from glasscurv._typing import FloatArray
from glasscurv._validation import (
    choice,
    finite,
    nonnegative_vector,
    number,
    output,
    real_array,
    vector,
)
from glasscurv.constants import GLASS_LOSS_COEFFICIENT, GLASS_STEP_COEFFICIENT
from glasscurv.core import glass as core_glass
from glasscurv.core import steps as core

Limiter = Literal["adam", "sgdm", "fixed"]
_LN2 = math.log(2.0)
Scaled = tuple[FloatArray, FloatArray, FloatArray, float, float, float]
LIMITERS: dict[str, int] = {"fixed": core.FIXED, "sgdm": core.SGDM, "adam": core.ADAM}


def quasi_newton_step(
    gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike, eps: float = 1e-8, out: FloatArray | None = None
) -> FloatArray:
    r"""Return the step that minimises the loss model with Hessian and glass, coordinate by coordinate.

    The step −sign(g) d minimises :math:`m(d) = -|g| d + \tfrac12 h d^2 + c\sqrt{\rho}\, d^{3/2}` over d ≥ 0:

    .. math:: \alpha = \frac{3\rho}{4\pi |g|}, \quad h^* = \alpha + h + \sqrt{\alpha(\alpha + 2h)}, \quad
              d = |g| / h^*.

    Parameters
    ----------
    gradient : array_like of shape (n,)
        Gradient g (loss/length).
    hessian : array_like of shape (n,) or float
        Curvature h ≥ 0 (gradient/length).
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 (gradient²/length).
    eps : float
        Number ε ≥ 0 in the unit of what it is added to: α uses |g| + ε and h* gains ε. With 0 the formulas hold as
        written.
    out : ndarray of shape (n,), optional
        Where to write the step, of the result's dtype and apart from the arguments; otherwise it is a new array, whose
        memory takes as long to provide as the step to compute where n is large.

    Returns
    -------
    ndarray of shape (n,)
        Signed step δ (length). Without curvature of either kind the model has no minimum; like every step beyond the
        floating-point range it then is the largest finite number (or |g|/ε).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative `hessian`, `density` or `eps`, or an `out` that does not fit; it is
        then not defined what `out` holds.

    See Also
    --------
    joint_quasi_newton_step : The step of all coordinates together.
    bound_step : Keep its length between bounds.
    predicted_decrease : The decrease that it promises.
    Alice : The optimizer that takes it.

    References
    ----------
    Theory, section 5, equation (11); [D24].

    Examples
    --------
    Newton's step without glass, 2πg²/(3ρ) without Hessian, and less than either with both:

    >>> import glasscurv as gc
    >>> gc.quasi_newton_step([1.0, 1.0, 1.0], [2.0, 0.0, 2.0], [0.0, 4.0, 4.0]).round(4)
    array([-0.5   , -0.5236, -0.1949])
    """
    g, h, rho = _step_arguments(gradient, hessian, density)
    epsilon, result = _eps(eps), _result(out, g, h, rho)
    _write_step(g, h, rho, epsilon, result)
    return result


def joint_quasi_newton_step(
    gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike, eps: float = 1e-8, out: FloatArray | None = None
) -> FloatArray:
    r"""Return the step that minimises the loss model with independent glass, all coordinates together.

    The step minimises the convex function
    :math:`\sum_i (-|g_i| d_i + \tfrac12 h_i d_i^2) + c \sqrt{\sum_i \rho_i d_i^3}`. Given S = sqrt(Σ ρ_i d_i³) its
    coordinates are

    .. math:: d_i(S) = \frac{2|g_i|}{h_i + \sqrt{h_i^2 + 6c\rho_i|g_i|/S}},

    and S is the root of S = sqrt(Σ ρ_i d_i(S)³).

    Parameters
    ----------
    gradient : array_like of shape (n,)
        Gradient g (loss/length).
    hessian : array_like of shape (n,) or float
        Curvature h ≥ 0 (gradient/length).
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 (gradient²/length).
    eps : float
        Number ε ≥ 0, as in `quasi_newton_step`, in the coordinate step of the density ρ_i p_i (see the notes). With 0
        the step is the minimiser.
    out : ndarray of shape (n,), optional
        Where to write the step, as in `quasi_newton_step`.

    Returns
    -------
    ndarray of shape (n,)
        Signed step δ (length). For n = 1 it is the coordinate step; for n > 1 it is at least as long in every
        coordinate, because independent glass adds up to less.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, a negative `hessian`, `density` or `eps`, or an `out` that does not fit; it is
        then not defined what `out` holds.

    See Also
    --------
    quasi_newton_step : The step of every coordinate by itself.
    bound_step : Keep its length between bounds.
    Alice : The optimizer that takes it.

    Notes
    -----
    The joint step is the coordinate step with the density ρ_i p_i, where p_i = ρ_i d_i³/S² is the coordinate's share of
    the glass, Σ p_i = 1: both have h* = h + (3/2) c ρ d/S. The shares are those of the minimiser itself; ε enters
    only afterwards, as in `quasi_newton_step`, so that coordinates without a gradient have no part in S.

    Let S₀ be the largest of the coordinates' own terms sqrt(ρ_i) d_i^{3/2}. The ratio Φ(S) = Σ ρ_i d_i(S)³ / S² falls,
    with d ln Φ / d ln S between −2 and −½; Φ(S₀) is between 1 and n, so S is between S₀ and n²S₀. Newton's method in
    ln S, kept inside that shrinking bracket and replaced by bisection where it does not halve ln Φ, finds S in a
    few passes over the data.

    References
    ----------
    Theory, section 5, joint step.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.joint_quasi_newton_step([1.0, -1.0], [1.0, 1.0], [3.0, 3.0]).round(4)
    array([-0.4392,  0.4392])
    >>> gc.quasi_newton_step([1.0, -1.0], [1.0, 1.0], [3.0, 3.0]).round(4)
    array([-0.3214,  0.3214])
    """
    g, h, rho = _step_arguments(gradient, hessian, density)
    epsilon, result = _eps(eps), _result(out, g, h, rho)
    if not all(parallel(core.valid, g, h, rho)):
        _check_values(g, h, rho)
    write_joint_step(g, h, rho, epsilon, result)
    return result


def bound_step(
    step: ArrayLike,
    gradient: ArrayLike,
    second_moment: ArrayLike,
    lr_min: float,
    lr_max: float,
    limiter: Limiter = "adam",
    eps: float = 1e-8,
) -> FloatArray:
    """Clamp the length of every coordinate's step between lr_min f and lr_max f.

    The unit f is 1 (``"fixed"``), |G| (``"sgdm"``) or |G|/(sqrt(V) + ε) (``"adam"``), so lr_min = lr_max
    reproduces sign descent (where G ≠ 0), SGD with averaged gradients, or Adam without bias correction, exactly.

    Parameters
    ----------
    step : array_like of shape (n,)
        Proposed step (length); only its absolute value counts. A nan becomes the upper bound.
    gradient : array_like of shape (n,)
        Averaged gradient G (loss/length). The result goes against its sign, and is positive where G = 0: with
        ``"fixed"`` and lr_min > 0 such a coordinate moves, as in the reference implementation; sign descent would
        leave it.
    second_moment : array_like of shape (n,) or float
        Average V ≥ 0 of squared gradients (gradient²); only ``"adam"`` uses it.
    lr_min, lr_max : float
        Bounds, 0 ≤ lr_min ≤ lr_max (length; length/gradient for ``"sgdm"``).
    limiter : {"adam", "sgdm", "fixed"}
        Choice of f.
    eps : float
        Number ε ≥ 0 (gradient). Where sqrt(V) + ε is 0, the ``"adam"`` unit is taken as 0.

    Returns
    -------
    ndarray of shape (n,)
        Bounded signed step (length), at most the largest finite number.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values (in `step` only a nan or infinity is allowed), or bounds out of order.

    See Also
    --------
    quasi_newton_step : The step of every coordinate by itself.
    joint_quasi_newton_step : The step of all coordinates together.

    References
    ----------
    Theory, section 6; [D24].

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.bound_step([-9.0, 1e-9, float("nan")], [2.0, -2.0, 2.0], 4.0, 0.01, 0.1, limiter="sgdm")
    array([-0.2 ,  0.02, -0.2 ])
    """
    g = vector(gradient, "gradient")
    proposed = real_array(step, "step")
    if proposed.shape != g.shape:
        raise ValueError(f"step must have shape {g.shape} like gradient, got {proposed.shape}")
    v = nonnegative_vector(second_moment, "second_moment", g.size)
    lower = number(lr_min, "lr_min", 0)
    upper = number(lr_max, "lr_max", 0)
    if lower > upper:
        raise ValueError(f"lr_min must not exceed lr_max, got lr_min={lr_min} and lr_max={lr_max}")
    code = LIMITERS[choice(limiter, "limiter", tuple(LIMITERS))]
    out = np.empty(g.shape, np.result_type(proposed, g))
    parallel(core.bound_step, proposed, g, v, lower, upper, code, _eps(eps), float(np.finfo(out.dtype).max), out)
    return out


def predicted_decrease(step: ArrayLike, gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike) -> float:
    """Return the loss decrease that the coordinate model promises for a step.

    Parameters
    ----------
    step : array_like of shape (n,)
        Signed step δ (length).
    gradient : array_like of shape (n,)
        Gradient g (loss/length).
    hessian : array_like of shape (n,) or float
        Curvature h ≥ 0 (gradient/length).
    density : array_like of shape (n,) or float
        Glass density ρ ≥ 0 (gradient²/length).

    Returns
    -------
    float
        Decrease −g·δ − ½ Σ h_i δ_i² − c Σ sqrt(ρ_i) |δ_i|^{3/2} (loss): largest, and ≥ 0, for the `quasi_newton_step`
        with ε = 0. With ε > 0 a coordinate with |g| < 0.8 ε may step so far beyond its minimum that its own decrease is
        negative.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, or a negative `hessian` or `density`.

    See Also
    --------
    quasi_newton_step : The step that this model promises most for.
    predict_loss_change : The loss change by either model, also where the Hessian is negative.

    References
    ----------
    Theory, section 5.

    Examples
    --------
    >>> import glasscurv as gc
    >>> step = gc.quasi_newton_step([1.0, 1.0], 2.0, [0.0, 4.0])
    >>> round(gc.predicted_decrease(step, [1.0, 1.0], 2.0, [0.0, 4.0]), 4)
    0.3276
    """
    delta = vector(step, "step")
    g = vector(gradient, "gradient", delta.size)
    h = nonnegative_vector(hessian, "hessian", delta.size)
    rho = nonnegative_vector(density, "density", delta.size)
    glass = GLASS_LOSS_COEFFICIENT * core_glass.coordinate_sum(delta, rho)
    return -float(core_glass.quadratic_sum(delta, g, h)) - float(glass)


def write_joint_step(
    gradient: FloatArray, hessian: FloatArray, density: FloatArray, eps: float, out: FloatArray
) -> None:
    """Write the joint step of checked arrays, none of which is copied, into `out`."""
    leaders = parallel(core.joint_leader, gradient, hessian, density, GLASS_STEP_COEFFICIENT)
    log_density, log_length, log_square = max(leaders, key=lambda leader: leader[2])
    if log_square == -math.inf:
        _write_step(gradient, hessian, density, eps, out)
        return
    # Units in which the leading coordinate has ρ ≈ d ≈ 1; powers of 2, so that scaling rounds nothing.
    length_power = round(log_length / _LN2)
    slope_power = round((log_density / _LN2 + length_power) / 2)
    powers = (-slope_power, length_power - slope_power, length_power - 2 * slope_power)
    slope_scale, hessian_scale, density_scale = (math.ldexp(1.0, max(-1020, min(power, 1020))) for power in powers)
    scaled = (gradient, hessian, density, slope_scale, hessian_scale, density_scale)
    low = (log_square - 2 * (length_power + slope_power) * _LN2) / 2
    log_scale = _joint_log_scale(scaled, low)
    weight, largest = _joint_weight(log_scale), float(np.finfo(out.dtype).max)
    if not all(parallel(core.joint_step, *scaled, weight, eps, largest, out)):
        parallel(core.joint_step_anywhere, *scaled, weight, GLASS_STEP_COEFFICIENT, eps, largest, out)


def _write_step(gradient: FloatArray, hessian: FloatArray, density: FloatArray, eps: float, out: FloatArray) -> None:
    """Write the coordinate step; values are looked at more closely where the fast formula does not hold."""
    arguments = (gradient, hessian, density, GLASS_STEP_COEFFICIENT, eps, float(np.finfo(out.dtype).max), out)
    if not all(parallel(core.quasi_newton_step, *arguments)):
        _check_values(gradient, hessian, density)
        parallel(core.quasi_newton_step_anywhere, *arguments)


def _joint_weight(log_scale: float) -> float:
    """6c/S."""
    return 6 * GLASS_LOSS_COEFFICIENT * math.exp(-log_scale)


def _joint_log_scale(scaled: Scaled, low: float) -> float:
    """Solve S² = Σ ρ d(S)³ for ln S by Newton's method inside the bracket [low, low + 2 ln n].

    With slopes between −2 and −½ a Newton step can overshoot by a factor of three, and alternate between two points
    inside the bracket: a step is bisected unless the one before it has halved the excess.
    """
    high = low + 2 * math.log(scaled[0].size)
    log_scale, previous = low, math.inf
    while True:
        sums = parallel(core.joint_sums, *scaled, _joint_weight(log_scale))
        total, derivative = (math.fsum(column) for column in zip(*sums, strict=True))
        if not 0 < total < math.inf:  # more than 300 decades between coordinates
            return log_scale
        excess = math.log(total) - 2 * log_scale
        if excess > 0:
            low = log_scale
        else:
            high = log_scale
        correction = excess / (2 - derivative / total)
        following = log_scale + correction
        if abs(correction) <= 1e-8:  # the error after a Newton step is of the order of its square
            return following
        if not low < following < high or abs(excess) > previous / 2:
            following = (low + high) / 2
            if following in (low, high):
                return following
        log_scale, previous = following, abs(excess)


def _step_arguments(gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike) -> tuple[FloatArray, ...]:
    """Shapes and dtypes only: the compiled loop checks the values while it reads them."""
    g = real_array(gradient, "gradient")
    if g.ndim != 1 or g.size == 0:
        raise ValueError(f"gradient must have shape (n,) with n ≥ 1, got {g.shape}")
    others: list[tuple[str, FloatArray]] = [("hessian", real_array(hessian, "hessian"))]
    others.append(("density", real_array(density, "density")))
    for name, array in others:
        if array.shape not in ((), g.shape):
            raise ValueError(f"{name} must be a scalar or have shape {g.shape} like gradient, got {array.shape}")
    dtype: Any = np.result_type(g, *(array for _, array in others if array.ndim))
    contiguous = (np.ascontiguousarray(np.broadcast_to(array, g.shape)) for _, array in others)
    return np.ascontiguousarray(g, dtype), *contiguous


def _result(out: FloatArray | None, *arguments: FloatArray) -> FloatArray:
    """Return where to write the step; it may not be written where the arguments are still to be read."""
    result = output(out, arguments[0].shape, arguments[0].dtype)
    if out is not None and any(np.may_share_memory(out, array) for array in arguments):
        raise ValueError("out must not overlap gradient, hessian or density, got memory that they share")
    return result


def _check_values(g: FloatArray, h: FloatArray, rho: FloatArray) -> None:
    finite(g, "gradient")
    nonnegative_vector(h, "hessian", g.size)
    nonnegative_vector(rho, "density", g.size)


def _eps(eps: float) -> float:
    return number(eps, "eps", 0)
