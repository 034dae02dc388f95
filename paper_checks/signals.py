"""How pseudorandom the back-propagated signals of the boundaries are, at initialisation and after training.

Claim. At initialisation the signals s_k of the boundaries on a line have zero mean and a normal law, and those of
different units, of one sample or next to each other on the line, are uncorrelated. Signals of one unit are not
pseudorandom: they are s = w·φ with the unit's outgoing weights w and the sample's derivative φ by the pre-activations
above, so they are as alike as the φ, and nearly equal for samples of one class.

Source. Theory, section 1, which assumes independent signals of zero mean before equation (2). New here.

Prediction. Zero for mean and correlations of different units, which share about one part in the width at most: what
each passes on to the other's loss derivative. For a normal law the largest 1 % of the signals carry 8.5 % of their
squares. For pairs of one unit the correlation Σ φ·φ'/Σ ½(|φ|² + |φ'|²) over the same pairs, of all samples and of
samples of one class, φ being backpropagated at the start of the line. After training w depends on φ and nothing is
predicted.

Measurement. Signals by `trace_crossings` on Rademacher lines of length 0.01 in digits MLPs, minibatches of 400. After
training: few large signals carry most of the squares (the samples that are not yet recognised), and what one unit's
signals share within a class falls to a fraction of what it was.

Tolerance. Five standard errors, every network being one sample; 0.02 for the share of the largest signals, as the
weights of a network are few; 0.02 for the correlation of one unit, as φ changes along the line. Correlations are judged
on the scale of 1. After training: a share above 25 % and a correlation within a class below 0.5, averaged over networks
because the squares of a few would outweigh the others.

Limits. Signals are uncorrelated across units only. Those of one unit are alike at initialisation, on images of one
class almost equal. After training they are less alike, but few and large: the largest 1 % carry most of the squares,
where a normal law gives them 8.5 %.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings, equal_ratios_finding, mean_finding, ratio_finding

CLAIM = "Signals are pseudorandom across units; within one they repeat the loss derivative"
SOURCE = "theory 1, before eq. (2); new"
STANDING = "limited"

LENGTH = 1e-2
NETWORKS = {"initialisation": 80, "trained": 20}
NORMAL_SHARE = 0.0845  # E[z²; |z| > 2.576] of a normal z
Sums = dict[str, tuple[float, float]]


def run(settings: Settings) -> Outcome:
    """Measure law and correlations of the signals by layer."""
    net, rng = digits.network(), settings.rng
    figure, ax = axes("Signals of the boundaries on a line", "|s|/rms", "share of the squares in larger signals")
    findings = []
    for state, style in zip(digits.STATES, ("--", "-"), strict=True):
        samples = [_measure(net, state, rng) for _ in range(NETWORKS[state] * settings.scale)]
        for k, (layer, colour) in enumerate(zip(digits.LAYERS, (BLUE, ORANGE), strict=True)):
            sums = [sample[k][0] for sample in samples]
            findings += _findings(f"{state}, layer {layer}", state, sums)
            signals = np.sort(np.concatenate([sample[k][1] for sample in samples]))[::-1]
            shares = np.cumsum(signals**2) / np.sum(signals**2)
            ax.semilogx(signals[::20], shares[::20], style, color=colour, label=f"{state}, layer {layer}")
    z = np.geomspace(0.1, 5)
    ax.plot(z, 2 * (z * norm.pdf(z) + norm.sf(z)), ":", color=GREY, lw=3, zorder=0, label="predicted, normal law")
    ax.set_xlim(0.1, 30)
    ax.legend(fontsize=10)
    return Outcome(findings, figure)


def _findings(name: str, state: str, sums: list[Sums]) -> list[Finding]:
    def pairs(key: str) -> NDArray[np.float64]:
        return np.array([sample[key] for sample in sums]).T

    if state == "trained":
        shares, correlations = (np.divide(*pairs(key)) for key in ("largest", "unit and class"))
        return [
            mean_finding(f"{name}: share of the largest 1 %", 0.25, shares, relation=">="),
            mean_finding(f"{name}: correlation, one unit and class", 0.5, correlations, relation="<="),
        ]
    zeros = [
        ratio_finding(f"{name}: {label}", 0.0, *pairs(key), scale=1.0, resolution=0.2)
        for label, key in (
            ("mean/rms", "mean"),
            ("correlation, one sample", "sample"),
            ("correlation, neighbours on the line", "neighbours"),
        )
    ]
    share = ratio_finding(
        f"{name}: share of the largest 1 %", NORMAL_SHARE, *pairs("largest"), tolerance=0.02, resolution=0.6
    )
    return [
        *zeros,
        share,
        *(
            equal_ratios_finding(
                f"{name}: correlation, one {key}",
                pairs(f"{key}: φ"),
                pairs(key),
                tolerance=0.02,
                scale=1.0,
                resolution=0.2,
            )
            for key in ("unit", "unit and class")
        ),
    ]


def _measure(net: gc.MLP, state: str, rng: np.random.Generator) -> list[tuple[Sums, digits.Array]]:
    """Return numerators and denominators of every ratio, and normalised signals, by layer."""
    theta, (X, y) = digits.parameters(net, state, rng), digits.minibatch(400, rng)
    found = gc.trace_crossings(net, theta, gc.Rademacher().sample(net.size, rng), X, y, LENGTH)
    hidden, outputs = net.preactivations(theta, X)[:-1], net.outputs(theta, X)
    top = net.loss.derivative(outputs, y)
    middle = (top @ net.unflatten(theta)[2][0].T) * net.activation.derivative(hidden[1])
    results = []
    for layer, derivatives in zip(digits.LAYERS, (middle, top), strict=True):
        here = found.layer == layer
        s, unit, sample = found.signal[here], found.unit[here], found.sample[here]
        phi, unit_class = derivatives[sample], 10 * unit + y[sample]
        rms = np.sqrt(np.mean(s**2))
        largest = np.sort(s**2)[-max(1, round(0.01 * s.size)) :]
        sums: Sums = {
            "mean": (float(s.mean()), float(rms)),
            "largest": (float(largest.sum()), float(np.sum(s**2))),
            "neighbours": (float(2 * s[1:] @ s[:-1]), float(s[1:] @ s[1:] + s[:-1] @ s[:-1])),
            "sample": _pairs(s[:, None], sample),
            "unit": _pairs(s[:, None], unit),
            "unit and class": _pairs(s[:, None], unit_class),
            "unit: φ": _pairs(phi, unit),
            "unit and class: φ": _pairs(phi, unit_class),
        }
        results.append((sums, abs(s) / rms))
    return results


def _pairs(vectors: digits.Array, groups: NDArray[np.integer]) -> tuple[float, float]:
    """Σ v·v' and Σ ½(|v|² + |v'|²) over ordered pairs within a group."""
    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    totals = np.zeros((counts.size, vectors.shape[1]))
    np.add.at(totals, index, vectors)
    squares = np.sum(vectors**2, axis=1)
    return float(np.sum(totals**2) - squares.sum()), float(squares @ (counts[index] - 1))
