"""Second differences measure the sum of squared jumps, also where the jumps are not pseudorandom.

Claim. Along a line the glass density that the kernel on the nodes −1, 0, 1 estimates equals the sum of the squared
gradient jumps of all boundaries on that line per unit of length, layer by layer, at initialisation and after training.

Source. Theory, sections 1 and 3, equations (2) and (9). New here: the jumps are known one by one, so that the
assumption behind the equations is measured. It fails for the one-sided variation v: at initialisation E v² over a
length of 0.01 is more than twice the sum of squared jumps in a batch of 400. All of the excess comes from pairs of
boundaries of one unit: their signals are alike (check `signals`), nine in ten are crossed in the same sense, and the
jumps add up to a drift. The second difference is not disturbed: there a jump has the sign of the side on which its
boundary lies, which is random however alike the signals are.

Prediction. A ratio of 1 between estimate and exact density. For v too, if the signals were pseudorandom.

Measurement. Rademacher lines through digits MLPs: kernel on backpropagated gradients over `Crossings.density` of the
two halves of the same line, length 1e-3, minibatches of 200. For v: squared sum of the jumps over the sum of their
squares. Numerator and denominator are summed over a layer, and the ratios averaged over lines: with random signs each
has the mean 1, and a few large signals do not outweigh the others as they would in a ratio of averages.

Tolerance. Five standard errors and 0.05 for smooth terms; every network is one sample. For v the claim is the
departure: a ratio above 1.2.
"""

import numpy as np

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Outcome, Settings, mean_finding

CLAIM = "Second differences measure the sum of squared jumps; one-sided ones add a drift"
SOURCE = "theory 1 and 3, eqs. (2), (9)"

LENGTH, LONG = 1e-3, 1e-2
NETWORKS = {"initialisation": 80, "trained": 18}
LINES = {"initialisation": 1, "trained": 5}


def run(settings: Settings) -> Outcome:
    """Compare estimated and exact densities by layer."""
    net, rng = digits.network(), settings.rng
    findings = []
    for state in digits.STATES:
        ratios = []
        for _ in range(NETWORKS[state] * settings.scale):
            theta = digits.parameters(net, state, rng)
            ratios.append(np.mean([_estimated_to_exact(net, theta, rng) for _ in range(LINES[state])], axis=0))
        for layer, values in zip(digits.LAYERS, np.transpose(ratios), strict=True):
            name = f"{state}, layer {layer}: estimated/exact density"
            findings.append(mean_finding(name, 1.0, values, tolerance=0.05, resolution=0.5))
    drifts = [_one_sided(net, net.initialize(rng), rng) for _ in range(40 * settings.scale)]
    for layer, values in zip(digits.LAYERS, np.transpose(drifts), strict=True):
        name = f"initialisation, layer {layer}: one-sided v²/squared jumps"
        findings.append(mean_finding(name, 1.2, values, relation=">="))

    figure, ax = axes("Gradient variation over the sum of squared jumps", "", "ratio")
    ax.axhline(1, color=ORANGE, label="pseudorandom signals")
    names = [f.quantity.replace(": ", "\n").replace(", ", "\n").replace("/", "/\n") for f in findings]
    values, intervals = [f.measurement for f in findings], [f.interval for f in findings]
    ax.errorbar(range(len(names)), values, intervals, fmt="o", color=BLUE, capsize=5)
    ax.set_xticks(range(len(names)), names, fontsize=8)
    ax.set_ylim(0)
    ax.legend()
    return Outcome(findings, figure)


def _estimated_to_exact(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> digits.Array:
    """Return estimated over exact density along one line, by layer."""
    X, y = digits.minibatch(200, rng)
    line = gc.Rademacher().sample(net.size, rng)
    gradients = [net.value_and_grad(theta + t * LENGTH * line, X, y)[1] for t in (-1, 0, 1)]
    estimate = gc.glass_kernel().apply(np.array(gradients), LENGTH)
    halves = [gc.trace_crossings(net, theta, side * line, X, y, LENGTH).density() for side in (-1, 1)]
    return _layer_ratios(net, estimate, (halves[0] + halves[1]) / 2)


def _one_sided(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> digits.Array:
    """Return the square of the summed jumps over the sum of their squares, by layer."""
    line, batch = gc.Rademacher().sample(net.size, rng), digits.minibatch(400, rng)
    found = gc.trace_crossings(net, theta, line, *batch, distance=LONG)
    return _layer_ratios(net, found.variation() ** 2 / LONG, found.density())


def _layer_ratios(net: gc.MLP, above: digits.Array, below: digits.Array) -> digits.Array:
    groups = [net.groups[f"layer{layer}"] for layer in digits.LAYERS]
    return np.array([above[group].sum() / below[group].sum() for group in groups])
