"""Sums of the loss-change models (theory, section 2)."""

import math

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


@jit
def coordinate_term(displacement: float, density: float) -> float:
    """Return sqrt(ρ) |δ|^{3/2}."""
    length = abs(np.float64(displacement))
    return math.sqrt(density) * length * math.sqrt(length)


@jit
def coordinate_sum(displacement: FloatArray, density: FloatArray) -> float:
    """Σ sqrt(ρ_i) |δ_i|^{3/2} of equation (8a)."""
    total = 0.0
    for i in range(displacement.size):
        total += coordinate_term(displacement[i], density[i])
    return total


@jit
def independent_norm(displacement: FloatArray, density: FloatArray) -> float:
    """Return sqrt(Σ ρ_i |δ_i|³) of equation (8b); in units of the largest term, so that no cube leaves the range."""
    largest = 0.0
    for i in range(displacement.size):
        largest = max(largest, coordinate_term(displacement[i], density[i]))
    if largest == 0.0 or largest == np.inf:
        return largest
    total = 0.0
    for i in range(displacement.size):
        total += (coordinate_term(displacement[i], density[i]) / largest) ** 2
    return largest * math.sqrt(total)


@jit
def quadratic_sum(displacement: FloatArray, gradient: FloatArray, hessian: FloatArray) -> float:
    """Σ g_i δ_i + ½ h_i δ_i²."""
    total = 0.0
    for i in range(displacement.size):
        delta = np.float64(displacement[i])
        total += delta * (gradient[i] + 0.5 * hessian[i] * delta)
    return total
