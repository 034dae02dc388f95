"""Loops of the quasi-Newton step, its bounds and Alice's fused updates (theory, sections 5, 6 and 8).

Alice's updates stand beside the scalar functions that they inline: Numba's cache looks only at the file of a
compiled function, so a scalar function in another file could change without the loops noticing. (`sum_in_pairs` is in
another file, because the estimates need it too; whoever changes it has to clear the cache.)

Loops that only move data compute in double precision: ``np.float64`` widens a float32 entry in a register (Numba's
``float`` would not), which costs no memory traffic. Alice's updates have more to do for every number that they move,
and double precision would take twice as long: they compute in the precision of their arrays.

Bounds and perturbation lengths are one number or an array with an entry for every parameter.
"""

from typing import Any

import numpy as np

from glasscurv._jit import entries, entry, jit
from glasscurv._typing import FloatArray
from glasscurv.core.vectors import sum_in_pairs

LARGEST = 1.7976931348623157e308
CEILING = 1e300  # of scaled inputs to the joint step
BLOCK = 16384  # entries of Alice's arrays that stay in the cache from one loop to the next
JOINT_BLOCK = 1024  # entries whose terms are in the fastest cache; a power of two, for `sum_in_pairs`

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
def model_curvature(slope: float, hessian: float, half_density: float, eps: float) -> float:
    """D = (|g| + ε)(h* + ε) of equation (11), with |g| + ε and h + ε for |g| and h; the step is |g|(|g| + ε)/D.

    With b = aρ/2 and m = b + h(|g| + ε), (|g| + ε) h* = b + m + 2 sqrt(bm): one root, and nothing cancels. The result
    is exact to rounding if it lies in the `safe_range` of its precision, and lies outside if anything overflowed or
    lost digits to underflow. Arguments are of one precision, and so is the result.
    """
    shifted = slope + eps
    mixed = half_density + hessian * shifted
    root = np.sqrt(half_density * mixed)
    curvature: float = half_density + mixed + eps * shifted + (root + root)
    return curvature


@jit
def safe_range(number: Any) -> tuple[float, float]:
    """Bounds of `model_curvature` for numbers of this type: products of two neither overflow nor vanish.

    Within them is ε² for the default ε, D of a parameter that has never had a gradient.
    """
    if number(1.0) + number(1e-10) > number(1.0):
        return number(1e-120), number(1e120)
    return number(5e-17), number(1e17)


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
    """Write −sign(g) d into `out`; return False if an input was not finite, negative, or beyond the safe range."""
    smallest_curvature, largest_curvature = safe_range(np.float64)
    safe = True
    for i in range(gradient.size):
        g, h, rho = np.float64(gradient[i]), np.float64(hessian[i]), np.float64(density[i])
        slope = abs(g)
        curvature = model_curvature(slope, h, 0.5 * coefficient * rho, eps)
        # Infinities and nans reach the curvature. No branch: the loop vectorises.
        inside = ((slope == 0.0) | (curvature >= smallest_curvature)) & (curvature <= largest_curvature)
        safe &= (h >= 0.0) & (rho >= 0.0) & inside
        length = slope * ((slope + eps) / curvature) if slope > 0.0 else 0.0
        length = min(length, largest)
        out[i] = -length if g > 0.0 else length
    return safe


@jit
def quasi_newton_step_anywhere(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    coefficient: float,
    eps: float,
    largest: float,
    out: FloatArray,
) -> None:
    """Write −sign(g) d into `out`, for checked arguments of the whole floating-point range."""
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        length = step_length(abs(g), np.float64(hessian[i]), np.sqrt(np.float64(density[i])), coefficient, eps)
        length = min(length, largest)
        out[i] = -length if g > 0.0 else length


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
def valid(gradient: FloatArray, hessian: FloatArray, density: FloatArray) -> bool:
    """Tell whether all is finite and neither `hessian` nor `density` negative."""
    accepted = True
    for i in range(gradient.size):
        g, h, rho = np.float64(gradient[i]), np.float64(hessian[i]), np.float64(density[i])
        # x - x is 0 for finite x and nan otherwise, so one comparison covers all three.
        accepted &= ((g - g) + (h - h) + (rho - rho) == 0.0) & (h >= 0.0) & (rho >= 0.0)
    return accepted


@jit
def glass_terms(
    gradient: FloatArray, hessian: FloatArray, density: FloatArray, coefficient: float, out: FloatArray
) -> bool:
    """Write ρ d³ of the coordinates' own steps into `out`; return False if one was beyond the safe range."""
    smallest, largest = safe_range(np.float64)
    safe = True
    for i in range(gradient.size):
        slope, rho = abs(np.float64(gradient[i])), np.float64(density[i])
        curvature = model_curvature(slope, np.float64(hessian[i]), 0.5 * coefficient * rho, 0.0)
        length = slope * (slope / curvature)
        term = rho * length * length * length
        inside = (curvature >= smallest) & (curvature <= largest) & (term >= smallest) & (term <= largest)
        none = (slope == 0.0) | (rho == 0.0)
        safe &= none | inside
        out[i] = 0.0 if none else term
    return safe


@jit
def log_glass_term(slope: float, hessian: float, density: float, coefficient: float) -> tuple[float, float]:
    """Return ln d and ln(ρ d³) of a coordinate's own step, in the whole range; -inf without glass or slope."""
    if density == 0.0 or slope == 0.0:
        return -np.inf, -np.inf
    root = root_curvature(slope, hessian, np.sqrt(density), coefficient)
    length = np.log(slope) - 2.0 * np.log(root)
    return length, np.log(density) + 3.0 * length


@jit
def joint_leader(
    gradient: FloatArray, hessian: FloatArray, density: FloatArray, coefficient: float
) -> tuple[float, float, float]:
    """Return ln ρ, ln d and ln(ρ d³) of the coordinate whose own ρ d³ is largest; the last is -inf without glass."""
    terms = np.empty(JOINT_BLOCK)
    leader, leading = -1, -np.inf
    for start in range(0, gradient.size, JOINT_BLOCK):
        part = slice(start, min(start + JOINT_BLOCK, gradient.size))
        g, h, rho = gradient[part], hessian[part], density[part]
        if glass_terms(g, h, rho, coefficient, terms[: g.size]):
            best = 0
            for i in range(1, g.size):
                if terms[i] > terms[best]:
                    best = i
            candidates = (best, best + 1)
        else:
            candidates = (0, g.size)
        for i in range(candidates[0], candidates[1]):
            _, term = log_glass_term(abs(np.float64(g[i])), np.float64(h[i]), np.float64(rho[i]), coefficient)
            if term > leading:
                leader, leading = start + i, term
    if leader < 0:
        return 0.0, 0.0, -np.inf
    leading_density = np.float64(density[leader])
    length, term = log_glass_term(
        abs(np.float64(gradient[leader])), np.float64(hessian[leader]), leading_density, coefficient
    )
    return np.log(leading_density), length, term


@jit
def joint_root(slope: float, hessian: float, density: float, weight: float) -> tuple[float, float]:
    """sqrt(6cρ|g|/S) and sqrt(h² + 6cρ|g|/S), for weight = 6c/S."""
    glass = np.sqrt(weight) * np.sqrt(density) * np.sqrt(slope)
    return glass, hypotenuse(hessian, glass)


@jit
def joint_terms(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    slope_scale: float,
    hessian_scale: float,
    density_scale: float,
    weight: float,
    totals: FloatArray,
    derivatives: FloatArray,
) -> bool:
    """Add the terms of `joint_sums` to `totals` and `derivatives`; return False if one was beyond the safe range.

    With q = 6cρ|g|/S and r = sqrt(h² + q), d = 2|g|/(h + r) and 1 − h/r = q/(r(h + r)): one root and one division.
    """
    smallest, largest = safe_range(np.float64)
    safe = True
    for i in range(gradient.size):
        slope, curvature = abs(np.float64(gradient[i])) * slope_scale, np.float64(hessian[i]) * hessian_scale
        rho = np.float64(density[i]) * density_scale
        square = weight * rho * slope
        root = np.sqrt(curvature * curvature + square)
        inverse = 1.0 / (root * (curvature + root))
        length = 2.0 * slope * (root * inverse)
        term = rho * length * length * length
        none = (slope == 0.0) | (rho == 0.0)
        inside = (square >= smallest) & (slope <= largest) & (root <= largest) & (term <= largest)
        safe &= none | inside
        totals[i] += 0.0 if none else term
        derivatives[i] += 0.0 if none else 1.5 * (square * inverse) * term
    return safe


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
    totals, derivatives = np.zeros(JOINT_BLOCK), np.zeros(JOINT_BLOCK)
    scales = (slope_scale, hessian_scale, density_scale)
    for start in range(0, gradient.size, JOINT_BLOCK):
        part = slice(start, min(start + JOINT_BLOCK, gradient.size))
        g, h, rho = gradient[part], hessian[part], density[part]
        if not joint_terms(g, h, rho, *scales, weight, totals[: g.size], derivatives[: g.size]):
            return joint_sums_anywhere(gradient, hessian, density, *scales, weight)
    return sum_in_pairs(totals), sum_in_pairs(derivatives)


@jit
def joint_sums_anywhere(
    gradient: FloatArray,
    hessian: FloatArray,
    density: FloatArray,
    slope_scale: float,
    hessian_scale: float,
    density_scale: float,
    weight: float,
) -> tuple[float, float]:
    """Return the sums of `joint_sums` for arguments of the whole floating-point range."""
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
    eps: float,
    largest: float,
    out: FloatArray,
) -> bool:
    """Write into `out` the coordinate step of the density ρp; return False if one was beyond the safe range.

    p = ρd³/S², and with q and r of `joint_terms` h* − h = (r − h)/2, so that ½aρp = ¼(h* − h)² d = q²|g|/(8 (h + r)³).
    """
    smallest, greatest = safe_range(np.float64)
    unit = 0.125 / density_scale  # of densities, where the scaled ones are (gradient²/length)
    safe = True
    for i in range(gradient.size):
        g, h = np.float64(gradient[i]), np.float64(hessian[i])
        slope = abs(g)
        scaled_slope, scaled_hessian = slope * slope_scale, h * hessian_scale
        rho = np.float64(density[i]) * density_scale
        square = weight * rho * scaled_slope
        sum_of_roots = scaled_hessian + np.sqrt(scaled_hessian * scaled_hessian + square)
        share = square / sum_of_roots
        half_density = share * share * (scaled_slope / sum_of_roots) * unit if square > 0.0 else 0.0
        curvature = model_curvature(slope, h, half_density, eps)
        inside = (curvature >= smallest) & (curvature <= greatest) & (sum_of_roots <= greatest)
        inside &= (square >= smallest) | (rho == 0.0)
        safe &= (slope == 0.0) | inside
        length = min(slope * ((slope + eps) / curvature), largest) if slope > 0.0 else 0.0
        out[i] = -length if g > 0.0 else length
    return safe


@jit
def joint_step_anywhere(
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
    """Write the steps of `joint_step` for arguments of the whole floating-point range.

    There sqrt(2aρp) = (h* − h) sqrt(d).
    """
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
    number: Any = plus.dtype.type
    half, weight, l2 = number(0.5), number(weight), number(l2)
    per_hessian, per_glass = number(1.0 / hessian_moment), number(2.0 / glass_moment)
    for i in range(plus.size):
        per_length = number(1.0) / number(entry(length, i))
        product = half * (plus[i] - minus[i]) * per_length
        if choice == RMS:
            new = product * product * per_hessian + l2 * l2
        elif choice == DIAGONAL:
            new = direction[i] * product * per_hessian + l2
        else:
            new = abs(product) * per_hessian + l2
        curvature[i] = new + weight * (curvature[i] - new)
        # Differences from the centre are small and so nearly exact; the sum of both gradients would be rounded.
        second = half * ((plus[i] - center[i]) + (minus[i] - center[i]))
        new = second * (second * per_length) * per_glass
        density[i] = new + weight * (density[i] - new)


@jit
def step_curvature(average: float, choice: int) -> float:
    """Return h of the step from the running average C: 0, C, sqrt(C) or |C| (section 8, step 3)."""
    if choice == ZERO:
        return average - average  # 0 in the precision of the average, which is finite
    curvature: float = np.sqrt(average) if choice == RMS else abs(average)
    return curvature


@jit
def running_averages(
    g: float,
    nu: float,
    average: float,
    moment: float,
    average_weight: float,
    moment_weight: float,
    l1: float,
    l2: float,
) -> tuple[float, float]:
    """Section 8, step 2: G ← β₁G + (1−β₁)(g + λ₁ sign ν + λ₂ν) and V ← β₂V + (1−β₂)g²; all of one precision."""
    new = g + (-l1 if nu < 0 else l1) + l2 * nu
    square = g * g
    return new + average_weight * (average - new), square + moment_weight * (moment - square)


@jit
def alice_averages(
    gradient: FloatArray,
    lookahead_point: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    average_weight: float,
    moment_weight: float,
    l1: float,
    l2: float,
) -> None:
    """Section 8, step 2, of every coordinate."""
    number: Any = average.dtype.type
    beta1, beta2, w1, w2 = number(average_weight), number(moment_weight), number(l1), number(l2)
    for i in range(gradient.size):
        average[i], second_moment[i] = running_averages(
            gradient[i], lookahead_point[i], average[i], second_moment[i], beta1, beta2, w1, w2
        )


@jit
def alice_displacements(
    gradient: FloatArray,
    lookahead_point: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    average_weight: float,
    moment_weight: float,
    l1: float,
    l2: float,
    curvature: FloatArray,
    density: FloatArray,
    choice: int,
    coefficient: float,
    eps: float,
    limiter: int,
    lr_min: float | FloatArray,
    lr_max: float | FloatArray,
    out: FloatArray,
) -> bool:
    """Section 8, step 2, and the bounded steps of the averages; return False if one was beyond the safe range.

    With D of `model_curvature` and bounds lr·|G|/U, U = sqrt(V) + ε, of the Adam limiter, the step
    |G| clamp((|G| + ε)/D, lr_min/U, lr_max/U) is |G| clamp((|G| + ε)U, lr_min D, lr_max D)/(UD): one division.
    """
    number: Any = out.dtype.type
    beta1, beta2, w1, w2 = number(average_weight), number(moment_weight), number(l1), number(l2)
    smallest, largest = safe_range(number)
    half, epsilon, one, zero = number(0.5 * coefficient), number(eps), number(1.0), number(0.0)
    # The digits that a tiny |G|(|G| + ε) loses are of no length beside lr_max; gradients of 0 are ordinary.
    least = zero if limiter == FIXED else smallest * smallest
    safe = True
    for i in range(gradient.size):
        signed_slope, moment = running_averages(
            gradient[i], lookahead_point[i], average[i], second_moment[i], beta1, beta2, w1, w2
        )
        average[i], second_moment[i] = signed_slope, moment
        slope = abs(signed_slope)
        hessian = step_curvature(curvature[i], choice)
        divisor = model_curvature(slope, hessian, half * density[i], epsilon)
        unit = np.sqrt(moment) + epsilon if limiter == ADAM else one
        factor, shifted = slope, slope + epsilon
        if limiter == FIXED:
            factor, shifted = one, slope * shifted
        lower, upper = entry(lr_min, i), entry(lr_max, i)
        numerator = min(max(shifted * unit, number(lower) * divisor), number(upper) * divisor)
        length = factor * (numerator / (unit * divisor))
        safe &= (divisor >= smallest) & (divisor <= largest) & (unit >= smallest)
        safe &= (upper >= smallest) & ((lower == 0.0) | (lower >= smallest))
        safe &= (numerator >= least) & (length <= largest * largest)  # a nan is not
        out[i] = -length if signed_slope > zero else length
    return safe


@jit
def alice_displacements_anywhere(
    slopes: FloatArray,
    second_moment: FloatArray,
    curvature: FloatArray,
    density: FloatArray,
    choice: int,
    coefficient: float,
    eps: float,
    limiter: int,
    lr_min: float | FloatArray,
    lr_max: float | FloatArray,
    out: FloatArray,
) -> None:
    """Write the bounded steps, like `alice_displacements`, for arguments of the whole floating-point range."""
    for i in range(slopes.size):
        slope = np.float64(slopes[i])
        hessian, root_density = step_curvature(np.float64(curvature[i]), choice), np.sqrt(np.float64(density[i]))
        length = step_length(abs(slope), hessian, root_density, coefficient, eps)
        lower, upper = np.float64(entry(lr_min, i)), np.float64(entry(lr_max, i))
        length = clamp_length(length, abs(slope), np.float64(second_moment[i]), lower, upper, limiter, eps)
        out[i] = -length if slope > 0.0 else length


@jit
def alice_update(
    gradient: FloatArray,
    lookahead_point: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    average_weight: float,
    moment_weight: float,
    l1: float,
    l2: float,
    theta: FloatArray,
    curvature: FloatArray,
    density: FloatArray,
    choice: int,
    coefficient: float,
    eps: float,
    limiter: int,
    lr_min: float | FloatArray,
    lr_max: float | FloatArray,
    step_fraction: float,
    lookahead: float,
) -> None:
    """Section 8, steps 2 and 3, block by block: each array is read from memory once and written once.

    Arithmetic is done in the precision of the arrays, except in blocks beyond its safe range. A coefficient of 0 leaves
    out the glass.
    """
    displacement = np.empty(BLOCK, theta.dtype)
    weights = (average_weight, moment_weight, l1, l2)
    for start in range(0, theta.size, BLOCK):
        part = slice(start, min(start + BLOCK, theta.size))
        g, nu, slopes, moment = gradient[part], lookahead_point[part], average[part], second_moment[part]
        lower, upper, steps = entries(lr_min, part), entries(lr_max, part), displacement[: slopes.size]
        c, r = curvature[part], density[part]
        if not alice_displacements(
            g, nu, slopes, moment, *weights, c, r, choice, coefficient, eps, limiter, lower, upper, steps
        ):
            alice_displacements_anywhere(slopes, moment, c, r, choice, coefficient, eps, limiter, lower, upper, steps)
        alice_move(steps, theta[part], nu, step_fraction, lookahead)


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
    number: Any = theta.dtype.type
    step_fraction, lookahead = number(step_fraction), number(lookahead)
    for i in range(theta.size):
        center, delta = theta[i], displacement[i]
        lookahead_point[i] = center + lookahead * delta
        theta[i] = center + step_fraction * delta
