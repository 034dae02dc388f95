"""Pre-activations are locally uniform near zero, on the scale on which a line moves them.

Claim. Where the density of the pre-activations does not change, as many lie just above zero as just below, and a line
meets boundaries in proportion to its length.

Source. Theory, section 1: the pre-activations are assumed locally uniform near 0.

Prediction. Equal numbers in (0, w) and (−w, 0), and in the two halves of a line.

Measurement. Pre-activations of digits MLPs at initialisation and after training; w is 0.03, about the distance by which
a line of length 0.005 moves them. Boundaries on the halves of Rademacher lines of length 0.01, by `trace_crossings`.

Tolerance. Five standard errors and 0.05 for the slope of the density; every network is one sample. With w = 0.2 the
claim is the departure, a ratio above 1.

Limits. Uniformity is a matter of scale: the claim holds for short lines only. After training the first layer's density
has a slope at 0, so that with w = 0.2 about a fifth more lie above zero than below.
"""

import numpy as np

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, axes
from paper_checks.outcome import Outcome, Settings, ratio_finding

CLAIM = "Pre-activations near zero are locally uniform, on short scales"
SOURCE = "theory 1"
STANDING = "limited"

LENGTH, NARROW, WIDE = 1e-2, 0.03, 0.2
NETWORKS = {"initialisation": 70, "trained": 32}


def run(settings: Settings) -> Outcome:
    """Count on both sides of zero and on both halves of lines."""
    net, rng = digits.network(), settings.rng
    figure, ax = axes("Pre-activations near zero", "pre-activation y", "density, 1 on average")
    edges = np.linspace(-WIDE, WIDE, 33)
    findings = []
    for state, style in zip(NETWORKS, ("--", "-"), strict=False):
        samples = [_counts(net, state, rng, edges) for _ in range(NETWORKS[state] * settings.scale)]
        for layer, colour in zip(digits.LAYERS, (BLUE, ORANGE), strict=True):
            halves, narrow, wide, histogram = (np.array(c) for c in zip(*(s[layer - 1] for s in samples), strict=True))
            name = f"{state}, layer {layer}"
            findings += [
                ratio_finding(f"{name}: second/first half", 1.0, *halves.T, tolerance=0.05, resolution=0.45),
                ratio_finding(f"{name}: above/below, w = 0.03", 1.0, *narrow.T, tolerance=0.05, resolution=0.45),
            ]
            if name == "trained, layer 1":
                findings.append(ratio_finding(f"{name}: above/below, w = 0.2", 1.0, *wide.T, relation=">="))
            ax.stairs(
                histogram.mean(axis=0) / histogram.mean(), edges, baseline=None, ls=style, color=colour, label=name
            )
    for width, alpha in ((WIDE, 0.08), (NARROW, 0.2)):
        ax.axvspan(-width, width, color=GREY, alpha=alpha, lw=0, label=f"tested, w = {width:g}")
    ax.set_xlim(-1.1 * WIDE, 1.1 * WIDE)
    ax.set_ylim(top=1.25)  # room for the legend
    ax.legend(fontsize=10, loc="upper left")
    return Outcome(findings, figure)


def _counts(net: gc.MLP, state: str, rng: np.random.Generator, edges: digits.Array) -> list[tuple[digits.Array, ...]]:
    """Count crossings in the halves of a line, pre-activations above and below zero, and their histogram, by layer."""
    theta, (X, y) = digits.parameters(net, state, rng), digits.minibatch(400, rng)
    found = gc.trace_crossings(net, theta, gc.Rademacher().sample(net.size, rng), X, y, LENGTH)
    rows = []
    for layer, values in zip(digits.LAYERS, net.preactivations(theta, X), strict=False):
        late = found.position[found.layer == layer] > LENGTH / 2
        sides = [np.array([np.sum((s * values > 0) & (s * values < w)) for s in (1, -1)]) for w in (NARROW, WIDE)]
        rows.append((np.array([late.sum(), (~late).sum()]), *sides, np.histogram(values, edges)[0]))
    return rows
