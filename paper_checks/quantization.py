"""What rounding weights to a grid does to the loss: its mean and the glass, on toys and on networks.

Claim. Rounding moves weight i by δ_i, uniform in ±q_i/2. The loss changes by Σ h_i q_i²/24 on average over roundings,
and the glass changes it either way, by c Σ √ρ_i (2/5)(q_i/2)^{3/2} (8a), c (Σ ρ_i (q_i/2)³/4)^{1/2} (8b) or
c √ρ_u (Σ q_i²/12)^{3/4} (8c). On networks the mean has a second part: E X of the kinks, which the Hessian at θ does
not see. Gradients on the way, at θ ± δ/√2, have both parts, and what comes with longer steps.

Source. Theory, section 9 and equations (8a) to (8c). The mean of X is new.

Prediction. ``expected_quantization_change``. Each model of the glass is right where it must be: (8a) for one weight
alone, (8b) where no two weights share a hinge, (8c) for all weights. (8b) with row sums, which is all that Rademacher
perturbations measure, is too small for n → ∞ weights of one step: E|a·δ|³ = 2√(2/π)(‖a‖²q²/12)^{3/2} against
√(2/π)‖a‖³q³/32, so by 8/12^{3/4} = 1.241. On networks: the exact Hessian inside the linear region, and
``directional_quantization_changes``: δ·(g₊ − g₋)/(2√2) with gradients at θ ± δ/√2, which is exact where the mean change
by ±tδ is of second and fourth order in t, and right on average for boundaries anywhere on the way.

Measurement. Losses of quadratics with hinges, after movements ±δ; glass parts of thousands of landscapes. Digits MLPs
after ten epochs, every layer by itself: losses at θ ± δ, for the movements on whose way the gradients are taken, so
that chance is the same in both. X is the loss less that of the network whose units stay on their side; its random part
is (X₊ − X₋)/√2. Rounding to nearest moves weights by ``quantize`` itself.

Tolerance. Five standard errors; a landscape or a network is one sample. 0.015 on hinges: the root of a mean is above
the mean of roots by 1.8/(8n) in (8c) and 1.29/(8n) in (8b), 0.7 and 0.5 % for n = 32, and E|X| feels a 24th of the
kurtosis 3.6/N after N = 29 crossings. On networks the fourth order of the loss is missing from Σ h q²/24: 4 % at 4 bits
in the last layer, and by (7/31)² of that, 0.2 %, at 6 bits, hence 0.005. Gradients on the way miss a quarter of the
sixth order. At 3 bits that order is −3 %: the second is 0.85 of the change there and 0.96 at 4 bits, and five times the
fourth at 4 bits would leave less to it. Hence 0.01 at 3 bits, and nothing from 4 bits on, where it is (3/7)⁴ of that.
At 2 bits no order is small, but a change that grows like t^a comes out too large by a 2^{−a/2}, which for a from 2 to 4
lies between 1 and 1.061, hence 0.06; from 3 to 2 bits a is 2.5. Gradients do not know where between θ and θ ± δ a
boundary lies: errors of 0.2 are noticed at 6 bits, and for the tolerance at 2, errors of 0.1 at 3 and 4. (8c) comes
from four movements with heavy tails: it notices a factor of three. 0.02 for the law of rounding errors, whose greatest
weight is always on the grid.

Limits. Ten epochs of training; sums over 192 networks, five standard errors in brackets. At 6 bits Σ h q²/24 with the
Hessian at θ is 0.78 (0.05) of the measured mean in hidden layers and 0.998 (0.0005) in the last, which has no kinks; E
X is the rest, though in single networks it is a fall. At 4 bits it is 0.79 (0.03) in hidden layers and 0.96 in the
last, at 3 bits 0.71 and 0.84, at 2 bits 0.42 (0.03) of all: it is right to a fourth from 4 bits on, and no guide below.
Gradients on the way give 0.999 (0.010), 0.997 (0.005), 1.000 (0.004) and 1.052 (0.008) of the mean at 6, 4, 3 and 2
bits; at the ends θ ± δ they would give a third too much at 2. The glass term is no mean: E X is in none of the models.
X's random part has the size (8c) at 6 bits (0.99, 0.07) and half of it at 3, and is a tenth to a third of the mean
change. One rounding is not the mean of all: with the gradient of a minibatch, g·δ alone has the size √(Σ g²q²/12), 4 to
5 times the mean change at 6 bits, as much as it at 4 and a tenth of it at 2. Errors of rounding to nearest have the
mean square q²/12 from 3 bits on; with 2 bits, where most weights become 0, 0.74 (0.02) of that.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.hinges import BLOCK, draw_landscapes, glass_changes
from paper_checks.movements import Task
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Rounding costs Σ h q²/24 and a mean of the kinks; gradients on the way predict both"
SOURCE = "theory 9; new"
STANDING = "limited"

Array = NDArray[np.float64]

ROW_SUMS = 8 / 12**0.75
"""E|X| over (8b) with the row sums of the density, for many weights of one step."""

SIZE, HINGES, LANDSCAPES, ROUNDINGS = 32, 400, 10_000, 2500
"""Weights and hinges of the toys; landscapes for each model of the glass; roundings for the Hessian's term."""

NETWORKS, ROWS, SAMPLES, BITS = 24, 100, 4, (2, 3, 4, 6)
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
        Root mean square of X's random part, measured and predicted by (8c).
    errors : array
        Mean square of what rounding to nearest adds, over q²/12.
    """

    measured: Array
    local: Array
    along: Array
    glass: Array
    random: Array
    spread: Array
    errors: Array


def run(settings: Settings) -> Outcome:
    """Compare the predicted and the measured changes on toys and on networks."""
    rng, scale = settings.rng, settings.scale
    findings = _on_hinges(scale, rng)
    networks = [_network(rng) for _ in range(NETWORKS * scale)]
    if not networks:
        return Outcome(findings)
    every = Rounding(*np.moveaxis(np.array(networks), 1, 0))
    return Outcome([*_on_networks(every), *findings], _figure(every))


def _uniform(step: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw what rounding adds to the weights."""
    return np.asarray(step * rng.uniform(-0.5, 0.5, (count, step.size)))


def _on_hinges(scale: int, rng: np.random.Generator) -> list[Finding]:
    return [_on_average(ROUNDINGS * scale, rng), *_glass(LANDSCAPES * scale, rng)]


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


def _glass(count: int, rng: np.random.Generator) -> list[Finding]:
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
        mean_finding(f"hinges, {name}", ratio, _changes(toy, number, rng) / predicted, tolerance=0.015)
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
    rows = [_layer(theta, task, {name: group}, rng) for name, group in net.weight_groups().items()]
    return Rounding(*np.moveaxis(np.array(rows), -1, 0))


def _layer(theta: Array, task: Task, groups: dict[str, slice], rng: np.random.Generator) -> list[list[float]]:
    """Return the numbers of one layer for every number of bits, in the order of `Rounding`."""
    (group,) = groups.values()
    # The same seed draws the library's movements. Others would be as right, but chance would not be the same.
    seed, shares = int(rng.integers(2**32)), np.zeros((SAMPLES, theta.size))
    shares[:, group] = _uniform(np.ones(group.stop - group.start), SAMPLES, np.random.default_rng(seed))
    products = [share * task.net.hessian_vector(theta, share, task.X, task.y) for share in shares]
    hessian, start = 12 * np.mean(products, axis=0), task.value(theta)
    rows = []
    for bits in BITS:
        rounded = gc.compression.quantize(theta, bits, groups)
        found = gc.compression.directional_quantization_changes(
            task.gradient, theta, groups, (bits,), samples=SAMPLES, rng=seed
        )
        deltas = rounded.step * shares
        glass = np.array([task.glass_changes(theta, delta) for delta in deltas])
        row = (
            np.mean([task.value(theta + sign * delta) for delta in deltas for sign in (1, -1)]) - start,
            gc.compression.expected_quantization_change(rounded.step, hessian),
            found.hessian[0, 0],
            glass.mean(),
            np.sqrt(np.mean(np.square(glass[:, 0] - glass[:, 1])) / 2),
            found.glass[0, 0] / np.sqrt(3) / gc.GLASS_LOSS_COEFFICIENT,
            np.mean(np.square((rounded.theta - theta)[group] / rounded.step[group])) * 12,
        )
        rows.append([float(number) for number in row])
    return rows


def _on_networks(every: Rounding) -> list[Finding]:
    """Compare sums over layers, so that every network is one sample."""
    hidden, last, layers = slice(0, 2), slice(2, 3), slice(0, 3)
    both, ones = every.local + every.glass, np.ones_like(every.errors)
    local, along, errors = "Σ h q²/24 / measured", "gradients along the step / measured", "mean square error / (q²/12)"
    rows: tuple[tuple[str, int, slice, Array, Array, float, dict[str, Any]], ...] = (
        ("Σ h q²/24 + E X / measured", 6, layers, both, every.measured, 1.0, {"tolerance": 0.005}),
        (f"last layer: {local}", 6, last, every.local, every.measured, 1.0, {"tolerance": 0.005}),
        (f"hidden layers: {local}", 4, hidden, every.local, every.measured, 1.0, {"relation": "<="}),
        (local, 2, layers, every.local, every.measured, 0.8, {"relation": "<="}),
        (along, 6, layers, every.along, every.measured, 1.0, {"resolution": 0.2}),
        (along, 4, layers, every.along, every.measured, 1.0, {}),
        (along, 3, layers, every.along, every.measured, 1.0, {"tolerance": 0.01}),
        (along, 2, layers, every.along, every.measured, 1.0, {"tolerance": 0.06, "resolution": 0.2}),
        ("hidden layers: random part of X / (8c)", 6, hidden, every.random, every.spread, 1.0, {"resolution": 2.0}),
        (errors, 3, layers, every.errors, ones, 1.0, {"tolerance": 0.02, "resolution": 0.2}),
        (errors, 2, layers, every.errors, ones, 0.95, {"relation": "<="}),
    )
    return [
        ratio_finding(f"{bits} bits, {name}", bound, *_sums(above, below, part, bits), **options)
        for name, bits, part, above, below, bound, options in rows
        if bits in BITS
    ]


def _sums(above: Array, below: Array, layers: slice, bits: int) -> tuple[Array, Array]:
    at = (slice(None), layers, BITS.index(bits))
    return above[at].sum(axis=1), below[at].sum(axis=1)


def _figure(every: Rounding) -> Figure:
    titles = ("Hidden layers, with kinks", "Last layer, without kinks")
    figure, axes = panels(titles, ["bits"] * 2, ["predicted / measured mean change"] * 2)
    kinds = (
        ("Σ h q²/24, Hessian at θ", every.local, BLUE, "o"),
        ("… and the mean of X", every.local + every.glass, GREEN, "s"),
        ("gradients along the step", every.along, ORANGE, "^"),
    )
    for ax, layers in zip(axes, (slice(0, 2), slice(2, 3)), strict=True):
        for shift, (label, above, colour, marker) in zip((-0.1, 0, 0.1), kinds, strict=True):
            found = [ratio_finding("", 1.0, *_sums(above, every.measured, layers, bits)) for bits in BITS]
            heights, bars = [each.measurement for each in found], [each.interval for each in found]
            ax.errorbar(np.array(BITS) + shift, heights, bars, fmt=marker, color=colour, capsize=3, label=label)
        ax.axhline(1, color=GREY, lw=1.5)
        ax.set_xticks(BITS)
        ax.set_ylim(0, 1.3)
    axes[1].legend(fontsize=10, loc="lower right")
    note(axes[1])
    return figure
