"""Rademacher perturbations contaminate least.

Claim. A coordinate's own estimate picks up the other coordinates with weight E|z| E|1/z| (glass) and E z² E z⁻²
(Hessian): 1 for Rademacher, ln 3 and 13/9 for the uniform law on ±[½, 3/2], infinite for Gaussian and for the uniform
law on [−1, 1].

Source. Theory, section 4; paper. New here: beyond the additive model, Rademacher still has the least contamination
on random hinges, by Jensen in z_i and in the other |z_j|.

Prediction. ``contamination`` of each law, and the exact variance of the default estimate of a Hessian diagonal.

Measurement. Glass: hinges whose boundaries only the second coordinate crosses, but whose jumps reach the first: there
the additive model is exact; v₁²/|z₁| is averaged over landscapes and directions. Hessian: the variance of (Hz)_i/z_i
over directions. Infinite factors: the average over a sample exceeds ten times Rademacher's.

Tolerance. Five standard errors.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.hinges import draw_landscapes
from paper_checks.outcome import STANDARD_ERRORS, Finding, Outcome, Settings, mean_finding

CLAIM = "Rademacher perturbations are optimal for the glass and for the Hessian"
SOURCE = "theory 4"

Array = NDArray[np.float64]


def run(settings: Settings) -> Outcome:
    """Measure contamination factors and compare laws."""
    rng = settings.rng
    laws = {"Rademacher": gc.Rademacher(), "uniform ±[½, 3/2]": gc.Uniform(0.5, 1.5)}
    findings, bars = [], []
    for name, law in laws.items():
        glass = _glass_contamination(law, 38_000 * settings.scale, rng)
        hessian = _hessian_contamination(law, 38_000 * settings.scale, rng)
        for term, samples in (("glass", glass), ("hessian", hessian)):
            finding = mean_finding(f"{name}: {term} contamination", gc.contamination(law, term), samples)
            findings.append(finding)
            bars.append((f"{name}\n{term}", finding))
    for name, law in (("Gaussian", gc.Gaussian()), ("uniform [−1, 1]", gc.Uniform(-1, 1))):
        measured = _hessian_contamination(law, 38_000 * settings.scale, rng).mean()
        findings.append(Finding(f"{name}: hessian contamination", 10.0, float(measured), relation=">="))
    findings += [_default_diagonal(rng, settings.scale), _isotropic_hinges(rng, settings.scale)]

    figure, ax = axes("Contamination by other coordinates", "", "factor")
    names, shown = zip(*bars, strict=True)
    ax.bar(names, [f.prediction for f in shown], color=ORANGE, alpha=0.5, label="predicted")
    ax.errorbar(
        names, [f.measurement for f in shown], [f.interval for f in shown], fmt="o", color=BLUE, label="measured"
    )
    ax.tick_params(axis="x", labelsize=9)
    ax.set_ylim(0, 1.8)
    ax.legend()
    return Outcome(findings, figure)


def _glass_contamination(law: gc.Rademacher | gc.Uniform, count: int, rng: np.random.Generator) -> Array:
    """Sample v₁²/(|z₁| σ R₁₂) where R₁₁ is negligible.

    With normals (ε, 1) a crossing is decided by z₂ alone (|εz₁| < |z₂|), on average over signs at the rate |z₂|, and
    the jump reaches coordinate 1 with size ε: R₁₂ = Σ C ε², R₁₁ = Σ C ε³ → 0.
    """
    slope, hinges, length = 1e-3, 300, 0.1
    normals = np.tile([slope, 1.0], (hinges, 1))
    toy = gc.RandomHinges(2, hinges, normals=normals, rng=rng)
    z = law.sample(2 * count, rng).reshape(count, 2)
    # In blocks, as there are a landscape and 300 boundaries for each sample.
    samples = np.concatenate([_squared_jump(toy, length * block, rng) for block in np.array_split(z, count // 1000)])
    samples /= abs(z[:, 0])
    own, other = toy.density_matrix()[0]
    return (samples / length - own) / other


def _squared_jump(toy: gc.RandomHinges, displacements: Array, rng: np.random.Generator) -> Array:
    """Sample v₁² for each of the displacements, over a landscape of the toy's law each."""
    offsets, signals = draw_landscapes(toy, len(displacements), rng)
    crossed = (displacements @ toy.normals.T > offsets).astype(np.float64) - (offsets < 0)
    return np.square((crossed * signals) @ toy.normals[:, 0])


def _hessian_contamination(
    law: gc.Rademacher | gc.Uniform | gc.Gaussian, count: int, rng: np.random.Generator
) -> Array:
    """Sample ((Hz)_1/z_1 − H_11)² over the other entries' squares."""
    row = np.array([2.0, 1.0, -0.5, 0.3])
    z = law.sample(4 * count, rng).reshape(count, 4)  # coordinates are independent
    return np.asarray((z @ row / z[:, 0] - row[0]) ** 2 / np.sum(row[1:] ** 2))


def _default_diagonal(rng: np.random.Generator, scale: int) -> Finding:
    """Variance of the estimator's Hessian diagonal with its default law: Σ_{j≠i} H_ij² for one sample."""
    root = rng.standard_normal((5, 5))
    quadratic = gc.Quadratic(root + root.T)
    exact = np.sum(quadratic.hessian**2, axis=1) - quadratic.hessian.diagonal() ** 2
    errors = []
    for _ in range(4500 * scale):
        estimate = gc.estimate_curvature(quadratic.gradient, np.zeros(5), 0.1, samples=1, rng=rng)
        errors.append(np.mean((estimate.hessian_diagonal - quadratic.hessian.diagonal()) ** 2 / exact))
    return mean_finding("estimator's diagonal: variance / Σ_{j≠i} H_ij²", 1.0, errors)


def _isotropic_hinges(rng: np.random.Generator, scale: int) -> Finding:
    """Exact densities of isotropic hinges, v_i²/|z_i| averaged over directions: other laws against Rademacher."""
    toy = gc.RandomHinges(5, 2000, half_width=10.0, rng=rng)

    def contaminated(law: gc.Rademacher | gc.Uniform) -> Array:
        draws = [law.sample(5, rng) for _ in range(10_000 * scale)]
        return np.array([np.mean(toy.density(z) / abs(z)) for z in draws])

    least, uniform = contaminated(gc.Rademacher()), contaminated(gc.Uniform(0.5, 1.5))
    error = np.hypot(least.std(), uniform.std()) / np.sqrt(least.size)
    ratio, interval = uniform.mean() / least.mean(), STANDARD_ERRORS * error / least.mean()
    return Finding("isotropic hinges: uniform / Rademacher", 1.0, float(ratio), float(interval), relation=">=")
