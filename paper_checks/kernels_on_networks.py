"""How many nodes the glass kernel should have on networks: its variance, taken apart.

Claim. The relative variance of the estimate with m equal increments on a line of fixed length is
c + (2/(m − 1))(1 − 1/N), where N = (Σ J²)²/Σ J⁴ counts the jumps J on the line that matter to a coordinate and c is the
relative variance of the exact density Σ J²/length from line to line. Only the second part falls with m, and a line
costs m evaluations of the gradient. At initialisation c is about as large as the rest is with three nodes, or half of
it, and 3, 4 and 5 nodes are about equally efficient. After training a few large signals make up the density, c
outweighs everything, and three nodes are best: seven cost three times as much and tell the same.

Source. Theory, section 3, equation (9). New here: the variance given the jumps. With equal increments a jump adds J²
over the length to the estimate wherever it lies, because the diagonal of the projection P is constant; a pair of jumps
in the increments j and l adds 2 J J' P_jl/((m − 1)Δ), of mean 0 as the rows of P add up to 0, if positions are uniform
and independent. So the estimate has the mean Σ J²/length and the variance (2/(m − 1))((Σ J²)² − Σ J⁴)/length², and
neither the law of the jumps nor their correlation enters: alike signals (check `signals`) do no harm.

Prediction. Both parts from the jumps found by `trace_crossings`: c from the exact densities of two lines of a network.

Measurement. Kernels on backpropagated gradients in the first two layers of digits MLPs, on two lines of one network,
with their own directions and minibatches of 200 rows. Given the jumps: the mean of (ρ̂/ρ − 1)² over the coordinates with
weight ρ, the exact density of the same line. The whole: ½ Σ (ρ̂ − ρ̂')² over the coordinates, whose mean given the jumps
is ½ Σ (ρ − ρ')² and the second part of both lines.

Tolerance. Five standard errors, every network being one sample, and 0.05 for smooth terms, as in `exact_density`. A
layer has few independent numbers, since all its coordinates share the boundaries. The mean over kernels and layers
notices errors of 40 % given the jumps and of 60 % in the whole. After training the claim is an order: seven nodes are
no more efficient than three. About one pair of lines in a hundred has nearly the same large jumps on both and would
decide the mean over pairs, so the median of three pairs stands for a network, and the geometric mean for the networks.

Limits. Coordinates with less than a thousandth of the layer's mean density are left out given the jumps: there the
smooth part of the loss counts. After training it counts in most coordinates, and only the whole is measured. The best
number of nodes grows with the length of the line and with the rows of the minibatch, as both add jumps.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, panels
from paper_checks.outcome import Finding, Outcome, Settings, geometric_mean, half_width, mean_finding, ratio_finding

CLAIM = "On networks the kernels' variance is as predicted; after training 3 nodes are best"
SOURCE = "theory 3, eq. (9); new (variance given the jumps)"
STANDING = "new"

SPAN, LENGTH, ROWS = 12, 4e-3, 200
"""Length of a line in units of its finest spacing, and in the parameters; rows of a minibatch."""

INCREMENTS = np.array([2, 3, 4, 6])
NETWORKS, PAIRS = {"initialisation": 100, "trained": 15}, {"initialisation": 1, "trained": 3}
SMALL = 1e-3
LINES = {"initialisation": "-", "trained": "--"}


class Line(NamedTuple):
    """Estimates of one line, (kernels, n), and Σ J²/length and Σ J⁴/length², (n,) each."""

    estimates: digits.Array
    density: digits.Array
    fourth: digits.Array


class Layer(NamedTuple):
    """What pairs of lines tell of one layer of a network; the first two are (kernels,) arrays.

    Attributes
    ----------
    given_jumps : array
        Mean of (ρ̂/ρ − 1)² of a line.
    total : array
        ½ Σ (ρ̂ − ρ̂')².
    pairs : float
        Mean of 1 − 1/N, weighted like `given_jumps`.
    between, within : float
        ½ Σ (ρ − ρ')² and Σ (ρ² − Σ J⁴/length²).
    """

    given_jumps: digits.Array
    total: digits.Array
    pairs: float
    between: float
    within: float


class Samples(NamedTuple):
    """The same for many networks, (networks, pairs) or (networks, pairs, kernels)."""

    given_jumps: digits.Array
    total: digits.Array
    pairs: digits.Array
    between: digits.Array
    within: digits.Array

    @property
    def predicted(self) -> digits.Array:
        """Return the predicted total, (networks, pairs, kernels)."""
        return np.asarray(self.between[..., None] + 2 / (INCREMENTS - 1) * self.within[..., None])

    @property
    def predicted_given_jumps(self) -> digits.Array:
        """Return the predicted variance given the jumps, (networks, pairs, kernels)."""
        return np.asarray(2 / (INCREMENTS - 1) * self.pairs[..., None])


def run(settings: Settings) -> Outcome:
    """Measure variances by layer, at initialisation and after training."""
    net, rng = digits.network(), settings.rng
    samples: dict[tuple[str, int], Samples] = {}
    for state in digits.STATES:
        networks = [_network(net, state, rng) for _ in range(NETWORKS[state] * settings.scale)]
        for layer, rows in zip(digits.LAYERS, zip(*networks, strict=True), strict=True):
            samples[state, layer] = Samples(*(np.array(values) for values in zip(*rows, strict=True)))
    fresh = [samples["initialisation", layer] for layer in digits.LAYERS]
    # Every kernel over its own dense limit, then the mean of kernels and layers.
    given = np.mean([found.given_jumps * (INCREMENTS - 1) / 2 for found in fresh], axis=(0, 2, 3))
    pairs = np.mean([found.pairs for found in fresh], axis=(0, 2))
    # Given the jumps each ratio has the mean 1, and few large signals do not outweigh the other networks.
    whole = np.mean([found.total / found.predicted for found in fresh], axis=(0, 2, 3))
    name = "initialisation: {} / predicted"
    findings = [
        ratio_finding(name.format("variance given the jumps"), 1.0, given, pairs, tolerance=0.05, resolution=0.4),
        mean_finding(name.format("whole variance"), 1.0, whole, tolerance=0.05, resolution=0.6),
    ]
    for (state, layer), found in samples.items():
        if state == "trained":
            findings.append(_seven_against_three(f"trained, layer {layer}: efficiency of 7 nodes / 3 nodes", found))
    return Outcome(findings, _figure(samples))


def _seven_against_three(name: str, found: Samples) -> Finding:
    """Take the geometric mean over networks, as few large signals would outweigh the others in any other."""
    efficiency, interval = geometric_mean(np.log(_relative_efficiency(found.total)))
    return Finding(name, 1.0, float(efficiency[-1]), float(interval[1, -1]), relation="<=")


def _relative_efficiency(variances: digits.Array) -> digits.Array:
    """Efficiency of every kernel over that of three nodes, (networks, kernels), from variances of pairs of lines.

    The median over the pairs of a network: two lines may be alike by chance, and their ratio is then anything.
    """
    cost = INCREMENTS * variances
    return np.asarray(np.median(cost[..., :1] / cost, axis=1))


def _network(net: gc.MLP, state: str, rng: np.random.Generator) -> list[Samples]:
    """Measure one network, (pairs,) or (pairs, kernels) by layer."""
    theta = digits.parameters(net, state, rng)
    pairs = []
    for _ in range(PAIRS[state]):
        first, second = (_line(net, theta, rng) for _ in range(2))
        pairs.append([_layer(first, second, net.groups[f"layer{layer}"]) for layer in digits.LAYERS])
    return [Samples(*(np.array(values) for values in zip(*rows, strict=True))) for rows in zip(*pairs, strict=True)]


def _line(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> Line:
    X, y = digits.minibatch(ROWS, rng)
    direction, spacing = gc.Rademacher().sample(net.size, rng), LENGTH / SPAN
    nodes = [range(0, SPAN + 1, SPAN // m) for m in INCREMENTS]
    gradients = {
        node: net.value_and_grad(theta + (node - SPAN / 2) * spacing * direction, X, y)[1]
        for node in sorted(set().union(*nodes))
    }
    estimates = [gc.glass_kernel(line).apply([gradients[node] for node in line], spacing) for line in nodes]
    found = gc.trace_crossings(net, theta - LENGTH / 2 * direction, direction, X, y, LENGTH)
    # The fourth powers have no public name, and ``jumps`` would make a line twice as dear.
    return Line(np.array(estimates), found.density(), found._sum(4) / LENGTH**2)


def _layer(first: Line, second: Line, group: slice) -> Layer:
    given_jumps, pairs = [], []
    for line in (first, second):
        known = np.arange(group.start, group.stop)[line.density[group] > SMALL * line.density[group].mean()]
        density = line.density[known]
        given_jumps.append(np.sum((line.estimates[:, known] - density) ** 2 / density, axis=1) / density.sum())
        pairs.append(1 - np.sum(line.fourth[known] / density) / density.sum())
    squares = [line.density[group] @ line.density[group] - line.fourth[group].sum() for line in (first, second)]
    return Layer(
        given_jumps=np.mean(given_jumps, axis=0),
        total=np.sum((first.estimates - second.estimates)[:, group] ** 2, axis=1) / 2,
        pairs=float(np.mean(pairs)),
        between=float(np.sum((first.density - second.density)[group] ** 2) / 2),
        within=float(np.mean(squares)),
    )


def _figure(samples: dict[tuple[str, int], Samples]) -> Figure:
    titles = ("Initialisation: given the jumps", "The whole, against 3 nodes")
    figure, (left, right) = panels(titles, ("nodes",) * 2, ("relative variance of a line", "relative efficiency"))
    nodes = INCREMENTS + 1
    for (state, layer), found in samples.items():
        colour, marker = ((BLUE, "o"), (ORANGE, "s"))[layer - 1]
        shown = {"fmt": marker, "color": colour, "capsize": 4}
        # Side by side: layer 1 left of layer 2.
        at = nodes + 0.1 * (2 * layer - 3)
        if state == "initialisation":
            left.plot(nodes, found.predicted_given_jumps.mean(axis=(0, 1)), color=colour)
            given = found.given_jumps.mean(axis=1)
            interval = half_width(given)
            left.errorbar(at, given.mean(axis=0), interval, label=f"layer {layer}", **shown)
        right.plot(nodes, geometric_mean(np.log(_relative_efficiency(found.predicted)))[0], LINES[state], color=colour)
        means, reach = geometric_mean(np.log(_relative_efficiency(found.total)))
        fill = colour if state == "initialisation" else "white"
        right.errorbar(at[1:], means[1:], reach[:, 1:], label=f"{state}, {layer}", markerfacecolor=fill, **shown)
    left.plot(nodes, 2 / (INCREMENTS - 1), ":", color=GREY, label="dense limit")
    left.legend(title="lines: predicted\nmarkers: measured", fontsize=11)
    right.legend(title="layer", fontsize=10, ncols=2)
    for ax, top in ((left, None), (right, 1.9)):
        ax.set_xticks(nodes)
        ax.set_ylim(0, top)
    return figure
