"""The quasi-Newton step minimises the loss model with glass and Hessian.

Claim. d = |g|/h* with h* = α + h + sqrt(α(α + 2h)), α = 3ρ/(4π|g|), minimises −|g|d + ½hd² + c√ρ d^{3/2}; the joint
step minimises the model with independent glass, all coordinates together.

Source. Theory, section 5, equation (11); paper, confirmed by the reference implementation. The joint step is new.

Prediction. ``quasi_newton_step`` and ``joint_quasi_newton_step``.

Measurement. Brent's method on the model itself for random (g, h, ρ) over twelve decades; for the joint step the model's
value against a quasi-Newton solver's. The model is written out here with sqrt(2/(3π)) and shares nothing with the
library.

Tolerance. 1e-6 in the length: a minimiser from function values is good to the root of the rounding error. 1e-9 in the
joint model's value.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings

CLAIM = "The glass and Hessian step minimises the loss model"
SOURCE = "theory 5, eq. (11)"
STANDING = "confirmed"

Array = NDArray[np.float64]
C = np.sqrt(2 / (3 * np.pi))


def run(settings: Settings) -> Outcome:
    """Compare the closed forms with numerical minimisers."""
    rng = settings.rng
    rows = 10.0 ** rng.uniform(-6, 6, (400 * settings.scale, 3))
    ratios = []
    for g, h, rho in rows:
        length = -float(gc.quasi_newton_step([g], [h], [rho], eps=0.0)[0])
        ratios.append(length / _brent(g, h, rho))
    errors = np.abs(np.array(ratios) - 1)
    glass_only = -float(gc.quasi_newton_step([3.0], [0.0], [2.0], eps=0.0)[0]) / (2 * np.pi * 9 / 6)
    joint = [_joint_excess(rng) for _ in range(10 * settings.scale)]
    findings = [
        Finding(f"d / minimiser, worst of {len(rows)}", 1.0, float(ratios[errors.argmax()]), tolerance=1e-6),
        Finding("d / (2πg²/(3ρ)) without Hessian", 1.0, glass_only, tolerance=1e-14),
        Finding(f"joint model, excess over a solver, worst of {len(joint)}", 0.0, max(joint, key=abs), tolerance=1e-9),
    ]
    figure, ax = axes("Step length for |g| = h = 1", "glass density ρ", "step length d")
    densities = np.geomspace(1e-3, 1e4, 60)
    ax.loglog(densities, gc.quasi_newton_step(-np.ones(60), 1.0, densities), color=ORANGE, label="closed form")
    ax.loglog(densities[::6], [_brent(1.0, 1.0, rho) for rho in densities[::6]], "o", color=BLUE, label="minimiser")
    ax.loglog(densities, 2 * np.pi / (3 * densities), ":", color=GREEN, label="glass alone")
    ax.axhline(1, ls="--", color="0.4", label="Newton")
    ax.set_ylim(1e-4, 10)
    ax.legend()
    return Outcome(findings, figure)


def _brent(g: float, h: float, rho: float) -> float:
    """Minimiser of m over ln d, started between the two one-term minimisers."""
    scale = min(g / h, (g / (1.5 * C * np.sqrt(rho))) ** 2)

    def model(x: float) -> float:
        d = scale * np.exp(x)
        return float(-g * d + h * d**2 / 2 + C * np.sqrt(rho) * d**1.5) / (g * scale)

    solution = minimize_scalar(model, bracket=(-2.0, 0.0), tol=1e-12)
    return float(scale * np.exp(solution.x))


def _joint_excess(rng: np.random.Generator) -> float:
    """Relative excess of the joint step's model value over that of a quasi-Newton solver."""
    n = int(rng.integers(2, 30))
    g, h, rho = 10.0 ** rng.uniform(-1, 1, (3, n))
    unit = np.abs(gc.quasi_newton_step(g, h, rho, eps=0.0))

    def model(x: Array) -> float:
        d = np.abs(x) * unit
        return float(np.sum(-g * d + h * d**2 / 2) + C * np.sqrt(np.sum(rho * d**3)))

    def gradient(x: Array) -> Array:
        d = np.abs(x) * unit
        slope = -g + h * d + 1.5 * C * rho * d**2 / np.sqrt(np.sum(rho * d**3))
        return np.asarray(np.sign(x) * unit * slope)

    solution = minimize(model, np.ones(n), jac=gradient, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    ours = model(gc.joint_quasi_newton_step(g, h, rho, eps=0.0) / unit)
    return (ours - solution.fun) / abs(solution.fun)
