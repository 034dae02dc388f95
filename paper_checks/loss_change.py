"""Three models of the glass part of a loss change, on networks: which one is accurate, and which is a bound where.

Claim. The glass part X of the loss change on a network has a random part and a mean. The absolute mean of the
random part is that of the directional model (8c), along any direction. The mean of X is in no model: where the signals
at the kinks do not average to zero, E X = ½ t² Σ p_k E s_k (∇y_k·u)². It is a curvature, and differences of gradients
see it. The coordinate and the independent model (8a, 8b) may be far too large or too small.

Source. Theory, section 2, equations (6) to (8); the mean is new.

Prediction. (8a) and (8b) with the density of ``estimate_curvature`` at the same point and lengths of 10⁻³. (8c) with
the variance of u·g on the segment from −2δ to −δ, which shares no boundary with the movements ±δ; its root mean
square within a network is used, because the root of one noisy density is too small. Random movements of all coordinates
give √2 times (8b). E X is half of what the Hessian misses in the gradients' difference over that segment.

Measurement. X is the loss less the loss of the network whose units all stay on their side of the kink. This takes no
gradient and leaves out smooth terms of every order; a finding confirms that it is ΔL − g·δ − ½δᵀHδ with the exact
Hessian. Its random part is (X₊ − X₋)/√2 from the movements ±δ: what is the same on both sides cancels. Digits MLPs at
initialisation, in the first steps of Alice and after 200 of them. All movements of one network are one sample.

Tolerance. Five standard errors. The jumps of one unit are alike on similar images, hence not independent, and few
boundaries may be crossed: 0.2 on what equals 1 or √2, 0.1 on means. One kind of movement alone notices a prediction
that is off by a factor of two or three, the mean over the kinds that cross many boundaries one that is off by a half.
Where no theory fixes a ratio it is compared with a round number, from the side that matters; for a single coordinate
R_ii ≤ ρ_i gives the bound 1, and as it crosses few boundaries, (7) is an inequality there.

Limits. The mean of X is in none of the three models: for movements of all coordinates after training, and in the first
steps of Alice, |X| is about twice (8c). (8a) is too large by a factor of 30 for random movements; (8b) is right there
within a factor of two, and too small by ten along gradients. For a single coordinate, which crosses few boundaries, |X|
is about 0.7 of (8c).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, axes, note
from paper_checks.movements import Line, Movement, density, descent, measure, minibatch
from paper_checks.outcome import Finding, Outcome, Settings, ratio_finding

CLAIM = "The directional model (8c) is right for the random part of the loss change"
SOURCE = "theory 2, eq. (8); new"
STANDING = "limited"

Array = NDArray[np.float64]
Relation = Literal["=", "<=", ">="]

NETWORKS = {"initial": 40, "first": 44, "trained": 36}
ROWS, MOVEMENTS, SMOOTH_SAMPLES = 200, 6, 30
"""Rows of a minibatch; movements of each kind a network; how many of them measure the smooth terms."""

MODELS = ("(8a) coordinate", "(8b) independent", "(8c) directional", "(8c), random part")
DENSE, TRAINED_DENSE = "initial: all coordinates", "trained: all coordinates"
EXPECTED: dict[str, tuple[tuple[Relation, float], ...]] = {
    DENSE: (("<=", 0.05), ("=", np.sqrt(2)), ("=", 1), ("=", 1)),
    "initial: 1 % of them": (("<=", 0.2), ("<=", 1), ("=", 1), ("=", 1)),
    "initial: one": (("<=", 1.0), ("<=", 1.0), ("<=", 1.2), ("<=", 1.2)),
    "initial: gradient": (("<=", 1), (">=", 5), ("=", 1), ("=", 1)),
    "first steps of Alice": (("<=", 1), (">=", 5), (">=", 1), ("=", 1)),
    TRAINED_DENSE: (("<=", 0.1), (">=", np.sqrt(2)), (">=", 1), ("=", 1)),
    "trained: gradient": (("<=", 1), (">=", 5), ("=", 1), ("=", 1)),
    "trained: steps of Alice": (("<=", 1), (">=", 2), ("=", 1), ("=", 1)),
}
"""For each kind of movement, what E|X| over each of the models is expected to be."""


def run(settings: Settings) -> Outcome:
    """Compare the models with the loss change of networks."""
    lines: dict[str, list[list[Line]]] = {kind: [] for kind in EXPECTED}
    smooth: dict[str, list[tuple[float, float]]] = {kind: [] for kind in EXPECTED}
    missed = []
    for movements in _networks(settings.scale, settings.rng):
        for kind in dict.fromkeys(movement.kind for movement in movements):
            mine = [movement for movement in movements if movement.kind == kind]
            lines[kind].append([measure(movement) for movement in mine])
            if len(smooth[kind]) < SMOOTH_SAMPLES:
                smooth[kind].append(_smooth_terms(mine[0]))
            if kind == TRAINED_DENSE:
                missed.append(np.mean([_missed_curvature(movement) for movement in mine]) / 2)
    ratios = {kind: _ratios(kind, np.array(lines[kind])) for kind in EXPECTED}
    findings = [_mean_of_random_parts([row[-1] for row in ratios.values() if row[-1].relation == "="])]
    findings += [finding for row in ratios.values() for finding in row]
    findings.append(_largest_smooth_share(smooth))
    if missed:
        mean = np.array(lines[TRAINED_DENSE])[:, :, :2].mean(axis=(1, 2))
        name = f"{TRAINED_DENSE}: E X / ½ curvature that H misses"
        findings.append(ratio_finding(name, 1.0, mean, missed, tolerance=0.1, resolution=1.5))
    return Outcome(findings, _figure(ratios))


def _networks(scale: int, rng: np.random.Generator) -> Iterator[list[Movement]]:
    """Movements of many networks."""
    net, data = gc.MLP((64, 64, 64, 10)), gc.data.load_digits()
    for _ in range(NETWORKS["initial"] * scale):
        yield list(_initial(net, data, rng))
    for _ in range(NETWORKS["first"] * scale):
        yield list(_of_alice(net, data, 0.01, 20, rng))
    for _ in range(NETWORKS["trained"] * scale):
        yield list(_of_alice(net, data, 0.003, 200, rng))


def _initial(net: gc.MLP, data: gc.data.Split, rng: np.random.Generator) -> Iterator[Movement]:
    theta = net.initialize(rng)
    for _ in range(MOVEMENTS):
        task = minibatch(net, data, ROWS, rng)
        rho = density(task, theta, rng)
        signs = gc.Rademacher().sample(net.size, rng)
        yield Movement(DENSE, task, theta, 1e-3 * signs, rho)
        yield Movement("initial: 1 % of them", task, theta, 3e-3 * signs * (rng.random(net.size) < 0.01), rho)
        for _ in range(2):  # they vary most
            one = rng.integers(net.groups["layer2"].stop)  # the gradient of the last layer does not jump
            yield Movement("initial: one", task, theta, 0.03 * (np.arange(net.size) == one), rho)
        yield Movement("initial: gradient", task, theta, descent(task, theta), rho)


def _of_alice(net: gc.MLP, data: gc.data.Split, lr: float, steps: int, rng: np.random.Generator) -> Iterator[Movement]:
    """Movements around the points where Alice gets after `steps` steps and a few more."""
    optimizer = gc.Alice(net.initialize(rng), lr, rng=rng)
    for step in range(steps + MOVEMENTS):
        theta = optimizer.theta.copy()
        batch = minibatch(net, data, 100, rng)
        optimizer.step(lambda point, batch=batch: net.value_and_grad(point, batch.X, batch.y))
        if step < steps:
            continue
        task = minibatch(net, data, ROWS, rng)
        rho = density(task, theta, rng)
        if steps < 100:
            yield Movement("first steps of Alice", task, theta, optimizer.theta - theta, rho)
            continue
        yield Movement("trained: steps of Alice", task, theta, optimizer.theta - theta, rho)
        yield Movement("trained: gradient", task, theta, descent(task, theta), rho)
        yield Movement(TRAINED_DENSE, task, theta, 2e-3 * gc.Rademacher().sample(net.size, rng), rho)


def _missed_curvature(movement: Movement) -> float:
    """Return what the Hessian misses in the difference of the directional derivatives at −δ and −2δ."""
    _, task, theta, delta, _ = movement
    difference = task.gradient(theta - delta) - task.gradient(theta - 2 * delta)
    return float(difference @ delta) - task.curvature(theta, delta)


def _smooth_terms(movement: Movement) -> tuple[float, float]:
    """|X less what X is with g and H|, and |X|."""
    _, task, theta, delta, _ = movement
    change = task.value(theta + delta) - task.value(theta)
    expanded = change - task.gradient(theta) @ delta - task.curvature(theta, delta) / 2
    X, _ = task.glass_changes(theta, delta)
    return abs(X - expanded), abs(X)


def _ratios(kind: str, samples: Array) -> list[Finding]:
    plus, minus = samples[:, :, :2].transpose(2, 0, 1)
    size, random = (abs(plus) + abs(minus)).mean(axis=1) / 2, abs(plus - minus).mean(axis=1) / np.sqrt(2)
    coordinate, independent = samples[:, :, 2:4].mean(axis=1).T
    directional = np.sqrt(np.square(samples[:, :, 4]).mean(axis=1))
    pairs = ((size, coordinate), (size, independent), (size, directional), (random, directional))
    findings = []
    for model, (relation, prediction), pair in zip(MODELS, EXPECTED[kind], pairs, strict=True):
        options = {"tolerance": 0.2, "resolution": 2.5} if relation == "=" else {}
        findings.append(ratio_finding(f"{kind}: |X| / {model}", prediction, *pair, relation=relation, **options))
    return findings


def _mean_of_random_parts(findings: list[Finding]) -> Finding:
    """Average the kinds of movement that cross many boundaries: sharper than each of them."""
    measurement = np.mean([finding.measurement for finding in findings])
    interval = np.linalg.norm([finding.interval for finding in findings]) / len(findings)
    name = f"mean of the kinds: |X| / {MODELS[-1]}"
    return Finding(name, 1.0, float(measurement), float(interval), tolerance=0.1, resolution=0.6)


def _largest_smooth_share(terms: dict[str, list[tuple[float, float]]]) -> Finding:
    shares = {kind: ratio_finding("", 0.2, *np.array(pairs).T, relation="<=") for kind, pairs in terms.items()}
    kind, share = max(shares.items(), key=lambda item: item[1].measurement + item[1].interval)
    return replace(share, quantity=f"smooth terms beyond the Hessian / |X|, most: {kind}")


def _figure(ratios: dict[str, list[Finding]]) -> Figure:
    figure, ax = axes("Glass part of the loss change on digits MLPs", "measured / predicted", "")
    ax.axvline(1, color=GREY)
    for k, (model, colour, marker) in enumerate(zip(MODELS, (PURPLE, GREEN, ORANGE, BLUE), "s^do", strict=True)):
        row = [findings[k] for findings in ratios.values()]
        ax.errorbar(
            [finding.measurement for finding in row],
            np.arange(len(row)) + 0.12 * (k - 1.5),
            xerr=[finding.interval for finding in row],
            fmt=marker,
            color=colour,
            label=model,
        )
    ax.set_xscale("log")
    names = [kind.replace("initial: one", "initial: one coordinate") for kind in ratios]
    ax.set_yticks(range(len(ratios)), names)
    ax.invert_yaxis()
    ax.legend(fontsize=9)
    note(ax, "bars: five standard errors, wider for few networks")
    return figure
