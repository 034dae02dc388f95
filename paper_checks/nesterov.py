"""Averaged look-ahead gradients are exact on quadratics for φ = (1 − β) ω.

Claim. With φ = (1 − β)ω the average G_t equals the gradient at the centre for any steps; with another φ each step adds
the error ((1 − β)ω − φ)Hδ; unbiased gradient noise of variance η² leaves G with variance η²(1 − β)/(1 + β).

Source. Theory, section 7; the rule is confirmed by the reference implementation, the proof is in the theory.

Prediction. ``exact_step_fraction``, the error recursion and the noise variance.

Measurement. The recursion is run on random indefinite quadratics with random steps of random lengths, and G is compared
with the gradient at the centre; it is run on noise alone for the variance.

Tolerance. 1e-11 of the largest gradient for rounding over 200 steps; five standard errors for the noise.
"""

import numpy as np
from numpy.typing import NDArray

import glasscurv as gc
from glasscurv.nesterov import averaged_noise_variance
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding

CLAIM = "Averaged look-ahead gradients are exact on quadratics for φ = (1−β)ω"
SOURCE = "theory 7"
STANDING = "confirmed"

Array = NDArray[np.float64]
STEPS = 200


def run(settings: Settings) -> Outcome:
    """Run the recursion with the exact and with another step fraction."""
    rng, lookahead = settings.rng, 1.3
    exact, off, agreement = [], [], []
    for _ in range(20 * settings.scale):
        beta, n = rng.uniform(0.5, 0.98), int(rng.integers(2, 30))
        root = rng.standard_normal((n, n))
        problem, seed = gc.Quadratic(root + root.T), int(rng.integers(2**32))
        fraction = gc.exact_step_fraction(beta, lookahead)
        errors, _ = _recursion(problem, beta, fraction, lookahead, np.random.default_rng(seed))
        exact.append(np.abs(errors).max())
        other = 0.8 * (1 - beta) * lookahead
        errors, products = _recursion(problem, beta, other, lookahead, np.random.default_rng(seed))
        expected = np.zeros_like(errors)
        for t, product in enumerate(products):
            before = expected[t - 1] if t else np.zeros(n)
            expected[t] = beta * before + ((1 - beta) * lookahead - other) * product
        off.append(np.abs(errors).max())
        agreement.append(np.abs(errors - expected).max() / np.abs(expected).max())
    findings = [
        Finding("|G − ∇L(μ)| with the exact φ, share of the gradient", 0.0, float(max(exact)), tolerance=1e-11),
        Finding("|G − ∇L(μ)| with 0.8 φ", 1e-4, float(min(off)), relation=">="),
        Finding("its distance from the predicted error, relative", 0.0, float(max(agreement)), tolerance=1e-10),
        _noise(0.9, 40_000 * settings.scale, rng),
    ]
    figure, ax = axes("Error of the averaged gradient on a quadratic", "step", "|G − ∇L(μ)| / largest gradient")
    problem = gc.Quadratic(np.diag(np.linspace(-1, 2, 10)))
    for share, colour, label in ((1.0, BLUE, "(1−β)ω (exact)"), (0.8, ORANGE, "0.8 (1−β)ω")):
        errors, _ = _recursion(problem, 0.9, share * gc.exact_step_fraction(0.9), 1.0, np.random.default_rng(0))
        ax.semilogy(np.abs(errors).max(axis=1) + 1e-18, color=colour, label=label)
    ax.legend(title="φ")
    return Outcome(findings, figure)


def _recursion(
    problem: gc.Quadratic, beta: float, fraction: float, lookahead: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Errors G_t − ∇L(μ_t) and products Hδ_t, both (steps, n), as shares of the largest gradient met."""
    mu = rng.standard_normal(problem.size)
    average = problem.gradient(mu)
    errors, products, scale = [], [], np.abs(average).max()
    for _ in range(STEPS):
        delta = rng.standard_normal(problem.size) * 10 ** rng.uniform(-2, 0.5)
        gradient = problem.gradient(mu + lookahead * delta)
        mu = mu + fraction * delta
        average = beta * average + (1 - beta) * gradient
        errors.append(average - problem.gradient(mu))
        products.append(problem.hessian @ delta)
        scale = max(scale, np.abs(gradient).max())
    return np.array(errors) / scale, np.array(products) / scale


def _noise(beta: float, count: int, rng: np.random.Generator) -> Finding:
    """Variance of the averaged noise after the start is forgotten."""
    average = rng.standard_normal(count)
    for _ in range(150):
        average = beta * average + (1 - beta) * rng.standard_normal(count)
    return mean_finding("noise variance of G, β = 0.9", averaged_noise_variance(beta, 1.0), average**2)
