"""Lines through one centre share boundaries: their second differences correlate with 2 − √2.

Claim. In the dense limit the second differences d = ½(g₊ + g₋) − g₀ along two random directions of one length have, in
every coordinate, the correlation E min(|x|, |y|) / E|x| = 2 − √2 ≈ 0.586, x and y being independent normal numbers. So
several directions at one centre do not give independent estimates of the glass density of the ensemble.

Source. New here. For a boundary with offset b and slope q_k = ∇y_k·σz along the line, d gains ½ s_k ∇y_k sign(b) where
|q_k| > |b|, on whichever side it is crossed; with b locally uniform, two lines both meet it with a probability
proportional to min(|q_k|, |q'_k|), and one line alone with one proportional to |q_k|.

Prediction. 2 − √2.

Measurement. Products of d along two independent Rademacher directions over squares of d, on random hinges (over
landscapes) and in the first two layers of digits MLPs (over initialisations and minibatches).

Tolerance. Five standard errors; 0.005 on hinges, for 60 coordinates instead of many; 0.03 on networks, whose slopes
q_k are sums of few large terms and whose pre-activations are only nearly uniform.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Outcome, Settings, ratio_finding

CLAIM = "Second differences along two directions at one centre correlate with 2 − √2"
SOURCE = "new, from theory 1"
STANDING = "new"

Array = NDArray[np.float64]
PREDICTION = 2 - np.sqrt(2)


def run(settings: Settings) -> Outcome:
    """Correlate second differences on hinges and networks."""
    rng = settings.rng
    toy = gc.RandomHinges(60, 1500, half_width=30.0, rng=rng)
    pairs = []
    for _ in range(2000 * settings.scale):
        landscape = toy.redraw(rng)
        d, e = (_second_difference(landscape.gradient, np.zeros(60), 1.0, rng) for _ in range(2))
        pairs.append((np.mean(d * e), np.mean(d * d + e * e) / 2))
    samples = {"random hinges": np.array(pairs)}
    X, y, *_ = gc.data.load_digits()
    net = gc.MLP((64, 64, 64, 10))
    layers: dict[str, list[tuple[float, float]]] = {"layer1": [], "layer2": []}
    for _ in range(150 * settings.scale):
        theta, batch = net.initialize(rng), rng.choice(len(X), 400, replace=False)

        def gradient(point: Array, rows: Array = X[batch], labels: Array = y[batch]) -> Array:
            return net.value_and_grad(point, rows, labels)[1]

        d, e = (_second_difference(gradient, theta, 1e-3, rng) for _ in range(2))
        for layer, values in layers.items():
            group = net.groups[layer]
            values.append((np.mean(d[group] * e[group]), np.mean(d[group] ** 2 + e[group] ** 2) / 2))
    samples |= {f"digits MLP, {layer}": np.array(values) for layer, values in layers.items()}

    findings = []
    for name, values in samples.items():
        tolerance = 0.005 if name == "random hinges" else 0.03
        findings.append(ratio_finding(name, PREDICTION, *values.T, tolerance=tolerance, resolution=0.3))
    figure, ax = axes("Two lines through one centre", "", "correlation of second differences")
    ax.axhline(PREDICTION, color=ORANGE, label="2 − √2")
    ax.errorbar(
        list(samples), [f.measurement for f in findings], [f.interval for f in findings], fmt="o", color=BLUE, capsize=5
    )
    ax.margins(x=0.2)
    ax.set_ylim(0, 1)
    ax.legend()
    return Outcome(findings, figure)


def _second_difference(
    gradient: Callable[[Array], Array], theta: Array, length: float, rng: np.random.Generator
) -> Array:
    step = length * gc.Rademacher().sample(theta.size, rng)
    return np.asarray((gradient(theta + step) + gradient(theta - step)) / 2 - gradient(theta))
