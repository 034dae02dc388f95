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

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from glasscurv._typing import FloatArray
from glasscurv._validation import (
    choice,
    finite,
    nonnegative_vector,
    number,
    real_array,
    vector,
)
from glasscurv.constants import GLASS_LOSS_COEFFICIENT, GLASS_STEP_COEFFICIENT
from glasscurv.core import glass as core_glass
from glasscurv.core import steps as core

Limiter = Literal["adam", "sgdm", "fixed"]
LIMITERS: dict[str, int] = {"fixed": core.FIXED, "sgdm": core.SGDM, "adam": core.ADAM}


def quasi_newton_step(gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike, eps: float = 1e-8) -> FloatArray:
    r"""Return the step that minimises the loss model with Hessian and glass, coordinate by coordinate.

    The step −sign(g) d minimises :math:`m(d) = -|g| d + \tfrac12 h d^2 + c\sqrt{\rho}\, d^{3/2}` over d ≥ 0:

    .. math:: \alpha = \frac{3\rho}{4\pi |g|}, \quad h^* = \alpha + h + \sqrt{\alpha(\alpha + 2h)}, \quad
              d = |g| / h^*.

    Parameters
    ----------
    gradient : (n,) array_like
        Gradient g.
    hessian : (n,) array_like or float
        Curvature h ≥ 0 (gradient/length).
    density : (n,) array_like or float
        Glass density ρ ≥ 0 (gradient²/length).
    eps : float
        ε ≥ 0: α uses |g| + ε and h* gains ε. With 0 the formulas hold as written.

    Returns
    -------
    (n,) array
        Signed step δ (length). Without curvature of either kind the model has no minimum; like every step beyond the
        floating-point range it then is the largest finite number (or |g|/ε).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, or a negative `hessian`, `density` or `eps`.

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
    out = np.empty_like(g)
    largest = float(np.finfo(g.dtype).max)
    if not core.quasi_newton_step(g, h, rho, GLASS_STEP_COEFFICIENT, _eps(eps), largest, out):
        _check_values(g, h, rho)
    return out


def joint_quasi_newton_step(
    gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike, eps: float = 1e-8
) -> FloatArray:
    r"""Return the step that minimises the loss model with independent glass, all coordinates together.

    The step minimises the convex function
    :math:`\sum_i (-|g_i| d_i + \tfrac12 h_i d_i^2) + c \sqrt{\sum_i \rho_i d_i^3}`. Given S = sqrt(Σ ρ_i d_i³) its
    coordinates are

    .. math:: d_i(S) = \frac{2|g_i|}{h_i + \sqrt{h_i^2 + 6c\rho_i|g_i|/S}},

    and S is the root of S = sqrt(Σ ρ_i d_i(S)³).

    Parameters
    ----------
    gradient, hessian, density, eps
        As in `quasi_newton_step`.

    Returns
    -------
    (n,) array
        Signed step δ (length). For n = 1 it is the coordinate step; for n > 1 it is at least as long in every
        coordinate, because independent glass adds up to less.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, or a negative `hessian`, `density` or `eps`.

    Notes
    -----
    Let S₀ be the largest of the coordinates' own terms sqrt(ρ_i) d_i^{3/2}. The ratio Φ(S) = Σ ρ_i d_i(S)³ / S² falls,
    with d ln Φ / d ln S between −2 and −½; Φ(S₀) is between 1 and n, so S is between S₀ and n²S₀. Newton's method in
    ln S, kept inside that shrinking bracket, finds it in a few passes over the data.

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
    _check_values(g, h, rho)
    epsilon, largest = _eps(eps), float(np.finfo(g.dtype).max)
    if not _moderate(g, h, rho, epsilon):
        return _joint_step_by_logarithms(g, h, rho, epsilon, largest)
    slope, length, unit_density = core.joint_units(g, h, rho, GLASS_STEP_COEFFICIENT, epsilon)
    if unit_density == 0:
        return quasi_newton_step(g, h, rho, eps)
    slope_scale, curvature_scale = 1 / slope, length / slope

    def excess(log_scale: float) -> tuple[float, float]:
        weight = 6 * GLASS_LOSS_COEFFICIENT * math.exp(-log_scale)
        total, derivative = core.joint_sums(g, h, rho, epsilon, slope_scale, curvature_scale, weight)
        return math.log(total) - 2 * log_scale, derivative / total - 2

    log_scale = _falling_root(excess, math.log(unit_density * slope_scale * curvature_scale) / 2, g.size)
    out = np.empty_like(g)
    weight = 6 * GLASS_LOSS_COEFFICIENT * math.exp(-log_scale)
    core.joint_step(g, h, rho, epsilon, slope_scale, curvature_scale, weight, largest, out)
    return out


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
    reproduces sign descent, SGD with averaged gradients, or Adam without bias correction, exactly.

    Parameters
    ----------
    step : (n,) array_like
        Proposed step (length); only its absolute value counts. A nan becomes the upper bound.
    gradient : (n,) array_like
        Averaged gradient G. The result goes against its sign, and is positive where G = 0.
    second_moment : (n,) array_like or float
        V ≥ 0, the average of squared gradients (gradient²); only ``"adam"`` uses it.
    lr_min, lr_max : float
        0 ≤ lr_min ≤ lr_max.
    limiter : {"adam", "sgdm", "fixed"}
        Choice of f.
    eps : float
        ε ≥ 0.

    Returns
    -------
    (n,) array
        Bounded signed step (length).

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values (in `step` only a nan or infinity is allowed), or bounds out of order.

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
    core.bound_step(proposed, g, v, lower, upper, code, _eps(eps), out)
    return out


def predicted_decrease(step: ArrayLike, gradient: ArrayLike, hessian: ArrayLike, density: ArrayLike) -> float:
    """Return the loss decrease that the coordinate model promises for a step.

    Parameters
    ----------
    step : (n,) array_like
        Signed step δ (length).
    gradient, hessian, density
        As in `quasi_newton_step`.

    Returns
    -------
    float
        −g·δ − ½ Σ h_i δ_i² − c Σ sqrt(ρ_i) |δ_i|^{3/2}, in units of the loss: ≥ 0 for `quasi_newton_step`, whose
        step maximises it.

    Raises
    ------
    ValueError, TypeError
        Bad shapes, non-finite values, or a negative `hessian` or `density`.

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


def _falling_root(excess: Callable[[float], tuple[float, float]], low: float, size: int) -> float:
    """Solve ln Φ = 0 for ln S in [low, low + 2 ln n] by Newton's method; `excess` gives ln Φ and its derivative.

    A step out of the bracket, which every evaluation narrows, is replaced by bisection. The method converges
    quadratically: after a correction of 1e-8 what is left is below rounding.
    """
    high = low + 2 * math.log(size)
    log_scale = low
    while True:
        value, derivative = excess(log_scale)
        correction = -value / derivative
        if abs(correction) <= 1e-8:
            return log_scale + correction
        if value > 0:
            low = log_scale
        else:
            high = log_scale
        log_scale += correction
        if not low < log_scale < high:
            log_scale = (low + high) / 2
            if log_scale in (low, high):
                return log_scale


def _moderate(g: FloatArray, h: FloatArray, rho: FloatArray, eps: float) -> bool:
    """Whether everything that is not 0 lies in [1e-60, 1e60], so that products of five of them stay in range."""
    for array in (g, h, rho, np.array([eps])):
        size = abs(array[array != 0])
        if size.size and not (float(size.min()) >= 1e-60 and float(size.max()) <= 1e60):
            return False
    return True


def _joint_step_by_logarithms(g: FloatArray, h: FloatArray, rho: FloatArray, eps: float, largest: float) -> FloatArray:
    """Take the joint step for numbers of any size: the same equations, slower, in logarithms."""
    with np.errstate(divide="ignore"):
        slope, curvature, density = (np.log(a, dtype=np.float64) for a in (abs(g) + np.float64(eps), h, rho))
        log_g, log_eps = np.log(abs(g), dtype=np.float64), np.log(np.float64(eps))
    glassy = np.isfinite(slope) & np.isfinite(density)  # the coordinates that enter S
    slope_s, curvature_s, density_s = slope[glassy], curvature[glassy], density[glassy]

    def effective(log_scale: float, slope: FloatArray, curvature: FloatArray, density: FloatArray) -> FloatArray:
        # ln h* = ln ½(h + sqrt(h² + 6cρ|g|/S))
        glass = density + slope + math.log(6 * GLASS_LOSS_COEFFICIENT) - log_scale
        root: FloatArray = np.logaddexp(curvature, np.logaddexp(2 * curvature, glass) / 2) - math.log(2)
        return root

    def excess(log_scale: float) -> tuple[float, float]:
        star = effective(log_scale, slope_s, curvature_s, density_s)
        terms = np.exp(density_s + 3 * (slope_s - star) - 2 * log_scale)  # ρ d³/S², at most 1 inside the bracket
        total = terms.sum()
        # (root − h)/root = 2 (1 − h/h*)/(2 − h/h*), because root = 2h* − h
        share = np.exp(curvature_s - star)
        return math.log(total), float(3 * (terms @ ((1 - share) / (2 - share))) / total) - 2

    log_scale = 0.0
    if glassy.any():
        # The coordinate steps: root of h* with α = aρ/|g|, as in `effective_curvature`.
        diffusion = (math.log(2 * GLASS_STEP_COEFFICIENT) + density_s) / 2
        root = np.logaddexp(2 * diffusion, math.log(4) + curvature_s + slope_s) / 2
        own = 2 * (np.logaddexp(diffusion, root) - math.log(2)) - slope_s
        log_scale = _falling_root(excess, float((density_s + 3 * (slope_s - own)).max() / 2), len(own))
    star = effective(log_scale, slope, curvature, density)
    with np.errstate(over="ignore", invalid="ignore"):
        length: FloatArray = np.exp(log_g - np.logaddexp(star, log_eps))
    length[g == 0] = 0.0
    signed: FloatArray = -np.sign(g) * np.minimum(length, largest).astype(g.dtype)
    return signed


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


def _check_values(g: FloatArray, h: FloatArray, rho: FloatArray) -> None:
    finite(g, "gradient")
    nonnegative_vector(h, "hessian", g.size)
    nonnegative_vector(rho, "density", g.size)


def _eps(eps: float) -> float:
    return number(eps, "eps", 0)
