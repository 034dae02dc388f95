"""On digits networks the averaged minibatch gradient is that of the centre only for φ = (1 − β)ω.

Claim. Alice averages minibatch gradients, G_t, taken at look-ahead points ν. With φ = (1 − β)ω the bias of G_t as the
gradient ∇L(μ_t) of the full loss at the centre vanishes to first order in the steps. Any other φ leaves the bias
((1 − β)ω − φ) Σ_k β^k Hδ_{t−1−k}, which acts along the steps: with φ < (1 − β)ω the decrease that a step expects is too
small, with φ > (1 − β)ω too large. Glass adds noise without bias, minibatches noise of variance η²(1 − β)/(1 + β).

Source. Theory, section 7. New here: minibatches on networks, and the variance that glass leaves. The error per step is
(1 − β)∇L(ν) + β∇L(μ) − ∇L(μ + φδ). With the exact φ that is the gradient's bridge between μ and ν at the share 1 − β of
the way: a linear change cancels, also one which H does not see, and a random walk keeps β(1 − β) of its variance.

Prediction. Bias over Σ β^k Hδ (exact Hessian-vector products at μ_t), in units of (1 − β)ω: 0 for the exact φ, 1 − m
for m times that. On random hinges −½ Σ_{kl} w_k w_l C(x_k − x_l) for the covariance of G − ∇L(μ), with the exact C(δ)
of (2), and with the weights w of all gradients in G and −1 for the one at μ.

Measurement. Alice runs with minibatches of 50 from 500 digits, whose loss is L. Given where she goes, each minibatch is
independent of its ν, so that the average F_t of full gradients at the same points is the mean of G_t with the minibatch
noise removed. Bias is F_t − ∇L(μ_t), regressed over read-outs and runs. That F is the mean of G is verified with fresh
minibatches at the same points. The learning rate is Alice's default, 10⁻³, for ReLU, and 3·10⁻⁴ for tanh, where the
prediction is to be sharp; both divided by m where m > 1, so that the centre moves no faster.

Tolerance. Five standard errors, every run being one sample. The second order is ½β(1 − β)ω² ∇³L[δ, δ] a step and grows
with the rate: in the unit above it is about 0.01 at 10⁻³, and 0.015 along the steps, hence 0.02 and 0.04. For other φ
it is relative: 0.02 on tanh, with H at μ_t instead of along the way. ReLU has curvature that H does not see (check
`variation_regression`), about 5 % here and up to 12 %: 0.15, and as it differs between runs these findings only notice
gross errors. So does that of the noise's variance, because the noise has only about ten effective dimensions.

Limits. In steps ten times as long, or in deep networks, the second order is no longer small: at the learning rate
10⁻² with two hidden tanh layers the bias of the exact φ is 0.1 of the gradient, that of φ = ω is 0.9 of it.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import glasscurv as gc
from glasscurv.nesterov import averaged_noise_variance
from paper_checks import digits
from paper_checks.figures import BLUE, GREY, ORANGE, panels
from paper_checks.hinges import draw_landscapes
from paper_checks.outcome import Finding, Outcome, Settings, mean_finding, ratio_finding

CLAIM = "On networks the averaged gradient is unbiased, to first order, for φ = (1−β)ω alone"
SOURCE = "theory 7; new"
STANDING = "confirmed"

Array = NDArray[np.float64]
BETA, WARMUP, STEPS, READ_EVERY = 0.9, 10, 30, 5
MULTIPLES = (0.0, 0.5, 1.0, 2.0, 10.0)
"""φ as multiples of (1 − β)ω; the last is φ = ω, an average without look-ahead."""
RATES = {"ReLU": 1e-3, "tanh": 3e-4}
RUNS = {"ReLU": 14, "tanh": 14}
"""Twice as many with the exact φ."""
REPLAYS = 12


class Sums(NamedTuple):
    """Products, summed over the read-outs of one run: bias D, P = Σ β^k Hδ, step δ, gradient g at the centre."""

    bias_predicted: float
    predicted_predicted: float
    bias_bias: float
    bias_step: float
    predicted_step: float
    gradient_step: float


class Task(NamedTuple):
    """A full loss."""

    net: gc.MLP
    X: Array
    y: digits.Labels

    def gradient(self, theta: Array) -> Array:
        """Return the gradient of the full loss."""
        return self.net.value_and_grad(theta, self.X, self.y)[1]

    def minibatch_gradient(self, theta: Array, rows: NDArray[np.int64]) -> tuple[float, Array]:
        """Return loss and gradient of some of the rows."""
        return self.net.value_and_grad(theta, self.X[rows], self.y[rows])

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the rows of a minibatch."""
        return rng.choice(len(self.X), 50, replace=False)


def run(settings: Settings) -> Outcome:
    """Measure the bias for several step fractions."""
    rng, scale = settings.rng, settings.scale
    sums: dict[tuple[str, float], Array] = {}
    replays = []
    for activation, runs in RUNS.items():
        net = gc.MLP((64, 32, 10), activation=activation.lower())
        for multiple in MULTIPLES:
            rows = []
            for _ in range((2 if multiple == 1 else 1) * runs * scale):
                task = Task(net, *digits.minibatch(500, rng))
                products, points = _run(task, multiple, RATES[activation] / max(1, multiple), rng)
                rows.append(products)
                if (activation, multiple) == ("ReLU", MULTIPLES[-1]):
                    replays += _replays(task, points, rng)
            sums[activation, multiple] = np.array(rows)
    findings = [finding for key, values in sums.items() for finding in _findings(*key, values)]
    findings.sort(key=lambda finding: "= (1−β)ω" not in finding.quantity)  # the exact φ first
    means, squares, noise = np.array(replays).T
    findings += [
        mean_finding("ReLU, φ = ω: mean of the minibatch noise / gradient", 0.0, means, scale=1.0),
        ratio_finding(
            "ReLU: variance of the noise of G / η²", averaged_noise_variance(BETA, 1.0), squares, noise, resolution=0.7
        ),
        _hinges(20_000 * scale, rng),
    ]
    return Outcome(findings, _figure(sums))


def _run(task: Task, multiple: float, rate: float, rng: np.random.Generator) -> tuple[Sums, list[Array]]:
    """Let Alice run; sums over the read-outs, and the points of all gradients after the warm-up."""
    theta = task.net.initialize(rng)
    # The default of Alice is the exact φ.
    fraction = None if multiple == 1 else multiple * gc.exact_step_fraction(BETA)
    alice = gc.Alice(theta, rate, betas=(BETA, 0.999), step_fraction=fraction, rng=rng)
    average, steps = task.gradient(theta), np.zeros(theta.size)  # F, Σ β^k δ
    before, points, products = theta, [], []
    for t in range(1, WARMUP + STEPS + 1):
        center, ahead = alice.theta, alice.state["lookahead"].copy()
        rows = task.draw(rng)
        alice.step(lambda point, rows=rows: task.minibatch_gradient(point, rows))
        if t <= WARMUP:
            continue
        steps = BETA * steps + ahead - before
        average = BETA * average + (1 - BETA) * task.gradient(ahead)
        before = center
        points.append(ahead)
        if t % READ_EVERY == 0 and t > 2 * WARMUP:
            gradient, predicted = task.gradient(center), task.net.hessian_vector(center, steps, task.X, task.y)
            bias, step = average - gradient, alice.state["lookahead"] - center
            pairs = ((bias, predicted), (predicted, predicted), (bias, bias))
            pairs += ((bias, step), (predicted, step), (gradient, step))
            products.append([a @ b for a, b in pairs])
    return Sums(*np.sum(products, axis=0)), points


def _replays(task: Task, points: list[Array], rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Noise of fresh averages at the same points: its part along the gradient, its square, and the mean of η²."""
    weights = (1 - BETA) * BETA ** np.arange(len(points))[::-1]
    full = [task.gradient(point) for point in points]
    results = []
    for _ in range(REPLAYS):
        noise = [task.minibatch_gradient(point, task.draw(rng))[1] for point in points]
        noise = np.subtract(noise, full)
        averaged = weights @ noise
        eta = weights**2 @ np.sum(noise**2, axis=1) / np.sum(weights**2)
        results.append((averaged @ full[-1] / (full[-1] @ full[-1]), averaged @ averaged, eta))
    return results


def _findings(activation: str, multiple: float, rows: Array) -> list[Finding]:
    sums, unit = Sums(*rows.T), 1 - BETA
    name = f"{activation}, φ = {_label(multiple)}: bias"
    if multiple != 1:
        unit *= 1 - multiple
        options = {"tolerance": 0.15, "resolution": 0.8} if activation == "ReLU" else {"tolerance": 0.02}
        above, below = sums.bias_predicted, unit * sums.predicted_predicted
        return [ratio_finding(f"{name} / predicted", 1.0, above, below, **options)]
    pairs = {
        f"{name} / (1−β)ω Σβᵏ Hδ": (sums.bias_predicted, sums.predicted_predicted, 0.02, 0.1),
        f"{name} along the step, same unit": (sums.bias_step, sums.predicted_step, 0.04, 0.25),
    }
    return [
        ratio_finding(quantity, 0.0, above, unit * below, tolerance=tolerance, scale=1.0, resolution=resolution)
        for quantity, (above, below, tolerance, resolution) in pairs.items()
    ]


def _label(multiple: float) -> str:
    if multiple == MULTIPLES[-1]:
        return "ω"
    return {0: "0", 1: "(1−β)ω"}.get(multiple, f"{multiple:g}(1−β)ω")


def _hinges(landscapes: int, rng: np.random.Generator) -> Finding:
    """Variance of G − ∇L(μ) on random hinges over the exact one, with the exact φ and any steps."""
    beta, lookahead = 0.8, 1.3
    toy = gc.RandomHinges(3, 200, half_width=12.0, rng=rng)
    center, points, weights = np.zeros(3), [np.zeros(3)], np.ones(1)  # G_0 = ∇L(μ_0)
    for _ in range(12):
        step = 0.5 * rng.standard_normal(3)
        points.append(center + lookahead * step)
        weights = np.append(beta * weights, 1 - beta)
        center = center + gc.exact_step_fraction(beta, lookahead) * step
    points, weights = np.array([*points, center]), np.append(weights, -1)
    covariances = [[np.trace(toy.covariance(x - y)) for x in points] for y in points]
    exact = -0.5 * weights @ covariances @ weights
    squares = []
    for _ in range(landscapes // 1000):
        offsets, signals = draw_landscapes(toy, 1000, rng)
        active = sum(w * (toy.normals @ x > offsets) for w, x in zip(weights, points, strict=True))
        squares.append(np.sum(((signals * active) @ toy.normals) ** 2, axis=1))
    return mean_finding("hinges: variance of G − ∇L(μ) that glass leaves / exact", 1.0, np.concatenate(squares) / exact)


def _figure(sums: dict[tuple[str, float], Array]) -> Figure:
    figure, (left, right) = panels(
        ("Bias of the averaged gradient", "Its part along the step"),
        ("φ / (1−β)ω", "φ"),
        ("bias / (1−β)ω Σβᵏ Hδ", "bias / gradient (%)"),
    )
    shown = [multiple for multiple in MULTIPLES if multiple <= 2]
    left.plot(shown, [1 - multiple for multiple in shown], color=GREY, label="1 − φ/(1−β)ω")
    for activation, colour, marker, shift in (("ReLU", ORANGE, "o", -0.1), ("tanh", BLUE, "s", 0.1)):
        columns = [Sums(*sums[activation, multiple].T) for multiple in MULTIPLES]
        style = {"fmt": marker, "color": colour, "capsize": 4, "label": activation}
        biases = [ratio_finding("", 0, c.bias_predicted, (1 - BETA) * c.predicted_predicted) for c in columns]
        shares = [ratio_finding("", 0, 100 * c.bias_step, c.gradient_step) for c in columns]
        ends = len(shown)
        left.errorbar(shown, [f.measurement for f in biases[:ends]], [f.interval for f in biases[:ends]], **style)
        places = np.arange(len(MULTIPLES)) + shift
        right.errorbar(places, [f.measurement for f in shares], [f.interval for f in shares], **style)
        predicted = [
            100 * (1 - multiple) * (1 - BETA) * c.predicted_step.mean() / c.gradient_step.mean()
            for multiple, c in zip(MULTIPLES, columns, strict=True)
        ]
        right.plot(places, predicted, "_", color=GREY, ms=16, mew=2, zorder=0)
    right.plot([], [], "_", color=GREY, ms=16, mew=2, label="predicted")
    right.set_xticks(range(len(MULTIPLES)), [_label(multiple).replace("(1", "\n(1") for multiple in MULTIPLES])
    left.legend()
    right.legend()
    return figure
