"""Alice against the authors' reference implementation: eight recorded runs, replayed.

Claim. On the recorded minibatch gradients and directions the library walks the reference implementation's trajectory:
the same points in the same order, the same parameters, and the same averages inside. The one difference is deliberate:
the reference rounds 3/(4π) to 0.238732.

Source. Theory, section 8, and the reference implementation: eight runs of 45 steps on ReLU, tanh and hinge losses, with
every limiter, every curvature that it knows, with and without glass and regularisation.

Prediction. With 0.238732 put in, the trajectories are equal but for rounding. With 3/(4π), larger by the share ε =
1.74·10⁻⁶, each step is shorter by the share ε √(α/(α + 2h)) h*/(h* + eps), because ∂ ln h*/∂ ln α = √(α/(α + 2h)); by
nothing where its bounds hold it. Added up over the recorded states this predicts how far the parameters end up from the
recorded ones, coordinate by coordinate; the gradients are given, so that nothing feeds back. The run without glass has
no constant.

Measurement. Points, evaluations of each step, parameters, look-ahead point, G, R, C and V after every step; deviations
relative to the largest recorded value of their kind.

Tolerance. With the rounded constant 10⁻¹⁴, one rounding of 2·10⁻¹⁶ in each of 45 steps, and 10⁻¹² for R, because its
second difference cancels up to three digits where the loss is smooth. The predicted deviations are judged to 0.1 %: the
next order is ε, but L2 regularisation, λ₂ ≤ 0.01, feeds deviations back into G, and trajectories that are equal to
10⁻¹¹ leave their difference five digits. Deviations of rounding are allowed on top.
"""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_checks.figures import BLUE, GREY, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings
from paper_checks.replays import (
    CASES,
    OPTIONS,
    REFERENCE_CONSTANT,
    STATE,
    Trajectory,
    recorded,
    replay,
    replay_with_reference_constant,
)

CLAIM = "Alice walks the reference implementation's trajectories, but for a rounded constant"
SOURCE = "theory 8; reference implementation"

Array = NDArray[np.float64]

EXCESS = 3 / (4 * np.pi) / REFERENCE_CONSTANT - 1
"""ε, by how much the exact constant is larger."""

PROBLEMS = {"relu": "four ReLU networks", "hinge": "two hinge losses"}
ROUNDING, CANCELLATION = 1e-14, 1e-12


def run(settings: Settings) -> Outcome:
    """Replay every run with the rounded and with the exact constant; there is nothing random to draw."""
    truth = {case: recorded(case) for case in CASES}
    rounded = {case: replay_with_reference_constant(case) for case in CASES}
    moved = {case: replay(case).theta - truth[case].theta for case in CASES}
    expected = {case: _sensitivity(case, truth[case]) for case in CASES}
    findings = _to_rounding(truth, rounded)
    for case in CASES:
        prediction, rounding = float(np.abs(expected[case]).max()), ROUNDING * np.abs(truth[case].theta).max()
        name = f"exact constant, {_name(case)}: parameters move by"
        measured, tolerance = float(np.abs(moved[case]).max()), float(1e-3 * prediction + rounding)
        findings.append(Finding(name, prediction, measured, tolerance=tolerance))
    errors = [
        np.abs(moved[case] - expected[case]).max() / np.abs(expected[case]).max()
        for case in CASES
        if expected[case].any()
    ]
    findings.append(
        Finding("exact constant: worst coordinate and step, share", 0.0, float(max(errors)), tolerance=1e-3)
    )
    return Outcome(findings, _figure(moved, expected))


def _to_rounding(truth: dict[str, Trajectory], rounded: dict[str, Trajectory]) -> list[Finding]:
    """Worst relative deviation of each recorded kind, over all runs."""

    def kinds(run: Trajectory) -> dict[str, Array]:
        return {
            "parameters": run.theta,
            "points": run.points,
            **dict(zip(STATE, run.state.swapaxes(0, 1), strict=True)),
        }

    findings = []
    for kind in kinds(truth[CASES[0]]):
        worst = max(_deviation(kinds(rounded[case])[kind], kinds(truth[case])[kind]) for case in CASES)
        tolerance = CANCELLATION if kind == "density" else ROUNDING
        findings.append(Finding(f"rounded constant: {kind.replace('_', ' ')}", 0.0, worst, tolerance=tolerance))
    different = sum(int((rounded[case].evaluations != truth[case].evaluations).sum()) for case in CASES)
    findings.append(Finding("steps with another number of gradients", 0.0, float(different)))
    return findings


def _deviation(values: Array, truth: Array) -> float:
    return float(np.abs(values - truth).max() / np.abs(truth).max())


def _name(case: str) -> str:
    options = OPTIONS[case]
    curvature = options["hess_comp"] if options["grad_glass"] else f"{options['hess_comp']}, no glass"
    return f"{case} ({options['problem']}, {options['limit_method']}, {curvature})"


def _sensitivity(case: str, truth: Trajectory) -> Array:
    """Return how far the exact constant moves the parameters in each step, to first order: (steps, n)."""
    options = OPTIONS[case]
    gradient, density, curvature, moment = truth.state[:, 1:].swapaxes(0, 1)
    slope, eps = np.abs(gradient), options["eps"]
    hessian = {"zero": 0 * curvature, "abs": curvature, "rms": np.sqrt(curvature)}[options["hess_comp"]]
    alpha = REFERENCE_CONSTANT * density / (slope + eps) if options["grad_glass"] else 0 * density
    root = np.sqrt(alpha * (alpha + 2 * hessian))
    h_star = alpha + hessian + root
    length = slope / (h_star + eps)
    unit = {"fixed": 1.0, "sgdm": slope, "adam": slope / (np.sqrt(moment) + eps)}[options["limit_method"]]
    free = (length > options["lr_min"] * unit) & (length < options["lr_max"] * unit) & (alpha > 0)
    free &= np.arange(1, len(slope) + 1)[:, None] > 1 / (1 - options["betas"][0])
    share = np.divide(alpha * h_star, root * (h_star + eps), out=np.zeros_like(root), where=free)
    step = -np.sign(gradient) * length
    moved: Array = (-EXCESS * options["phi"] * share * step).cumsum(axis=0)
    return moved


def _figure(moved: dict[str, Array], expected: dict[str, Array]) -> Figure:
    title = "What the exact 3/(4π) changes in the reference's runs"
    figure, ax = axes(title, "predicted deviation of a parameter", "measured deviation")
    for problem, colour, marker in (("relu", BLUE, "o"), ("hinge", ORANGE, "s")):
        cases = [case for case in CASES if OPTIONS[case]["problem"] == problem]
        x, y = (np.abs(np.concatenate([runs[case][-1] for case in cases])) for runs in (expected, moved))
        shown = x > 0
        ax.loglog(x[shown], y[shown], marker, color=colour, ms=5, alpha=0.6, mec="none", label=PROBLEMS[problem])
    ends = np.array([1e-16, 1e-7])
    ax.loglog(ends, ends, color=GREY, label="equal")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.legend(fontsize=11)
    return figure
