"""Loops that turn gradients on a line into curvature statistics, without temporaries of their size."""

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


@jit
def squared_contrasts(center: float, gradients: tuple[FloatArray, ...], weights: FloatArray, i: int) -> float:
    """Sum of the squared contrasts of coordinate i; with the centre's the weights add up to 0."""
    variation = 0.0
    for j in range(weights.shape[0]):
        contrast = 0.0
        for k in range(weights.shape[1]):
            contrast += weights[j, k] * (gradients[k][i] - center)
        variation += contrast * contrast
    return variation


@jit
def contrast_noise(weights: FloatArray) -> float:
    """Sixteen times the sum of the squared contrasts of gradients that differ by a rounding error of 1 each."""
    total = 0.0
    for j in range(weights.shape[0]):
        center = 0.0
        for k in range(weights.shape[1]):
            total += weights[j, k] * weights[j, k]
            center += weights[j, k]
        total += center * center
    return 16.0 * total


@jit
def accumulate_curvature(
    start: FloatArray,
    gradients: tuple[FloatArray, ...],
    hessian_weights: FloatArray,
    glass_weights: FloatArray,
    direction: FloatArray,
    length: float,
    resolution: float,
    density: FloatArray,
    diagonal: FloatArray,
    absolute: FloatArray,
    square: FloatArray,
) -> tuple[float, float, float, float, int]:
    """Add one line: ρ̂ of equation (9), z∘Hz, |Hz| and (Hz)² to their running sums.

    `start` (n,) is the gradient at the centre, `gradients` those at the m other nodes, `hessian_weights` (m,) and
    `glass_weights` (r, m) the weights there: with the centre's they add up to 0, so they act on differences from it.

    Returns the sums over coordinates of ρ̂, of ρ̂², of the squared difference between both ends and of its squared
    rounding error, and the number of coordinates whose contrasts are no larger than rounding explains.
    """
    nodes, size = len(gradients), start.size
    contrasts = glass_weights.shape[0]
    total = total_square = difference_square = rounding_square = 0.0
    silent = 0
    noise = contrast_noise(glass_weights)
    for i in range(size):
        center = np.float64(start[i])
        product = 0.0
        largest = abs(center)
        for k in range(nodes):
            product += hessian_weights[k] * (gradients[k][i] - center)
            largest = max(largest, abs(np.float64(gradients[k][i])))
        product /= length
        rounding = resolution * largest
        variation = squared_contrasts(center, gradients, glass_weights, i)
        if variation <= noise * rounding * rounding:
            silent += 1
        sample = variation / (contrasts * length)
        difference = np.float64(gradients[nodes - 1][i]) - gradients[0][i]
        total += sample
        total_square += sample * sample
        difference_square += difference * difference
        rounding_square += rounding * rounding
        density[i] += sample
        diagonal[i] += direction[i] * product
        absolute[i] += abs(product)
        square[i] += product * product
    return total, total_square, difference_square, rounding_square, silent


@jit
def second_length(
    start: FloatArray,
    gradients: tuple[FloatArray, ...],
    glass_weights: FloatArray,
    minus: FloatArray,
    plus: FloatArray,
    length: float,
    second: float,
    resolution: float,
    least_density: float,
) -> tuple[float, int, int]:
    """Sum of 2d²/σ₂ over the coordinates, d = ½(g₊ + g₋) − g₀ at the second length, and how many of them are silent.

    A d is silent if it is no larger than rounding explains, or twice what the smooth loss explains: had no boundary
    been crossed at the first length either, d would have grown as σ². Only coordinates whose density on this line at
    the first length is `least_density` or more count; their number comes last.
    """
    total = 0.0
    silent = counted = 0
    contrasts = glass_weights.shape[0]
    smooth = 4.0 * (second / length) ** 4
    for i in range(start.size):
        center, below, above = np.float64(start[i]), np.float64(minus[i]), np.float64(plus[i])
        d = 0.5 * ((above - center) + (below - center))
        total += 2.0 * d * d / second
        first_density = squared_contrasts(center, gradients, glass_weights, i) / (contrasts * length)
        if first_density < least_density:
            continue
        counted += 1
        rounding = resolution * max(abs(center), abs(below), abs(above))
        if d * d <= max(24.0 * rounding * rounding, smooth * first_density * length / 2.0):
            silent += 1
    return total, silent, counted
