"""What the Hessian misses of the loss change: Hessian alone, glass alone and both, against the measured change.

Claim. Across kinks the Hessian does not approximate the loss. What ½t² uᵀHu misses of L(θ + tu) − L(θ) − t g·u is the
sum of the jumps that were crossed. Below a length t* that can be predicted it exceeds the Hessian's own term, the more
so the shorter the movement. In smooth networks, and in the last layer of any, it fades like t³.

Source. Theory, section 1, exponents, and section 2, equations (6) to (8); paper.

Prediction. Kinks: a boundary crossed after the distance r adds (β − α) s |∇y·u| (t − r). The random part of their sum X
has the absolute mean G = c √ρ_u t^{3/2} of the directional model (8c). Over the Hessian's term m = ½t² uᵀHu that is
(t*/t)^{1/2}, with t* = 4c²ρ_u/(uᵀHu)². Both together: E|m + X| for a normal X. ρ_u comes from `trace_crossings` on a
stretch of the same line that shares no boundary with the movements. No kinks: t³/6 times the third derivative along the
line, from exact Hessian-vector products.

Measurement. Losses, gradients and exact Hessians of 64-64-64-10 networks on digits at initialisation, minibatches of
200: leaky ReLU with the left slopes α = 0, −1 and 0.3, tanh, silu and gelu. Every line has its own network and moves
one layer by random signs, by t*/16 to 4t* to both sides, or by 3·10⁻⁴ and 10⁻³ a weight where there are no kinks.
Random is what differs on the two sides, (X₊ − X₋)/√2; X also has a mean (check `loss_change`). For t*/4 it is taken
from five windows side by side. Without kinks the error is (X₊ − X₋)/2.

Tolerance. Jumps one by one: 0.01 for third derivatives, 1 % of the Hessian's term at such lengths. All lines at t*/4:
five standard errors and 5 %, because X is not quite normal: jumps have a kurtosis of about 5, which lowers E|X| by
0.2/N for N crossings to each side, and kinds of lines have medians of 6 to 75. 10 % for one slope or layer, for t* and
for the exponent, to which third derivatives add at 4t*. 20 % for the whole change: down at t*/16, with 1.5 to 20
crossings, and up from t* on, as the mean of X grows like t². All lines together notice 30 %; single slopes, layers and
lengths 60 %: Hessian alone is off by a factor of 4 at t*/16, and glass alone by one of 2 at 4t*. No kinks: 0.01 for
fifth derivatives.

Limits. This is the two-sided reading: the glass predicts the size of what is missed, not its sign. At t*/16 few
boundaries are crossed, and the change is 10 % below both models together; at 4t* it is 10 % above, because X has a mean
that neither model has, a curvature that H does not see. The density must be measured nearby: at 3 to 5 t* from there
(7 % larger weights) that of the first layer was found 13 % smaller.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from scipy.special import erf

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Below a predictable length kinks change the loss more than the Hessian's term does"
SOURCE = "theory 1, exponents, and 2, eqs. (6) to (8)"
STANDING = "confirmed"

Array = digits.Array
Kind = tuple[float, int]  # left slope, layer that moves

SLOPES, KINKED_LAYERS = (0.0, -1.0, 0.3), (1, 2)
LENGTHS = np.array([1 / 16, 1 / 4, 1, 4])
"""Lengths of the movements, over t*."""
NAMES = ("1/16", "1/4", "1", "4")
WINDOWS = 5
LINES, TRACED = 70, 10
STRETCH = 0.4  # on which the density is measured; t* is 0.05 to 0.7

SMOOTH = (*product(("tanh", "silu", "gelu"), (1, 2, 3)), ("relu", 3))
SMOOTH_LENGTHS = np.array([3e-4, 1e-3])  # of every weight


@dataclass(frozen=True)
class Line:
    """The loss of one minibatch on a line θ + tu that moves one layer."""

    net: gc.MLP
    theta: Array
    u: Array
    X: Array
    y: digits.Labels

    def loss(self, t: float) -> float:
        """Return the loss."""
        return self.net.value(self.theta + t * self.u, self.X, self.y)

    def slope(self, t: float) -> float:
        """Return g·u."""
        return float(self.net.value_and_grad(self.theta + t * self.u, self.X, self.y)[1] @ self.u)

    def curvature(self, t: float) -> float:
        """Return uᵀHu."""
        return float(self.u @ self.net.hessian_vector(self.theta + t * self.u, self.u, self.X, self.y))

    def beyond_tangent(self, t: float, moves: Array) -> Array:
        """Return what the loss changes by from t to t + moves, less the tangent."""
        losses = np.array([self.loss(t + move) for move in moves])
        return np.asarray(losses - self.loss(t) - moves * self.slope(t))

    def crossover(self) -> tuple[float, float]:
        """Return the glass's predicted size at length 1, and the length t* at which it equals the Hessian's term."""
        size = gc.directional_glass_change(1, self.crossings(STRETCH).directional_density())
        return size, (2 * size / self.curvature(0)) ** 2

    def crossings(self, distance: float) -> gc.Crossings:
        """Return the boundaries between 0 and this distance."""
        return gc.trace_crossings(self.net, self.theta, self.u, self.X, self.y, distance)


class Kinked(NamedTuple):
    """What a line across kinks gives, over the glass's predicted size at each length."""

    change: Array  # beyond the tangent, (sides, lengths)
    hessian: Array  # (lengths,)
    windows: float  # mean size of the random part at t*/4


def run(settings: Settings) -> Outcome:
    """Compare the models with the loss change, and what the Hessian misses with the jumps."""
    rng, scale = settings.rng, settings.scale
    kinked: dict[Kind, list[Kinked]] = {}
    jumps = []
    for slope, layer in product(SLOPES, KINKED_LAYERS):
        net = gc.MLP((64, 64, 64, 10), gc.networks.leaky_relu(slope))
        kinked[slope, layer] = [_kinked(_line(net, layer, rng)) for _ in range(LINES * scale)]
        jumps.append(_jumps(slope, layer, [_line(net, layer, rng) for _ in range(TRACED * scale)]))
    pooled = [line for lines in kinked.values() for line in lines]
    smooth = {}
    for name, layer in SMOOTH:
        net = gc.MLP((64, 64, 64, 10), name)
        smooth[f"{name}, layer {layer}"] = np.sum([_smooth(_line(net, layer, rng)) for _ in range(5)], axis=0)
    findings = [
        _windows("kinks", pooled, 0.1, 0.3),
        *jumps,
        *_models(pooled),
        _exponent(pooled),
        *_by_kind(kinked),
        *_smooth_findings(smooth),
    ]
    figure, (left, right) = panels(
        ["Loss change across kinks", "What the Hessian misses"],
        ["length / t*", "length / length where error = term"],
        ["change beyond tangent / Hessian's term", "Hessian's error / its term"],
    )
    _draw_models(left, pooled)
    _draw_errors(right, pooled, smooth)
    note(left)
    return Outcome(findings, figure)


def _line(net: gc.MLP, layer: int, rng: np.random.Generator) -> Line:
    theta, u = np.array(net.initialize(rng), np.float64), np.zeros(net.size)
    moving = u[net.groups[f"layer{layer}"]]
    moving[:] = gc.Rademacher().sample(moving.size, rng) / np.sqrt(moving.size)
    return Line(net, theta, u, *digits.minibatch(200, rng))


def _kinked(line: Line) -> Kinked:
    unit, crossover = line.crossover()
    start = -LENGTHS[-1] * crossover  # so that all movements end where the stretch of the density begins
    t, quarter = LENGTHS * crossover, crossover / 4
    size = unit * t**1.5
    change = np.reshape(line.beyond_tangent(start, np.concatenate([t, -t])), (2, -1))
    ends = np.array([line.loss(end) for end in quarter * np.arange(-2 * WINDOWS, 1, 2)])
    slopes = np.array([line.slope(centre) for centre in quarter * np.arange(1 - 2 * WINDOWS, 0, 2)])
    random = (np.diff(ends) - 2 * quarter * slopes) / np.sqrt(2)
    return Kinked(
        change=change / size,
        hessian=line.curvature(start) * t**2 / 2 / size,
        windows=float(np.mean(abs(random)) / size[1]),
    )


def _jumps(slope: float, layer: int, lines: list[Line]) -> Finding:
    """Compare what the Hessian misses with the jumps that are crossed, at t*/4."""
    missed, crossed = np.zeros((2, len(lines)))
    for k, line in enumerate(lines):
        unit, crossover = line.crossover()
        t = crossover / 4
        found = line.crossings(t)
        jumps = (1 - slope) * found.signal * abs(found.slope)
        size = unit * t**1.5
        missed[k] = (line.beyond_tangent(0, np.array([t]))[0] - line.curvature(0) * t**2 / 2) / size
        crossed[k] = jumps @ (t - found.position) / size
    # A slope of one on the other would not notice jumps that were left out.
    rest = float(np.linalg.norm(missed - crossed) / np.linalg.norm(crossed))
    name = f"α = {slope:g}, layer {layer}: Hessian's error less jumps crossed / jumps, rms"
    return Finding(name, 0.0, rest, tolerance=0.01, scale=1.0)


def _sizes(lines: list[Kinked]) -> tuple[Array, Array, Array]:
    """|Change beyond the tangent|, |random part| and the Hessian's term over G, each (lines, lengths)."""
    change, hessian = (np.array([getattr(line, name) for line in lines]) for name in ("change", "hessian"))
    return abs(change).mean(axis=1), abs(change[:, 0] - change[:, 1]) / np.sqrt(2), hessian


def _windows(name: str, lines: list[Kinked], tolerance: float, resolution: float) -> Finding:
    """At t*/4 the Hessian's term is half the size of the glass."""
    ratios = [2 * line.windows for line in lines]
    return mean_finding(
        f"{name}: Hessian's error / its term at 1/4 t*", 2.0, ratios, tolerance=tolerance, resolution=resolution
    )


def _by_kind(kinked: dict[Kind, list[Kinked]]) -> Iterator[Finding]:
    for slope in SLOPES:
        lines = [line for layer in KINKED_LAYERS for line in kinked[slope, layer]]
        yield _windows(f"α = {slope:g}", lines, 0.2, 0.6)
    for layer in KINKED_LAYERS:
        yield _windows(f"layer {layer}", [line for slope in SLOPES for line in kinked[slope, layer]], 0.2, 0.6)


def _models(lines: list[Kinked]) -> Iterator[Finding]:
    """Compare the change beyond the tangent with each model."""
    change, random, hessian = _sizes(lines)
    yield ratio_finding(
        "kinks: Hessian's error / its term at 1 t*", 1.0, random[:, 2], hessian[:, 2], tolerance=0.1, resolution=0.6
    )
    yield ratio_finding("at 1/16 t*: |change| / Hessian alone", 2.0, change[:, 0], hessian[:, 0], relation=">=")
    yield mean_finding("at 4 t*: |change| / glass alone", 1.5, change[:, -1], relation=">=")
    for length, both, values in zip(NAMES, _both(LENGTHS), change.T, strict=True):
        yield mean_finding(f"at {length} t*: |change| / both", 1.0, values / both, tolerance=0.2, resolution=0.6)


def _both(length: Array) -> Array:
    """Return E|m + X|/G for a normal X, where m/G is the root of t/t*."""
    m = np.sqrt(length)
    return np.asarray(np.exp(-(m**2) / np.pi) + m * erf(m / np.sqrt(np.pi)))


def _exponent(lines: list[Kinked]) -> Finding:
    _, random, _ = _sizes(lines)
    short, long = random[:, 1], random[:, 3]
    span = np.log(LENGTHS[3] / LENGTHS[1])
    exponent = 1.5 + np.log(long.mean() / short.mean()) / span
    error = np.std(long / long.mean() - short / short.mean(), ddof=1) / np.sqrt(len(lines)) / span
    name = "kinks: exponent of the Hessian's error, 1/4 t* to 4 t*"
    return Finding(name, 1.5, float(exponent), float(STANDARD_ERRORS * error), tolerance=0.1, resolution=0.3)


def _smooth(line: Line) -> Array:
    """Return error of the Hessian, its prediction and the Hessian's term, (3, lengths)."""
    root = np.sqrt(np.count_nonzero(line.u))
    t, step = SMOOTH_LENGTHS * root, 1e-4 * root
    third = (line.curvature(step) - line.curvature(-step)) / (2 * step)
    forth, back = np.reshape(line.beyond_tangent(0, np.concatenate([t, -t])), (2, -1))  # the Hessian's terms are alike
    return abs(np.array([(forth - back) / 2, third * t**3 / 6, line.curvature(0) * t**2 / 2]))


def _smooth_findings(smooth: dict[str, Array]) -> Iterator[Finding]:
    errors, predictions, terms = np.array(list(smooth.values())).transpose(1, 0, 2)
    for name, ratio in zip(smooth, errors[:, 1] / predictions[:, 1], strict=True):
        yield Finding(f"{name}: Hessian's error / third-order term", 1.0, float(ratio), tolerance=0.01)
    exponents = np.log(errors[:, 1] / errors[:, 0]) / np.log(SMOOTH_LENGTHS[1] / SMOOTH_LENGTHS[0])
    worst = int(np.argmax(abs(exponents - 3)))
    name = "no kinks: exponent of the Hessian's error, farthest from 3"
    yield Finding(name, 3.0, float(exponents[worst]), tolerance=0.01)
    share = float(np.mean(errors[:, 1] / terms[:, 1]))
    yield Finding("no kinks: Hessian's error / its term, mean of all kinds", 0.02, share, relation="<=")


def _draw_models(ax: Axes, lines: list[Kinked]) -> None:
    """Draw the change beyond the tangent, over the Hessian's term, against t/t*."""
    x = np.geomspace(LENGTHS[0] / 2, 2 * LENGTHS[-1])
    ax.loglog(x, np.ones_like(x), "--", color=BLUE, label="Hessian alone")
    ax.loglog(x, x**-0.5, ":", color=GREEN, lw=2, label="glass alone")
    ax.loglog(x, _both(x) * x**-0.5, color=ORANGE, label="both")
    change, _, hessian = _sizes(lines)
    found = [ratio_finding("", 1.0, *pair) for pair in zip(change.T, hessian.T, strict=True)]
    values, intervals = [f.measurement for f in found], [f.interval for f in found]
    ax.errorbar(LENGTHS, values, intervals, fmt="o", color=GREY, capsize=4, label="measured")
    ax.set_xticks(LENGTHS, NAMES)
    ax.set_yticks(ticks := [0.5, 1, 2, 4], [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=10)


def _draw_errors(ax: Axes, lines: list[Kinked], smooth: dict[str, Array]) -> None:
    """Draw the error of the Hessian over its term against the length over that at which both should be equal."""
    x = np.geomspace(1e-5, 20)
    _, random, hessian = _sizes(lines)
    found = [ratio_finding("", 1.0, *pair) for pair in zip(random.T, hessian.T, strict=True)]
    values, intervals = [f.measurement for f in found], [f.interval for f in found]
    ax.loglog(x, x**-0.5, color=ORANGE, label="kinks, predicted")
    ax.errorbar(LENGTHS, values, intervals, fmt="s", color=ORANGE, ms=3, capsize=3, label="kinks, mean of all lines")
    errors, predictions, terms = np.array(list(smooth.values())).transpose(1, 0, 2)
    ax.loglog(x, x, "--", color=BLUE, label="no kinks, predicted")
    ratios = (predictions / terms).ravel(), (errors / terms).ravel()
    ax.errorbar(*ratios, fmt="o", color=BLUE, mfc="none", ms=5, label="no kinks, each kind of line")
    ax.set_ylim(1e-5, 1e3)
    ax.set_yticks(np.logspace(-4, 2, 4))
    ax.minorticks_off()
    ax.legend(fontsize=10, loc="lower right")
