"""Over which range the gradient's variation is a random walk, and what takes over beyond it.

Claim. At short range the variation v = Δg − tHδ is a random walk: increments next to each other are uncorrelated, and
its mean square over 2t is twice that over t. On digits MLPs the range ends where a unit has met about six boundaries.
The jumps of one unit are alike (check `signals`) and have a mean, so the walk drifts; far beyond it is a straight
line, over which the mean square grows fourfold. A larger batch shortens the range: the drift is a curvature of the
expected loss, which the Hessian misses, and stays as it is, while the walk is due to chance and grows weaker.

Source. Theory, section 1, equation (2) and the range of the walk. Paper for the walk, new for its end.

Prediction. In the last hidden layer of a network E|v|² = At + Bt², hence a growth of 2(1 + t/(t + t*)) from t to 2t,
with t* = A/B. A and B follow from the layer's inputs x, their derivatives x' along the line and the signals s at its
units, all at the start: nothing is traced, and no gradient along the line is taken. Averages are over the layer's own
normal weights, of variance ζ = 2/fan-in, and over the normal direction. A = Σ s²(|x|² + 1) ω/π by Rice's formula (check
`boundary_density`). B = Σ s₁s₂ N p E[y₁'y₂'] over pairs of samples at one unit, with N = x₁·x₂ + 1 the product of the
gradients ∇y, p = (2πζ)⁻¹ (|x₁|²|x₂|² − (x₁·x₂)²)^{−1/2} the density of y₁ = y₂ = 0, and E[y₁'y₂'] = N + ζ r₁·r₂,
where r is x' less its part in the plane of x₁ and x₂. For random hinges A is all, and the growth 2.

Measurement. Gradients at five points of a line, −2t to 2t, the exact Hessian in the middle; growth is averaged over the
three pairs of neighbouring steps. Networks with one and two hidden layers of 64 units at initialisation; all of one
kind have the same minibatch. The gradient of the first of two hidden layers jumps at the boundaries of both, and only
the walk at short range is predicted there.

Tolerance. Five standard errors, every network being one sample. 0.03 on the growth at t = 0.004: signals at the start
contain what the unit itself does to the outputs, which is nothing at its kink, so that B/A is 3 to 4 % too large; p
falls by 1 % over one step, because similar images come apart; third derivatives of the loss have 0.3 % of the mean
square. Together that takes 0.02. At t = 0.001 B hardly counts, hence 0.01. 0.03 for the growth of 2 in the first of two
layers, where the predicted drift of the second adds about as much; none for random hinges. The crossover, at the growth
of 3, moves by 5 % with these, half of the tolerance, and notices an error of a half only: growth changes slowly with
the length.

Limits. At initialisation; what training does to the drift is in check `loss_change`. Six is no universal number: it is
the ratio of a sum of squares to one over pairs, and depends on how alike the samples are.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings, half_width, ratio_finding

CLAIM = "Gradient variation is a random walk at first, and half drift at six boundaries a unit"
SOURCE = "theory 1, eq. (2), range of the walk; new"
STANDING = "limited"

Array = NDArray[np.float64]

SHORT, LONG = 1e-3, 4e-3
TOLERANCES = {SHORT: 0.01, LONG: 0.03}
NODES = np.arange(-2, 3)
DRIFT = 0.03
"""Tolerance of the 2 of a random walk in the first of two layers."""
NETWORKS = {
    (1, 800, LONG): 115,
    (1, 200, LONG): 200,
    (1, 30, SHORT): 180,
    (2, 200, LONG): 225,
    (2, 30, SHORT): 400,
}
"""How many networks of so many hidden layers, for a minibatch of so many rows, are looked at over the length t."""
LANDSCAPES = 1200


class Sample(NamedTuple):
    """What the networks of one kind show; the first axis of the arrays is the network's."""

    depth: int
    rows: int
    length: float
    squares: Array  # mean squares over 2t and over t, (networks, 2, hidden layers)
    walk: Array  # A
    drift: Array  # B
    rate: float  # boundaries that a unit of the last hidden layer meets per unit of length

    def measured(self, layer: int) -> tuple[Array, Array]:
        """Return the mean squares over 2t and over t in one layer."""
        double, single = self.squares[:, :, layer - 1].T
        return double, single

    def predicted(self) -> tuple[Array, Array]:
        """Return what they should be in the last hidden layer."""
        t = self.length
        return self.walk * 2 * t + self.drift * 4 * t**2, self.walk * t + self.drift * t**2

    @property
    def boundaries(self) -> float:
        """How many boundaries a unit meets over t."""
        return self.rate * self.length

    @property
    def crossover(self) -> float:
        """How many it should meet over t*."""
        return self.rate * float(self.walk.mean() / self.drift.mean())

    @property
    def name(self) -> str:
        """What the sample is called in the findings."""
        return f"layer {self.depth} of {self.depth}, {self.rows} rows"


def run(settings: Settings) -> Outcome:
    """Compare how the mean square of the variation grows with the prediction."""
    rng, scale = settings.rng, settings.scale
    samples = [_sample(*kind, networks * scale, rng) for kind, networks in NETWORKS.items()]
    growths = [_growth_finding(sample) for sample in samples]
    findings = [
        ratio_finding("short range, layer 1 of 2: growth", 2.0, *samples[-1].measured(1), tolerance=DRIFT),
        ratio_finding("random hinges: growth", 2.0, *_hinges(LANDSCAPES * scale, rng)),
    ]
    crossover = _crossover_finding([(s, g) for s, g in zip(samples, growths, strict=True) if s.length == LONG])
    return Outcome([*growths, crossover, *findings], _figure(samples, growths))


def _hinges(landscapes: int, rng: np.random.Generator) -> Array:
    """Return the mean squares over 2t and over t of random hinges, (2, landscapes)."""
    n, length = 10, 0.2
    toy = gc.RandomHinges(n, 300, half_width=6.0, rng=rng)
    squares = []
    for _ in range(landscapes):
        toy = toy.redraw(rng)
        line = rng.standard_normal(n)
        squares.append(_squares(toy.gradient, np.zeros(n), line, np.zeros(n), length * NODES).sum(axis=1))
    return np.transpose(squares)


def _sample(depth: int, rows: int, length: float, networks: int, rng: np.random.Generator) -> Sample:
    net, (X, y) = gc.MLP((64,) * (depth + 1) + (10,)), digits.minibatch(rows, rng)
    hidden = [net.groups[f"layer{layer + 1}"] for layer in range(depth)]
    squares, terms, rates = [], [], []
    pairs = _pairs(X, np.zeros_like(X))
    for _ in range(networks):
        theta, line = net.initialize(rng), rng.standard_normal(net.size)
        if depth > 1:
            pairs = _pairs(*_inputs_of_last_layer(net, theta, line, X))
        derivatives, (weights, _) = net.loss.derivative(net.outputs(theta, X), y), net.unflatten(theta)[-1]
        terms.append(_walk_and_drift(pairs, derivatives, weights))
        rates.append(pairs.rates.sum())
        product = net.hessian_vector(theta, line, X, y)
        by_coordinate = _squares(lambda point: net.value_and_grad(point, X, y)[1], theta, line, product, length * NODES)
        squares.append([by_coordinate[:, group].sum(axis=1) for group in hidden])
    walk, drift = np.transpose(terms)
    return Sample(depth, rows, length, np.swapaxes(squares, 1, 2), walk, drift, float(np.mean(rates)))


def _squares(gradient: Callable[[Array], Array], center: Array, line: Array, product: Array, nodes: Array) -> Array:
    """Return the mean squares of v over two steps from node to node and over one, by coordinate: (2, n).

    The nodes lie on both sides of the centre, where the Hessian is taken.
    """
    gradients = np.array([gradient(center + t * line) for t in nodes])
    steps = np.diff(gradients, axis=0) - np.diff(nodes)[:, None] * product
    here, after = steps[:-1], steps[1:]
    return np.array([np.mean((here + after) ** 2, axis=0), np.mean(here**2 + after**2, axis=0) / 2])


def _inputs_of_last_layer(net: gc.MLP, theta: Array, line: Array, X: Array) -> tuple[Array, Array]:
    """Return the inputs of the last hidden layer and their velocities, in a network with two."""
    (weights, biases), here = net.unflatten(line)[0], net.preactivations(theta, X)[0]
    active = here > 0
    return here * active, (X @ weights + biases) * active


class Pairs(NamedTuple):
    """What two samples have in common at one unit, averaged over the unit's weights."""

    rates: Array  # ω/π, (b,)
    own: Array  # s² times this is a sample's part in A, (b,)
    shared: Array  # s s' times this is a pair's part in B, (b, b)


def _pairs(x: Array, velocity: Array) -> Pairs:
    variance = 2 / x.shape[1]
    gram, across = x @ x.T, velocity @ x.T
    squares, along = np.diag(gram), np.diag(across)
    normals = gram + 1
    residual = np.sum(velocity**2, axis=1) - along**2 / squares
    rates = np.sqrt((squares + 1 + variance * residual) / (variance * squares)) / np.pi
    determinant = np.outer(squares, squares) - gram**2
    np.fill_diagonal(determinant, np.inf)  # a sample is no pair
    in_plane = along[:, None] * squares * across.T + across * squares[:, None] * along
    in_plane -= gram * (np.outer(along, along) + across * across.T)
    speeds = normals + variance * (velocity @ velocity.T - in_plane / determinant)
    shared = normals * speeds / (2 * np.pi * variance * np.sqrt(determinant))
    return Pairs(rates, rates * (squares + 1), shared)


def _walk_and_drift(pairs: Pairs, derivatives: Array, weights: Array) -> tuple[float, float]:
    """Return A and B, from φ (b, m) of every sample and the weights (units, m) out of the layer."""
    signals = derivatives @ (weights.T @ weights)  # times φ they are Σ s_j s_k over the units
    walk, drift = pairs.own[:, None] * derivatives, pairs.shared @ derivatives
    return float(np.sum(signals * walk)), float(np.sum(signals * drift))


def _growth_finding(sample: Sample) -> Finding:
    """Compare the growth from t to 2t with the predicted one, on the same networks."""
    measured, predicted = sample.measured(sample.depth), sample.predicted()
    finding = ratio_finding("", 0.0, *measured)
    growth = predicted[0].mean() / predicted[1].mean()
    residual = (measured[0] - finding.measurement * measured[1]) / measured[1].mean()
    residual -= (predicted[0] - growth * predicted[1]) / predicted[1].mean()
    interval = half_width(residual)
    name = f"{sample.name}, {sample.boundaries:.2g} boundaries a unit: growth"
    return Finding(name, float(growth), finding.measurement, float(interval), tolerance=TOLERANCES[sample.length])


def _crossover_finding(pairs: list[tuple[Sample, Finding]]) -> Finding:
    """Solve the growth 2(1 + t/(t + t*)) for t*, and average over the samples, the more certain ones weighing more."""
    ratios, intervals = [], []
    for sample, growth in pairs:
        excess = growth.measurement - 2
        ratios.append(sample.boundaries * (2 - excess) / excess / sample.crossover)
        intervals.append(sample.boundaries * 2 / excess**2 / sample.crossover * growth.interval)
    weights = 1 / np.square(intervals)
    name, interval = "boundaries a unit at the crossover: measured/predicted", float(np.sqrt(1 / weights.sum()))
    return Finding(name, 1.0, float(np.average(ratios, weights=weights)), interval, tolerance=0.1, resolution=0.5)


def _figure(samples: list[Sample], growths: list[Finding]) -> Figure:
    title, label = "Gradient variation at initialisation (lines: predicted)", "boundaries that a unit meets over t"
    figure, ax = axes(title, label, "mean square over 2t / over t")
    grid = np.geomspace(0.04, 30, 200)
    for level, name in ((2, "random walk"), (4, "straight line")):
        ax.axhline(level, color=GREY, ls="--", lw=1)
        ax.annotate(name, (grid[-1], level), (0, 4), textcoords="offset points", ha="right", color=GREY, fontsize=10)
    for sample, growth, marker in zip(samples, growths, "osD^v", strict=False):
        colour = BLUE if sample.depth == 1 else ORANGE
        if sample.length == LONG:  # at short range the lines of all coincide
            ax.plot(grid, 2 * (1 + grid / (grid + sample.crossover)), color=colour, lw=1)
        point = sample.boundaries, growth.measurement, growth.interval
        ax.errorbar(*point, fmt=marker, color=colour, capsize=4, label=sample.name)
    ax.set_xscale("log")
    ax.set_ylim(1.8, 4.2)
    ax.legend(fontsize=10, loc="upper left", bbox_to_anchor=(0, 0.9))
    return figure
