"""The covariance of gradient variations is linear in |δ| and diagonal where the signs of ∂y are random.

Claim. When coordinate j alone moves, E[v_i²] = R_ij |δ_j|, with R_jj twice the other R_ij for isotropic normals, and
E[v_i v_l] averages to 0 for i ≠ l. On networks two weights of different units do not correlate. Two weights of one unit
do, with the correlation Σ_k W_k x_ka x_kb / (Σ_k W_k x_ka² Σ_k W_k x_kb²)^½ that (2) gives for the unit's inputs x:
inputs that are never negative make it positive, and centred pixels make it vanish on average.

Source. Theory, section 1, equations (2) and (3); paper. The correlation within a unit is new.

Prediction. ``RandomHinges.density_matrix`` and ``covariance``, the ratio 2, and 0 off the diagonal. On networks
W_k = s_k² P(|q_k| > |y_k|), the squared signal times the probability that a Rademacher movement crosses the boundary,
q_k = ∇y_k·δ being normal: from one pass forward and back, with no gradient differences and no law of y assumed. The
first layer's weights also see the boundaries of the second, Σ_m W_km w_um² for an active unit u. For one moving weight
the same sums give R_ij/R_jj = Σ_k W_k |x_kj| x_ki² / Σ_k W_k |x_kj|³.

Measurement. On random hinges v vᵀ over many landscapes. In the hidden layers of digits MLPs the second difference of
backpropagated gradients, which has half of that covariance and no part that is linear in δ: d_a d_b averaged over the
pairs of a unit, over pairs of units, and over networks. For R one weight of every unit of the second layer moves, which
crosses boundaries of its own unit only.

Tolerance. Five standard errors, every network being one sample. On hinges 0.06 on the ratio 2 and 0.02 on its zeros for
the finite number of normals, 1/√1500 each. Between units 0.02, because the softmax couples them weakly. Within units
0.01: s_k changes along the movement, and boundaries of images that are very much alike are met on the same side. After
training 0.02, because ratios of networks are averaged: the squares of a few networks would outweigh the others. 0.03 on
R_ij/R_jj; the squares of single weights are so scattered that it notices only a quarter.

Limits. Diagonal dominance is a statement about random signs. On digits it holds between units, and within them only if
the inputs are centred: else the mean correlation of two weights is 0.3 to 0.5, and 0.8 for the most similar pixels.
Training leaves it as it is for pixels and raises it in the second layer, from 0.32 to 0.51.
"""

from typing import NamedTuple

import numpy as np
import scipy
from matplotlib.figure import Figure

import glasscurv as gc
from paper_checks import digits
from paper_checks.digits import Array
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, panels
from paper_checks.hinges import draw_landscapes
from paper_checks.outcome import (
    STANDARD_ERRORS,
    Finding,
    Outcome,
    Settings,
    equal_ratios_finding,
    mean_finding,
    ratio_finding,
)

CLAIM = "The covariance of variations is diagonal between units; within one, the inputs set it"
SOURCE = "theory 1, eq. (2), (3); new"
STANDING = "limited"

LENGTH, LONG = 1e-3, 2e-2
NETWORKS = {"initialisation": 85, "centred pixels": 40, "trained": 20}
MINIBATCHES = {"initialisation": 1, "centred pixels": 1, "trained": 4}


class Covariances(NamedTuple):
    """Sums of d_a d_b over units, predicted up to a constant and measured, (inputs, inputs); over pairs of units."""

    predicted: Array
    measured: Array
    between: float


def run(settings: Settings) -> Outcome:
    """Compare covariances on hinges and on networks with equations (2) and (3)."""
    rng, scale = settings.rng, settings.scale
    net = digits.network()
    findings: list[Finding] = []
    pixels = {}
    for state, count in NETWORKS.items():
        samples = [_network(net, state, rng) for _ in range(count * scale)]
        pixels[state] = np.array([[layers[0].predicted, layers[0].measured] for layers in samples])
        for k, layer in enumerate(digits.LAYERS if state != "centred pixels" else (1,)):
            findings += _within_and_between(f"{state}, layer {layer}", [layers[k] for layers in samples])
    moved = np.array([_one_weight(net, rng) for _ in range(100 * scale)]).T
    name = "initialisation, layer 2: R_ij / R_jj"
    findings.append(equal_ratios_finding(name, moved[:2], moved[2:], tolerance=0.03, scale=1.0, resolution=0.25))
    lengths, moving, resting, others = _hinges(15_000 * scale, rng)
    findings += others
    return Outcome(findings, _figure(pixels, lengths, moving, resting))


def _within_and_between(name: str, samples: list[Covariances]) -> list[Finding]:
    within = [[(_pairs(c), np.trace(c)) for c in (s.predicted, s.measured)] for s in samples]
    predicted, measured = np.transpose(within, (1, 2, 0))
    between = [s.between for s in samples]
    within_options = {"tolerance": 0.01, "scale": 1.0} if "centred" in name else {"tolerance": 0.01, "resolution": 0.2}
    between_units = ratio_finding(f"{name}: between units", 0.0, between, measured[1], tolerance=0.02, scale=1.0)
    if "trained" in name:  # the squares of a few networks would outweigh the others
        predicted, measured = (values / values[1] for values in (predicted, measured))
        within_options = {"tolerance": 0.02, "resolution": 0.3}
    name += ": correlation within units"
    return [equal_ratios_finding(name, predicted, measured, **within_options), between_units]


def _pairs(covariance: Array) -> float:
    """Sum over the pairs a ≠ b, divided by the number of partners, as the trace is a sum over a."""
    return float(covariance.sum() - covariance.trace()) / (len(covariance) - 1)


def _network(net: gc.MLP, state: str, rng: np.random.Generator) -> list[Covariances]:
    """Return the covariances of both hidden layers."""
    theta = digits.parameters(net, "trained" if state == "trained" else "initialisation", rng)
    rows = []
    for _ in range(MINIBATCHES[state]):
        X, y = digits.minibatch(400, rng)
        if state == "centred pixels":
            centred = X - X.mean(axis=0)
            X = centred * np.linalg.norm(X) / np.linalg.norm(centred)
        move = LENGTH * gc.Rademacher().sample(net.size, rng)
        second = net.unflatten(_second_difference(net, theta, move, X, y))
        for (weights, _), (inputs, rates) in zip(second, _rates(net, theta, X, y), strict=False):
            measured, across = weights @ weights.T, weights.T @ weights
            rows.append((inputs.T * rates.sum(axis=1) @ inputs, measured, _pairs(across)))
    return [Covariances(*map(sum, zip(*rows[k :: len(digits.LAYERS)], strict=True))) for k in (0, 1)]


def _rates(net: gc.MLP, theta: Array, X: Array, y: digits.Labels) -> list[tuple[Array, Array]]:
    """Return the inputs x of both hidden layers, (rows, inputs), and the W_k their gradients see, (rows, units)."""
    (first, second, outputs), ((_, _), (middle, _), (out, _)) = net.preactivations(theta, X), net.unflatten(theta)
    active, hidden = first > 0, np.maximum(first, 0)
    top = net.loss.derivative(outputs, y) @ out.T
    below = (top * (second > 0)) @ middle.T
    # Variance of q_k by unit length: the squared norm of ∇y_k.
    norm = np.sum(X**2, axis=1, keepdims=True) + 1
    norm_above = np.sum(hidden**2, axis=1, keepdims=True) + 1 + norm * (active @ middle**2)
    rates, above = (
        signal**2 * scipy.special.erfc(abs(y_k) / (LENGTH * np.sqrt(2 * square)))
        for signal, y_k, square in ((below, first, norm), (top, second, norm_above))
    )
    return [(X, rates + active * (above @ (middle**2).T)), (hidden, above)]


def _second_difference(net: gc.MLP, theta: Array, move: Array, X: Array, y: digits.Labels) -> Array:
    plus, minus, center = (net.value_and_grad(theta + t * move, X, y)[1] for t in (1, -1, 0))
    return (plus + minus) / 2 - center


def _one_weight(net: gc.MLP, rng: np.random.Generator) -> list[float]:
    """R_ij and R_jj, predicted and measured, summed over the units of the second layer; one weight j of each moves."""
    theta, (X, y) = net.initialize(rng), digits.minibatch(400, rng)
    units = np.arange(net.layers[2])
    moving = rng.integers(net.layers[1], size=units.size)
    move = np.zeros(net.size)
    net.unflatten(move)[1][0][moving, units] = LONG
    squares = net.unflatten(_second_difference(net, theta, move, X, y))[1][0] ** 2
    first, _, outputs = net.preactivations(theta, X)
    hidden = np.maximum(first, 0)
    # The density of y at 0 is the same for all units, given their inputs, but for a constant.
    signal = net.loss.derivative(outputs, y) @ net.unflatten(theta)[2][0].T
    rates = hidden[:, moving] * signal**2 / np.linalg.norm(hidden, axis=1, keepdims=True)
    both = [(rates.T @ hidden**2).T, squares]
    sums = []
    for values in both:
        own = values[moving, units].sum()
        sums += [(values.sum() - own) / (len(values) - 1), own]
    return sums


def _hinges(landscapes: int, rng: np.random.Generator) -> tuple[Array, Array, Array, list[Finding]]:
    """Lengths, mean v_j² and mean v_i² of every landscape; findings."""
    n = 6
    toy = gc.RandomHinges(n, 1500, half_width=4.0, rng=rng)
    direction = gc.Rademacher().sample(n, rng) / np.sqrt(n)
    R, inverse = toy.density_matrix(), np.linalg.inv(toy.covariance(direction))
    slopes = np.column_stack([toy.normals, toy.normals @ direction]).T
    own, rows = np.eye(n, dtype=bool), []
    for _ in range(landscapes // 500):
        offsets, signals = draw_landscapes(toy, 500, rng)
        lengths = rng.uniform(0.1, 0.6, 500)
        crossed = [np.subtract(np.outer(lengths, a) > offsets, offsets < 0, dtype=np.int8) for a in slopes]
        *single, every = np.array([change * signals @ toy.normals for change in crossed])  # (landscape, i) each
        v = np.transpose(single, (1, 2, 0))  # landscape, i, j: coordinate j moves
        squares = v**2
        products = (np.sum(v, axis=1) ** 2 - squares.sum(axis=1)).mean(axis=1) / (n * (n - 1))
        relative = squares / R
        columns = [relative[:, own], relative[:, ~own], squares[:, own], squares[:, ~own]]
        general = np.sum(every @ inverse * every, axis=1) / n
        rows.append([lengths, *(column.mean(axis=1) for column in columns), products / R[own].mean(), general])
    lengths, moving, resting, own_square, other_square, product, general = np.concatenate(rows, axis=1)
    weight = lengths / np.mean(lengths**2)  # weight @ x / M is the slope of the regression of x on |δ|
    findings = [
        mean_finding("hinges: slope of v_j² on |δ_j| / exact R_jj", 1.0, weight * moving),
        mean_finding("hinges: slope of v_i² on |δ_j| / exact R_ij", 1.0, weight * resting),
        ratio_finding(
            "hinges: R_jj / R_ij", 2.0, weight * own_square, weight * other_square, tolerance=0.06, resolution=0.15
        ),
        mean_finding(
            "hinges: slope of v_i v_l on |δ_j|, share of R_jj", 0.0, weight * product, scale=1.0, tolerance=0.02
        ),
        ratio_finding("hinges: v vᵀ / equation (2), all coordinates moving", 1.0, general, lengths),
        _intercept(lengths, moving),
    ]
    return lengths, own_square, other_square, findings


def _intercept(lengths: Array, values: Array) -> Finding:
    """Intercept of the regression on |δ|, as a share of the mean: 0 if the growth is linear from the start."""
    centered = lengths - lengths.mean()
    # The intercept is a weighted mean of the values.
    weights = 1 - lengths.mean() * centered / np.mean(centered**2)
    samples = weights * values / values.mean()
    return mean_finding("hinges: intercept of v_j² on |δ_j| / mean", 0.0, samples, scale=1.0, resolution=0.25)


def _figure(pixels: dict[str, Array], lengths: Array, moving: Array, resting: Array) -> Figure:
    figure, (left, right) = panels(
        ("Two weights of one unit on digits", "One moving coordinate on hinges"),
        ("correlation that (2) predicts", r"$|\delta_j|$"),
        ("measured correlation", "mean square of the variation, relative"),
    )
    left.plot([-0.5, 1], [-0.5, 1], color=GREY, label="prediction")
    for (state, matrices), colour, marker in zip(pixels.items(), (BLUE, GREEN, ORANGE), "o^s", strict=False):
        predicted, measured = np.sqrt(np.diagonal(matrices.mean(axis=0), axis1=1, axis2=2))
        seen = predicted > 0.05 * predicted.max()
        a, b = np.nonzero(np.triu(np.outer(seen, seen), 1))
        expected = matrices[:, 0].mean(axis=0)[a, b] / (predicted[a] * predicted[b])
        found = matrices[:, 1, a, b] / (measured[a] * measured[b])
        classes = np.array_split(np.argsort(expected), 8)
        values = np.array([found[:, part].mean(axis=1) for part in classes])
        size = np.trace(matrices[:, 1], axis1=1, axis2=2)
        residual = values - np.outer(values.mean(axis=1), size / size.mean())  # of a ratio
        error = STANDARD_ERRORS * residual.std(axis=1) / np.sqrt(len(matrices))
        x = [expected[part].mean() for part in classes]
        left.errorbar(x, values.mean(axis=1), error, fmt=marker, color=colour, capsize=4, label=state)
    left.legend(loc="upper left")
    parts = np.array_split(np.argsort(lengths), 8)
    center, unit = [lengths[part].mean() for part in parts], moving.mean() / lengths.mean()
    for values, share, name, colour in ((moving, 1, "moving, j", BLUE), (resting, 0.5, "resting, i", ORANGE)):
        means = np.array([values[part].mean() for part in parts]) / unit
        error = [STANDARD_ERRORS * values[part].std() / np.sqrt(part.size) / unit for part in parts]
        right.plot([0, 0.6], [0, 0.6 * share], color=GREY)
        right.errorbar(center, means, error, fmt="o", color=colour, capsize=4, label=name)
    right.set_xlim(0)
    right.set_ylim(0)
    right.legend(title="coordinate", loc="upper left")
    return figure
