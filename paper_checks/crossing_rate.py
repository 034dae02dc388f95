"""Boundaries are met at the rate that the density of pre-activations at zero predicts.

Claim. A line meets Σ_k p_k |∇y_k·δ| boundaries of a layer, p_k being the density of the pre-activations y_k at 0.

Source. Theory, section 1: boundary k is crossed with probability p_k |∇y_k·δ|.

Prediction. Pre-activations with |y_k| < 0.1 stand for the density, and their derivatives along the line are central
differences: Σ |∇y_k·δ|/0.2 over them. Nothing is traced.

Measurement. Boundaries counted by `trace_crossings` on Rademacher lines of length 0.01, in each hidden layer of digits
MLPs, at initialisation and after training, in minibatches of 400.

Tolerance. Five standard errors and 0.03: the density is not quite uniform in the window. Every network is one sample.
"""

import numpy as np

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Outcome, Settings, ratio_finding

CLAIM = "A line meets Σ p_k |∇y_k·δ| boundaries"
SOURCE = "theory 1"
STANDING = "confirmed"

LENGTH, WINDOW, STEP = 1e-2, 0.1, 1e-6
NETWORKS = {"initialisation": 60, "trained": 28}


def run(settings: Settings) -> Outcome:
    """Count crossings by layer."""
    net, rng = digits.network(), settings.rng
    figure, ax = axes("Boundaries met on a line", "predicted Σ p |∇y·δ|", "counted")
    findings = []
    for state, fill in zip(digits.STATES, ("none", None), strict=True):
        counts = np.array([_counts(net, state, rng) for _ in range(NETWORKS[state] * settings.scale)])
        for k, (layer, colour) in enumerate(zip(digits.LAYERS, (BLUE, ORANGE), strict=True)):
            counted, predicted = counts[:, k].T
            name = f"{state}, layer {layer}"
            findings.append(
                ratio_finding(f"{name}: counted/predicted", 1.0, counted, predicted, tolerance=0.03, resolution=0.2)
            )
            ax.plot(predicted, counted, "o", ms=4, mfc=fill, color=colour, label=name)
    ax.axline((200, 200), slope=1, color="0.4", lw=1)
    ax.legend(fontsize=10)
    return Outcome(findings, figure)


def _counts(net: gc.MLP, state: str, rng: np.random.Generator) -> digits.Array:
    """Return counted and predicted crossings in each layer: (layers, 2)."""
    theta, (X, y) = digits.parameters(net, state, rng), digits.minibatch(400, rng)
    line = gc.Rademacher().sample(net.size, rng)
    found = gc.trace_crossings(net, theta, line, X, y, LENGTH)
    before, here, after = (net.preactivations(theta + t * line, X) for t in (-STEP, 0, STEP))
    rows = []
    for layer in digits.LAYERS:
        slopes = (after[layer - 1] - before[layer - 1]) / (2 * STEP)
        near = abs(here[layer - 1]) < WINDOW
        predicted = LENGTH * abs(slopes[near]).sum() / (2 * WINDOW)
        rows.append([np.sum(found.layer == layer), predicted])
    return np.array(rows)
