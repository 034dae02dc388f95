"""What rounding weights to a grid does to the loss: the mean by the Hessian, the glass, on toys and on networks.

TODO
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.hinges import BLOCK, draw_landscapes, glass_changes
from paper_checks.movements import Task
from paper_checks.outcome import Finding, Outcome, Settings, half_width, mean_finding

CLAIM = "Rounding raises the loss by Σ h q²/24 on average if h is measured over the step itself"
SOURCE = "theory 9; new"
STANDING = "limited"

Array = NDArray[np.float64]

ROW_SUMS = 8 / 12**0.75
"""E|X| over (8b) with the row sums of the density, for many weights of one step."""

TOLERANCE = 0.015

SIZE, HINGES, LANDSCAPES, ROUNDINGS = 32, 400, 10_000, 2500
"""Weights and hinges of the toys; landscapes for each model of the glass; roundings for the Hessian's term."""

NETWORKS, ROWS, SAMPLES, BITS = 16, 100, 4, (2, 3, 4, 6)
"""Networks; images of a minibatch; movements ±δ for each layer and number of bits."""


class Rounding(NamedTuple):
    """What rounding does in every layer of a network for each number of bits, (layers, bits) or (N, layers, bits) each.

    Attributes
    ----------
    measured : array
        Mean change of the loss.
    local, along : array
        Predicted by the exact Hessian at θ, and by gradients along the movements.
    glass : array
        Mean of X.
    random, spread : array
        Mean square of X's random part, measured and predicted by (8c).
    errors : array
        Mean square of what rounding to nearest adds, over q²/12.
    nearest : array
        Size of the change by rounding to nearest.
    """

    measured: Array
    local: Array
    along: Array
    glass: Array
    random: Array
    spread: Array
    errors: Array
    nearest: Array


def run(settings: Settings) -> Outcome:
    """Compare the predicted and the measured changes on toys and on networks."""
    rng, scale = settings.rng, settings.scale
    findings = [_on_average(ROUNDINGS * scale, rng), *_glass_on_hinges(LANDSCAPES * scale, rng)]
    networks = [_network(rng) for _ in range(NETWORKS * scale)]
    if not networks:
        return Outcome(findings)
    every = Rounding(*np.moveaxis(np.array(networks), 1, 0))
    return Outcome([*_on_networks(every), *findings], _figure(every))


def _uniform(step: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw what rounding adds to the weights."""
    return np.asarray(step * rng.uniform(-0.5, 0.5, (count, step.size)))


def _on_average(count: int, rng: np.random.Generator) -> Finding:
    """Round in many landscapes with one Hessian, to ±δ."""
    step, start = rng.uniform(0.5, 1.5, SIZE), np.zeros(SIZE)
    toy = gc.RandomHinges(SIZE, HINGES, 4 * float(np.linalg.norm(step)), signal_scale=0.1, rng=rng)
    root = rng.standard_normal((2 * SIZE, SIZE)) / np.sqrt(2 * SIZE)
    smooth = gc.Quadratic(root.T @ root, rng.standard_normal(SIZE))
    changes = []
    for delta in _uniform(step, count, rng):
        problem = smooth + toy.redraw(rng)
        changes.append((problem.value(delta) + problem.value(-delta)) / 2 - problem.value(start))
    expected = gc.compression.expected_quantization_change(step, smooth.hessian.diagonal())
    return mean_finding("hinges: mean change / Σ h q²/24", 1.0, np.array(changes) / expected)


def _glass_on_hinges(count: int, rng: np.random.Generator) -> list[Finding]:
    """Each model of the glass where it is exact, and (8b) with row sums, whose error is known."""
    step, expected = np.ones(SIZE), gc.compression.expected_quantization_change
    one, separate, dense = np.ones((HINGES // 2, 1)), np.eye(SIZE)[np.arange(HINGES) % SIZE], _signs(HINGES, rng)
    alone, apart, crossed = (
        gc.RandomHinges(normals.shape[1], len(normals), reach, signals="rademacher", normals=normals, rng=rng)
        for normals, reach in ((one, 0.5), (separate, 0.5), (dense, 1.6 * np.sqrt(SIZE)))
    )
    directional = float(np.mean([crossed.directional_density(delta) for delta in _uniform(step, 500, rng)]))
    rows = np.mean([crossed.density(signs) for signs in _signs(500, rng)], axis=0)
    single, several = (toy.density_matrix().diagonal() for toy in (alone, apart))
    cases = (
        ("one weight alone: E|X| / (8a)", 1.0, alone, 3 * count, expected(1.0, density=single)),
        ("no hinge shared: E|X| / (8b)", 1.0, apart, count, expected(step, density=several, model="independent")),
        ("all weights: E|X| / (8c)", 1.0, crossed, count, expected(step, density=directional, model="directional")),
        ("all weights: E|X| / (8b)", ROW_SUMS, crossed, count, expected(step, density=rows, model="independent")),
    )
    return [
        mean_finding(f"hinges, {name}", ratio, _changes(toy, number, rng) / predicted, tolerance=TOLERANCE)
        for name, ratio, toy, number, predicted in cases
    ]


def _signs(count: int, rng: np.random.Generator) -> Array:
    return gc.Rademacher().sample(count * SIZE, rng).reshape(count, SIZE)


def _changes(toy: gc.RandomHinges, count: int, rng: np.random.Generator) -> Array:
    """Return |X| of random roundings with the step 1, each in a landscape of its own."""
    found = []
    for part in np.array_split(np.arange(count), 1 + count * len(toy.normals) // BLOCK):
        offsets, signals = draw_landscapes(toy, part.size, rng)
        found.append(abs(glass_changes(toy, _uniform(np.ones(toy.size), part.size, rng), offsets, signals)))
    return np.concatenate(found)


def _network(rng: np.random.Generator) -> Rounding:
    net = digits.network()
    theta, task = digits.parameters(net, "trained", rng), Task(net, *digits.minibatch(ROWS, rng))
    every = net.weight_groups().items()
    rows = [[_layer(theta, task, {name: group}, bits, rng) for bits in BITS] for name, group in every]
    return Rounding(*np.moveaxis(np.array(rows), -1, 0))


def _layer(theta: Array, task: Task, groups: dict[str, slice], bits: int, rng: np.random.Generator) -> list[float]:
    """Return the numbers of one layer, in the order of `Rounding`; one set of movements serves all."""
    points, losses = [], []

    def gradient(point: Array) -> Array:
        loss, slope = task.net.value_and_grad(point, task.X, task.y)
        points.append(point - theta)
        losses.append(loss)
        return slope

    found = gc.compression.directional_quantization_changes(gradient, theta, groups, (bits,), samples=SAMPLES, rng=rng)
    rounded = gc.compression.quantize(theta, bits, groups)
    (step,), (group,) = rounded.scale.values(), groups.values()
    deltas = points[1::2]  # the first point is θ, then come θ + δ and θ − δ
    curvatures = [delta * task.net.hessian_vector(theta, delta, task.X, task.y) for delta in deltas]
    hessian = 12 * np.mean(curvatures, axis=0) / step**2
    glass = np.array([task.glass_changes(theta, delta) for delta in deltas])
    random = np.mean(np.square(glass[:, 0] - glass[:, 1])) / 4
    return [
        float(np.mean(losses[1:])) - losses[0],
        gc.compression.expected_quantization_change(rounded.step, hessian),
        float(found.hessian[0, 0]),
        float(glass.mean()),
        float(random),
        float(found.glass[0, 0] ** 2) / (6 * gc.GLASS_LOSS_COEFFICIENT**2),
        float(np.mean(np.square(rounded.theta - theta)[group]) * 12 / step**2),
        abs(task.value(rounded.theta) - losses[0]),
    ]


def _on_networks(every: Rounding) -> list[Finding]:
    """Compare sums over layers, so that every network is one sample."""
    hidden, last = slice(0, 2), slice(2, 3)

    def share(above: Array, bits: int, layers: slice = slice(None), below: Array = every.measured) -> Array:
        at = (slice(None), layers, BITS.index(bits))
        return np.asarray(above[at].sum(axis=1) / below[at].sum(axis=1))

    lacking, random = every.measured - every.local, np.sqrt(share(every.random, 6, hidden, every.spread))
    fine, coarse = every.errors[:, :, 1:].mean(axis=(1, 2)), every.errors[:, :, 0].mean(axis=1)
    local, along = "Σ h q²/24 / measured", "gradients along the step / measured"
    return [
        mean_finding(
            "6 bits, hidden: what Σ h q²/24 lacks / E X", 1.0, share(lacking, 6, hidden, every.glass), tolerance=0.03
        ),
        mean_finding(f"6 bits, last layer: {local}", 1.0, share(every.local, 6, last), tolerance=0.005),
        mean_finding(f"4 bits, hidden: {local}", 0.95, share(every.local, 4, hidden), relation="<="),
        mean_finding(f"2 bits: {local}", 0.7, share(every.local, 2), relation="<="),
        mean_finding(f"6 bits: {along}", 1.0, share(every.along, 6), resolution=0.3),
        mean_finding(f"4 bits: {along}", 1.0, share(every.along, 4), tolerance=0.05, resolution=0.2),
        mean_finding(f"3 bits: {along}", 1.5, share(every.along, 3), relation="<="),
        mean_finding(f"2 bits: {along}", 1.7, share(every.along, 2), relation="<="),
        mean_finding("6 bits, hidden: random part of X / (8c)", 1.0, random, resolution=2.0),
        mean_finding(
            "6 bits: size by rounding to nearest / measured mean", 1.5, share(every.nearest, 6), relation=">="
        ),
        mean_finding("3 bits and more: mean square of rounding / (q²/12)", 1.0, fine, tolerance=0.02),
        mean_finding("2 bits: mean square of rounding / (q²/12)", 0.95, coarse, relation="<="),
    ]


def _figure(every: Rounding) -> Figure:
    titles = ("Hidden layers, with kinks", "Last layer, without kinks")
    figure, axes = panels(titles, ["bits"] * 2, ["predicted / measured mean change"] * 2)
    kinds = (
        ("Σ h q²/24, Hessian at θ", every.local, BLUE, "o"),
        ("… and the mean of X", every.local + every.glass, GREEN, "s"),
        ("gradients along the step", every.along, ORANGE, "^"),
    )
    for ax, layers in zip(axes, (slice(0, 2), slice(2, 3)), strict=True):
        below = every.measured[:, layers].sum(axis=1)
        for shift, (label, above, colour, marker) in zip((-0.1, 0, 0.1), kinds, strict=True):
            ratios = above[:, layers].sum(axis=1) / below
            bars = half_width(ratios)
            place = np.array(BITS) + shift
            ax.errorbar(place, ratios.mean(axis=0), bars, fmt=marker, color=colour, capsize=3, label=label)
        ax.axhline(1, color=GREY, lw=1.5)
        ax.set_xticks(BITS)
        ax.set_ylim(0, 1.9)
    axes[1].legend(fontsize=10, loc="lower right")
    note(axes[1])
    return figure
