"""The covariance of gradient variations is linear in |δ| and dominated by its diagonal.

Claim. When coordinate j alone moves, E[v_i²] = R_ij |δ_j|, with R_jj twice the other R_ij for isotropic normals, and
E[v_i v_l] averages to 0 for i ≠ l.

Source. Theory, section 1, equations (2) and (3); paper.

Prediction. ``RandomHinges.density_matrix``, the ratio 2, and 0 off the diagonal. On a digits MLP: the moving weight has
more than half of v_j² + v_i², and weights that feed different units have no covariance.

Measurement. On random hinges v vᵀ is regressed on |δ_j| over many landscapes, coordinates j and lengths. On MLPs at
initialisation one weight of the first hidden layer moves and another of the same unit rests; then all weights move, and
the covariance between units is compared with their variance.

Tolerance. Five standard errors, 0.06 on the ratio 2 for the finite number of normals, and 0.02 between units, which the
softmax couples weakly. Two weights of one unit do correlate on the digits (about 0.75), because pixels are positive and
the signs of ∂y/∂θ are not independent: on real data the covariance is dominated by its diagonal between units, not
within them.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "The covariance of gradient variations is linear in |δ| and diagonally dominant"
SOURCE = "theory 1, eq. (2), (3)"

Array = NDArray[np.float64]
DIMENSION = 6


def run(settings: Settings) -> Outcome:
    """Regress v vᵀ on |δ| on hinges, and compare weights of a network."""
    toy = gc.RandomHinges(DIMENSION, 1500, half_width=4.0, rng=settings.rng)
    lengths, own, others, off = _single_coordinate_moves(toy, 42_000 * settings.scale, settings.rng)
    weight = lengths / np.mean(lengths**2)  # weight @ x / M is the slope of the regression of x on |δ|
    share, between = _network(40 * settings.scale, settings.rng)
    findings = [
        mean_finding("slope of v_j² on |δ_j| / exact R_jj", 1.0, weight * own[0]),
        mean_finding("slope of v_i² on |δ_j| / exact R_ij", 1.0, weight * others[0]),
        ratio_finding("R_jj / R_ij", 2.0, weight * own[1], weight * others[1], tolerance=0.06, resolution=0.15),
        mean_finding("slope of v_i v_l on |δ_j|, share of R_jj", 0.0, weight * off, scale=1.0, tolerance=0.02),
        _intercept(lengths, own[0]),
        mean_finding("digits MLP: share of the moving weight in v_j² + v_i²", 0.5, share, relation=">="),
        mean_finding("digits MLP: covariance between units / variance", 0.0, between, scale=1.0, tolerance=0.02),
    ]

    figure, ax = axes(
        "One moving coordinate on random hinges", r"$|\delta_j|$", "mean square of the variation, relative"
    )
    edges = np.quantile(lengths, np.linspace(0, 1, 9))
    bins = np.digitize(lengths, edges[1:-1])
    center = [lengths[bins == b].mean() for b in range(8)]
    scale = np.mean(own[1])
    for values, name, colour in ((own[1], "moving coordinate j", BLUE), (others[1], "resting coordinates i", ORANGE)):
        ax.plot(center, [values[bins == b].mean() / scale for b in range(8)], "o-", color=colour, label=name)
    ax.set_xlim(0)
    ax.set_ylim(0)
    ax.legend()
    return Outcome(findings, figure)


def _single_coordinate_moves(
    toy: gc.RandomHinges, landscapes: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array]:
    """Lengths; v_j² and mean v_i², each over the exact density and plain; mean of v_i v_l over R_jj."""
    R, n = toy.density_matrix(), toy.size
    lengths, own, others, off = (
        rng.uniform(0.1, 0.6, landscapes),
        np.empty((2, landscapes)),
        np.empty((2, landscapes)),
        np.empty(landscapes),
    )
    for k, length in enumerate(lengths):
        j, landscape = rng.integers(n), toy.redraw(rng)
        v = landscape.gradient(length * np.eye(n)[j]) - landscape.gradient(np.zeros(n))
        rest = np.arange(n) != j
        own[:, k] = v[j] ** 2 / R[j, j], v[j] ** 2
        others[:, k] = np.mean(v[rest] ** 2 / R[rest, j]), np.mean(v[rest] ** 2)
        off[k] = (v.sum() ** 2 - v @ v) / (n * (n - 1)) / R[j, j]
    return lengths, own, others, off


def _intercept(lengths: Array, values: Array) -> Finding:
    """Intercept of the regression on |δ|, as a share of the mean: 0 if the growth is linear from the start."""
    centered = lengths - lengths.mean()
    # The intercept is a weighted mean of the values.
    weights = 1 - lengths.mean() * centered / np.mean(centered**2)
    samples = weights * values / values.mean()
    return mean_finding("intercept of v_j² on |δ_j|, share of the mean", 0.0, samples, scale=1.0, resolution=0.25)


def _network(networks: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Share of the moving weight in the squared variation of two; covariance between units over variance."""
    X, y, *_ = gc.data.load_digits()
    net = gc.MLP((64, 64, 64, 10))
    pixels = np.flatnonzero(X.std(axis=0) > 0.2)
    share, between = [], []
    for _ in range(networks):
        theta, batch = net.initialize(rng), rng.choice(len(X), 200, replace=False)

        def second_difference(
            delta: Array, theta: Array = theta, rows: Array = X[batch], labels: Array = y[batch]
        ) -> Array:
            plus, minus, center = (net.value_and_grad(theta + s * delta, rows, labels)[1] for s in (1, -1, 0))
            return np.asarray((plus + minus) / 2 - center)

        for _ in range(20):
            unit, (a, b) = rng.integers(64), rng.choice(pixels, 2, replace=False)
            move = np.zeros(net.size)
            move[a * 64 + unit] = 3e-3
            d = second_difference(move)
            moving, resting = d[a * 64 + unit] ** 2, d[b * 64 + unit] ** 2
            if moving + resting > 0:
                share.append(moving / (moving + resting))
        weights = net.unflatten(second_difference(1e-3 * gc.Rademacher().sample(net.size, rng)))[0][0][pixels]
        covariance = weights.T @ weights
        between.append((covariance.sum() - covariance.trace()) / 63 / covariance.trace())
    return np.array(share), np.array(between)
