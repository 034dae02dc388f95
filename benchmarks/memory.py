"""How much memory an estimate takes, in vectors of the parameter's size beyond the model's own."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc

SAMPLES = 64
LIMIT = 8.0
"""What the library promises for one worker and the default nodes."""


@dataclass(frozen=True)
class Peak:
    """Greatest memory in use during an estimate.

    Attributes
    ----------
    parameters, samples : int
    vectors : float
        In units of the parameter vector, the result included, θ and the model's buffer excluded.
    """

    parameters: int
    samples: int
    vectors: float


def estimate_peak(parameters: int) -> Peak:
    """Measure `estimate_curvature` on a model that keeps one buffer for its gradient."""
    theta, buffer = np.ones(parameters), np.empty(parameters)

    def gradient(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.multiply(point, 2.0, out=buffer)

    gc.estimate_curvature(np.array, np.ones(2), rng=0)  # compiles
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    gc.estimate_curvature(gradient, theta, samples=SAMPLES, rng=0)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return Peak(parameters, SAMPLES, peak / theta.nbytes)
