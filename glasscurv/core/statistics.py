"""Loops that turn gradients on a line into curvature statistics, without temporaries of their size."""

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


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
    for i in range(size):
        center = np.float64(start[i])
        product = 0.0
        largest = abs(center)
        for k in range(nodes):
            product += hessian_weights[k] * (gradients[k][i] - center)
            largest = max(largest, abs(np.float64(gradients[k][i])))
        product /= length
        rounding = resolution * largest
        variation = 0.0
        for j in range(contrasts):
            contrast = 0.0
            for k in range(nodes):
                contrast += glass_weights[j, k] * (gradients[k][i] - center)
            variation += contrast * contrast
        if variation <= contrasts * (4.0 * rounding) ** 2:
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
def second_difference(
    start: FloatArray, minus: FloatArray, plus: FloatArray, length: float, resolution: float
) -> tuple[float, int]:
    """Sum of 2d²/σ over the coordinates, d = ½(g₊ + g₋) − g₀, and how many d are no larger than rounding explains."""
    total = 0.0
    silent = 0
    for i in range(start.size):
        center, below, above = np.float64(start[i]), np.float64(minus[i]), np.float64(plus[i])
        d = 0.5 * ((above - center) + (below - center))
        if abs(d) <= 4.0 * resolution * max(abs(center), abs(below), abs(above)):
            silent += 1
        total += 2.0 * d * d / length
    return total, silent
