"""What of the gradient variation is linear in the displacement, and where that comes from.

Claim. Over short lengths the variation v(δ) is noise: regressed on δ it has no linear part. Over longer ones networks
do have one, Kδ on average, with K = Σ_k p_k s_k ∇y_k∇y_kᵀ: the curvature that the exact Hessian misses because the
signals of one unit do not average to zero. Training removes most of it.

Source. Theory, section 1: under (2), and exactly for random hinges, the variation along a line is a two-sided random
walk. Section 2 has the mean of the glass, and K is its gradient: a crossing adds s_k ∇y_k in the sense of ∇y_k·δ, and
it has the probability p_k|∇y_k·δ|.

Prediction. If v(δ) = Aδ + W(δ) with a two-sided walk W, then −E v(δ)·v(−δ) / E|v|² is the share of Aδ in |v|²: 0 for
random hinges and for short lengths, 1 for a Hessian that was forgotten. On hinges the regression of v(2δ) on v(δ) has
the slope 1, where a linear v would have 2. On networks at initialisation the regression of the odd part of v on Kδ has
the slope 1, and as A has the mean K over networks, E|Aδ|² ≥ E|Kδ|². K takes p_k from the law of the initial weights
(y_k given the inputs is normal) and s_k at the kink from one pass back.

Measurement. v = ∇L(μ + δ) − ∇L(μ) − Hδ with backpropagated gradients and the exact Hessian, for ±δ in random
directions, in the hidden layer of 64-64-10 networks on minibatches of 800 digits; the networks are the samples.

Tolerance. Five standard errors. 0.05 for the share of Aδ at the length 10⁻⁴, where it is about 0.02; 0.05 on the slope
for smooth terms and for s_k to first order in y_k. The slope is blunt, because A varies more between networks than its
mean is large: a unit meets the images of one class in a cluster, whose signals are alike. The noise is blunt because
few of some hundred signals have most of its square. That training lowers the share is a direction.

Limits. Of |Aδ|² less than half is |Kδ|². The rest is the scatter of A between networks, which no mean predicts. At
initialisation 0.6 of |v|² is linear over 0.01; it is more with more images, because W falls with their number and A
does not. After ten epochs it is about 0.1 over 0.003, where it was 0.4. Over longer distances smooth terms mix in.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import glasscurv as gc
from paper_checks import digits
from paper_checks.digits import Array
from paper_checks.figures import BLUE, GREY, ORANGE, panels
from paper_checks.hinges import draw_landscapes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Short variations are noise; longer ones have a linear part, of mean K, not in the Hessian"
SOURCE = "theory 1, eq. (2); theory 2, mean of the glass"

ROWS = 800
LENGTHS = (1e-4, 1e-3, 3e-3, 1e-2)
SHORT, TRAINED, LONG = 0, 2, 3
"""Lengths at which the share is 0, training is judged, and Kδ is regressed on."""
NOISY = [1, 2]
"""Those at which the noise is judged, in the mean of noise over length."""
NETWORKS = {"initialisation": 76, "trained": 24}
DIRECTIONS = {"initialisation": 1, "trained": 2}
BINS = 9


class Sums(NamedTuple):
    """Sums over the directions of one network; v₊ and v₋ are the variations of ±δ, o = (v₊ − v₋)/2."""

    opposite: float
    square: float
    noise: float
    odd_missed: float
    missed_square: float
    walk: float


def run(settings: Settings) -> Outcome:
    """Regress variations on displacements."""
    rng, net = settings.rng, gc.MLP((64, 64, 10))
    sums: dict[str, list[Sums]] = {}
    curves = []
    for state, count in NETWORKS.items():
        results = [_network(net, state, rng) for _ in range(count * settings.scale)]
        sums[state] = [Sums(*column) for column in np.transpose([row for row, _ in results], (1, 2, 0))]
        if state == "initialisation":
            curves = [curve for _, curve in results]
    initial = sums["initialisation"]
    shares = {state: [mean_finding("", 0.0, row.opposite / row.square) for row in rows] for state, rows in sums.items()}
    long = initial[LONG]
    noise, walk = (sum(getattr(initial[k], name) / LENGTHS[k] for k in NOISY) for name in ("noise", "walk"))
    findings = [
        ratio_finding(
            "initialisation, σ = 0.01: slope of v on Kδ",
            1.0,
            long.odd_missed,
            long.missed_square,
            tolerance=0.05,
            resolution=0.5,
        ),
        replace(
            shares["initialisation"][SHORT],
            quantity="initialisation, σ = 0.0001: linear share of |v|²",
            tolerance=0.05,
            scale=1.0,
            resolution=0.3,
        ),
        ratio_finding(
            "initialisation, σ = 0.001 and 0.003: noise of v / equation (2)", 1.0, noise, walk, resolution=0.4
        ),
        ratio_finding(
            "initialisation, σ = 0.01: |linear part|² / |Kδ|²", 1.0, long.opposite, long.missed_square, relation=">="
        ),
        _effect_of_training(shares["trained"][TRAINED], shares["initialisation"][TRAINED]),
        *_hinges(8000 * settings.scale, rng),
    ]
    return Outcome(findings, _figure(shares, initial, np.array(curves)))


def _effect_of_training(trained: Finding, initial: Finding) -> Finding:
    difference = trained.measurement - initial.measurement
    interval = float(np.hypot(trained.interval, initial.interval))
    return Finding("σ = 0.003: linear share, trained less initial", 0.0, difference, interval, relation="<=")


def _hinges(landscapes: int, rng: np.random.Generator) -> list[Finding]:
    toy, products = gc.RandomHinges(6, 300, half_width=8.0, rng=rng), []
    for _ in range(landscapes // 1000):
        offsets, signals = draw_landscapes(toy, 1000, rng)
        slopes = toy.normals @ (0.6 * gc.Rademacher().sample(6, rng))
        v = {
            t: np.subtract(t * slopes > offsets, offsets < 0, dtype=np.int8) * signals @ toy.normals for t in (-1, 1, 2)
        }
        products.append([np.sum(v[s] * v[t], axis=1) for s, t in ((1, -1), (1, 1), (-1, -1), (2, 1))])
    opposite, plus, minus, twice = np.concatenate(products, axis=1)
    return [
        ratio_finding("hinges: linear share of |v|²", 0.0, -opposite, (plus + minus) / 2, scale=1.0),
        ratio_finding("hinges: slope of v(2δ) on v(δ)", 1.0, twice, plus),
    ]


def _network(net: gc.MLP, state: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return `Sums` for every length; means of Kδ and o over |Kδ|, at the longest, in classes of growing Kδ."""
    theta, (X, y) = digits.parameters(net, state, rng), digits.minibatch(ROWS, rng)
    layer = net.groups["layer1"]

    def gradient(point: Array) -> Array:
        return net.value_and_grad(point, X, y)[1][layer]

    center, sums = gradient(theta), np.zeros((len(LENGTHS), len(Sums._fields)))
    for _ in range(DIRECTIONS[state]):
        z = gc.Rademacher().sample(net.size, rng)
        hessian, (missed, walk) = net.hessian_vector(theta, z, X, y)[layer], _missed(net, theta, z, X, y)
        for row, length in zip(sums, LENGTHS, strict=True):
            plus, minus = (gradient(theta + t * z) - center - t * hessian for t in (length, -length))
            odd, even = (plus - minus) / 2, (plus + minus) / 2
            row += Sums(
                opposite=-plus @ minus,
                square=(plus @ plus + minus @ minus) / 2,
                noise=2 * even @ even,
                odd_missed=length * (odd @ missed),
                missed_square=length**2 * (missed @ missed),
                walk=length * walk,
            )
    parts = np.array_split(np.argsort(missed), BINS)
    curve = [[values[part].mean() for part in parts] for values in (length * missed, odd)]
    return sums, np.array(curve) / (length * np.std(missed))


def _missed(net: gc.MLP, theta: Array, z: Array, X: Array, y: digits.Labels) -> tuple[Array, float]:
    """Return Kz in the hidden layer, and E|W|² per unit of length by equation (2)."""
    (hidden, outputs), (out, _) = net.preactivations(theta, X), net.unflatten(theta)[1]
    chances = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    # The signal changes with the unit's own activity: at the kink the unit is off.
    stiffness = (chances @ (out**2).T - (chances @ out.T) ** 2) / len(X)
    signal = net.loss.derivative(outputs, y) @ out.T - stiffness * np.maximum(hidden, 0)
    squares = np.sum(X**2, axis=1, keepdims=True)
    density = 1 / np.sqrt(2 * np.pi * 2 * squares / net.layers[0])  # weights of variance 2/inputs
    weights, biases = net.unflatten(z)[0]
    slope = X @ weights + biases
    drift = density * signal * slope
    walk = np.sum((squares + 1) * density * signal**2 * abs(slope))
    return np.concatenate([(X.T @ drift).ravel(), drift.sum(axis=0)]), float(walk)


def _figure(shares: dict[str, list[Finding]], initial: list[Sums], curves: Array) -> Figure:
    figure, (left, right) = panels(
        ("How much of v is linear in δ", "The linear part is Kδ on average"),
        ("length σ of the displacement", "Kδ / rms"),
        ("linear share of |v|²", "linear part of v / rms of Kδ"),
    )
    bound = [row.missed_square.mean() / (row.missed_square + row.walk).mean() for row in initial]
    left.semilogx(LENGTHS, bound, "--", color=GREY, label="Kδ alone, initialisation")
    for (state, row), colour, marker in zip(shares.items(), (BLUE, ORANGE), "os", strict=True):
        values, intervals = [f.measurement for f in row], [f.interval for f in row]
        left.errorbar(LENGTHS, values, intervals, fmt=marker, color=colour, capsize=4, label=state)
    left.axhline(0, color=GREY, lw=0.8)
    left.set_ylim(-0.2, 1)
    left.legend(loc="upper left")
    x, y = curves.mean(axis=0)
    right.plot(x, x, color=GREY, label="slope 1")
    error = STANDARD_ERRORS * curves[:, 1].std(axis=0) / np.sqrt(len(curves))
    right.errorbar(x, y, error, fmt="o", color=BLUE, capsize=4, label=f"initialisation, σ = {LENGTHS[-1]:g}")
    right.legend(loc="upper left")
    return figure
