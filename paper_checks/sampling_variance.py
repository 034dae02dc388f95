"""What the law of the directions adds to the variance of the estimates.

Claim. Where each boundary is crossed by the movement of one coordinate, the glass estimate of a coordinate, normalised
by E|z|, has the mean Σ_j R_ij for every law; the direction adds the excess variance Σ_j R_ij² Var|z_j|/(E|z|)², which
vanishes only for constant |z|. The Hessian's z_i(Hz)_i/E z² has the variance
H_ii² (E z⁴/(E z²)² − 1) + Σ_{j≠i} H_ij². Of all laws with independent coordinates Rademacher is best in both.

Source. Theory, section 4; paper. New here: laws with dependent coordinates, such as the sphere. There the covariances
of the |z_j| enter, Σ_{j≠k} R_ij R_ik (E|z_j z_k| − (E|z|)²)/(E|z|)² with E|z_j z_k| = 2/π, which are negative; and the
second sum above has the factor E z_i² z_j² = n/(n + 2). New as well: hinges of any normals a_k. There Gaussian
directions and the sphere read exactly the upper end of (4), Σ_k C_k‖a_k‖, as E|a·z| = ‖a‖ E|z|, and Rademacher
directions less. The excess variance is Σ_kl C_k C_l ‖a_k‖‖a_l‖ (2/π)(√(1 − c²) + c arcsin c)/(E|z|)² less the squared
mean, c being the cosine between a_k and a_l, because E|a_k·z||a_l·z| is the same for both laws.

Prediction. These formulas, with the moments of each law written out and the exact density matrix of the toy; for
Rademacher directions on hinges of any normals the exact densities of all sign patterns.

Measurement. Glass: kernels on gradients of random hinges in four dimensions, two landscapes for each direction: the
covariance of their estimates is the excess variance, whatever the noise of each. The first toy has the normals
e_j + ε e_1, j ≥ 2, and its first coordinate is looked at; then normals with normal entries, and normals with two equal
entries. Hessian: the kernel on gradients of a quadratic, also of one without diagonal.

Tolerance. Five standard errors; each direction, with its landscapes, is one sample. Excess variances are small
differences: 30 % are noticed, of that of Gaussian directions where it is larger. ε = 10⁻³ changes them by 10⁻⁶.

Limits. Rademacher is not optimal in everything. The sphere has the smaller variance for a diagonal entry whose square
is below the mean square of the other entries of its row, n/(n + 2) of it if the entry is 0. Where two equal entries
make up the normals of the boundaries, the excess variance of Rademacher directions is 1, of Gaussian ones 0.57, of the
sphere in four dimensions 0.39: half of the sign patterns do not cross them. Its mean is the least for any normals, and
for isotropic ones it has no excess. A line of three nodes has the variance 2 E ρ(z)² + Var ρ(z) in the dense limit: an
excess of V costs it 3V.
"""

from itertools import product

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, ORANGE, note, panels
from paper_checks.hinges import gradients_on_lines
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Rademacher directions alone add no variance, if one coordinate crosses each boundary"
SOURCE = "theory 4; new (sphere, hinges of any normals)"
STANDING = "limited"

Array = NDArray[np.float64]
Law = gc.Rademacher | gc.Uniform | gc.Gaussian | gc.Sphere | gc.SparseRademacher

DIMENSION, NODES = 4, np.arange(-3.0, 4.0)
LINES, GENERIC, VECTORS = 64_000, 24_000, 200_000


HESSIAN = np.array([[2, 1, -1, 0.5], [1, -1, 0.5, 1], [-1, 0.5, 1, 1], [0.5, 1, 1, -2]])
GAUSSIAN_EXCESS = 0.15
"""About what Gaussian directions add on hinges of any normals."""


MOMENTS = {
    "Rademacher": (1, 1, 1),
    "uniform": (1 / 2, 1 / 3, 1 / 5),
    "sphere": (8 / (3 * np.pi), 1, 2),
    "Gaussian": (np.sqrt(2 / np.pi), 1, 3),
    "sparse ½": (1 / 2, 1 / 2, 1 / 2),
}
"""E|z|, E z² and E z⁴ of each law, in four dimensions."""


def laws() -> dict[str, Law]:
    """Return the laws by name."""
    return {
        "Rademacher": gc.Rademacher(),
        "uniform": gc.Uniform(-1, 1),
        "sphere": gc.Sphere(DIMENSION),
        "Gaussian": gc.Gaussian(),
        "sparse ½": gc.SparseRademacher(0.5),
    }


def run(settings: Settings) -> Outcome:
    """Measure means and excess variances by law."""
    rng = settings.rng
    additive = np.repeat([[1e-3, 1, 0, 0], [1e-3, 0, 1, 0], [1e-3, 0, 0, 1]], [24, 8, 8], axis=0)
    toys = {
        "normal normals": rng.standard_normal((40, DIMENSION)),
        "two equal movers a boundary": np.repeat([[1.0, 1, 0, 0], [0, 0, 1, 1]], 10, axis=0),
    }
    quadratic = gc.Quadratic(HESSIAN, rng.standard_normal(DIMENSION))
    glass, hessian, others = [], [], []
    for name, law in laws().items():
        z = _draw(law, settings.scale * (VECTORS if name == "Gaussian" else LINES), rng)
        glass.append(_additive(name, law, z[: settings.scale * LINES], additive, rng))
        hessian.append(_hessian(name, law, z, quadratic))
        if name in ("Gaussian", "sphere", "Rademacher"):
            for toy, normals in toys.items():
                others += _generic(toy, name, law, z[: settings.scale * GENERIC], normals, rng)
    findings = [finding for pair in zip(*glass, strict=True) for finding in pair]
    findings.sort(key=lambda finding: "excess" not in finding.quantity)
    hollow = _hollow(settings.scale * LINES, rng)
    return Outcome([*findings, *hessian, hollow, *others], _figure([excess for _, excess in glass], [*hessian, hollow]))


def _draw(law: Law, count: int, rng: np.random.Generator) -> Array:
    """Draw directions, (count, n)."""
    if isinstance(law, gc.Sphere):
        return np.array([law.sample(DIMENSION, rng) for _ in range(count)])
    return np.asarray(law.sample(count * DIMENSION, rng)).reshape(count, DIMENSION)


def _estimates(normals: Array, z: Array, rng: np.random.Generator) -> tuple[gc.RandomHinges, Array]:
    """Estimate densities on two landscapes for each direction, (2, lines, n)."""
    half_width = 1.001 * NODES[-1] * float(abs(z @ normals.T).max())
    toy = gc.RandomHinges(
        DIMENSION, len(normals), half_width=half_width, signals="rademacher", normals=normals, rng=rng
    )
    gradients = [gradients_on_lines(toy, NODES, z, rng).reshape(NODES.size, -1) for _ in range(2)]
    return toy, np.array([gc.glass_kernel(NODES).apply(lines, 1.0).reshape(z.shape) for lines in gradients])


def _findings(name: str, estimates: Array, mean: Array, excess: Array, scale: float | None) -> list[Finding]:
    """Compare means of normalised estimates, and covariances relative to the squared mean."""
    deviations = estimates / mean - 1
    covariances = np.mean(deviations[0] * deviations[1], axis=1)
    predicted = float(np.mean(excess))
    return [
        mean_finding(f"{name}: mean density", float(np.mean(mean)), estimates.mean(axis=(0, 2))),
        mean_finding(f"{name}: excess variance", predicted, covariances, scale=scale, resolution=0.3),
    ]


def _additive(name: str, law: Law, z: Array, normals: Array, rng: np.random.Generator) -> list[Finding]:
    toy, estimates = _estimates(normals, z, rng)
    row, (first, second, _) = toy.density_matrix()[0], MOMENTS[name]
    shares = row / row.sum()
    covariance = (second - first**2) * np.eye(DIMENSION)
    if name == "sphere":
        covariance += (2 / np.pi - first**2) * (1 - np.eye(DIMENSION))
    excess = np.atleast_1d(shares @ covariance @ shares / first**2)
    scale = float(shares @ shares) * (np.pi / 2 - 1)
    relative = estimates[:, :, :1] / (law.absolute_moment(1) * row.sum())
    return _findings(f"one mover a boundary, {name}", relative, np.ones(1), excess, max(scale, float(excess[0])))


def _generic(toy_name: str, name: str, law: Law, z: Array, normals: Array, rng: np.random.Generator) -> list[Finding]:
    """Compare with the upper end of (4)."""
    toy, estimates = _estimates(normals, z, rng)
    norms = np.linalg.norm(normals, axis=1)
    upper = toy.signal_scale**2 / (2 * toy.half_width) * (norms @ normals**2)
    weights = toy.signal_scale**2 / (2 * toy.half_width) * normals**2 * norms[:, None] / upper
    if name == "Rademacher":
        signs = np.array(list(product((-1.0, 1.0), repeat=DIMENSION)))
        known = np.array([toy.density(sign) for sign in signs]) / upper
        mean, excess = known.mean(axis=0), known.var(axis=0) / known.mean(axis=0) ** 2
    else:
        cosine = np.clip(normals @ normals.T / np.outer(norms, norms), -1, 1)
        pairs = 2 / np.pi * (np.sqrt(1 - cosine**2) + cosine * np.arcsin(cosine))
        mean = np.ones(DIMENSION)
        excess = np.einsum("ki,li,kl->i", weights, weights, pairs) / MOMENTS[name][0] ** 2 - 1
    relative = estimates / (law.absolute_moment(1) * upper)
    return _findings(f"{toy_name}, {name}", relative, mean, excess, max(GAUSSIAN_EXCESS, float(excess.mean())))


def _diagonal(law: Law, z: Array, quadratic: gc.Quadratic) -> Array:
    """Measure z∘Hz/E z² with the Hessian kernel, (lines, n)."""
    gradients = [(t * z @ quadratic.hessian + quadratic.linear).ravel() for t in (-1, 0, 1)]
    return np.asarray(z * gc.hessian_kernel().apply(gradients, 1.0).reshape(z.shape) / law.absolute_moment(2))


def _hessian(name: str, law: Law, z: Array, quadratic: gc.Quadratic) -> Finding:
    squares = np.square(quadratic.hessian)
    own = np.diag(squares)
    mixed = DIMENSION / (DIMENSION + 2) if name == "sphere" else 1.0
    _, second, fourth = MOMENTS[name]
    predicted = (fourth / second**2 - 1) * own + mixed * (squares.sum(axis=1) - own)
    errors = np.square(_diagonal(law, z, quadratic) - np.diag(quadratic.hessian))
    scale = squares.sum() - own.sum()
    # In units of what Rademacher directions have.
    return mean_finding(f"Hessian diagonal, {name}: variance", predicted.sum() / scale, errors.sum(axis=1) / scale)


def _hollow(count: int, rng: np.random.Generator) -> Finding:
    """Compare the sphere with Rademacher directions on a quadratic without diagonal."""
    quadratic = gc.Quadratic(HESSIAN - np.diag(np.diag(HESSIAN)))
    squares = [
        np.square(_diagonal(law, _draw(law, count, rng), quadratic)).sum(axis=1)
        for law in (gc.Sphere(DIMENSION), gc.Rademacher())
    ]
    name = "Hessian without diagonal: sphere / Rademacher"
    return ratio_finding(name, DIMENSION / (DIMENSION + 2), *squares)


def _figure(glass: list[Finding], hessian: list[Finding]) -> Figure:
    titles = ("Glass: excess variance", "Hessian diagonal: variance")
    units = ("share of the squared density", "over that of Rademacher directions")
    figure, both = panels(titles, ("", ""), units)
    figure.set_figwidth(11.4)  # six labels beside each other
    for ax, findings in zip(both, (glass, hessian), strict=True):
        names = ["Rade-\nmacher", *list(laws())[1:-1], "sparse\n½", "sphere,\n$H_{ii}$ = 0"][: len(findings)]
        ax.bar(names, [f.prediction for f in findings], color=ORANGE, alpha=0.4, label="predicted")
        measured, intervals = [f.measurement for f in findings], [f.interval for f in findings]
        ax.errorbar(names, measured, intervals, fmt="o", color=BLUE, capsize=5, label="measured")
        ax.tick_params(axis="x", labelsize=10)
        ax.grid(visible=False, axis="x")
        ax.legend(fontsize=11, loc="upper left")
        ax.set_ylim(top=1.3 * max(measured))
        note(ax)
    return figure
