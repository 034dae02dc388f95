"""Sums of the loss-change models (theory, section 2)."""

import math

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


@jit
def coordinate_sum(displacement: FloatArray, density: FloatArray) -> float:
    """Σ sqrt(ρ_i) |δ_i|^{3/2} of equation (8a)."""
    total = 0.0
    for i in range(displacement.size):
        length = abs(np.float64(displacement[i]))
        total += math.sqrt(density[i]) * length * math.sqrt(length)
    return total


@jit
def independent_sum(displacement: FloatArray, density: FloatArray) -> float:
    """Σ ρ_i |δ_i|³ of equation (8b)."""
    total = 0.0
    for i in range(displacement.size):
        length = abs(np.float64(displacement[i]))
        total += density[i] * length * length * length
    return total


@jit
def quadratic_sum(displacement: FloatArray, gradient: FloatArray, hessian: FloatArray) -> float:
    """Σ g_i δ_i + ½ h_i δ_i²."""
    total = 0.0
    for i in range(displacement.size):
        delta = np.float64(displacement[i])
        total += delta * (gradient[i] + 0.5 * hessian[i] * delta)
    return total
