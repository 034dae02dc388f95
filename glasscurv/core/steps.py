"""Loops of the quasi-Newton step, its bounds and Alice's fused updates (theory, sections 5, 6 and 8).

Alice's updates stand beside the scalar functions that they inline: Numba's cache looks only at the file of a
compiled function, so a scalar function in another file could change without the loops noticing.

Scalars are double precision: ``np.float64`` widens a float32 entry in a register (Numba's ``float`` would not), which
costs no memory traffic and gives float32 users the whole range without overflow. The arrays stay float32.

Bounds and perturbation lengths are one number or an array with an entry for every parameter.
"""

import numpy as np

from glasscurv._jit import entry, jit
from glasscurv._typing import FloatArray

LARGEST = 1.7976931348623157e308
CEILING = 1e300  # of scaled inputs to the joint step

FIXED, SGDM, ADAM = 0, 1, 2  # limiters, section 6
ZERO, ABS, RMS, DIAGONAL = 0, 1, 2, 3  # curvature choices, section 5


@jit
def hypotenuse(a: float, b: float) -> float:
    """sqrt(a² + b²) for a, b ≥ 0 without overflow; unlike math.hypot it lets the loops around it vectorise."""
    longer = max(a, b)
    ratio = min(a, b) / (longer if longer > 0.0 else 1.0)
    length: float = longer * np.sqrt(1.0 + ratio * ratio)
    return length


@jit
def root_curvature(slope: float, hessian: float, root_density: float, coefficient: float) -> float:
    """sqrt(h*) of equation (11) for slope |g| > 0 and sqrt(ρ).

    With B² = 2aρ, the positive root of the quadratic in sqrt(d) gives sqrt(h*) = (B/2 + sqrt(B²/4 + h|g|)) / sqrt|g|,
    a sum of positive terms, so nothing cancels. Square roots are taken before products, so nothing overflows on the
    way.
    """
    half_diffusion = np.sqrt(0.5 * coefficient) * root_density
    root_slope = np.sqrt(slope)
    root: float = (half_diffusion + hypotenuse(half_diffusion, np.sqrt(hessian) * root_slope)) / root_slope
    return root


@jit
def step_length(slope: float, hessian: float, root_density: float, coefficient: float, eps: float) -> float:
    """|g| / (h* + eps) for sqrt(ρ), where h* sees the slope |g| + eps; at most the largest finite number."""
    if slope == 0.0:
        return 0.0
    root = root_curvature(slope + eps, hessian, root_density, coefficient)
    curvature = min(root * root, LARGEST) + eps
    if slope >= curvature * LARGEST:
        return LARGEST
    return slope / curvature


@jit
def clamp_length(
    length: float, slope: float, second_moment: float, lr_min: float, lr_max: float, limiter: int, eps: float
) -> float:
    """Clamp d between lr_min f and lr_max f (section 6), finite; a nan becomes the upper bound.

    Where sqrt(V) + ε is 0 there is no scale, and f is taken as 0.
    """
    if limiter == FIXED:
        unit = 1.0
    elif limiter == SGDM:
        unit = slope
    else:
        scale = np.sqrt(second_moment) + eps
        unit = min(slope / scale, LARGEST) if scale > 0.0 else 0.0
    upper = min(lr_max * unit, LARGEST)
    if np.isnan(length) or length > upper:
        return upper
    return max(length, min(lr_min * unit, LARGEST))


@jit
def quasi_newton_step(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    coefficient: float,
    eps: float,
    largest: float,
    out: FloatArray,
) -> bool:
    """Write −sign(g) d into `out`; return False if an input was not finite or a curvature negative."""
    invalid = False
    for i in range(gradient.size):
        g, h, rho = np.float64(gradient[i]), np.float64(hessian[i]), np.float64(density[i])
        # x - x is 0 for finite x and nan otherwise, so one comparison covers all three. No branch: the loop vectorises.
        invalid |= not ((g - g) + (h - h) + (rho - rho) == 0.0 and h >= 0.0 and rho >= 0.0)
        length = min(step_length(abs(g), h, np.sqrt(rho), coefficient, eps), largest)
        out[i] = -length if g > 0.0 else length
    return not invalid


@jit
def bound_step(
    step: FloatArray,
    gradient: FloatArray,
    second_moment: FloatArray,
    lr_min: float | FloatArray,
    lr_max: float | FloatArray,
    limiter: int,
    eps: float,
    largest: float,
    out: FloatArray,
) -> None:
    """Write the clamped length into `out`, against the gradient's sign (+ where the gradient is 0)."""
    for i in range(step.size):
        g = np.float64(gradient[i])
        lower, upper = entry(lr_min, i), entry(lr_max, i)
        length = clamp_length(
            abs(np.float64(step[i])), abs(g), np.float64(second_moment[i]), lower, upper, limiter, eps
        )
        length = min(length, largest)
        out[i] = -length if g > 0.0 else length


@jit
def joint_leader(
    gradient: FloatArray, hessian: FloatArray, density: FloatArray, coefficient: float
) -> tuple[float, float, float]:
    """Return ln ρ, ln d and ln(ρ d³) of the coordinate whose own ρ d³ is largest; the last is -inf without glass."""
    log_density, log_length, largest = 0.0, 0.0, -np.inf
    for i in range(gradient.size):
        rho, slope = np.float64(density[i]), abs(np.float64(gradient[i]))
        if rho == 0.0 or slope == 0.0:
            continue
        root = root_curvature(slope, np.float64(hessian[i]), np.sqrt(rho), coefficient)
        length = np.log(slope) - 2.0 * np.log(root)
        size = np.log(rho) + 3.0 * length
        if size > largest:
            log_density, log_length, largest = np.log(rho), length, size
    return log_density, log_length, largest


@jit
def joint_root(slope: float, hessian: float, density: float, weight: float) -> tuple[float, float]:
    """sqrt(6cρ|g|/S) and sqrt(h² + 6cρ|g|/S), for weight = 6c/S."""
    glass = np.sqrt(weight) * np.sqrt(density) * np.sqrt(slope)
    return glass, hypotenuse(hessian, glass)


@jit
def joint_sums(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    slope_scale: float,
    hessian_scale: float,
    density_scale: float,
    weight: float,
) -> tuple[float, float]:
    """Σ ρ d(S)³ and its derivative by ln S, d(S) = 2|g| / (h + sqrt(h² + 6cρ|g|/S)), all in scaled units."""
    total = 0.0
    derivative = 0.0
    for i in range(gradient.size):
        slope = min(abs(np.float64(gradient[i])) * slope_scale, CEILING)
        curvature = min(np.float64(hessian[i]) * hessian_scale, CEILING)
        rho = min(np.float64(density[i]) * density_scale, CEILING)
        glass, root = joint_root(slope, curvature, rho, weight)
        if glass == 0.0:
            continue
        length = 2.0 * slope / (curvature + root)
        term = rho * length * length * length
        total += term
        derivative += 1.5 * (1.0 - curvature / root) * term
    return total, derivative


@jit
def joint_step(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    slope_scale: float,
    hessian_scale: float,
    density_scale: float,
    weight: float,
    coefficient: float,
    eps: float,
    largest: float,
    out: FloatArray,
) -> None:
    """Write into `out` the coordinate step of the density ρp, p = ρd³/S²: sqrt(2aρp) = (h* - h) sqrt(d), h* = |g|/d."""
    unit = 1.0 / np.sqrt(2.0 * coefficient * density_scale)
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        slope = min(abs(g) * slope_scale, CEILING)
        curvature = min(np.float64(hessian[i]) * hessian_scale, CEILING)
        glass, root = joint_root(slope, curvature, min(np.float64(density[i]) * density_scale, CEILING), weight)
        root_density = 0.0
        if glass > 0.0:
            # h* - h = (root - h)/2 without its cancellation
            root_density = 0.5 * glass * (glass / (root + curvature)) * np.sqrt(2.0 * slope / (curvature + root)) * unit
        length = min(step_length(abs(g), np.float64(hessian[i]), root_density, coefficient, eps), largest)
        out[i] = -length if g > 0.0 else length


@jit
def perturb(point: FloatArray, direction: FloatArray, length: float | FloatArray, sign: float, out: FloatArray) -> None:
    """Write ν ± σz into `out`."""
    for i in range(point.size):
        out[i] = point[i] + sign * entry(length, i) * direction[i]


@jit
def alice_curvature(
    plus: FloatArray,
    minus: FloatArray,
    center: FloatArray,
    direction: FloatArray,
    length: float | FloatArray,
    weight: float,
    l2: float,
    choice: int,
    hessian_moment: float,
    glass_moment: float,
    curvature: FloatArray,
    density: FloatArray,
) -> None:
    """Section 8, step 1: e = (g₊ − g₋)/(2σ), then C and R ← running averages with weight B₃.

    The moments of the perturbation (1 for Rademacher) make C and R unbiased for any other distribution.
    """
    for i in range(plus.size):
        g_plus, g_minus = np.float64(plus[i]), np.float64(minus[i])
        sigma = entry(length, i)
        product = (g_plus - g_minus) / (2.0 * sigma)
        if choice == RMS:
            new = product * product / hessian_moment + l2 * l2
        elif choice == DIAGONAL:
            new = direction[i] * product / hessian_moment + l2
        else:
            new = abs(product) / hessian_moment + l2
        curvature[i] = new + weight * (curvature[i] - new)
        second = 0.5 * (g_plus + g_minus) - center[i]
        new = 2.0 * second * second / (sigma * glass_moment)
        density[i] = new + weight * (density[i] - new)


@jit
def step_curvature(average: float, choice: int) -> float:
    """Return h of the step from the running average C: 0, C, sqrt(C) or |C| (section 8, step 3)."""
    if choice == ZERO:
        return 0.0
    curvature: float = np.sqrt(average) if choice == RMS else abs(average)
    return curvature


@jit
def alice_update(
    gradient: FloatArray,
    theta: FloatArray,
    lookahead_point: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    curvature: FloatArray,
    density: FloatArray,
    average_weight: float,
    moment_weight: float,
    l1: float,
    l2: float,
    choice: int,
    glass: bool,
    coefficient: float,
    eps: float,
    limiter: int,
    lr_min: float | FloatArray,
    lr_max: float | FloatArray,
    step_fraction: float,
    lookahead: float,
    move: bool,
) -> None:
    """Section 8, steps 2 and 3: one pass over the state, each array read once and written once."""
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        square = g * g
        second_moment[i] = square + moment_weight * (second_moment[i] - square)
        nu = np.float64(lookahead_point[i])
        new = g + l1 * (-1.0 if nu < 0.0 else 1.0) + l2 * nu
        slope = new + average_weight * (average[i] - new)
        average[i] = slope
        if not move:
            continue
        hessian = step_curvature(np.float64(curvature[i]), choice)
        rho = np.float64(density[i]) if glass else 0.0
        length = step_length(abs(slope), hessian, np.sqrt(rho), coefficient, eps)
        lower, upper = entry(lr_min, i), entry(lr_max, i)
        length = clamp_length(length, abs(slope), np.float64(second_moment[i]), lower, upper, limiter, eps)
        displacement = -length if slope > 0.0 else length
        lookahead_point[i] = theta[i] + lookahead * displacement
        theta[i] = theta[i] + step_fraction * displacement


@jit
def step_curvatures(average: FloatArray, choice: int, out: FloatArray) -> None:
    """Write h of every coordinate into `out`."""
    for i in range(average.size):
        out[i] = step_curvature(np.float64(average[i]), choice)


@jit
def alice_move(
    displacement: FloatArray, theta: FloatArray, lookahead_point: FloatArray, step_fraction: float, lookahead: float
) -> None:
    """Section 8, the end of step 3: ν ← μ + ωδ, μ ← μ + φδ."""
    for i in range(theta.size):
        lookahead_point[i] = theta[i] + lookahead * np.float64(displacement[i])
        theta[i] = theta[i] + step_fraction * np.float64(displacement[i])
