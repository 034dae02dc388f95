"""Glass density of a network while it is trained.

Claim. The glass density falls while a network learns the digits: here to 0.3 in one epoch and to 0.04 in eight, as
geometric means over networks. At every stage the density from gradients is the sum of the squared jumps per length,
although ever fewer jumps carry most of it.

Source. Theory, sections 1 and 3, equations (2) and (9); new. For the course of training there is no theory.

Prediction. A ratio of 1 between the density from gradients and the exact one. For the course, round numbers.

Measurement. A 64-32-32-10 network, trained by Adam with the learning rate 0.01 and minibatches of 50; before training
and after 1, 2, 4 and 8 epochs. Rademacher lines of length 0.004 in minibatches of 200: the kernel on 17 nodes against
the jumps that `trace_crossings` finds on the same line. The ratio of the two has the mean 1 line by line where
positions and senses of the crossings are random, however different or alike the jumps are; it is averaged over lines
and layers. The 15 contrasts of a line leave little noise.

Tolerance. Five standard errors, each network being one sample, and 0.01 for the smooth part of the loss: lines four
times as long read 1.2 ± 0.3 % more, and that part grows with the third power of the length. One stage notices an
error of 0.1 to 0.3, all together 10 %.

Limits. The fall is mostly that of the derivatives of the loss by the outputs, of which every signal at a kink is
made: their mean square falls alike, and the density over it stays within a factor of three of where it began, on
average, and grows towards the end. After eight epochs few rows carry most of the density, which varies by a factor of
three from one network to the next; so only averages of its logarithm are compared. Wider networks, smaller learning
rates and SGD with momentum show the same course. The density over the squared gradient of a minibatch shows no trend
beyond its scatter.
"""

import numpy as np
from matplotlib.figure import Figure

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, note, panels
from paper_checks.outcome import Finding, Outcome, Settings, geometric_mean, mean_finding

CLAIM = "Training lowers the glass density, and second differences follow it"
SOURCE = "theory 1 and 3, eqs. (2), (9); new"
STANDING = "new"

EPOCHS = (0, 1, 2, 4, 8)
LIMITS = {8: 0.25, 1: 0.8}
NETWORKS, LINES = 28, 2
NODES, SPACING = tuple(range(17)), 2.5e-4


def run(settings: Settings) -> Outcome:
    """Follow the density through training."""
    net, rng = gc.MLP((64, 32, 32, 10)), settings.rng
    courses = np.array([_course(net, rng) for _ in range(NETWORKS * settings.scale)])
    ratios, exact, errors = courses[:, :, 0].mean(axis=2), courses[:, :, 1], courses[:, :, 2, 0]
    logarithms = np.log(exact / exact[:, :1])
    falls = [_fall(epoch, limit, logarithms[:, EPOCHS.index(epoch)].mean(axis=1)) for epoch, limit in LIMITS.items()]
    name = "density from gradients/exact"
    stages = [
        mean_finding(f"after {epoch} epochs: {name}", 1.0, values, tolerance=0.01, resolution=0.5)
        for epoch, values in zip(EPOCHS, ratios.T, strict=True)
    ]
    everything = mean_finding(f"all stages: {name}", 1.0, ratios.mean(axis=1), tolerance=0.01)
    return Outcome([everything, *falls, *stages], _figure(logarithms, np.log(errors / errors[:, :1]), stages))


def _course(net: gc.MLP, rng: np.random.Generator) -> digits.Array:
    """Return what is measured at every stage of training one network: (stages, 3, layers)."""
    X, y, *_ = gc.data.load_digits()
    optimizer = gc.Adam(net.initialize(rng), lr=1e-2)
    stages = [_stage(net, optimizer.theta, rng)]
    for epochs in np.diff(EPOCHS):
        gc.train(net, optimizer, X, y, epochs=int(epochs), batch_size=50, rng=rng, progress=False)
        stages.append(_stage(net, optimizer.theta, rng))
    return np.array(stages)


def _stage(net: gc.MLP, theta: digits.Array, rng: np.random.Generator) -> digits.Array:
    """Return estimated over exact density, exact density, and squared derivative by the outputs: (3, layers)."""
    groups = [net.groups[f"layer{layer}"] for layer in digits.LAYERS]
    kernel, measured = gc.glass_kernel(NODES), []
    for _ in range(LINES):
        X, y = digits.minibatch(200, rng)
        line = gc.Rademacher().sample(net.size, rng)
        gradients = [net.value_and_grad(theta + t * SPACING * line, X, y)[1] for t in NODES]
        estimate = kernel.apply(np.array(gradients), SPACING)
        exact = gc.trace_crossings(net, theta, line, X, y, distance=NODES[-1] * SPACING).density()
        derivatives = len(X) * net.loss.derivative(net.outputs(theta, X), y)
        error = np.mean(np.sum(derivatives**2, axis=1))
        pairs = [(estimate[group].mean(), exact[group].mean()) for group in groups]
        measured.append(
            [[above / below for above, below in pairs], [below for _, below in pairs], [error] * len(pairs)]
        )
    return np.mean(measured, axis=0)


def _fall(epoch: int, limit: float, logarithms: digits.Array) -> Finding:
    """Compare a geometric mean over networks and layers with a limit."""
    value, (_, high) = geometric_mean(logarithms)
    name = f"density after {epoch} epochs/before, geometric mean"
    return Finding(name, limit, float(value), float(high), relation="<=")


def _figure(logarithms: digits.Array, errors: digits.Array, stages: list[Finding]) -> Figure:
    figure, (left, right) = panels(
        ("Course of training", "Estimated by second differences"),
        ("epochs", "epochs"),
        ("glass density/initial", "density from gradients/exact"),
    )
    x = np.arange(len(EPOCHS))
    left.plot(x, np.exp(errors.mean(axis=0)), "--", color=GREY, label="squared derivative\nby the outputs")
    for k, (colour, marker) in enumerate(zip((BLUE, ORANGE), "os", strict=True)):
        values, reach = geometric_mean(logarithms[:, :, k])
        side = 0.07 * (2 * k - 1)  # bars of the two layers beside each other
        left.errorbar(x + side, values, reach, fmt=f"{marker}-", color=colour, capsize=4, label=f"layer {k + 1}")
    left.set_yscale("log")
    left.legend(fontsize=11)
    right.axhline(1, color=GREY)
    means, intervals = [finding.measurement for finding in stages], [finding.interval for finding in stages]
    right.errorbar(x, means, intervals, fmt="o", color=BLUE, capsize=4)
    right.set_ylim(0.8, 1.2)
    for ax in (left, right):
        ax.set_xticks(x, EPOCHS)
        note(ax, "bars: five standard errors, wider for few networks")
    return figure
