"""Loops that turn gradients on a line into curvature statistics, without temporaries of their size."""

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

    `gradients` is (m, n); `hessian_weights` (m,); `glass_weights` (r, m).
    """
    nodes, size = gradients.shape
    contrasts = glass_weights.shape[0]
    for i in range(size):
        product = 0.0
        for k in range(nodes):
            product += hessian_weights[k] * gradients[k, i]
        product /= length
        variation = 0.0
        for j in range(contrasts):
            contrast = 0.0
            for k in range(nodes):
                contrast += glass_weights[j, k] * gradients[k, i]
            variation += contrast * contrast
        density[i] += variation / (contrasts * length)
        diagonal[i] += direction[i] * product
        absolute[i] += abs(product)
        square[i] += product * product
