"""What removing one weight does to the loss: gradient, Hessian and glass, on toys and on networks.

Claim. Removing weight i moves it by −θ_i and changes the loss by −g_iθ_i + ½h_iθ_i² + X. The glass term
c √R_ii |θ_i|^{3/2} is the mean of |X|, not of X. On networks the first two terms rank single removals, sign and all,
and the glass term ranks the size of what they leave. At a minimum X is a rise on average.

Source. Theory, section 9 and equations (3), (6) and (7). What holds on networks is new.

Prediction. ``pruning_saliency``. On hinges, with the exact Hessian and density, E|X| is the glass term, E X = 0 and
E X² = R_ii|θ_i|³/3, which is π/2 times its square. On networks the curvatures come in two ways. *Own* ones, for each
weight by itself: the diagonal of the exact Hessian inside the linear region, and the density from five gradients on the
weight's axis, as far as ±θ_i. *Shared* ones: Hessian and density of all weights from 30 Rademacher directions. No
theory fixes ranks; zero is what the two-sided reading of the glass predicts for the mean of X.

Measurement. ``measured_saliency``, which takes losses and no gradients. Quadratics with hinges: landscapes of one
density, each of which is a sample. Digits MLPs, minibatches of 100 images, some weights of each layer. *Training*:
after ten epochs, with shared curvatures; the gradient of the minibatch is not zero. *Minimum*: hidden layers after 100
more steps on that minibatch alone, with own curvatures. Ranks are Spearman's correlations.

Tolerance. Five standard errors; a network is one sample. On hinges 0.005 for the kurtosis of X, 9/(5N) after N > 12
crossings, of which E|X| feels a 24th; the mean and the square of X notice errors of 0.2. On networks all findings are
one-sided, against zero or a round number.

Limits. Means over 24 networks; standard errors are 0.02 or less unless given. *Training*, rank with |ΔL|: |gθ| 0.97,
all three terms 0.94, glass 0.90, ½|h|θ² 0.87, magnitude 0.37, ½hθ² with its sign 0.22. So from the same gradients glass
alone is ahead of magnitude and of Optimal Brain Damage, but not of |gθ|, as long as the gradient is not zero. It is
behind ½|h|θ² if h is the exact diagonal: 0.87 against 0.92 while training, 0.88 against 0.95 in hidden layers at a
minimum (8 networks each). *Minimum*, hidden layers, 128 networks: gradient and Hessian rank ΔL with 0.91 and sum up to
0.76 of what is measured, with glass 0.96 and 0.91. The size of what they leave is ranked by glass with 0.94, by
magnitude with 0.37. It is a rise in two of three removals and in nearly all large ones, 1.7 ± 0.08 times the glass term
in sum, as signals at the kinks do not average to zero. The glass term makes the mean error 0.69 times what it is
without, but predicts only 0.55 of the single removals better. *Many at once*: signed terms do not add up. Without the
tenth of all weights that has the least sum of the three terms the loss should fall by 1.0 ± 0.1, and it rises by
8.7 ± 0.5: that many small gains make a long movement, and the least of noisy estimates are mostly noise. Without the
tenth of the least glass nothing changes.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, note, panels
from paper_checks.movements import Task
from paper_checks.outcome import Finding, Outcome, Settings, half_width, mean_finding

CLAIM = "At a minimum removals cost more than gradient and Hessian say; glass ranks how much more"
SOURCE = "theory 9; new"
STANDING = "limited"

Array = NDArray[np.float64]

SIZE, HINGES, LANDSCAPES = 4, 200, 4000
NETWORKS, ROWS, DIRECTIONS, SETTLING = 20, 100, 30, 100
"""Networks; images of a minibatch; directions of the shared estimate; steps on the minibatch that lead to a minimum."""

WEIGHTS = {"training": 30, "minimum": 12}
"""Weights of each layer that are removed, one at a time."""

SHARE = 0.1
"""Share of all weights that is removed together."""

SMOOTH, ALL = ("gradient", "hessian"), ("gradient", "hessian", "glass")
CRITERIA = {
    "magnitude": "magnitude",
    "½hθ²": "hessian",
    "½|h|θ²": "abs_hessian",
    "glass": "glass",
    "|gθ|": "abs_gradient",
    "three terms": ALL,
}


class Training(NamedTuple):
    """One network while it is trained, with shared curvatures.

    Attributes
    ----------
    ranks : dict of str to float
        Correlation of the size of the measured change with every criterion.
    predicted, measured : float
        Change of the loss without the weights of the least sum of all terms: that sum, and what happened.
    by_glass : float
        What happened without the weights of the least glass term.
    """

    ranks: dict[str, float]
    predicted: float
    measured: float
    by_glass: float


class Minimum(NamedTuple):
    """Removals (k,) of weights in the hidden layers of one network at a minimum, with curvatures of their own."""

    measured: Array
    smooth: Array
    glass: Array
    magnitude: Array

    @property
    def rest(self) -> Array:
        """What gradient and Hessian leave."""
        return self.measured - self.smooth


def run(settings: Settings) -> Outcome:
    """Compare the predicted and the measured changes on hinges and on networks."""
    rng, scale = settings.rng, settings.scale
    findings, training, minima = _on_hinges(LANDSCAPES * scale, rng), [], []
    net = digits.network()
    for _ in range(NETWORKS * scale):
        theta, task = digits.parameters(net, "trained", rng), Task(net, *digits.minibatch(ROWS, rng))
        training.append(_training(theta, task, rng))
        minima.append(_minimum(theta, task, rng))
    if not minima:
        return Outcome(findings)
    return Outcome([*_at_a_minimum(minima), *findings, *_while_training(training)], _figure(training, minima))


def _on_hinges(count: int, rng: np.random.Generator) -> list[Finding]:
    """Remove weights in random landscapes with one density, Hessian and linear term."""
    theta = rng.uniform(0.5, 1.5, SIZE) * gc.Rademacher().sample(SIZE, rng)
    normals = 2.0 * rng.integers(0, 2, (HINGES, SIZE)) - 1
    toy = gc.RandomHinges(SIZE, HINGES, float(abs(theta).sum()), signals="rademacher", normals=normals, rng=rng)
    root = rng.standard_normal((SIZE, SIZE))
    smooth = gc.Quadratic(root + root.T, rng.standard_normal(SIZE))
    h, density = smooth.hessian.diagonal(), toy.density_matrix().diagonal()
    glass = gc.compression.pruning_saliency(theta, density=density, terms="glass")
    rest = np.empty((count, SIZE))
    for row in rest:
        problem = smooth + toy.redraw(rng)
        change = gc.compression.measured_saliency(problem.value, theta)
        row[:] = change - gc.compression.pruning_saliency(theta, problem.gradient(theta), h, terms=SMOOTH)
    size, squares = glass.mean(), np.square(rest).mean(axis=1) / np.square(glass).mean()
    return [
        mean_finding("hinges: E|X| / glass term", 1.0, abs(rest).mean(axis=1) / size, tolerance=0.005),
        mean_finding("hinges: E X² / (glass term)²", np.pi / 2, squares, resolution=0.2),
        mean_finding("hinges: E X / glass term", 0.0, rest.mean(axis=1) / size, scale=1.0, resolution=0.2),
    ]


def _training(theta: Array, task: Task, rng: np.random.Generator) -> Training:
    found = gc.estimate_curvature(task.gradient, theta, length=0.01, samples=DIRECTIONS, rng=rng)
    curvatures = (found.gradient, found.hessian_diagonal, found.glass_density)
    saliencies = {
        name: gc.compression.pruning_saliency(theta, *curvatures, terms=terms) for name, terms in CRITERIA.items()
    }
    start, every = task.value(theta), np.arange(theta.size)
    groups = [every[group] for group in task.net.weight_groups().values()]
    chosen = np.concatenate([rng.choice(group, WEIGHTS["training"], replace=False) for group in groups])
    sizes = abs(gc.compression.measured_saliency(task.value, theta, chosen))
    # The size of all terms is compared; the Hessian's alone keeps its sign, which tells it from ½|h|θ².
    ranks = {
        name: _rank(abs(saliency[chosen]) if name == "three terms" else saliency[chosen], sizes)
        for name, saliency in saliencies.items()
    }
    weights, changes = np.concatenate(groups), []
    for saliency in (saliencies["three terms"], saliencies["glass"]):
        least = weights[np.argsort(saliency[weights])[: round(SHARE * weights.size)]]
        without = theta.copy()
        without[least] = 0
        changes.append((float(saliency[least].sum()), task.value(without) - start))
    (predicted, measured), (_, by_glass) = changes
    return Training(ranks, predicted, measured, by_glass)


def _minimum(theta: Array, task: Task, rng: np.random.Generator) -> Minimum:
    optimizer = gc.Adam(theta, lr=1e-3)
    for _ in range(SETTLING):
        optimizer.step(lambda point: task.net.value_and_grad(point, task.X, task.y))
    theta = np.array(optimizer.theta)
    groups = list(task.net.weight_groups().values())[:-1]  # the gradient of the last layer does not jump
    count = WEIGHTS["minimum"]
    chosen = np.concatenate([rng.choice(np.arange(theta.size)[group], count, replace=False) for group in groups])
    curvature, density = np.empty((2, chosen.size))
    for k, i in enumerate(chosen):
        axis = np.zeros(theta.size)
        axis[i] = 1
        curvature[k] = task.curvature(theta, axis)
        density[k] = gc.directional_density(task.gradient, theta, axis, length=abs(theta[i]), samples=2)
    some, slope = theta[chosen], task.gradient(theta)[chosen]
    return Minimum(
        gc.compression.measured_saliency(task.value, theta, chosen),
        gc.compression.pruning_saliency(some, slope, curvature, terms=SMOOTH),
        gc.compression.pruning_saliency(some, density=density, terms="glass"),
        gc.compression.pruning_saliency(some, terms="magnitude"),
    )


def _rank(predicted: Array, measured: Array) -> float:
    return float(spearmanr(predicted, measured).statistic)


def _at_a_minimum(minima: list[Minimum]) -> list[Finding]:
    signed = [_rank(each.smooth, each.measured) for each in minima]
    rises = [each.rest.sum() / abs(each.rest).sum() for each in minima]
    sizes = np.array([_rank(each.glass, abs(each.rest)) for each in minima])
    ahead = sizes - [_rank(each.magnitude, abs(each.rest)) for each in minima]
    return [
        mean_finding("minimum: rank of what gradient and Hessian leave, by glass", 0.7, sizes, relation=">="),
        mean_finding("minimum: the same less that by magnitude", 0.0, ahead, relation=">="),
        mean_finding("minimum: mean of what they leave / mean of its size", 0.0, rises, relation=">="),
        mean_finding("minimum: rank of ΔL by gradient and Hessian", 0.5, signed, relation=">="),
    ]


def _while_training(training: list[Training]) -> list[Finding]:
    ranks = {name: np.array([each.ranks[name] for each in training]) for name in CRITERIA}
    findings = [
        mean_finding(
            f"training: rank of |ΔL| by glass less by {name}", 0.2, ranks["glass"] - ranks[name], relation=">="
        )
        for name in ("magnitude", "½hθ²")
    ]
    more = [each.measured - each.predicted for each in training]
    by_glass = [each.by_glass for each in training]
    return [
        *findings,
        mean_finding("training: a tenth together, least sum: measured less predicted", 1.0, more, relation=">="),
        mean_finding("training: a tenth together, least glass: measured", 0.02, by_glass, relation="<="),
    ]


def _figure(training: list[Training], minima: list[Minimum]) -> Figure:
    titles = ("At a minimum, hidden layers", "While training, all layers")
    labels = ("predicted change of the loss", ""), ("measured change of the loss", "rank correlation with |ΔL|")
    figure, (left, right) = panels(titles, *labels)
    measured = np.concatenate([each.measured for each in minima])
    smooth = np.concatenate([each.smooth for each in minima])
    every = smooth + np.concatenate([each.glass for each in minima])
    for predicted, colour, marker, label in (
        (smooth, BLUE, "o", "gradient and Hessian"),
        (every, ORANGE, "^", "… and glass"),
    ):
        left.loglog(predicted, measured, marker, color=colour, markersize=3.5, alpha=0.6, mew=0, label=label)
    ends = np.array([1e-7, 3e-4])
    left.loglog(ends, ends, color=GREY, lw=1.5, label="measured as predicted")
    left.set_xlim(ends)
    left.set_ylim(ends)
    left.legend(fontsize=10, loc="lower right")
    ranks = np.array([[each.ranks[name] for name in CRITERIA] for each in training])
    right.errorbar(np.arange(len(CRITERIA)), ranks.mean(axis=0), half_width(ranks), fmt="o", color=BLUE, capsize=3)
    right.set_xticks(np.arange(len(CRITERIA)), list(CRITERIA), rotation=30, ha="right")
    right.set_ylim(0, 1.05)
    note(right)
    return figure
