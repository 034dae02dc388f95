"""Fused updates of the first-order optimizers: one pass over the state a step."""

import math

import numpy as np

from glasscurv._jit import jit
from glasscurv._typing import FloatArray


@jit
def sgd_update(
    gradient: FloatArray, theta: FloatArray, velocity: FloatArray, lr: float, momentum: float, nesterov: bool
) -> None:
    """U ← momentum u + g;  θ ← θ − lr u, or − lr (g + momentum u) with Nesterov's momentum."""
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        u = momentum * velocity[i] + g
        velocity[i] = u
        theta[i] = theta[i] - lr * (g + momentum * u if nesterov else u)


@jit
def adam_update(
    gradient: FloatArray,
    theta: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """Adam with bias correction (Kingma and Ba 2015, algorithm 1)."""
    rate = lr / (1.0 - beta1**step)
    root_correction = math.sqrt(1.0 - beta2**step)
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        m = beta1 * average[i] + (1.0 - beta1) * g
        v = beta2 * second_moment[i] + (1.0 - beta2) * g * g
        average[i] = m
        second_moment[i] = v
        theta[i] = theta[i] - rate * m / (math.sqrt(v) / root_correction + eps)
