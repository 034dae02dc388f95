"""How many boundaries a random line meets in networks of growing width and depth, from the architecture alone.

Claim. The discontinuities of the gradient are spread over all units and samples. At initialisation a line through the
parameters of a ReLU network meets boundaries at a density that the widths and the size of the inputs determine: in
a network of width n a unit of layer l meets about √(l n/2)/π of them a sample and unit of length, so that their number
grows like n^{3/2} with the width, and the density like l^{1/2} with the depth.

Source. Theory, section 1, the density of boundaries. New: the paper has the boundaries, Rice's formula their number.

Prediction. Weights are normal with variance 2/fan-in, biases 0, and the line is θ + tz with z standard normal. Given
the inputs x of a layer and their derivatives x' by t, a pre-activation y and its derivative y' are jointly normal over
the layer's own weights. With s = 2/fan-in + t² the variances are V = s|x|² + t² and D = |x|² + 1 + s|x'|² + 2t x·x',
the covariance is C = t(|x|² + 1) + s x·x', and y changes sign ω/π times a unit of length, ω² = D/V − (C/V)². A binomial
number of outputs is active; there y is half-normal, and y' − (C/V) y is normal with variance Vω² and independent of y.
So |x|², x·x' and |x'|² of the next layer are drawn from chi-square laws: a chain of three numbers, exact for all widths
and lengths. Nothing of the traced networks enters but |x|² of their inputs. Wide networks have ω² = l(n + 1/q)/2 at
t = 0, q being the mean square of the inputs.

Measurement. Boundaries counted by `trace_crossings` on lines of length √(2/n), which turn the weights by 45 degrees:
three hidden layers of 16 to 256 units with as many standard normal inputs, and five hidden layers of 64 units on digits
of 64 pixels; two samples a network.

Tolerance. Five standard errors, every network being one sample; none for the densities, as the chain's own error is
below 0.2 %. The exponents are those of wide networks. The next order is a share 1/(2nq) for the biases and
(l² − 1)/(6nl) for the spread of ω between networks: it takes 0.012 from the fitted exponent of the width and less than
0.01 from that of the depth, hence 0.02. The exponent of the depth is judged on the scale of 1.

Limits. At initialisation; after training other densities hold (check `crossing_rate`). Lengths are those of a line that
moves each parameter by 1 a unit of length. Per unit of Euclidean length there are fewer by the root of the number of
parameters, about n√l: of all boundaries in l layers, n^{3/2} l^{3/2}, a line then meets n^{1/2} l.
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
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_and_half_width, mean_finding

CLAIM = "At initialisation a line meets √(n l/2)/π boundaries a unit in layer l of width n"
SOURCE = "theory 1, density of boundaries; new"
STANDING = "new"

Array = NDArray[np.float64]

NETWORKS = {16: 640, 32: 320, 64: 170, 128: 85, 256: 46}
"""How many networks of each width."""
DEPTH, DEEP = 3, 5
DEEP_WIDTH, DEEP_NETWORKS = 64, 420
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
        X, y = digits.minibatch(2, rng) if images else (rng.standard_normal((2, width)), np.zeros(2, int))
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
    name = "boundaries met, all widths: counted/predicted"
    return Finding(name, 1.0, float(measurement), float(interval), resolution=0.05)


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
    titles = ("Growing width (lines: predicted)", f"Growing depth: digits, width {DEEP_WIDTH}")
    density = "boundaries per unit, sample and length"
    figure, (left, right) = panels(titles, ("width n", "hidden layer l"), (density, density))
    widths = [c.width for c in growing]
    for k, (colour, marker) in enumerate(zip((BLUE, ORANGE, GREEN), "os^", strict=True)):
        left.plot(widths, [c.predicted[k] for c in growing], color=colour)
        measured = [mean_and_half_width(c.counted[:, k]) for c in growing]
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
    measured = [mean_and_half_width(column) for column in deep.counted.T]
    right.errorbar(layers, *zip(*measured, strict=True), fmt="o", color=BLUE, capsize=4, ms=5, label="counted")
    right.set_xticks(layers)
    right.set_ylim(0)
    right.legend(fontsize=10, loc="lower right")
    return figure
