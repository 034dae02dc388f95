"""Second differences measure the sum of squared jumps, also where the jumps are not pseudorandom.

Claim. Along a line the glass density that a glass kernel estimates equals the sum of the squared gradient jumps of all
boundaries on that line per unit of length, layer by layer, at initialisation and after training.

Source. Theory, sections 1 and 3, equations (2) and (9). New here: the jumps are known one by one, so that the
assumption behind the equations is measured. It fails for the one-sided variation v: at initialisation E v² over a
length of 0.01 is more than twice the sum of squared jumps in a batch of 400. All of the excess comes from pairs of
boundaries of one unit: their signals are alike (check `signals`), nine in ten are crossed in the same sense, and the
jumps add up to a drift. The second difference is not disturbed: there a jump has the sign of the side on which its
boundary lies, which is random however alike the signals are.

Prediction. A ratio of 1 between estimate and exact density. For v too, if the signals were pseudorandom.

Measurement. Rademacher lines of length 0.002 through digits MLPs, minibatches of 200: the kernel on 17 nodes, applied
to backpropagated gradients, over `Crossings.density` of the same line. For v: squared sum of the jumps over the sum of
their squares. Numerator and denominator are summed over a layer, and the ratios averaged over lines: with random signs
each has the mean 1, and a few large signals do not outweigh the others as they would in a ratio of averages. On one
line the 15 contrasts of the kernel scatter by a twentieth about the sum of squares.

Tolerance. Five standard errors, every network being one sample, and 0.01 for smooth terms, of which check
`density_training` has eight times as much on lines twice as long. One layer notices an error of 0.15, or of 0.3 after
training, where few jumps may carry most of a line's density; all together 10 %. For v the claim is the departure: a
ratio above 1.2.
"""

import numpy as np
from matplotlib.figure import Figure

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, ORANGE, note, panels
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding

CLAIM = "Second differences measure the sum of squared jumps; one-sided ones add a drift"
SOURCE = "theory 1 and 3, eqs. (2), (9)"
STANDING = "new"

NODES, SPACING, LONG = tuple(range(17)), 1.25e-4, 1e-2
NETWORKS = {"initialisation": 40, "trained": 18}
LINES = {"initialisation": 1, "trained": 2}
RESOLUTIONS = {"initialisation": 0.15, "trained": 0.3}


def run(settings: Settings) -> Outcome:
    """Compare estimated and exact densities by layer."""
    net, rng = digits.network(), settings.rng
    findings, together = [], []
    for state, count in NETWORKS.items():
        ratios = []
        for _ in range(count * settings.scale):
            theta = digits.parameters(net, state, rng)
            ratios.append(np.mean([_estimated_to_exact(net, theta, rng) for _ in range(LINES[state])], axis=0))
        for layer, values in zip(digits.LAYERS, np.transpose(ratios), strict=True):
            name = f"{state}, layer {layer}: estimated/exact density"
            findings.append(mean_finding(name, 1.0, values, tolerance=0.01, resolution=RESOLUTIONS[state]))
        together.append(mean_finding("", 1.0, np.mean(ratios, axis=1)))
    everything = _mean_of_all(together)
    drifts = [_one_sided(net, net.initialize(rng), rng) for _ in range(40 * settings.scale)]
    for layer, values in zip(digits.LAYERS, np.transpose(drifts), strict=True):
        name = f"initialisation, layer {layer}: one-sided v²/squared jumps"
        findings.append(mean_finding(name, 1.2, values, relation=">="))

    findings.insert(0, everything)
    return Outcome(findings, _figure(findings))


def _figure(findings: list[Finding]) -> Figure:
    """Draw the ratios, each quantity in a panel."""
    figure, every = panels(
        ("Second differences", "One-sided differences"),
        ("estimated / exact density", "squared sum / sum of squares of the jumps"),
        ("", ""),
    )
    one_sided = ["one-sided" in finding.quantity for finding in findings]
    for ax, which, label in zip(every, (False, True), ("predicted", "pseudorandom signals"), strict=True):
        rows = [finding for finding, side in zip(findings, one_sided, strict=True) if side == which]
        values, intervals = [f.measurement for f in rows], [f.interval for f in rows]
        ax.axvline(1, color=ORANGE, label=label)
        ax.errorbar(values, range(len(rows)), xerr=intervals, fmt="o", color=BLUE, capsize=5, label="measured")
        ax.set_yticks(range(len(rows)), [f.quantity.split(":")[0].replace(", ", ",\n") for f in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5 - 0.35 * len(rows))  # with room for the legend
        ax.legend(fontsize=11, loc="upper right")
    reach = max(abs(np.subtract(every[0].get_xlim(), 1)))
    every[0].set_xlim(1 - reach, 1 + reach)
    every[1].set_xlim(0)
    note(every[1])
    return figure


def _mean_of_all(states: list[Finding]) -> Finding:
    """Average over both states: sharper than each layer alone."""
    value = float(np.mean([state.measurement for state in states]))
    interval = float(np.linalg.norm([state.interval for state in states])) / len(states)
    return Finding("mean of all: estimated/exact density", 1.0, value, interval, tolerance=0.01)


def _estimated_to_exact(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> digits.Array:
    """Return estimated over exact density along one line, by layer."""
    X, y = digits.minibatch(200, rng)
    line = gc.Rademacher().sample(net.size, rng)
    gradients = [net.value_and_grad(theta + t * SPACING * line, X, y)[1] for t in NODES]
    estimate = gc.glass_kernel(NODES).apply(np.array(gradients), SPACING)
    exact = gc.trace_crossings(net, theta, line, X, y, distance=NODES[-1] * SPACING).density()
    return _layer_ratios(net, estimate, exact)


def _one_sided(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> digits.Array:
    """Return the square of the summed jumps over the sum of their squares, by layer."""
    line, batch = gc.Rademacher().sample(net.size, rng), digits.minibatch(400, rng)
    found = gc.trace_crossings(net, theta, line, *batch, distance=LONG)
    return _layer_ratios(net, found.variation() ** 2 / LONG, found.density())


def _layer_ratios(net: gc.MLP, above: digits.Array, below: digits.Array) -> digits.Array:
    groups = [net.groups[f"layer{layer}"] for layer in digits.LAYERS]
    return np.array([above[group].sum() / below[group].sum() for group in groups])
