"""Loops that turn gradients on a line into curvature statistics, without temporaries of their size."""

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray
from glasscurv.core.vectors import sum_in_pairs

BLOCK = 512  # entries handled at a time, a power of two


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
    hessian_weights: FloatArray,
    glass_weights: FloatArray,
    direction: FloatArray,
    length: float,
    resolution: float,
    density: FloatArray,
    diagonal: FloatArray,
    absolute: FloatArray,
    square: FloatArray,
    gradients: tuple[FloatArray, ...],
) -> tuple[float, float, float, float, int]:
    """Add one line: ρ̂ of equation (9), z∘Hz, |Hz| and (Hz)² to their running sums.

    `start` (n,) is the gradient at the centre, `gradients` those at the m other nodes, `hessian_weights` (m,) and
    `glass_weights` (r, m) the weights there: with the centre's they add up to 0, so they act on differences from it.

    Returns the sums over coordinates of ρ̂, of ρ̂², of the squared difference between both ends and of its squared
    rounding error, and the number of coordinates whose contrasts are no larger than rounding explains.
    """
    silent = 0
    per_density = 1.0 / (glass_weights.shape[0] * length)
    noise = contrast_noise(glass_weights) * resolution * resolution
    # Node by node and block by block: every loop vectorises, and the block stays in the cache.
    product, contrast, variation, largest = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    # Sums over coordinates, BLOCK of them side by side.
    samples, sample_squares, squares, roundings = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
    for first in range(0, start.size, BLOCK):
        part = slice(first, min(first + BLOCK, start.size))
        center = start[part]
        count = center.size
        product[:] = 0.0
        variation[:] = 0.0
        for i in range(count):
            largest[i] = abs(np.float64(center[i]))
        for k in range(len(gradients)):
            gradient, weight = gradients[k][part], hessian_weights[k] / length
            for i in range(count):
                g = np.float64(gradient[i])
                product[i] += weight * (g - np.float64(center[i]))
                largest[i] = abs(g) if abs(g) > largest[i] else largest[i]
        for j in range(glass_weights.shape[0]):
            contrast[:] = 0.0
            for k in range(len(gradients)):
                gradient, weight = gradients[k][part], glass_weights[j, k]
                for i in range(count):
                    contrast[i] += weight * (np.float64(gradient[i]) - np.float64(center[i]))
            for i in range(count):
                variation[i] += contrast[i] * contrast[i]
        z, low, high = direction[part], gradients[0][part], gradients[len(gradients) - 1][part]
        rho, diag, absolute_part, square_part = density[part], diagonal[part], absolute[part], square[part]
        for i in range(count):
            rounding, sample = largest[i] * largest[i], variation[i] * per_density
            difference = np.float64(high[i]) - np.float64(low[i])
            silent += 1 if variation[i] <= noise * rounding else 0
            roundings[i] += rounding
            squares[i] += difference * difference
            samples[i] += sample
            sample_squares[i] += sample * sample
        for i in range(count):
            rho[i] += variation[i] * per_density
            diag[i] += np.float64(z[i]) * product[i]
            absolute_part[i] += abs(product[i])
            square_part[i] += product[i] * product[i]
    total, total_square = sum_in_pairs(samples), sum_in_pairs(sample_squares)
    return total, total_square, sum_in_pairs(squares), resolution * resolution * sum_in_pairs(roundings), silent


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
