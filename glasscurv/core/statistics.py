"""Loops that turn gradients on a line into curvature statistics, without temporaries of their size."""

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


@jit
def accumulate_curvature(
    gradients: FloatArray,
    hessian_weights: FloatArray,
    glass_weights: FloatArray,
    direction: FloatArray,
    length: float,
    density: FloatArray,
    diagonal: FloatArray,
    absolute: FloatArray,
    square: FloatArray,
) -> None:
    """Add one sample: ρ̂ of equation (9), z∘Hz, |Hz| and (Hz)² to their running sums.

    `gradients` is (m, n); `hessian_weights` (m,); `glass_weights` (r, m). Weights add up to 0 but for rounding, so they
    act on differences from the first node.
    """
    nodes, size = gradients.shape
    contrasts = glass_weights.shape[0]
    for i in range(size):
        first = np.float64(gradients[0, i])
        product = 0.0
        for k in range(1, nodes):
            product += hessian_weights[k] * (gradients[k, i] - first)
        product /= length
        variation = 0.0
        for j in range(contrasts):
            contrast = 0.0
            for k in range(1, nodes):
                contrast += glass_weights[j, k] * (gradients[k, i] - first)
            variation += contrast * contrast
        density[i] += variation / (contrasts * length)
        diagonal[i] += direction[i] * product
        absolute[i] += abs(product)
        square[i] += product * product
