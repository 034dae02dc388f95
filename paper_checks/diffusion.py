"""The gradient of a ReLU network diffuses; that of a smooth network does not.

Claim. The mean square of the second difference ½(g₊ + g₋) − g₀ grows with the perturbation length to the power 1 in
layers with glass and to the power 4 in a smooth network; the first difference of a smooth network has exponent 2.

Source. Theory, section 1, exponents; paper. New here: the gradient of the last layer is made of continuous
activations, so it does not jump; it is the integral of a diffusing quantity, and its exponent is 3.

Prediction. 1, 1 and 3 for the three layers of a ReLU network, 4 in the second and 2 in the first difference of tanh.

Measurement. 64-64-64-10 networks on the digits data at initialisation, minibatches of 200. Lengths of 2.5e-5 to 1.6e-3
for ReLU, the first left out in the layers with glass, where few boundaries are met, and the last in the last layer,
where a quarter of the mean square is smooth; 5e-4 to 4e-3 for tanh. Every initialisation with its own minibatch is one
sample; the exponent is fitted to the mean squares of all samples, its error is the jackknife's over the samples.

Tolerance. Five standard errors, and 0.03 for derivatives of higher order. In the last layer of a ReLU network they make
up 11 % of the mean square at 4e-4 and add 0.04 to the exponent, and the drift of the walk (check `random_walk`) adds as
much: 0.1. Exponents are told from the next integer, so they are judged on the scale of 2 at least, and notice 15 %.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, axes, note
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings

CLAIM = "Second differences grow like σ¹ in ReLU layers and like σ⁴ in a tanh network"
SOURCE = "theory 1, exponents"
STANDING = "confirmed"

PREDICTIONS = {
    ("relu", 2): {"layer1": 1.0, "layer2": 1.0, "layer3": 3.0},
    ("tanh", 2): {"layer1": 4.0, "layer2": 4.0, "layer3": 4.0},
    ("tanh", 1): {"layer1": 2.0, "layer2": 2.0, "layer3": 2.0},
}
LENGTHS = {"relu": np.geomspace(2.5e-5, 1.6e-3, 4), "tanh": np.geomspace(5e-4, 4e-3, 3)}
INITIALISATIONS = {("relu", 2): 130, ("tanh", 2): 24, ("tanh", 1): 45}
SAMPLES = 4
FITS = {
    ("relu", "layer1"): (slice(1, None), 0.03),
    ("relu", "layer2"): (slice(1, None), 0.03),
    ("relu", "layer3"): (slice(None, -1), 0.1),
}
"""Which lengths an exponent is fitted to, and its tolerance; elsewhere all of them, and 0.03."""


def run(settings: Settings) -> Outcome:
    """Fit exponents by layer."""
    X, y, *_ = gc.data.load_digits()
    figure, ax = axes("Second difference of the gradient", "perturbation length σ", "mean square, 1 at the longest σ")
    findings = []
    for (activation, order), predictions in PREDICTIONS.items():
        net, lengths = gc.MLP((64, 64, 64, 10), activation=activation), LENGTHS[activation]
        fits = []
        for _ in range(INITIALISATIONS[activation, order] * settings.scale):
            theta, batch = net.initialize(settings.rng), settings.rng.choice(len(X), 200, replace=False)
            fits.append(
                gc.variation_exponent(
                    lambda point, net=net, batch=batch: net.value_and_grad(point, X[batch], y[batch])[1],
                    theta,
                    lengths,
                    order=order,
                    groups=net.groups,
                    samples=SAMPLES,
                    rng=settings.rng,
                )
            )
        for (layer, predicted), colour in zip(predictions.items(), (BLUE, ORANGE, GREEN), strict=True):
            squares = np.array([fit.mean_square[layer] for fit in fits])
            name = f"{activation}, {layer}: exponent of the {'second' if order == 2 else 'first'} difference"
            used, tolerance = FITS.get((activation, layer), (slice(None), 0.03))
            exponent, interval = _pooled_exponent(lengths[used], squares[:, used])
            findings.append(
                Finding(name, predicted, exponent, interval, tolerance, scale=max(predicted, 2), resolution=0.15)
            )
            if order == 2:
                curve = squares.mean(axis=0) / squares[:, -1].mean()
                # Coinciding curves stay visible: large open markers below, small ones above.
                size = {"layer1": 12, "layer2": 8, "layer3": 4}[layer]
                marker = "o" if activation == "relu" else "s"
                label = f"{activation}, {layer.replace('layer', 'layer ')}: {exponent:.2f} ± {interval:.2f}"
                ax.loglog(lengths, curve, marker, color=colour, ms=size, mfc="none", mew=1.8, label=label)
                # Through the longest of the lengths that the exponent is fitted to.
                end = np.argmax(lengths[used])
                line = curve[used][end] * (lengths / lengths[used][end]) ** predicted
                ax.plot(lengths, line, color=GREY, lw=1.2, zorder=1)
    ax.plot([], [], color=GREY, lw=1.2, label="predicted powers 1, 3, 4")
    ax.set_xlim(1.5e-5, 2e-2)
    ax.set_ylim(1e-7, 4)
    ax.legend(title="measured exponent", loc="lower right", fontsize=10)
    note(ax, "±: five standard errors")
    return Outcome(findings, figure)


def _pooled_exponent(lengths: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[float, float]:
    """Exponent of the mean over samples, and five jackknife standard errors."""
    x = np.log(lengths) - np.log(lengths).mean()

    def exponent(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.log(mean) @ x / (x @ x))

    count, total = len(squares), squares.sum(axis=0)
    left_out = exponent((total - squares) / (count - 1))
    error = np.sqrt((count - 1) * left_out.var())
    return float(exponent(total / count)), float(STANDARD_ERRORS * error)
