"""What the movement of the other coordinates adds to a coordinate's own estimate, by law of the directions.

Claim. Normalised by the coordinate's own movement, v_i²/|z_i| has the mean R_ii + E|z| E|1/z| Σ_{j≠i} R_ij, and
(Hz)_i/z_i the variance E z² E z⁻² Σ_{j≠i} H_ij². These factors are 1 for Rademacher, ln 3 and 13/9 for the uniform law
on ±[½, 3/2], infinite for Gaussian directions and for the uniform law on [−1, 1]. Sparse directions separate the
diagonal: the mean of v_i²/σ over the lines in which coordinate i moves tends to R_ii as the probability q of moving
tends to 0, and of all lines it takes 1/q times as many.

Source. Theory, section 4; paper. The sparse law is new.

Prediction. ``contamination`` of each law where it is finite. Where it is infinite, only directions with |z_i| > τ
count, and the factors become, exactly, ½ ln(1/τ) and (1/τ − 1)/3 for the uniform law, E₁(τ²/2)/π and
√(2/π) e^{−τ²/2}/τ − erfc(τ/√2) for the Gaussian law: as τ → 0 the glass's grow by 0.50 and 0.64 for a factor e, the
Hessian's as 1/τ. Sparse: the exact densities of the toy in all 3ⁿ directions, with their probabilities.

Measurement. Glass: kernels on gradients of hinges with the normals e_2 + ε e_1, whose boundaries only the second
coordinate crosses and whose jumps reach the first: R_11 is negligible. Hessian: the kernel on gradients of a quadratic.
Sparse: kernels on gradients of hinges with normal normals in four dimensions. All that is measured in one direction
and its landscape is one sample. Also the diagonal of ``estimate_curvature`` with its default law.

Tolerance. Five standard errors. Where |z_i| may be small the samples have heavy tails, and errors of 25 % are noticed.
ε = 10⁻³ enters squared.

Limits. The factors hold for v_i² that adds up over coordinates. For hinges of any normals they are bounds, but
Rademacher directions have the least mean there too, by Jensen in z_i and in the other |z_j|.
"""

from collections.abc import Callable
from itertools import product
from typing import Literal

import numpy as np
import scipy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from paper_checks.hinges import gradients_on_lines
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Rademacher directions contaminate a coordinate least; sparse ones separate its own"
SOURCE = "theory 4"

Array = NDArray[np.float64]
Law = gc.Rademacher | gc.Uniform | gc.Gaussian | gc.SparseRademacher
Term = Literal["glass", "hessian"]
UNIFORM = "uniform [−1, 1]"

NODES = np.arange(-3.0, 4.0)
LINES, VECTORS, SPARSE_LINES = 50_000, 250_000, 50_000
CUTOFFS = {"glass": (0.1, 0.01), "hessian": (0.1, 0.03)}
PROBABILITIES = (0.06, 0.2, 0.5, 1.0)
DIMENSION = 4


def factor_above(name: str, term: str, cutoff: ArrayLike) -> Array:
    """Return an infinite factor with only |z_i| > τ counted."""
    tau = np.asarray(cutoff, float)
    if name == UNIFORM:
        return np.asarray(np.log(1 / tau) / 2 if term == "glass" else (1 / tau - 1) / 3)
    if term == "glass":
        return np.asarray(scipy.special.exp1(tau**2 / 2) / np.pi)
    return np.asarray(np.sqrt(2 / np.pi) * np.exp(-(tau**2) / 2) / tau - scipy.special.erfc(tau / np.sqrt(2)))


def run(settings: Settings) -> Outcome:
    """Measure contamination factors, finite and truncated, and the limit of sparse directions."""
    rng, scale = settings.rng, settings.scale
    findings, truncated = [], []
    terms: dict[Term, Callable[[Law], tuple[Array, Array]]] = {
        "glass": lambda law: _glass(_draw(law, 2, scale * LINES, rng), rng),
        "hessian": lambda law: _hessian(_draw(law, DIMENSION, scale * VECTORS, rng)),
    }
    for term, sample in terms.items():
        for name, law in {"Rademacher": gc.Rademacher(), "uniform ±[½, 3/2]": gc.Uniform(0.5, 1.5)}.items():
            values, _ = sample(law)
            findings.append(mean_finding(f"{name}: {term} factor", gc.contamination(law, term), values))
        for name, law in {UNIFORM: gc.Uniform(-1, 1), "Gaussian": gc.Gaussian()}.items():
            values, size = sample(law)
            for cutoff in CUTOFFS[term]:
                title, predicted = f"{name}, |z| > {cutoff}: {term} factor", float(factor_above(name, term, cutoff))
                finding = mean_finding(title, predicted, np.where(size > cutoff, values, 0.0), resolution=0.25)
                findings.append(finding)
                truncated.append((name, term, cutoff, finding))
    sparse = _sparse(scale, rng)
    findings += [*(finding for row in sparse.values() for finding in row), _default_diagonal(rng, scale)]
    return Outcome(findings, _figure(truncated, sparse))


def _draw(law: Law, dimension: int, count: int, rng: np.random.Generator) -> Array:
    """Draw directions, (count, n), of independent coordinates."""
    return np.asarray(law.sample(count * dimension, rng)).reshape(count, dimension)


def _estimates(normals: Array, z: Array, rng: np.random.Generator) -> tuple[gc.RandomHinges, Array]:
    """Estimate densities, each direction in a landscape of its own, (lines, n)."""
    half_width = 1.001 * NODES[-1] * float(abs(z @ normals.T).max())
    toy = gc.RandomHinges(z.shape[1], len(normals), half_width, signals="rademacher", normals=normals, rng=rng)
    gradients = gradients_on_lines(toy, NODES, z, rng).reshape(NODES.size, -1)
    return toy, gc.glass_kernel(NODES).apply(gradients, 1.0).reshape(z.shape)


def _glass(z: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sample v₁²/(|z₁| σ R₁₂), R₁₁ being negligible, and |z₁|."""
    toy, estimates = _estimates(np.tile([1e-3, 1.0], (30, 1)), z, rng)
    size = abs(z[:, 0])
    return estimates[:, 0] / size / toy.density_matrix()[0, 1], size


def _hessian(z: Array) -> tuple[Array, Array]:
    """Sample ((Hz)₁/z₁ − H₁₁)² over the other entries' squares, and |z₁|."""
    row = np.array([2.0, 1.0, -0.5, 0.3])
    product = gc.hessian_kernel().apply([t * z @ row for t in (-1, 0, 1)], 1.0)
    return np.square(product / z[:, 0] - row[0]) / np.sum(row[1:] ** 2), abs(z[:, 0])


def _sparse(scale: int, rng: np.random.Generator) -> dict[float, list[Finding]]:
    """Compare own density, row sum and share of the lines for every probability q."""
    normals, findings = rng.standard_normal((40, DIMENSION)), {}
    patterns = np.array(list(product((-1.0, 0.0, 1.0), repeat=DIMENSION)))
    for q in PROBABILITIES:
        z = _draw(gc.SparseRademacher(q), DIMENSION, scale * SPARSE_LINES, rng)
        share = mean_finding(f"sparse, q = {q}: share of lines in which i moves", q, (z != 0).mean(axis=1))
        z = z[z.any(axis=1)][: scale * 12_000]
        toy, estimates = _estimates(normals, z, rng)
        matrix = toy.density_matrix()
        own, rows = np.diag(matrix), matrix.sum(axis=1)
        densities, moves = np.array([toy.density(pattern) for pattern in patterns]), patterns != 0
        probability = np.prod(np.where(moves, q / 2, 1 - q), axis=1)
        some = 1 - (1 - q) ** DIMENSION
        limit = probability @ (moves * densities / own).mean(axis=1) / q
        total = probability @ (densities / rows).mean(axis=1) / q
        name = f"sparse, q = {q}: density"
        moving = z != 0
        above = (moving * estimates / own).mean(axis=1)
        whole = some / q * (estimates / rows).mean(axis=1)
        findings[q] = [
            ratio_finding(f"{name} where i moves / R_ii", limit, above, moving.mean(axis=1)),
            mean_finding(f"{name} / (q Σ_j R_ij)", total, whole, resolution=0.15),
            share,
        ]
    return findings


def _default_diagonal(rng: np.random.Generator, scale: int) -> Finding:
    """Variance of the estimator's Hessian diagonal with its default law: Σ_{j≠i} H_ij² for one sample."""
    root = rng.standard_normal((16, 16))
    quadratic = gc.Quadratic(root + root.T)
    exact, errors = np.sum(quadratic.hessian**2, axis=1) - quadratic.hessian.diagonal() ** 2, []
    for _ in range(1800 * scale):
        estimate = gc.estimate_curvature(quadratic.gradient, np.zeros(16), 0.1, samples=1, rng=rng)
        errors.append(np.mean((estimate.hessian_diagonal - quadratic.hessian.diagonal()) ** 2 / exact))
    return mean_finding("estimator's diagonal: variance / Σ_{j≠i} H_ij²", 1.0, errors)


def _figure(truncated: list[tuple[str, Term, float, Finding]], sparse: dict[float, list[Finding]]) -> Figure:
    titles = ("Glass: contamination by the others", "Sparse directions")
    xlabels = ("cutoff τ: only directions with |zᵢ| > τ count", "probability q that a coordinate moves")
    figure, (left, right) = panels(titles, xlabels, ("factor", "density over its limit as q → 0"))
    tau = np.geomspace(3e-3, 0.5)
    for name, colour, marker in ((UNIFORM, ORANGE, "s"), ("Gaussian", BLUE, "o")):
        left.plot(tau, factor_above(name, "glass", tau), color=colour)
        row = [(cutoff, finding) for law, term, cutoff, finding in truncated if (law, term) == (name, "glass")]
        _markers(left, row, colour, marker, name)
    left.axhline(1, color=GREY, ls="--")
    left.text(3e-3, 1.05, "Rademacher, all τ", color=GREY, fontsize=11)
    left.set_xscale("log")
    labels = ("where i moves, over Rᵢᵢ", "all lines, over q Σⱼ Rᵢⱼ")
    for k, (label, colour, marker) in enumerate(zip(labels, (GREEN, PURPLE), "^D", strict=True)):
        right.plot(list(sparse), [row[k].prediction for row in sparse.values()], color=colour)
        _markers(right, [(q, row[k]) for q, row in sparse.items()], colour, marker, label)
    right.set_xlim(0, 1.05)
    for ax in (left, right):
        ax.set_ylim(0)
        ax.legend(fontsize=11)
    return figure


def _markers(ax: Axes, row: list[tuple[float, Finding]], colour: str, marker: str, label: str) -> None:
    at, found = zip(*row, strict=True)
    values, intervals = [f.measurement for f in found], [f.interval for f in found]
    ax.errorbar(at, values, intervals, fmt=marker, color=colour, capsize=4, label=label)
