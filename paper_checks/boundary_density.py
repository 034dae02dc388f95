"""How many boundaries a random line meets in networks of growing width and depth, from the architecture alone.

Claim. The discontinuities of the gradient are distributed: a line through the parameters of a ReLU network at its
initialisation meets boundaries at a density that grows with the width n like n^{3/2} a sample, n^{1/2} a unit, and with
the depth l of a unit like l^{1/2}. Nothing but the widths and the sizes of the inputs decides it.

Source. Theory, section 1, which supposes densities p_k of the pre-activations. New here: they follow from Rice's formula.

Prediction. Take normal weights of variance 2/fan-in, biases 0, and a line θ + tz with z standard normal. Given the inputs x of
a layer and their velocities x' by t, a pre-activation y and its velocity y' are jointly normal over the layer's own weights,
with variances V = s|x|² + t² and D = |x|² + 1 + s|x'|² + 2t x·x' and covariance C = t(|x|² + 1) + s x·x', where
s = 2/fan-in + t². Rice: y changes sign ω/π times a unit of t on average, ω² = D/V − (C/V)². Of the outputs, m ~ Bin(n, ½)
are active; there y is half-normal and y' = (C/V) y + a normal part of variance Vω², independent of y: |x|², x·x' and |x'|²
of the next layer are V times chi-square variables of m and m − 1 degrees of freedom and so on. Drawing this chain of three
numbers gives the expected count for any widths, without a limit. For wide layers and t = 0 it reads ω² = ½ Σ (fan-in + 1/q)
over the layers up to the unit's own, with q the mean square of the inputs, which He's weights preserve: for equal widths ω² =
l(n + 1/q)/2, and, as the weights turn by the angle atan(t √(n/2)), a unit in layer l meets √l/π boundaries a sample for every
radian: √l/4 on a line of length √(2/n).

Measurement. Boundaries counted by `trace_crossings` on lines of length √(2/n), by 45 degrees: three hidden layers of 16 to 256
units with as many standard normal inputs, four a network; and five hidden layers of 64 units on two digits images of 64 pixels.

Tolerance. Five standard errors, every network being one sample; the chain is exact, and its own error is below 0.2 %.
The exponents are those of wide layers: the next order, a share 1/(2nq) for the biases and (l² − 1)/(6nl) for the spread of
ω² between networks, shifts the fitted ones by 0.016 and 0.008: 0.02. The exponent of the depth is judged on the scale of 1.

Limits. At initialisation: after training p_k is another one (check `crossing_rate` measures it). Per unit of Euclidean
length a line meets fewer by the root of the number of parameters, n √l: the density a sample then grows like n^{1/2} l.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, ORANGE, panels
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding

CLAIM = "A line meets boundaries at a density that the widths fix: √width · √depth a unit"
SOURCE = "theory 1; new"

Array = NDArray[np.float64]

NETWORKS = {16: 400, 32: 200, 64: 100, 128: 50, 256: 18}
"""How many networks of each width."""
DEPTH, DEEP = 3, 5
DEEP_WIDTH, DEEP_NETWORKS = 64, 400
DRAWS = 40_000


class Counts(NamedTuple):
    """Boundaries met per unit, sample and length, one row a network and one column a layer, and their expectation."""

    width: int
    counted: Array
    predicted: Array


def run(settings: Settings) -> Outcome:
    """Count boundaries by width and by layer."""
    rng, scale = settings.rng, settings.scale
    growing = [_counts(width, DEPTH, count * scale, rng) for width, count in NETWORKS.items()]
    deep = _counts(DEEP_WIDTH, DEEP, DEEP_NETWORKS * scale, rng, images=True)
    by_width = [
        mean_finding(f"width {c.width}: counted/predicted", 1.0, c.counted.sum(axis=1) / c.predicted.sum())
        for c in growing
    ]
    by_layer = [
        mean_finding(f"digits, layer {k + 1}: counted/predicted", 1.0, deep.counted[:, k] / deep.predicted[k])
        for k in range(DEEP)
    ]
    findings = [_pooled(by_width), _exponent_of_width(growing), _exponent_of_depth(deep), *by_width, *by_layer]
    return Outcome(findings, _figure(growing, deep))


def _counts(width: int, depth: int, networks: int, rng: np.random.Generator, images: bool = False) -> Counts:
    net, length = gc.MLP((width,) * (depth + 1) + (10,)), np.sqrt(2 / width)
    counted, norms = np.empty((networks, depth)), []
    for row in counted:
        X, y = digits.minibatch(2, rng) if images else (rng.standard_normal((4, width)), np.zeros(4, int))
        line = gc.Gaussian().sample(net.size, rng)
        found = gc.trace_crossings(net, net.initialize(rng), line, X, y, length)
        row[:] = np.bincount(found.layer, minlength=depth + 1)[1:] / (len(X) * width * length)
        norms.append(np.sum(X**2, axis=1))
    return Counts(width, counted, _predicted((width,) * (depth + 1), np.concatenate(norms), length, rng))


def _predicted(widths: tuple[int, ...], norms: Array, length: float, rng: np.random.Generator) -> Array:
    """Return the expected number of sign changes per unit, sample and length in each hidden layer.

    `norms` are the |x|² of the inputs, `widths` begins with their number.
    """
    t = length * (np.arange(DRAWS) + 0.5) / DRAWS
    squares = np.resize(rng.permutation(norms), DRAWS)  # |x|²
    products, speeds = np.zeros(DRAWS), np.zeros(DRAWS)  # x·x' and |x'|²
    rates = []
    for fan_in, width in pairwise(widths):
        s = 2 / fan_in + t**2
        V = s * squares + t**2
        D = squares + 1 + s * speeds + 2 * t * products
        slope = (t * (squares + 1) + s * products) / V
        residual = D - slope**2 * V  # Vω²
        rates.append(np.mean(np.sqrt(residual / V)) / np.pi)
        active = np.maximum(rng.binomial(width, 0.5, DRAWS), 1)  # none at all: once in 2^width
        squares = V * 2 * rng.standard_gamma(active / 2)
        along = np.sqrt(residual) * rng.standard_normal(DRAWS)
        across = residual * 2 * rng.standard_gamma((active - 1) / 2)
        products = slope * squares + np.sqrt(squares) * along
        speeds = (slope * np.sqrt(squares) + along) ** 2 + across
    return np.array(rates)


def _pooled(findings: list[Finding]) -> Finding:
    """Average independent findings: sharper than each of them."""
    measurement = np.mean([finding.measurement for finding in findings])
    interval = np.linalg.norm([finding.interval for finding in findings]) / len(findings)
    return Finding("all widths: counted/predicted", 1.0, float(measurement), float(interval), resolution=0.05)


def _exponent_of_width(growing: list[Counts]) -> Finding:
    totals = [c.width * c.counted.sum(axis=1) for c in growing]
    weights = _slope_weights([c.width for c in growing])
    exponent = sum(w * np.log(total.mean()) for w, total in zip(weights, totals, strict=True))
    errors = [
        w * total.std(ddof=1) / total.mean() / np.sqrt(total.size) for w, total in zip(weights, totals, strict=True)
    ]
    interval = STANDARD_ERRORS * float(np.linalg.norm(errors))
    return Finding("exponent of the width, boundaries a sample", 1.5, float(exponent), interval, tolerance=0.02)


def _exponent_of_depth(deep: Counts) -> Finding:
    weights = _slope_weights(range(1, DEEP + 1))
    means = deep.counted.mean(axis=0)
    influence = (deep.counted / means - 1) @ weights  # layers of one network are not independent
    interval = STANDARD_ERRORS * float(influence.std(ddof=1)) / np.sqrt(len(influence))
    name = "exponent of the depth, boundaries a unit"
    return Finding(name, 0.5, float(np.log(means) @ weights), interval, tolerance=0.02, scale=1.0)


def _slope_weights(sizes: Sequence[int]) -> Array:
    """Weights of the logarithms in the slope of a fitted line."""
    x = np.log(sizes) - np.mean(np.log(sizes))
    return np.asarray(x / (x @ x))


def _figure(growing: list[Counts], deep: Counts) -> Figure:
    titles = ("Growing width", f"Growing depth: digits, width {DEEP_WIDTH}")
    density = "boundaries per unit, sample and length"
    figure, (left, right) = panels(titles, ("width n", "hidden layer l"), (density, density))
    widths = [c.width for c in growing]
    for k, (colour, marker) in enumerate(zip((BLUE, ORANGE, GREEN), "os^", strict=True)):
        left.plot(widths, [c.predicted[k] for c in growing], color=colour)
        measured = [_mean_and_interval(c.counted[:, k]) for c in growing]
        left.errorbar(
            widths, *zip(*measured, strict=True), fmt=marker, color=colour, capsize=3, ms=5, label=f"layer {k + 1}"
        )
    left.set_xscale("log", base=2)
    left.set_yscale("log", base=2)
    left.set_xticks(widths, [str(width) for width in widths])
    left.set_yticks([1, 2, 4], ["1", "2", "4"])
    left.legend(fontsize=10)

    layers = np.arange(1, DEEP + 1)
    right.plot(layers, deep.predicted, color=ORANGE, label="predicted")
    measured = [_mean_and_interval(column) for column in deep.counted.T]
    right.errorbar(layers, *zip(*measured, strict=True), fmt="o", color=BLUE, capsize=4, ms=5, label="counted")
    right.set_xticks(layers)
    right.set_ylim(0)
    right.legend(fontsize=10, loc="lower right")
    return figure


def _mean_and_interval(samples: Array) -> tuple[float, float]:
    return float(samples.mean()), float(STANDARD_ERRORS * samples.std(ddof=1) / np.sqrt(samples.size))
