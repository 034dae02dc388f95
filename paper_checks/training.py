"""Alice trains a network on real data with every choice of curvature.

Claim. Alice trains the 64-64-64-10 network on the handwritten digits above 96 % validation accuracy with glass alone,
with the Hessian alone and with both, as Adam and SGD with momentum do.

Source. Theory, section 8; paper for the algorithm, the data set and threshold are this check's.

Prediction. A mean accuracy over initialisations above 0.96.

Measurement. Full training runs with fixed settings; accuracy on 360 images that training does not see.

Tolerance. None: the interval of the mean, five standard errors, must lie above 0.96. The standard deviation of a run
(about 0.0045) is pooled over the optimizers: six runs alone do not say well enough how much they scatter.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, axes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings

CLAIM = "Alice trains a digits MLP above 96 % with glass, Hessian or both"
SOURCE = "theory 8"

EPOCHS = 40
Array = NDArray[np.float64]
Maker = Callable[[Array, np.random.Generator], gc.Alice | gc.Adam | gc.SGD]

OPTIMIZERS: dict[str, Maker] = {
    "Alice, glass only": lambda theta, rng: gc.Alice(theta, lr=0.01, hessian="zero", rng=rng),
    "Alice, Hessian only": lambda theta, rng: gc.Alice(theta, lr=0.01, glass=False, rng=rng),
    "Alice, both": lambda theta, rng: gc.Alice(theta, lr=0.01, rng=rng),
    "Adam": lambda theta, rng: gc.Adam(theta, lr=0.003),
    "SGD, momentum 0.9": lambda theta, rng: gc.SGD(theta, lr=0.1, momentum=0.9),
}


def run(settings: Settings) -> Outcome:
    """Train with five optimizers from the same initialisations."""
    X, y, *validation = gc.data.load_digits()
    net = gc.MLP((64, 64, 64, 10))
    seeds = settings.rng.integers(2**32, size=6 * settings.scale)
    figure, ax = axes("Training on the handwritten digits", "epoch", "validation accuracy")
    curves = {name: _accuracies(net, make, seeds, X, y, tuple(validation)) for name, make in OPTIMIZERS.items()}
    final = np.array([accuracy[:, -1] for accuracy in curves.values()])
    interval = STANDARD_ERRORS * np.sqrt(final.var(axis=1, ddof=1).mean() / final.shape[1])
    findings = [
        Finding(f"{name}: accuracy, {len(seeds)} runs", 0.96, float(runs.mean()), float(interval), relation=">=")
        for name, runs in zip(curves, final, strict=True)
    ]
    for (name, accuracy), colour in zip(curves.items(), (BLUE, GREEN, ORANGE, PURPLE, GREY), strict=False):
        style = "-" if name.startswith("Alice, both") else "--" if name.startswith("Alice") else ":"
        ax.plot(np.arange(1, EPOCHS + 1), accuracy.mean(axis=0), style, lw=2, color=colour, label=name)
    ax.axhline(0.96, color="0.4", lw=1, ls=":")
    ax.set_ylim(0.8, 1)
    ax.legend(fontsize=10)
    return Outcome(findings, figure)


def _accuracies(
    net: gc.MLP, make: Maker, seeds: NDArray[np.int64], X: Array, y: NDArray[np.int64], validation: tuple[Array, ...]
) -> Array:
    """Return the validation accuracy after every epoch, one row a run."""
    curves = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        optimizer = make(net.initialize(rng), rng)
        history = gc.train(net, optimizer, X, y, EPOCHS, validation=validation, rng=rng, progress=False)
        curves.append(history.validation_accuracy)
    return np.array(curves)
