"""What the bounds of Alice's step prevent, and what is left when they are all there is.

Claim. Without bounds Alice destroys ReLU networks within 25 steps, and every network whose curvature is next to
nothing; with bounds in any of the three units it trains them. Bounds that are equal leave sign descent, gradient
descent or Adam.

Source. Theory, sections 5 and 6; paper. How fast steps by row norms diverge is new here: where n coordinates are
coupled equally and completely, H = 11ᵀ, all rows have the norm √n, but the direction that all share has the curvature
n. Each coordinate's step is right for itself, all together are √n times too long. The centre takes the part φ of them
and multiplies its distance to the minimum by 1 − φ√n in every step, because the averaged gradient is exact (section
7): Alice diverges from n = 4/φ² on, 400 parameters with the defaults.

Prediction. Most runs without bounds are lost, that is end no better than guessing, at 95 % of ln 10 or more; few are
with bounds of 2 lr (unit ``adam``), 2 (``sgdm``) and lr (``fixed``). On tanh networks the same for the glass alone,
which is next to nothing on smooth losses. H = 11ᵀ: the factor |1 − φ√n|, and with bounds of the unit ``fixed`` an end
within φ lr_max of the minimum, whatever n. Equal bounds: the parameters of loops that are written out here.

Measurement. Training of 64-64-64-10 networks on the digits from random initialisations, and the loss of all training
images afterwards, infinite where a gradient was not finite. H = 11ᵀ: Alice with ``rms`` from a state in which its
averages have converged, the root of the loss after 20 steps over that before. Equal bounds: 25 steps on a network,
the largest difference of a parameter.

Tolerance. Shares: exact (Clopper-Pearson) one-sided intervals at an error rate of 10⁻⁶. That of 26 runs of which none
is lost reaches up to 0.41, so that few can be told; that of 36 runs of which up to three get away, as one ReLU network
in a hundred does, down to 0.54, so that most can. 10⁻⁶ for the factor, which ε = 10⁻⁸ in the step disturbs; 10⁻⁹ for
equal bounds, rounding amplified by training.

Limits. Not every lost run diverges: of the ReLU networks 97 % are above their initial loss after 25 steps, two thirds
of all by a factor of 10¹⁰ and more. The rest, a growing share with more steps, have lost all units of a layer and
guess. Smooth networks need no bounds if row norms are in the step: with glass and Hessian no tanh network is lost
without them, and at this rate the loss falls faster.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import beta

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, note, panels
from paper_checks.outcome import Finding, Outcome, Settings

CLAIM = "Alice's bounds keep training stable: without them ReLU networks are lost in 25 steps"
SOURCE = "theory 5 and 6"
STANDING = "confirmed"

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
LR, STEPS, ROWS, FRACTION = 0.01, 25, 50, 0.1
WARM_UP = 10
GUESSING = 0.95 * np.log(10)
ERROR_RATE = 1e-6
UNBOUNDED = {"lr_max": 1e300}
Relation = Literal["<=", ">="]
SHARES: tuple[tuple[str, str, dict[str, Any], Relation], ...] = (
    ("ReLU, glass and Hessian, no bounds", "relu", UNBOUNDED, ">="),
    ("ReLU, glass and Hessian, adam bounds", "relu", {}, "<="),
    ("ReLU, glass and Hessian, sgdm bounds", "relu", {"limiter": "sgdm", "lr_max": 2.0}, "<="),
    ("ReLU, glass and Hessian, fixed bounds", "relu", {"limiter": "fixed", "lr_max": LR}, "<="),
    ("tanh, glass alone, no bounds", "tanh", {"hessian": "zero"} | UNBOUNDED, ">="),
    ("tanh, glass alone, adam bounds", "tanh", {"hessian": "zero"}, "<="),
    ("tanh, glass and Hessian, no bounds", "tanh", UNBOUNDED, "<="),
)
"""Activation and options of Alice, and whether most or few runs are to fail."""

RUNS: dict[Relation, int] = {">=": 36, "<=": 26}
COUPLED = (225, 324, 484, 900)


def run(settings: Settings) -> Outcome:
    """Train with and without bounds."""
    images = gc.data.load_digits()
    seeds = settings.rng.integers(2**32, size=max(RUNS.values()) * settings.scale)
    findings, curves = [], {}
    for name, activation, options, relation in SHARES:
        runs = [_train(images, activation, options, int(seed)) for seed in seeds[: RUNS[relation] * settings.scale]]
        share = float(np.mean([not loss < GUESSING for _, loss in runs]))
        interval = _distance(share, len(runs), relation)
        findings.append(Finding(f"{name}: share of runs lost", 0.5, share, interval, relation=relation))
        curves[name] = [curve for curve, _ in runs]
    factors = {n: _factor(n, settings.rng) for n in COUPLED}
    for n, factor in factors.items():
        predicted = abs(1 - FRACTION * np.sqrt(n))
        findings.append(Finding(f"{n} equally coupled: factor of a step", predicted, factor, tolerance=1e-6))
    findings.append(Finding("900 equally coupled: end within φ lr_max", 1.0, _bounded_end(900), relation="<="))
    findings += _equal_bounds(images, settings.rng)
    return Outcome(findings, _figure(curves, factors))


def _train(images: gc.data.Split, activation: str, options: dict[str, Any], seed: int) -> tuple[list[float], float]:
    """Losses of the minibatches of one run, and of all images at its end."""
    X, y, *_ = images
    net, rng = gc.MLP((64, 64, 64, 10), activation), np.random.default_rng(seed)
    optimizer = gc.Alice(net.initialize(rng), LR, rng=rng, **options)
    curve: list[float] = []
    with np.errstate(all="ignore"):
        for rows in _minibatches(len(X), STEPS, rng):
            try:
                curve.append(optimizer.step(lambda theta, rows=rows: net.value_and_grad(theta, X[rows], y[rows])))
            except ValueError:  # not finite
                return curve, np.inf
        return curve, net.value(optimizer.theta, X, y)


def _minibatches(rows: int, count: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    for _ in range(count):
        yield rng.choice(rows, ROWS, replace=False)


def _distance(share: float, count: int, relation: Relation) -> float:
    """From a measured share to the end of its exact interval on the side that the claim is about."""
    failed = round(share * count)
    if relation == ">=":
        return share - (float(beta.ppf(ERROR_RATE, failed, count - failed + 1)) if failed else 0.0)
    return (float(beta.ppf(1 - ERROR_RATE, failed + 1, count - failed)) if failed < count else 1.0) - share


def _coupled(n: int, x: Array, bounds: dict[str, float]) -> tuple[gc.Quadratic, gc.Alice]:
    """Alice at x on L = ½(Σ x)², its averages converged and not measured any more."""
    problem = gc.Quadratic(np.ones((n, n)))
    options: dict[str, Any] = {"hessian": "rms", "glass": False, "quick_steps": 10**6, "limiter": "fixed"}
    optimizer = gc.Alice(x, lr=0.1, rng=0, **options, **bounds)
    state = optimizer.state_dict()
    state["steps"] = WARM_UP
    state["arrays"] |= {"gradient": problem.gradient(x), "curvature": np.full(n, float(n))}
    optimizer.load_state_dict(state)
    return problem, optimizer


def _factor(n: int, rng: np.random.Generator) -> float:
    """Mean factor of a step on the distance to the minimum."""
    x = rng.standard_normal(n)
    problem, optimizer = _coupled(n, x, UNBOUNDED)
    for _ in range(20):
        optimizer.step(problem.value_and_grad)
    return float((problem.value(optimizer.theta) / problem.value(x)) ** (1 / 40))


def _bounded_end(n: int) -> float:
    """Distance of the mean coordinate to the minimum after many bounded steps, in units of φ lr_max."""
    problem, optimizer = _coupled(n, np.ones(n), {"lr_max": 0.2})
    for _ in range(100):
        optimizer.step(problem.value_and_grad)
    return float(abs(optimizer.theta.mean()) / (FRACTION * 0.2))


def _equal_bounds(images: gc.data.Split, rng: np.random.Generator) -> list[Finding]:
    """Compare Alice with equal bounds and the optimizers that they leave."""
    X, y, *_ = images
    net = gc.MLP((64, 32, 10))
    theta0, seed = net.initialize(rng), int(rng.integers(2**32))
    findings = []
    for limiter, rate, name in (("fixed", 1e-3, "sign descent"), ("sgdm", 0.1, "averaged SGD"), ("adam", 1e-2, "Adam")):
        options: dict[str, Any] = {"limiter": limiter, "lr_min": rate, "lr_max": rate, "step_fraction": 1.0}
        optimizer = gc.Alice(theta0, rate, betas=(0.5, 0.9), rng=0, **options)
        theta, average, moment = theta0.copy(), np.zeros(net.size), np.zeros(net.size)
        for t, rows in enumerate(_minibatches(len(X), STEPS, np.random.default_rng(seed)), 1):
            optimizer.step(lambda point, rows=rows: net.value_and_grad(point, X[rows], y[rows]))
            gradient = net.value_and_grad(theta, X[rows], y[rows])[1]
            average += (gradient - average) / min(t, 2)  # plain means until they are weighted by β
            moment += (gradient**2 - moment) / min(t, 10)
            unit = {"fixed": 1.0, "sgdm": np.abs(average), "adam": np.abs(average) / (np.sqrt(moment) + 1e-8)}[limiter]
            if t > 2:
                theta -= rate * unit * np.where(average > 0, 1.0, -1.0)
        apart = float(np.abs(optimizer.theta - theta).max())
        findings.append(Finding(f"equal bounds: Alice − {name}", 0.0, apart, tolerance=1e-9))
    return findings


def _figure(curves: dict[str, list[list[float]]], factors: dict[int, float]) -> Figure:
    """Draw runs with and without bounds, and the factor on the coupled quadratic."""
    figure, (left, right) = panels(
        ("Digits, ReLU, glass and Hessian", "All parameters coupled equally"),
        ("step", "number of parameters n"),
        ("loss of the minibatch", "factor on the distance, a step"),
    )
    for label, colour in (("no bounds", ORANGE), ("adam bounds", BLUE)):
        for k, curve in enumerate(curves.get(f"ReLU, glass and Hessian, {label}", [])[:12]):
            left.semilogy(np.arange(1, len(curve) + 1), curve, color=colour, lw=1, label=None if k else label)
    lost = curves.get("ReLU, glass and Hessian, no bounds", [])[:12]
    highest = max((loss for curve in lost for loss in curve if np.isfinite(loss)), default=1.0)
    note(left, f"cut at $10^4$; the largest loss is $10^{{{np.log10(highest):.0f}}}$")
    left.axvspan(0.5, WARM_UP + 0.5, color=GREY, alpha=0.15, lw=0, label="warm-up")
    left.set_xlim(0.5, STEPS + 0.5)
    left.set_ylim(1, 1e4)
    left.axhline(np.log(10), color=GREY, ls="--", lw=1.5, label="guessing, ln 10")
    left.legend(fontsize=10, loc="upper left")
    n = np.geomspace(100, 1100, 200)
    right.plot(n, np.abs(1 - FRACTION * np.sqrt(n)), color=GREEN, label="predicted, |1 − φ√n|")
    right.plot(list(factors), list(factors.values()), "o", color=BLUE, label="measured, no bounds")
    right.axhline(1, color=GREY, ls="--", lw=1.5, label="diverges above")
    right.legend(fontsize=10, loc="upper left")
    return figure
