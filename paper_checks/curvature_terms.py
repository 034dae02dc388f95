"""Which curvature terms of Alice matter for which network, and how many steps they cost.

Claim. In the coordinate step the glass term makes training longer on ReLU networks and does nothing on smooth ones.
The steps that it costs are those that its model gives away: where the length of steps is what limits training, the
number of steps to a loss is inversely proportional to the decrease −G·δ that a step promises. The joint step takes
the price back. The Hessian does not make training shorter than the bounds alone do, but it makes learning rates
usable that are ten times too large without it.

Source. Theory, sections 5, 6 and 8; networks, data and learning rates are those of the study (``docs/study.md``), and
the network of one layer and the SiLU network its neighbours. The promise as a prediction of work is new: to first
order the loss falls along two paths by the same sum of promises, so the shorter promise needs as many more steps.
Without a Hessian the coordinate step is the joint one times p_i, the coordinate's share of the glass (section 5). The
shares add up to 1, so that coordinate steps are too short by the number of parameters, in the harmonic mean. A smooth
loss has no glass; what is measured there is bending, σ³T²/2 (section 3), nothing if perturbations are short.

Prediction. The ratio of promises at the states that the runs pass through: its mean along the run with the Hessian
alone, the inverse of the mean inverse along the other, and of these two the geometric mean. On the SiLU network 1,
and all steps of the glass alone at the bound, for perturbations of σ = 0.003. First step of the glass alone: shares
that add up to 1.

Measurement. Steps after the warm-up until the validation loss falls below two or three targets, their geometric mean,
over that with the Hessian alone. Data, initialisation, minibatches and directions are common to both. Three quick
steps between measurements; the learning rate is 10⁻¹·⁵, for the networks of one layer and of SiLU 0.1; "tuned rates"
are those of the study, 10⁻¹·⁵ with glass and 0.1 without. Loss on the digits after 60 steps at 10⁻⁰·⁵, ten times the
tuned rate.

Tolerance. Five standard errors of the logarithm of measured over predicted ratio, seed by seed, which varies less than
the ratio. A tenth of the prediction: the predictions along the two paths are 3 to 10 % apart because the slower path
leads elsewhere, and the second order, what longer steps lose by overshooting, is of that size; half of it for the mean
of three networks. One network notices a promise that is off by 0.6, the mean of three one that is off by 0.3, and the
SiLU network 10 %, with 0.02 for the bending that is left. Directions are held against round numbers that the interval
separates from what is measured. At the extreme rate one run with the Hessian in a hundred learns little, which a ratio
of losses would take for scatter of the others: differences, against 0.5. Runs that do not reach their targets are
counted, and left out.

Limits. Where something else limits training the promise is not kept: on the digits at the tuned rate glass promises
1.25 times the steps and costs 1.04, on the regression 2.0 and costs 1.6, on a spirals network of four layers 1.60 and
costs 1.49. By default perturbations are as long as the learning rate, and bending passes for glass: at a rate of 0.1
glass then costs the SiLU network 3.4 times the steps, as it does the ReLU network. No curvature reaches the targets
sooner than the bounds alone (0.97 of the steps with the Hessian); the study finds Adam faster than all of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import beta

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.outcome import Finding, Outcome, Settings, half_width, mean_finding

CLAIM = "Glass slows ReLU networks as much as its shorter steps predict, and smooth ones not at all"
SOURCE = "theory 5, 6 and 8; study"
STANDING = "limited"

Array = NDArray[np.float64]
Relation = Literal["=", "<=", ">="]

SEEDS = 16
WARM_UP, EVERY, MOST = 10, 8, 2000
"""Steps that do not move, steps between validations, and when a run gives up."""

CHOICES: dict[str, dict[str, Any]] = {
    "Hessian": {"glass": False},
    "glass + Hessian": {},
    "joint step": {"joint": True},
    "bounds alone": {"hessian": "zero", "glass": False},
}
"""Options of Alice."""

COLOURS = {"Hessian": GREY, "glass + Hessian": ORANGE, "joint step": BLUE, "bounds alone": GREEN}
LOW, HIGH, EXTREME, SHORT = 10**-1.5, 0.1, 10**-0.5, 3e-3
"""Learning rates, and a perturbation length."""


class Task(NamedTuple):
    """A network, its data, the rows of a minibatch and the validation losses to reach."""

    layers: tuple[int, ...]
    activation: str
    data: Callable[[np.random.Generator], gc.data.Split]
    rows: int
    targets: tuple[float, ...]


def _spirals(rng: np.random.Generator) -> gc.data.Split:
    return gc.data.two_spirals(rng=rng)


def _regression(rng: np.random.Generator) -> gc.data.Split:
    return gc.data.regression(rng=rng)


@cache
def _images() -> gc.data.Split:
    return gc.data.load_digits()


TASKS = {
    "one layer": Task((2, 64, 2), "relu", _spirals, 50, (0.6, 0.5, 0.4)),
    "two layers": Task((2, 32, 32, 2), "relu", _spirals, 50, (0.5, 0.3, 0.2)),
    "SiLU": Task((2, 32, 32, 2), "silu", _spirals, 50, (0.5, 0.3, 0.2)),
    "regression": Task((6, 32, 32, 1), "relu", _regression, 50, (0.6, 0.4)),
    "digits": Task((64, 64, 64, 64, 10), "relu", lambda rng: _images(), 100, (0.5, 0.2)),
}


class Setup(NamedTuple):
    """What is trained, and how."""

    task: str
    choice: str
    rate: float = LOW
    length: float | None = None


class Comparison(NamedTuple):
    """Two setups whose steps are compared, and what is expected of the ratio; None is what is promised."""

    name: str
    setup: Setup
    against: Setup
    relation: Relation = "="
    prediction: float | None = None
    tolerance: float = 0.1


def _with_glass(task: str, rate: float = LOW, length: float | None = None) -> tuple[Setup, Setup]:
    return Setup(task, "glass + Hessian", rate, length), Setup(task, "Hessian", rate, length)


TUNED = Setup("two layers", "Hessian", HIGH)
RELU, SILU = "spirals, two layers, σ = 0.003", "spirals, SiLU, σ = 0.003"
COMPARISONS = (
    Comparison("spirals, two layers", *_with_glass("two layers")),
    Comparison(RELU, *_with_glass("two layers", LOW, SHORT)),
    Comparison("spirals, one layer, σ = 0.003", *_with_glass("one layer", HIGH, SHORT)),
    Comparison(SILU, *_with_glass("SiLU", HIGH, SHORT), "=", 1.0, 0.02),
    Comparison("spirals, two layers", Setup("two layers", "joint step"), Setup("two layers", "Hessian")),
    Comparison("spirals, tuned rates", Setup("two layers", "glass + Hessian"), TUNED, ">=", 1.1),
    Comparison("regression", *_with_glass("regression"), ">=", 1.1),
    Comparison("digits", *_with_glass("digits"), "<=", 1.2),
    Comparison("spirals, two layers", Setup("two layers", "bounds alone"), Setup("two layers", "Hessian"), "<=", 1.25),
)
AT_EXTREME = {"bounds alone": 0.5, "glass + Hessian": 0.5}
"""By how much the loss at the extreme rate is at least above that of the Hessian alone."""


@dataclass(frozen=True)
class Run:
    """Steps that moved until each target was reached, and what was seen on the way.

    `promised` has the columns of the first three choices; `at_bound` is the share of parameters whose step with the
    glass alone would have been cut off.
    """

    steps: Array
    promised: Array
    at_bound: float


def run(settings: Settings) -> Outcome:
    """Train with each choice, and compare."""
    seeds = [int(seed) for seed in settings.rng.integers(2**32, size=SEEDS * settings.scale)]
    setups = dict.fromkeys(setup for comparison in COMPARISONS for setup in (comparison.setup, comparison.against))
    runs = {setup: [_train(setup, seed) for seed in seeds] for setup in setups}
    logs = {comparison: _log_ratios(comparison, runs) for comparison in COMPARISONS}
    compared = {comparison: _finding(comparison, *logs[comparison]) for comparison in COMPARISONS}
    findings = list(compared.values())
    findings[1:1] = _mean_of_promises(logs)
    findings += [_share_at_bound(row.name, runs[row.against]) for row in COMPARISONS if row.name in (RELU, SILU)]
    findings.append(_sum_of_shares(seeds[0]))
    if runs:
        findings.append(_share_that_arrives([run for row in runs.values() for run in row]))
    losses = {choice: np.array([_extreme(choice, seed) for seed in seeds]) for choice in ("Hessian", *AT_EXTREME)}
    for choice, bound in AT_EXTREME.items():
        above = losses[choice] - losses["Hessian"]
        findings.append(mean_finding(f"digits, rate 0.3: loss, {choice} less Hessian", bound, above, relation=">="))
    return Outcome(findings, _figure(compared, losses))


def _train(setup: Setup, seed: int) -> Run:
    """Train until the last target is reached."""
    task, net, optimizer, (X, y, *validation), shuffling = _start(setup, seed)
    reached: list[float] = []
    seen: list[tuple[float, ...]] = []
    goals = np.log(task.targets)
    before = np.log(net.value(optimizer.theta, *validation))
    for batch in _minibatches(len(X), task.rows, shuffling):
        optimizer.step(lambda theta, batch=batch: net.value_and_grad(theta, X[batch], y[batch]))
        if optimizer.steps % EVERY:
            continue
        now = np.log(net.value(optimizer.theta, *validation))
        # Where the logarithm of the loss crosses a goal, between two validations.
        while len(reached) < len(goals) and now <= goals[len(reached)]:
            short = (now - goals[len(reached)]) / (now - before)
            reached.append(optimizer.steps - short * EVERY - WARM_UP)
        if len(reached) == len(goals) or optimizer.steps >= MOST:
            break
        before = now
        if optimizer.steps > WARM_UP:
            seen.append(_look(optimizer))
    steps = np.array(reached + [np.nan] * (len(goals) - len(reached)))
    return Run(steps, np.array(seen)[:, :3], float(np.mean(seen, axis=0)[3]))


def _start(setup: Setup, seed: int) -> tuple[Task, gc.MLP, gc.Alice, gc.data.Split, np.random.Generator]:
    """Return what a run starts from, the same for all choices: data, initialisation, directions and shuffling."""
    task = TASKS[setup.task]
    data, initial, directions, shuffling = np.random.default_rng(seed).spawn(4)
    net = gc.MLP(task.layers, task.activation, "mse" if task.layers[-1] == 1 else "cross_entropy")
    options = {"length": setup.length, "rng": directions} | CHOICES[setup.choice]
    return task, net, gc.Alice(net.initialize(initial), setup.rate, **options), task.data(data), shuffling


def _minibatches(count: int, rows: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    while True:
        order = rng.permutation(count)
        yield from (order[start : start + rows] for start in range(0, count, rows))


def _look(optimizer: gc.Alice) -> tuple[float, ...]:
    """Promises −G·δ of the next step for three choices, and the share of the glass's steps that are cut off."""
    state = optimizer.state
    g, h, rho = state["gradient"], state["curvature"], state["density"]
    bounds = (state["second_moment"], optimizer.lr_min, optimizer.lr_max)
    steps = (gc.quasi_newton_step(g, h, 0.0), gc.quasi_newton_step(g, h, rho), gc.joint_quasi_newton_step(g, h, rho))
    promises = [-float(g @ gc.bound_step(step, g, *bounds)) for step in steps]
    glass, moves = gc.quasi_newton_step(g, 0.0, rho), g != 0
    cut = np.abs(gc.bound_step(glass, g, *bounds)) < np.abs(glass)
    return (*promises, float(np.mean(cut[moves])))


def _log_ratios(comparison: Comparison, runs: dict[Setup, list[Run]]) -> tuple[Array, Array]:
    """Return the logarithms of measured and of predicted ratios of steps, one a seed."""
    ours, theirs = runs[comparison.setup], runs[comparison.against]
    measured = np.array([np.log(a.steps / b.steps).mean() for a, b in zip(ours, theirs, strict=True)])
    if comparison.prediction is not None:
        return measured, np.full(len(ours), np.log(comparison.prediction))
    column = list(CHOICES).index(comparison.setup.choice)
    along_theirs = [np.log(np.mean(b.promised[:, 0] / b.promised[:, column])) for b in theirs]
    along_ours = [-np.log(np.mean(a.promised[:, column] / a.promised[:, 0])) for a in ours]
    return measured, (np.array(along_theirs) + np.array(along_ours)) / 2


def _mean_of_promises(logs: dict[Comparison, tuple[Array, Array]]) -> list[Finding]:
    """Average the networks on which glass makes a promise: sharper than each of them."""
    kept = [ours - promised for row, (ours, promised) in logs.items() if row.prediction is None and _is_dear(row)]
    if not kept:
        return []
    name = f"mean of {len(kept)} networks: ln(steps / what is promised)"
    samples = np.mean(kept, axis=0)
    return [mean_finding(name, 0.0, samples[np.isfinite(samples)], tolerance=0.05, scale=1.0, resolution=0.3)]


def _is_dear(comparison: Comparison) -> bool:
    return comparison.setup.choice == "glass + Hessian"


def _finding(comparison: Comparison, measured: Array, predicted: Array) -> Finding:
    name = f"{comparison.name}: steps, {comparison.setup.choice} / Hessian"
    prediction = float(np.exp(predicted[np.isfinite(measured)].mean()))
    if comparison.relation != "=":
        return _ratio(name, prediction, measured, measured, comparison.relation)
    resolution = 0.1 if comparison.prediction else 0.6
    return _ratio(name, prediction, measured, measured - predicted, "=", comparison.tolerance, resolution)


def _ratio(
    name: str,
    prediction: float,
    logs: Array,
    scattered: Array,
    relation: Relation,
    tolerance: float = 0.0,
    resolution: float = 0.1,
) -> Finding:
    """Compare a prediction with a ratio whose logarithm varies like `scattered`; runs that got nowhere do not count."""
    logs, scattered = logs[np.isfinite(logs)], scattered[np.isfinite(logs)]
    measurement = float(np.exp(logs.mean()))
    error = half_width(scattered)
    # Symmetric in the logarithm; of a direction the end towards the bound counts.
    interval = measurement * {"=": error, "<=": np.expm1(error), ">=": -np.expm1(-error)}[relation]
    options: dict[str, Any] = {"relation": relation, "tolerance": tolerance * prediction, "resolution": resolution}
    return Finding(name, prediction, measurement, float(interval), samples=len(scattered), **options)


def _share_at_bound(name: str, runs: list[Run]) -> Finding:
    shares = [run.at_bound for run in runs]
    quantity = f"{name}: steps of glass alone at the bound"
    if name == SILU:
        return mean_finding(quantity, 0.95, shares, relation=">=")
    return mean_finding(quantity, 0.9, shares, relation="<=")


def _share_that_arrives(runs: list[Run]) -> Finding:
    """Share of runs that reached their targets, with its exact interval."""
    count, arrived = len(runs), sum(bool(np.isfinite(run.steps).all()) for run in runs)
    share = arrived / count
    low = float(beta.ppf(1e-6, arrived, count - arrived + 1)) if arrived else 0.0
    return Finding("runs that reach their targets", 0.5, share, share - low, relation=">=")


def _sum_of_shares(seed: int) -> Finding:
    """Compare the first movements of Alice with the glass alone, coordinate by coordinate and joint."""
    net, moved = gc.MLP((2, 32, 32, 2)), []
    X, y, *_ = _spirals(np.random.default_rng(seed))
    theta = net.initialize(seed)
    for joint in (False, True):
        optimizer = gc.Alice(theta, 1e-3, hessian="zero", joint=joint, lr_max=1e300, eps=1e-100, rng=seed)
        for _ in range(WARM_UP + 1):
            optimizer.step(lambda point: net.value_and_grad(point, X, y))
        moved.append(optimizer.theta - theta)
    coordinate, together = (movement[moved[1] != 0] for movement in moved)
    name = "first step, glass alone: Σ coordinate / joint over parameters"
    return Finding(name, 1.0, float(np.sum(coordinate / together)), tolerance=1e-6)


def _extreme(choice: str, seed: int) -> float:
    """Return the validation loss after 60 steps at the extreme rate, or that of guessing if it is larger."""
    task, net, optimizer, (X, y, *validation), shuffling = _start(Setup("digits", choice, EXTREME), seed)
    for batch in _minibatches(len(X), task.rows, shuffling):
        optimizer.step(lambda theta, batch=batch: net.value_and_grad(theta, X[batch], y[batch]))
        if optimizer.steps == 60:
            break
    return min(float(net.value(optimizer.theta, *validation)), float(np.log(10)))


def _figure(compared: dict[Comparison, Finding], losses: dict[str, Array]) -> Figure:
    """Draw ratios of steps with their predictions, and losses at the extreme rate."""
    figure, (left, right) = panels(
        ("Steps to the target", "Digits, ten times the tuned rate"),
        ("steps / steps with the Hessian alone", ""),
        ("", "validation loss after 60 steps"),
    )
    figure.set_size_inches(11, 5.6)
    _draw_ratios(left, compared)
    for k, (choice, values) in enumerate(losses.items()):
        spread = np.linspace(-0.15, 0.15, len(values))
        right.plot(k + spread, values, "o", ms=5, color=COLOURS[choice])
    right.axhline(np.log(10), color=GREY, ls="--", lw=1.5, label="guessing, ln 10")
    right.set_xticks(range(len(losses)), [choice.replace(" ", "\n", 1) for choice in losses])
    right.set_xlim(-0.5, len(losses) - 0.5)
    right.set_ylim(0, 2.6)
    right.legend(fontsize=10, loc="lower right")
    return figure


def _draw_ratios(ax: Axes, compared: dict[Comparison, Finding]) -> None:
    """Draw measured ratios with intervals, and the band that is predicted or the number that bounds them."""
    for k, (comparison, finding) in enumerate(compared.items()):
        low, high = finding.prediction - finding.tolerance, finding.prediction + finding.tolerance
        if finding.relation == "=":
            ax.plot([low, high], [k, k], color=GREY, lw=9, alpha=0.35, solid_capstyle="butt")
        else:
            ax.plot(finding.prediction, k, ">" if finding.relation == ">=" else "<", color=GREY, mfc="none", ms=9)
        ax.errorbar(finding.measurement, k, xerr=finding.interval, fmt="o", color=COLOURS[comparison.setup.choice])
    ax.axvline(1, color=GREY, lw=1)
    ax.set_yticks(range(len(compared)), [f"{row.name}\n{row.setup.choice}" for row in compared], fontsize=9)
    ax.set_ylim(len(compared) - 0.4, -0.6)
    ax.errorbar([], [], xerr=[], fmt="o", color=GREY, label="measured")
    ax.plot([], [], color=GREY, lw=9, alpha=0.35, solid_capstyle="butt", label="predicted")
    ax.plot([], [], ">", color=GREY, mfc="none", ms=9, label="claimed bound")
    ax.legend(fontsize=9, loc="upper right")
    note(ax, "bars: five standard errors, wider for few runs")
