"""Memory in vectors of the parameter's size, beyond the model's own, at its peak."""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from benchmarks.measure import Measurement, spread
from benchmarks.row import Row, Scale
from benchmarks.updates import Ready

PARAMETERS = 1_000_000  # peaks in vectors depend on no more


def peak_bytes(function: Callable[[], object]) -> int:
    """Return the greatest number of bytes that a call has allocated at one time."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def steady(build: Callable[[Any], gc.SGD | gc.Adam | gc.Alice | gc.AdaHessian], scale: Scale) -> Measurement:
    """Measure what two steps allocate, a quick and a full one where there are both."""
    ready = Ready(PARAMETERS, np.float32)
    theta = np.ones(PARAMETERS, np.float32)
    optimizer = build(theta)
    for _ in range(10):  # Alice's warm-up
        optimizer.step(ready)

    def two_steps() -> None:
        optimizer.step(ready)
        optimizer.step(ready)

    return spread([peak_bytes(two_steps) / theta.nbytes for _ in range(scale.repetitions)])


def estimate(scale: Scale) -> Measurement:
    """Measure an estimate of a model that keeps one buffer for its gradient."""
    theta, buffer = np.ones(PARAMETERS), np.empty(PARAMETERS)

    def gradient(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.multiply(point, 2.0, out=buffer)

    whole = partial(gc.estimate_curvature, gradient, theta, samples=scale.samples, rng=0)
    whole()
    return spread([peak_bytes(whole) / theta.nbytes for _ in range(scale.repetitions)])


STEADY = {
    "Alice": partial(gc.Alice, quick_steps=1, rng=0),
    "SGD": partial(gc.SGD, lr=1e-3, momentum=0.9),
    "Adam": gc.Adam,
    "AdaHessian": partial(gc.AdaHessian, rng=0),
}

ROWS = (
    *(
        Row(
            f"memory-{name.lower()}",
            f"allocations in steps of {name}, at their peak",
            "",
            0.05,
            partial(steady, build),
            "n",
        )
        for name, build in STEADY.items()
    ),
    Row(
        "memory-estimate",
        "allocations in estimate_curvature, at their peak, the result included",
        "",
        8.05,  # what is promised, eight vectors, and the random bits of a direction
        estimate,
        unit="n",
    ),
)
