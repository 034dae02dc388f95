"""Fused updates of SGD, Adam and AdaHessian: one pass over the state a step.

A learning rate is one number or an array with an entry for every parameter.
"""

import math

import numpy as np

from glasscurv._jit import entry, jit
from glasscurv._typing import FloatArray


@jit
def sgd_update(
    gradient: FloatArray,
    theta: FloatArray,
    velocity: FloatArray,
    lr: float | FloatArray,
    momentum: float,
    nesterov: bool,
) -> None:
    """U ← momentum u + g;  θ ← θ − lr u, or − lr (g + momentum u) with Nesterov's momentum."""
    for i in range(gradient.size):
        g = np.float64(gradient[i])
        u = momentum * velocity[i] + g
        velocity[i] = u
        theta[i] = theta[i] - entry(lr, i) * (g + momentum * u if nesterov else u)


@jit
def adam_update(
    gradient: FloatArray,
    curvature: FloatArray,
    theta: FloatArray,
    average: FloatArray,
    second_moment: FloatArray,
    step: int,
    lr: float | FloatArray,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    power: float,
) -> None:
    """Adam with bias correction (Kingma and Ba 2015, algorithm 1), and weight decay beside it.

    The second moment is that of `curvature`, and its root is taken to a power: the gradient itself and 1 are Adam, the
    Hessian's diagonal and any power in [0, 1] are AdaHessian.
    """
    correction = 1.0 - beta1**step
    root_correction = math.sqrt(1.0 - beta2**step)
    for i in range(gradient.size):
        g, d = np.float64(gradient[i]), np.float64(curvature[i])
        m = beta1 * average[i] + (1.0 - beta1) * g
        v = beta2 * second_moment[i] + (1.0 - beta2) * d * d
        average[i] = m
        second_moment[i] = v
        root = math.sqrt(v) / root_correction
        if power != 1.0:
            root = root**power
        rate = entry(lr, i)
        kept = theta[i] * (1.0 - rate * weight_decay)
        theta[i] = kept - rate / correction * m / (root + eps)


@jit
def hutchinson_diagonal(
    plus: FloatArray,
    minus: FloatArray,
    direction: FloatArray,
    length: float,
    block_size: int,
    masked: bool,
    out: FloatArray,
) -> None:
    """Write z∘(g₊ − g₋)/(2 length) into `out`, averaged over blocks of consecutive entries.

    A masked z is 0 where there is no parameter: such entries do not enter the mean.
    """
    half = 0.5 / length
    for i in range(plus.size):
        out[i] = half * direction[i] * (np.float64(plus[i]) - np.float64(minus[i]))
    if block_size == 1:
        return
    for start in range(0, out.size, block_size):
        stop = min(start + block_size, out.size)
        total, count = 0.0, stop - start
        for i in range(start, stop):
            total += np.float64(out[i])
        if masked:
            for i in range(start, stop):
                count -= direction[i] == 0.0
        for i in range(start, stop):
            out[i] = total / max(count, 1)
