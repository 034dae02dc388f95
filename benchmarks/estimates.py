"""What `estimate_curvature` takes beyond the gradients that it asks for."""

from functools import partial
from typing import Any

import numpy as np

import glasscurv as gc
from benchmarks.measure import Measurement, alternate, clock, scaled
from benchmarks.networks import minibatch
from benchmarks.row import Row, Scale

LAYERS = (784, 128, 10)


def estimate(batch: int, dtype: type, scale: Scale) -> Measurement:
    """Time an estimate on a network of about 10⁵ parameters against its gradient evaluations."""
    network, theta, X, y = minibatch(LAYERS, batch, dtype)

    def gradient(point: Any) -> Any:
        return network.value_and_grad(point, X, y)[1]

    whole = partial(gc.estimate_curvature, gradient, theta, samples=scale.samples, rng=1)
    evaluations = 1 + 2 * scale.samples
    sides = {"estimate": clock(whole), "evaluations": scaled(clock(partial(gradient, theta)), evaluations)}
    return alternate(sides, lambda subject, reference: 100 * (subject / reference - 1), scale.repetitions)


ROWS = tuple(
    Row(
        name,
        f"estimate_curvature beyond its gradient evaluations, MLP {'-'.join(map(str, LAYERS))}, "
        f"batch {batch}, {np.dtype(dtype).name}",
        "the evaluations",
        5,
        partial(estimate, batch, dtype),
        unit="%",
    )
    for name, batch, dtype in (
        ("estimate", 128, np.float64),
        ("estimate-large-batch", 1024, np.float64),
        ("estimate-f32", 128, np.float32),
    )
)
