"""The finite-difference kernels: unbiased, of least variance, and what each evaluation of the gradient buys.

Claim. With r = m − 1 contrasts on m increments the glass kernel's estimate has mean ρ and relative variance 2/r in the
dense limit, whatever the Hessian and the spacing of the nodes. One node is the centre, whose gradient is needed anyway,
so a line costs m evaluations, and its efficiency, 1/(relative variance × evaluations), is 1/4, 1/3, 3/8 and 5/12 for
3, 4, 5 and 7 nodes. With N boundaries on the line, whose jumps have the kurtosis κ, the variance is larger, and fewer
nodes are better: 3 nodes where N < κ, about m = 1 + √(2N/κ) increments in general. The Hessian kernel needs the two
end nodes only; its error has the variance ρ/((t_m − t_0)σ), the least of all linear rules that are exact for linear
gradients.

Source. Theory, section 3, equations (9) and (10); paper for three nodes, general nodes new. New here, the variance with
few boundaries. Let A_jl be the estimate's quadratic form in the increments Δ_j, and J_k the jump at boundary k, which
lies in a unit of length with probability q_k. A boundary lies in one increment at most, so Var ρ̂ is the sum of
q_k E J_k⁴ Σ_j Δ_j A_jj² − (q_k E J_k²)² over k and of 2 q_k q_l E J_k² E J_l² Σ_ij Δ_i Δ_j A_ij² over k ≠ l.
Without the terms that vanish for many hinges the relative variance of the kernel (9) is
2/r + (κ/N) Σ_j Δ_j · Σ_j (1 − Δ_j/ΣΔ)²/(r² Δ_j). By Cauchy and Schwarz the factor of κ/N is at least 1, with equality
for equal spacings only: these are best, and m (2/(m − 1) + κ/N) is least at m = 1 + √(2N/κ).

Prediction. The formula for Var ρ̂, exact for the toy, with no term dropped; ρ/((t_m − t_0)σ); for the least squares line
through the nodes Σ_j u_j² Δ_j over its least value, u_j being its weights on the increments.

Measurement. Random hinges in 16 dimensions plus a large quadratic, lines of one length, each in a landscape of its own,
with about 3, 10, 60 and 150 boundaries; kernels applied to gradients, averaged over coordinates. Evaluations are
counted. A spacing that is far from equal and a rival are measured as well: the mean of all second differences of
neighbouring nodes. The Hessian kernel's rival is the rule that is best in hindsight, on the gradients it is judged by.

Tolerance. Five standard errors, one landscape being one sample; 0.01 for the rule that is best in hindsight, whose
eight free weights are fitted to 16 000 landscapes (below 0.001); rounding for what is annihilated. Unequal nodes with
few boundaries notice errors of 25 %: a single boundary in a short increment makes heavy tails.

Limits. Lines are independent here, as they are when each has a centre or minibatch of its own. Lines through one centre
share the boundaries next to it (check `shared_boundaries`), and then a single finer line is the better choice.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, axes
from paper_checks.hinges import gradients_on_lines
from paper_checks.outcome import RESOLUTION, Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "Glass kernels reach their predicted efficiency: more nodes pay where boundaries are many"
SOURCE = "theory 3, eq. (9), (10); new (few boundaries)"
STANDING = "confirmed"

Array = NDArray[np.float64]
Nodes = tuple[int, ...]

SPAN, DIMENSION = 12, 16
"""Length of a line in units of its finest spacing; the line starts at its centre."""
KERNELS: dict[int, Nodes] = {m + 1: tuple(range(0, SPAN + 1, SPAN // m)) for m in (2, 3, 4, 6)}
UNEQUAL = (0, 1, 2, 6, 12)
NODES = np.unique(np.concatenate([*KERNELS.values(), UNEQUAL]))
LEAST_SQUARES = (NODES - NODES.mean()) / np.sum((NODES - NODES.mean()) ** 2)
REGIMES = {"sparse": (64, 4, 72_000), "few": (160, 2.5, 20_000), "many": (256, 1, 5000), "dense": (640, 1, 16_000)}
"""Number of hinges, half-width of their offsets over the least that covers the line, and number of lines."""


class Toy(NamedTuple):
    """Random hinges on a quadratic, with what is known of the boundaries on a line.

    Attributes
    ----------
    hinges : RandomHinges
    smooth : Quadratic
    direction : (n,) array
    density : (n,) array
    second, fourth : (hinges, n) array
        Probability that a unit of length holds the boundary, times mean square and mean fourth power of its jump.
    """

    hinges: gc.RandomHinges
    smooth: gc.Quadratic
    direction: Array
    density: Array
    second: Array
    fourth: Array

    @property
    def crossings_over_kurtosis(self) -> float:
        """Return N/κ."""
        return float(SPAN / np.mean(self.fourth.sum(axis=0) / np.square(self.second.sum(axis=0))))

    def relative_variance(self, nodes: Nodes, form: Array) -> float:
        """Return Var ρ̂/ρ² of a quadratic form in the increments, averaged over coordinates."""
        spacing = np.diff(nodes)
        own, pairs = spacing @ np.diag(form) ** 2, spacing @ form**2 @ spacing
        squares, total = np.square(self.second).sum(axis=0), np.square(self.second.sum(axis=0))
        variance = own * self.fourth.sum(axis=0) - squares + 2 * pairs * (total - squares)
        return float(np.mean(variance / total))


def run(settings: Settings) -> Outcome:
    """Compare means, variances and costs of the kernels' estimates with the theory."""
    rng = settings.rng
    direction = gc.Rademacher().sample(DIMENSION, rng)
    root = rng.standard_normal((DIMENSION, DIMENSION))
    smooth = gc.Quadratic(20 * (root + root.T))
    cost = {count: _evaluations(smooth, nodes, rng) for count, nodes in KERNELS.items()}
    shown, findings = [], []
    for name, (hinges, room, count) in REGIMES.items():
        toy = _toy(hinges, room, direction, smooth, rng)
        # In blocks: the gradients of the full form would take a gigabyte.
        blocks = [_samples(toy, count, rng) for _ in range(settings.scale)]
        samples = {key: np.concatenate([block[key] for block in blocks], axis=-1) for key in blocks[0]}
        row = {}
        for nodes in (*KERNELS.values(), UNEQUAL):
            tested = name == "dense" or (name == "sparse" and nodes != UNEQUAL) or (name == "few" and nodes == UNEQUAL)
            title = f"{name}: {_title(nodes)}, efficiency" if tested else ""
            finding = _efficiency(title, toy, nodes, samples, cost[len(nodes)])
            if tested:
                findings.append(finding)
            row[_title(nodes)] = finding
        shown.append((toy, row))
    findings += [
        mean_finding(f"{_title(nodes)}: mean density / exact", 1.0, samples[nodes][0]) for nodes in KERNELS.values()
    ]
    findings += [
        _rival(toy, samples, cost[5]),
        *_hessian(samples),
        _annihilated(direction, smooth),
        *(Finding(f"{count} nodes: evaluations a line", count - 1, spent) for count, spent in cost.items()),
    ]
    findings.sort(key=lambda finding: not finding.quantity.startswith("dense: 7"))
    return Outcome(findings, _figure(shown))


def _title(nodes: Nodes) -> str:
    return f"{len(nodes)} nodes" + ", unequal" * (nodes == UNEQUAL)


def _evaluations(problem: gc.Problem, nodes: Nodes, rng: np.random.Generator) -> float:
    """Count the gradients that a line takes beside the centre's."""
    calls = []

    def gradient(theta: Array) -> Array:
        calls.append(theta)
        return problem.gradient(theta)

    gc.estimate_curvature(gradient, np.zeros(DIMENSION), length=0.1, samples=10, nodes=nodes, rng=rng)
    return (len(calls) - 1) / 10


def _toy(count: int, room: float, direction: Array, smooth: gc.Quadratic, rng: np.random.Generator) -> Toy:
    normals = rng.standard_normal((count, DIMENSION))
    half_width = room * SPAN / 2 * float(abs(normals @ direction).max())
    hinges = gc.RandomHinges(DIMENSION, count, half_width=half_width, normals=normals, rng=rng)
    rates = abs(normals @ direction)[:, None] / (2 * half_width)
    return Toy(hinges, smooth, direction, hinges.density(direction), rates * normals**2, 3 * rates * normals**4)


def _samples(toy: Toy, count: int, rng: np.random.Generator) -> dict[Nodes | str, Array]:
    """Measure on lines of 12 units around 0, each in a landscape of its own; one column a line."""
    positions = NODES - SPAN / 2
    gradients = gradients_on_lines(toy.hinges, positions, np.tile(toy.direction, (count, 1)), rng)
    gradients += np.array([toy.smooth.gradient(position * toy.direction) for position in positions])[:, None]
    samples: dict[Nodes | str, Array] = {}
    for nodes in (*KERNELS.values(), UNEQUAL):
        values = gradients[np.searchsorted(NODES, nodes)].reshape(len(nodes), -1)
        samples[nodes] = _moments(gc.glass_kernel(nodes).apply(values, 1.0), toy)
        if nodes == KERNELS[5]:
            neighbours = [gc.glass_kernel().apply(values[k : k + 3], nodes[1]) for k in range(3)]
            samples["rival"] = _moments(np.mean(neighbours, axis=0), toy)
    product = toy.smooth.hessian @ toy.direction
    ends = gc.hessian_kernel(NODES).apply(gradients.reshape(NODES.size, -1), 1.0).reshape(-1, DIMENSION)
    fitted = np.tensordot(LEAST_SQUARES, gradients, 1)
    samples["ends"], samples["fitted"] = (
        np.mean((product_found - product) ** 2 / toy.density, axis=1) for product_found in (ends, fitted)
    )
    spacing = np.diff(NODES)[:, None, None]
    increments = (np.diff(gradients, axis=0) - spacing * product) / np.sqrt(toy.density)
    samples["products"] = np.tensordot(increments, increments, [(1, 2), (1, 2)])[..., None] / increments[0].size
    return samples


def _moments(densities: Array, toy: Toy) -> Array:
    """Mean of ρ̂/ρ and of (ρ̂/ρ − 1)² over the coordinates, (2, lines)."""
    relative = densities.reshape(-1, DIMENSION) / toy.density
    return np.array([relative.mean(axis=1), np.square(relative - 1).mean(axis=1)])


def _efficiency(name: str, toy: Toy, nodes: Nodes, samples: dict[Nodes | str, Array], cost: float) -> Finding:
    """Compare the efficiency of the kernel (9); its form is D less its part along √Δ, squared, over r."""
    spacing = np.diff(nodes).astype(np.float64)
    unit = np.sqrt(spacing / spacing.sum())
    projection = np.eye(spacing.size) - np.outer(unit, unit)
    form = projection / np.sqrt(np.outer(spacing, spacing)) / (spacing.size - 1)
    predicted = 1 / (toy.relative_variance(nodes, form) * spacing.size)
    resolution = 0.25 if name.startswith("few") else RESOLUTION
    return _measured(name, predicted, samples[nodes][1], cost, resolution)


def _measured(name: str, predicted: float, squares: Array, cost: float, resolution: float = RESOLUTION) -> Finding:
    return ratio_finding(name, predicted, np.ones_like(squares), cost * squares, resolution=resolution)


def _rival(toy: Toy, samples: dict[Nodes | str, Array], cost: float) -> Finding:
    """Compare the mean of the kernel −1, 0, 1 over all neighbouring nodes."""
    nodes = KERNELS[5]
    differences = (np.eye(4)[:-1] - np.eye(4)[1:]) / np.sqrt(2 * nodes[1] * 3)
    predicted = 1 / (toy.relative_variance(nodes, differences.T @ differences) * 4)
    return _measured("dense: 5 nodes, second differences averaged, efficiency", predicted, samples["rival"][1], cost)


def _hessian(samples: dict[Nodes | str, Array]) -> list[Finding]:
    """Compare the Hessian kernel with theory, with least squares and with the best rule in hindsight."""
    ends, fitted, spacing = samples["ends"], samples["fitted"], np.diff(NODES)
    on_increments = -np.cumsum(LEAST_SQUARES)[:-1]
    hindsight = 1 / (spacing @ np.linalg.solve(samples["products"].mean(axis=-1), spacing))
    return [
        mean_finding("Hessian: error variance of the end nodes / least", 1.0, ends * SPAN),
        ratio_finding("Hessian: least squares / end nodes", on_increments**2 @ spacing * SPAN, fitted, ends),
        Finding("Hessian: best in hindsight / end nodes", 1.0, float(hindsight / ends.mean()), 0.0, 0.01, ">="),
    ]


def _annihilated(direction: Array, smooth: gc.Quadratic) -> Finding:
    largest = [
        gc.glass_kernel(nodes).apply([smooth.gradient(node * direction) for node in nodes], 1.0).max()
        for nodes in (*KERNELS.values(), UNEQUAL)
    ]
    size = float(np.square(smooth.hessian @ direction).max())
    return Finding("density of a quadratic / (Hz)²", 0.0, max(largest) / size, tolerance=1e-24)


def _figure(shown: list[tuple[Toy, dict[str, Finding]]]) -> Figure:
    figure, ax = axes(
        "More nodes pay where boundaries are many",
        "boundaries on the line / kurtosis of their jumps, N/κ",
        "1/(relative variance × evaluations)",
    )
    many, places = np.geomspace(0.3, 60), [toy.crossings_over_kurtosis for toy, _ in shown]
    style = zip(KERNELS, (BLUE, ORANGE, GREEN, PURPLE), "os^D", strict=True)
    for count, colour, marker in style:
        increments = count - 1
        ax.plot(many, 1 / (increments * (2 / (increments - 1) + 1 / many)), color=colour, lw=1)
        row = [findings[f"{count} nodes"] for _, findings in shown]
        ax.plot(places, [finding.prediction for finding in row], "_", color=colour, ms=16, mew=3)
        ax.errorbar(
            places,
            [finding.measurement for finding in row],
            [finding.interval for finding in row],
            fmt=marker,
            color=colour,
            ms=5,
            capsize=4,
            label=f"{count} nodes",
        )
    ax.set_xscale("log")
    ax.set_ylim(0)
    ax.plot([], [], "_", color=GREY, ms=16, mew=3, label="predicted for these hinges")
    ax.plot([], [], color=GREY, lw=1, label="predicted for many hinges")
    ax.legend(fontsize=10)
    return figure
