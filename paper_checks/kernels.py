"""The kernels are unbiased and have the least variance, whatever the Hessian.

Claim. With m nodes the glass kernel's estimate has mean ρ and relative variance 2/(m − 2) in the dense limit; the
Hessian kernel's error has variance ρ/((t_m − t_0)σ), the least of all linear rules that are exact for linear gradients;
neither kernel is disturbed by the other's curvature.

Source. Theory, section 3, equations (9) and (10); paper for nodes −1, 0, 1, general nodes new.

Prediction. The exact density of the toy and the variances above.

Measurement. Random hinges plus a large quadratic, many landscapes, in the first coordinate of one fixed direction. The
rivals of the Hessian kernel are random weights with Σw = 0 and Σwt = 1, on the same gradients; the best is compared.

Tolerance. Five standard errors; 0.01 for rivals that are almost the kernel itself; 0.05 on the relative variances for
the dense limit: with N crossings they gain κ/N, more than 300 hinges are crossed by each line, and the kurtosis κ of
their jumps is about 10.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.hinges import draw_landscapes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding

CLAIM = "The finite-difference kernels are unbiased and of least variance"
SOURCE = "theory 3, eq. (9), (10)"

Array = NDArray[np.float64]
NODE_SETS = ((-1, 0, 1), (-2, -1, 0, 1, 2), (-1.5, -1, -0.2, 0, 0.7, 1.2, 2))
SIGMA = 0.5


def run(settings: Settings) -> Outcome:
    """Compare means and variances of the kernels' estimates with the theory."""
    rng, n = settings.rng, 3
    direction = np.ones(n)
    toy = gc.RandomHinges(n, 2000, half_width=6.0, rng=rng)
    hessian = gc.Quadratic(40 * np.array([[2.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 1.0]]))
    exact, product = toy.density(direction)[0], (hessian.hessian @ direction)[0]
    findings, variances = [], []
    for nodes in NODE_SETS:
        lines = _lines(toy, hessian, np.array(nodes), direction, 24_000 * settings.scale, rng)
        glass, linear = gc.glass_kernel(nodes), gc.hessian_kernel(nodes)
        density = glass.apply(lines, SIGMA)
        error = linear.apply(lines, SIGMA) - product
        name, contrasts = f"{len(nodes)} nodes", len(nodes) - 2
        relative = (density / exact - 1) ** 2
        variances.append((contrasts, relative.mean(), STANDARD_ERRORS * relative.std() / np.sqrt(relative.size)))
        least = exact / ((nodes[-1] - nodes[0]) * SIGMA)
        rivals = [
            _variance(w, lines, product) / np.mean(error**2) for w in _feasible_weights(np.array(nodes), 200, rng)
        ]
        findings += [
            mean_finding(f"{name}: mean density / exact", 1.0, density / exact),
            mean_finding(f"{name}: relative variance", 2 / contrasts, relative, tolerance=0.05, resolution=0.35),
            mean_finding(f"{name}: Hessian error variance / least", 1.0, error**2 / least),
            Finding(f"{name}: best of 200 rivals / kernel", 1.0, min(rivals), relation=">=", tolerance=0.01),
        ]
    alone = [gc.glass_kernel().apply([hessian.gradient(t * direction) for t in (-1, 0, 1)], 1.0).max()]
    findings.append(Finding("density of a quadratic", 0.0, max(alone), tolerance=1e-25))

    figure, ax = axes("Variance of the glass density estimate", "contrasts m − 2", "relative variance")
    r = np.arange(1, 6)
    ax.plot(r, 2 / r, color=ORANGE, label="2/(m − 2)")
    contrasts, means, intervals = zip(*variances, strict=True)
    ax.errorbar(contrasts, means, intervals, fmt="o", color=BLUE, capsize=5, label="measured")
    ax.set_xticks(r)
    ax.set_ylim(0)
    ax.legend()
    return Outcome(findings, figure)


def _lines(
    toy: gc.RandomHinges, smooth: gc.Quadratic, nodes: Array, direction: Array, count: int, rng: np.random.Generator
) -> Array:
    """First component of the gradient at the nodes, shape (m, count), one landscape a column."""
    points = SIGMA * nodes[:, None] * direction
    quadratic = np.array([smooth.gradient(point)[0] for point in points])
    lines = np.empty((nodes.size, count))
    for columns in np.array_split(np.arange(count), count // 200):
        offsets, signals = draw_landscapes(toy, columns.size, rng)
        signals *= toy.normals[:, 0]
        lines[:, columns] = [np.where(toy.normals @ point > offsets, signals, 0.0).sum(axis=1) for point in points]
    return lines + quadratic[:, None]


def _feasible_weights(nodes: Array, count: int, rng: np.random.Generator) -> Array:
    """Random weights, shape (count, m), with Σw = 0 and Σwt = 1."""
    constraints = np.stack([np.ones(nodes.size), nodes])
    inverse = np.linalg.pinv(constraints)
    free = np.eye(nodes.size) - inverse @ constraints
    return np.asarray(inverse @ [0, 1] + rng.standard_normal((count, nodes.size)) @ free)


def _variance(weights: Array, lines: Array, product: float) -> float:
    return float(np.mean((weights @ lines / SIGMA - product) ** 2))
