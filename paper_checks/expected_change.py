"""The Hessian sees nothing of a piecewise-linear loss, yet the loss is expected to bend like c sqrt(ρ) t^{3/2}.

Claim. Along a direction u the glass part X of the loss change has variance ρ_u t³/3 and, where many boundaries are
crossed, E|X| = c sqrt(ρ_u) t^{3/2} with c = sqrt(2/(3π)).

Source. Theory, section 2, equations (5) to (7); paper. c was confirmed by the reference implementation.

Prediction. ``directional_glass_change`` with the toy's exact directional density.

Measurement. Random hinges: the loss at ±tu beyond the tangent at 0, in many independent landscapes; the two sides,
which share no boundary, are averaged. The Hessian along the direction is measured by gradient
differences inside one linear region. The exponent is the slope of log E|X| against log t.

Tolerance. Five standard errors, and 0.5 % for the dense limit: with N crossings E|X| lies a share of about 1/(2N)
below its limit, and at least 100 hinges are crossed.
"""

import numpy as np

import glasscurv as gc
from paper_checks.figures import BLUE, GREY, ORANGE, axes, note
from paper_checks.hinges import BLOCK, draw_landscapes, glass_changes
from paper_checks.outcome import Finding, Outcome, Settings, half_width, mean_finding

CLAIM = "Without any Hessian the loss changes by E|X| = c √ρ t^{3/2}"
SOURCE = "theory 2, eq. (6), (7)"
STANDING = "confirmed"

LENGTHS = (0.1, 0.2, 0.4)


def run(settings: Settings) -> Outcome:
    """Measure the loss change on random hinges."""
    rng, landscapes = settings.rng, 4000 * settings.scale
    n = 4
    u = rng.standard_normal(n)
    u /= np.linalg.norm(u)
    toy = gc.RandomHinges(n, 6000, rng=rng)
    half_width = toy.expected_crossings(LENGTHS[0] * u) / 100
    toy = gc.RandomHinges(n, 6000, half_width, normals=toy.normals, rng=rng)
    if not toy.covers(np.zeros(n), LENGTHS[-1] * u):
        raise RuntimeError("the displacement leaves the range in which the toy is exact")
    density = toy.directional_density(u)
    absolute, squares = np.empty((2, len(LENGTHS), landscapes))
    for rows in np.array_split(np.arange(landscapes), landscapes * len(toy.normals) // BLOCK):
        offsets, signals = draw_landscapes(toy, rows.size, rng)
        for k, t in enumerate(LENGTHS):
            changes = np.stack([glass_changes(toy, side * t * u, offsets, signals) for side in (-1, 1)])
            absolute[k, rows], squares[k, rows] = abs(changes).mean(axis=0), np.square(changes).mean(axis=0)
    findings = []
    for t, values in zip(LENGTHS, absolute, strict=True):
        predicted = gc.directional_glass_change(t, density)
        findings.append(mean_finding(f"E|ΔL − g·δ| at t = {t}", predicted, values, tolerance=0.005 * predicted))
    findings.append(Finding("|Hu| inside a linear region", 0.0, _hessian(toy, u, rng)))
    findings.append(mean_finding("Var ΔL at t = 0.4", density * LENGTHS[-1] ** 3 / 3, squares[-1], resolution=0.2))
    findings.append(_exponent(absolute))

    figure, ax = axes("Loss change of a piecewise-linear loss", "distance t", "E|ΔL − g·δ|")
    ts = np.geomspace(LENGTHS[0] / 1.5, LENGTHS[-1] * 1.5, 50)
    ax.loglog(ts, [gc.directional_glass_change(t, density) for t in ts], color=ORANGE, label=r"$c\sqrt{\rho}\,t^{3/2}$")
    intervals = [finding.interval for finding in findings[: len(LENGTHS)]]
    label = f"measured, {landscapes} landscapes"
    ax.errorbar(LENGTHS, absolute.mean(axis=1), intervals, fmt="o", color=BLUE, capsize=4, label=label)
    ax.set_xticks(LENGTHS, [str(t) for t in LENGTHS])
    ax.minorticks_off()
    ax.annotate("the Hessian model predicts 0", (0.97, 0.05), xycoords="axes fraction", ha="right", color=GREY)
    ax.legend(loc="upper left")
    note(ax)
    return Outcome(findings, figure)


def _hessian(toy: gc.RandomHinges, u: np.ndarray, rng: np.random.Generator) -> float:
    """Median of |Hu| over landscapes, by differences over a distance too short to meet a boundary."""
    step = 1e-9
    products = []
    for _ in range(51):
        landscape = toy.redraw(rng)
        difference = landscape.gradient(step * u) - landscape.gradient(-step * u)
        products.append(np.abs(difference).max() / (2 * step))
    return float(np.median(products))


def _exponent(absolute: np.ndarray) -> Finding:
    """Slope of log E|X| against log t; its standard error is that of what each landscape adds to it."""
    x = np.log(LENGTHS) - np.mean(np.log(LENGTHS))
    means = absolute.mean(axis=1)
    slope = x @ np.log(means) / (x @ x)
    added = (x / means) @ absolute / (x @ x)
    interval = half_width(added)
    return Finding("exponent of E|ΔL − g·δ|", 1.5, float(slope), float(interval))
