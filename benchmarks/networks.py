"""Networks: a gradient against PyTorch's and against the matrix product, and the cost of a crossing."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

import glasscurv as gc
from benchmarks.measure import Clock, Measurement, NotMeasured, alternate, clock, growth, ratio, scaled
from benchmarks.row import Row, Scale
from glasscurv._threads import num_threads

PRODUCT = 1024
"""Rows and columns of the matrices whose product is the measure of the arithmetic."""

LARGE = (784, 1024, 1024, 10)
TRACED, TRACED_BATCH, TRACED_DISTANCE = (64, 256, 256, 10), 100, 0.1


def import_torch() -> ModuleType:
    """Return PyTorch with as many threads as the library."""
    try:
        import torch
    except ImportError as error:
        raise NotMeasured("PyTorch is missing: pip install '.[torch]'") from error
    torch.set_num_threads(num_threads())
    return torch


def minibatch(layers: tuple[int, ...], batch: int, dtype: type = np.float32) -> tuple[gc.MLP, Any, Any, Any]:
    """Return a network, its parameters, inputs and labels."""
    rng = np.random.default_rng(0)
    network = gc.MLP(layers)
    X, y = rng.random((batch, layers[0])).astype(dtype), rng.integers(0, layers[-1], batch)
    return network, network.initialize(rng, dtype=dtype), X, y


def against_torch(layers: tuple[int, ...], batch: int, scale: Scale) -> Measurement:
    """Compare the loss and the gradient of one minibatch with PyTorch's."""
    torch = import_torch()
    network, theta, X, y = minibatch(layers, batch)
    dense = [torch.nn.Linear(*widths) for widths in pairwise(layers)]
    model = torch.nn.Sequential(*(part for layer in dense for part in (layer, torch.nn.ReLU())))[:-1]
    inputs, labels = torch.from_numpy(X), torch.from_numpy(y)

    def peer() -> None:
        model.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()

    sides = {"MLP": clock(partial(network.value_and_grad, theta, X, y)), "PyTorch": clock(peer)}
    return alternate(sides, ratio, scale.repetitions)


def arithmetic(layers: tuple[int, ...], batch: int, scale: Scale) -> Measurement:
    """Compare floating-point operations per second with those of one matrix product.

    A layer takes three products, of 2 · batch · inputs · outputs operations each: forward, and the derivatives by the
    weights and by the inputs. The first layer has no use for the last of them.
    """
    network, theta, X, y = minibatch(layers, batch)
    products = [2 * batch * fan_in * fan_out for fan_in, fan_out in pairwise(layers)]
    operations = 3 * sum(products) - products[0]
    a, b, out = (np.ones((PRODUCT, PRODUCT), np.float32) for _ in range(3))
    sides = {
        "MLP": clock(partial(network.value_and_grad, theta, X, y)),
        "product": scaled(clock(partial(np.matmul, a, b, out)), operations / (2 * PRODUCT**3)),
    }
    found = alternate(sides, lambda subject, reference: 100 * reference / subject, scale.repetitions)
    return replace(found, note=f"product: {operations / found.seconds['product'] / 1e9:.0f} Gflop/s")


def crossings_of(batch: int, distance: float) -> tuple[Callable[[], gc.Crossings], int]:
    """Return a function that traces the crossings of a network, and how many it finds."""
    network, theta, X, y = minibatch(TRACED, batch, np.float64)
    direction = gc.Rademacher().sample(network.size, 1)
    trace = partial(gc.trace_crossings, network, theta, direction, X, y, distance)
    return trace, len(trace())


def crossings_rate(scale: Scale) -> Measurement:
    """Count crossings per second."""
    trace, count = crossings_of(TRACED_BATCH, TRACED_DISTANCE)
    found = alternate({"time": clock(trace)}, lambda seconds: count / seconds, scale.repetitions)
    return replace(found, note=f"{count} crossings")


def crossings_growth(settings: Callable[[int], list[tuple[int, float]]], scale: Scale) -> Measurement:
    """Compare the seconds per crossing as batch or distance grow."""
    sides: dict[str, Clock] = {}
    counts = []
    for batch, distance in settings(scale.growth):
        trace, count = crossings_of(batch, distance)
        sides[f"batch {batch}, distance {distance:g}"] = scaled(clock(trace), 1 / count)
        counts.append(str(count))
    found = alternate(sides, growth, scale.repetitions)
    return replace(found, note=f"{', '.join(counts)} crossings")


def batches(growth: int) -> list[tuple[int, float]]:
    """Return a minibatch that is smaller than usual and one that is `growth` times as large."""
    return [(TRACED_BATCH // 10, TRACED_DISTANCE), (TRACED_BATCH // 10 * growth, TRACED_DISTANCE)]


def distances(growth: int) -> list[tuple[int, float]]:
    """Return a distance with some crossings of every sample, and one with about half as many as there are units."""
    return [(TRACED_BATCH, TRACED_DISTANCE / 10), (TRACED_BATCH, TRACED_DISTANCE / 10 * growth)]


def _named(layers: tuple[int, ...]) -> str:
    return "-".join(map(str, layers))


NETWORKS = (
    ("mlp-64", (64, 64, 64, 10), 100, 0.45),
    ("mlp-256", (784, 256, 256, 10), 128, 0.6),
    ("mlp-1024", LARGE, 128, 0.85),
    ("mlp-1024-large-batch", LARGE, 1024, 1.0),
)

ROWS = (
    *(
        Row(
            name,
            f"value_and_grad of an MLP {_named(layers)}, batch {batch}, float32",
            "PyTorch, forward and backward",
            target,
            partial(against_torch, layers, batch),
        )
        for name, layers, batch, target in NETWORKS
    ),
    Row(
        "mlp-arithmetic",
        f"arithmetic of value_and_grad, MLP {_named(LARGE)}, batch 1024, float32",
        f"the matrix product {PRODUCT}×{PRODUCT}×{PRODUCT} of the same BLAS",
        80,
        partial(arithmetic, LARGE, 1024),
        unit="%",
        at_least=True,
    ),
    Row(
        "crossings",
        f"trace_crossings, MLP {_named(TRACED)}, batch {TRACED_BATCH}",
        "",
        1e5,
        crossings_rate,
        unit="/s",
        at_least=True,
    ),
    Row(
        "crossings-batch",
        "trace_crossings, time a crossing",
        "itself as the batch grows",
        1.5,
        partial(crossings_growth, batches),
    ),
    Row(
        "crossings-distance",
        "trace_crossings, time a crossing",
        "itself as the distance grows",
        1.5,
        partial(crossings_growth, distances),
    ),
)
