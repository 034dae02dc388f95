"""Alice's three curvatures on a quadratic: what each converges to, and when the difference matters.

Claim. The average of z∘Hz (``hessian="diagonal"``) converges to the diagonal H_ii, that of |Hz| (``"abs"``) to E|Hz|_i
and that of (Hz)² (``"rms"``, its root) to the norm of the row. Always |H_ii| ≤ E|Hz|_i ≤ ‖H_i‖₂ ≤ ‖H_i‖₁. It matters

- when one coordinate moves alone, as in pruning and rounding of weights: ½H_ii δ² is the whole second-order change of
  the loss, and the row norms overstate it;
- when all move together: steps −g_i/h_i multiply the distance to the minimum by I − D⁻¹H, D = diag(h), and contract
  exactly if its spectral radius is below 1. With n coordinates of diagonal 1 and equal coupling κ the diagonal's
  rate is (n−1)κ: it diverges from (n−1)κ = 1 on, for n = 10 abs from there too and rms from a slightly stronger
  coupling. Only the row's 1-norm, which no average of Alice estimates, contracts on every positive definite H;
- not in rows that the diagonal dominates, |H_ii| ≥ Σ_j≠i |H_ij|: there abs and diagonal are the same number, sample
  by sample. Where coupling joins only unlike coordinates of two groups, the diagonal takes the fewest steps.

In Alice the centre takes only the part φ = (1−β)ω of the step, which moves the bound on the largest eigenvalue of D⁻¹H
from 2 to 2/φ: 20 with the defaults.

Source. Theory, sections 5 and 8; the first inequality is Jensen's, |H_ii| = |E z_i(Hz)_i| ≤ E|Hz|_i. With the 1-norm,
D − H is diagonally dominant with a diagonal that is not negative, so 0 < H ≤ D, the eigenvalues of D⁻¹H are in (0, 1]
and those of I − D⁻¹H in [0, 1). New here. For abs with a dominant diagonal, z_i(Hz)_i has the sign of H_ii for every z.
For two groups the eigenvalues of H lie in pairs 1 ± λ: h = 1 is best among equal h, and gives the rate λ.

Prediction. E|Hz| by all 2ⁿ sign vectors; the norms and the spectral radii from the matrix, for equal coupling in closed
form.

Measurement. The running average in the state of ``gc.Alice``, which measures without moving during its warm-up, over
the second difference of the loss when one coordinate moves alone. Rates: steps of ``gc.quasi_newton_step`` from a
random point, at the end of 400 of them.

Tolerance. Five standard errors of a mean over as many sign vectors, from the exact variance; 1e-6 for rates, which the
slower eigenvectors still disturb, and 1e-9 for rounding.
"""

from itertools import product

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, axes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings

CLAIM = "z∘Hz averages to the Hessian's diagonal, |Hz| and (Hz)² to row norms"
SOURCE = "theory 5 and 8"
STANDING = "new"

Array = NDArray[np.float64]
COLOURS = {"diagonal": BLUE, "abs": ORANGE, "rms": GREEN, "1-norm": GREY}
N = 10


def run(settings: Settings) -> Outcome:
    """Measure the averages on a coupled quadratic, and the rates of the steps that they give."""
    rng = settings.rng
    root = rng.standard_normal((N, N + 2))
    findings = _averages(root @ root.T, 3000 * settings.scale, rng)
    chain = np.eye(N) + 0.4 * (np.eye(N, k=1) + np.eye(N, k=-1))
    same = np.abs(_alice(chain, "abs", 50, 0) - _alice(chain, "diagonal", 50, 0)).max()
    findings.append(Finding("dominant diagonal: |abs − diagonal|", 0.0, float(same), tolerance=1e-9))
    for coupling in (0.1, 0.3):
        for name, h in _curvatures(_equal(coupling)).items():
            predicted = max(abs(1 - (1 - coupling) / h[0]), abs(1 - (1 + (N - 1) * coupling) / h[0]))
            rate = _rate(_equal(coupling), h, rng)
            findings.append(Finding(f"equal coupling {coupling}: rate, {name}", predicted, rate, tolerance=1e-6))
    fraction = gc.exact_step_fraction(0.9)
    h = _curvatures(_equal(0.3))["diagonal"]
    radius = 1 - fraction * 0.7
    rate = _rate(_equal(0.3), h, rng, fraction)
    findings.append(Finding("equal coupling 0.3: rate, diagonal, φ = 0.1", radius, rate, tolerance=1e-6))
    findings += _two_groups(rng)
    worst = max(_rate(H, np.abs(H).sum(axis=1), rng) for H in _random_definite(20 * settings.scale, rng))
    findings.append(Finding("1-norm: worst rate on random matrices", 1.0, worst, relation="<="))
    return Outcome(findings, _figure(rng))


def _figure(rng: np.random.Generator) -> Figure:
    """Rates against coupling."""
    figure, ax = axes("Convergence factor per step, ten equally coupled coordinates", "coupling κ", "factor")
    couplings = np.linspace(0.0, 0.4, 41)
    curvatures = [_curvatures(_equal(coupling)) for coupling in couplings]
    for name, colour in COLOURS.items():
        hs = np.array([choice[name][0] for choice in curvatures])
        ax.plot(
            couplings,
            np.maximum(abs(1 - (1 - couplings) / hs), abs(1 - (1 + (N - 1) * couplings) / hs)),
            color=colour,
            label=name,
        )
        measured = slice(5, None, 5)
        pairs = zip(couplings[measured], curvatures[measured], strict=True)
        rates = [_rate(_equal(coupling), choice[name], rng) for coupling, choice in pairs]
        ax.plot(couplings[measured], rates, "o", color=colour)
    ax.axhline(1, ls=":", color=GREY)
    ax.text(0.4, 1.04, "diverges above", color=GREY, fontsize=11, ha="right")
    ax.legend(title="lines predicted, dots measured", title_fontsize=9)
    return figure


def _averages(H: Array, count: int, rng: np.random.Generator) -> list[Finding]:
    """Each average over the loss of one coordinate alone, as a mean over the coordinates."""
    products = np.array(list(product((-1.0, 1.0), repeat=N - 1)))
    signs = np.column_stack([np.ones(len(products)), products])  # −z gives what z gives
    products = signs @ H
    problem = gc.Quadratic(H, rng.standard_normal(N))
    theta = rng.standard_normal(N)
    alone = np.array([problem.value(theta + e) + problem.value(theta - e) for e in np.eye(N)]) - 2 * problem.value(
        theta
    )
    limits, findings = _curvatures(H), []
    # The root of an average varies like the average over twice the root.
    laws = {"diagonal": signs * products, "abs": np.abs(products), "rms": products**2 / (2 * limits["rms"])}
    for name, law in laws.items():
        average = _alice(H, name, count, int(rng.integers(2**32)))
        measured = ((np.sqrt(average) if name == "rms" else average) / alone).mean()
        interval = STANDARD_ERRORS * (law / alone).mean(axis=1).std() / np.sqrt(count)
        quantity = f"{name} / curvature of the loss along one coordinate, mean"
        findings.append(Finding(quantity, float((limits[name] / alone).mean()), float(measured), float(interval)))
    return findings


def _alice(H: Array, name: str, count: int, seed: int) -> Array:
    """Average of `count` directions: the state C of an Alice whose warm-up is longer than the run."""
    betas = (1 - 1 / (2 * count), 1 - 1 / (2 * count))
    options = {"hessian": name, "betas": betas, "quick_steps": 0}
    optimizer = gc.Alice(np.ones(len(H)), lr=0.1, rng=seed, **options)
    problem = gc.Quadratic(H)
    for _ in range(count):
        optimizer.step(problem.value_and_grad)
    return np.array(optimizer.state["curvature"])


def _curvatures(H: Array) -> dict[str, Array]:
    """Limits of Alice's averages, by all sign vectors, and the row's 1-norm."""
    signs = np.array(list(product((-1.0, 1.0), repeat=len(H))))
    return {
        "diagonal": np.diag(H).copy(),
        "abs": np.abs(signs @ H).mean(axis=0),
        "rms": np.sqrt((H**2).sum(axis=1)),
        "1-norm": np.abs(H).sum(axis=1),
    }


def _equal(coupling: float) -> Array:
    """Diagonal 1 and one coupling for all pairs: eigenvalues 1 − κ and 1 + (n−1)κ."""
    return (1 - coupling) * np.eye(N) + coupling * np.ones((N, N))


def _two_groups(rng: np.random.Generator) -> list[Finding]:
    """One coordinate coupled to all others, and those to nothing else: the diagonal is the fastest."""
    star = np.eye(N)
    star[0, 1:] = star[1:, 0] = 0.25
    findings, rates = [], {}
    for name, h in _curvatures(star).items():
        radius = np.abs(np.linalg.eigvals(np.eye(N) - star / h[:, None])).max()
        rates[name] = _rate(star, h, rng)
        findings.append(Finding(f"two groups: rate, {name}", float(radius), rates[name], tolerance=1e-6))
    slower = min(rate for name, rate in rates.items() if name != "diagonal") - rates["diagonal"]
    findings.append(Finding("two groups: how much slower the others are", 0.0, slower, relation=">="))
    return findings


def _random_definite(count: int, rng: np.random.Generator) -> list[Array]:
    roots = rng.standard_normal((count, N, N))
    return [root @ root.T for root in roots]


def _rate(H: Array, h: Array, rng: np.random.Generator, fraction: float = 1.0) -> float:
    """Factor on the distance to the minimum in the last two of many steps; two, as eigenvalues come in pairs ±.

    In the norm sqrt(Σ h_i x_i²) the matrix I − D⁻¹H is symmetric. The distance is brought back to 1 after every step,
    which changes nothing where steps are proportional to gradients.
    """
    x = rng.standard_normal(len(H))
    factors = [1.0, 1.0]
    for _ in range(400):
        x = x + fraction * gc.quasi_newton_step(H @ x, h, 0.0, eps=0.0)
        length = float(np.sqrt(h @ x**2))
        factors = [factors[1], length]
        x = x / length
    return float(np.sqrt(factors[0] * factors[1]))
