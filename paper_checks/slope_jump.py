"""How the glass density depends on the activation: as the squared jump of its slope, times the gain of other layers.

Claim. Leaky ReLU with the slopes α and 1 has (1 − α)² times the density of ReLU if nothing else changes: exactly with
one hidden layer and fixed signals. Every further hidden layer gives the factor 1 + α². Smooth activations have no
glass: what second differences read of them fades like σ³.

Source. Theory, section 1, equation (1), and section 3, smooth bending; the factor of further layers is new here.

Prediction. A jump is (1 − α) s_k ∇y_k. With one hidden layer neither boundaries nor ∇y_k depend on α, and the signals
do not where targets dominate the outputs in a mean squared error. In deeper networks α also sets the gain of the other
hidden layers, in ∇y_k for those below the boundary and in s_k for those above. With independent symmetric weights the
mean square of their slopes is (1 + α²)/2, for ReLU ½; the scale of the pre-activations drops out of the rate of
crossings. Hence (1 − α)² (1 + α²)^(H−1) in each of H hidden layers, times the ratio of the mean squares of the loss
derivative by the outputs: 1 for dominant targets, and taken from the outputs for cross-entropy. Smooth activations:
σ³T²/2, with T the second derivative of the gradient along the line, from exact Hessian-vector products.

Measurement. One hidden layer: kernel (10) on gradients of 200 rows, one line for all α. Deeper: squared jumps of
`trace_crossings` on lines of length 0.03 that move all weights by random signs, with the same parameters (He), line and
25 rows for all α; one network is one sample. Smooth: kernel (10) at initialisation, by layer, σ = 10⁻³; the exponent
from there to 10⁻⁴.

Tolerance. One hidden layer: outputs below 10 against targets of 10⁶ give 10⁻⁵. Deeper: five standard errors, and 2 %
because slopes and weights are independent in wide layers only, up to the order of 1/64. The signals of 64 units vary
from network to network, so that a finding promises to notice 50 % only; without (1 + α²)^(H−1) the prediction at α = −1
would be off by 50 or 75 %. Smooth: 0.01 for terms of relative order σ².

Limits. (1 − α)² alone is right for one hidden layer. At α = −1, the absolute value, it is too small by the factor 2 for
each further one, for 0 ≤ α ≤ 0.5 by 1.25 at most. With cross-entropy and weights by He's rule the outputs grow with α
as well: at α = −1 this adds 4, 12 and 23 % with one, two and three hidden layers.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, note, panels
from paper_checks.outcome import Finding, Outcome, Settings, ratio_finding

CLAIM = "Glass density scales with the squared slope jump; without a kink it fades like σ³"
SOURCE = "theory 1, eq. (1), and 3; new (depth)"
STANDING = "new"

SLOPES = (-1.0, -0.5, 0.1, 0.3, 0.5, 0.8, 2.0)
DEEP_SLOPES = (-1.0, 0.5)

SMOOTH = ("tanh", "silu", "gelu")
ACTIVATIONS = {"relu": "relu", "leaky, α = 0.5": gc.networks.leaky_relu(0.5)} | {name: name for name in SMOOTH}
DOMINANT = 1e6
LENGTHS = np.array([1e-4, 3e-4, 1e-3, 3e-3])
AT, LENGTH, DISTANCE = 2, 1e-3, 3e-2


class Depth(NamedTuple):
    """Networks of one depth and loss."""

    hidden: int
    loss: str
    networks: int

    @property
    def name(self) -> str:
        """What the findings call them."""
        return f"{self.hidden} hidden layers, " + ("fixed signals" if self.loss == "mse" else "cross-entropy")


DEPTHS = (Depth(2, "mse", 100), Depth(3, "mse", 100), Depth(2, "cross_entropy", 100))


def run(settings: Settings) -> Outcome:
    """Compare densities of activations on the same parameters and lines."""
    rng = settings.rng
    shallow = _one_hidden_layer(rng)
    deep = {depth: _deep(depth, settings.scale, rng) for depth in DEPTHS}
    nets = {name: gc.MLP((64, 64, 64, 10), activation) for name, activation in ACTIVATIONS.items()}
    curves = {name: _mean_curve(net, 4 * settings.scale, rng) for name, net in nets.items()}
    smooth = [finding for name in SMOOTH for finding in _smooth(name, *curves[name])]
    figure, (left, right) = panels(
        ["Kinks: the squared slope jump", "No kink, no glass"],
        ["slope α left of the kink", "perturbation length σ"],
        ["density / that of ReLU", "2d²/σ, all weights (gradient²/length)"],
    )
    _draw_slopes(left, shallow, deep)
    _draw_lengths(right, curves)
    return Outcome([*shallow, *(finding for found in deep.values() for finding in found), *smooth], figure)


def _network(slope: float, hidden: int, loss: str) -> gc.MLP:
    return gc.MLP((*[64] * (hidden + 1), 10), gc.networks.leaky_relu(slope), loss)


def _targets(loss: str, labels: digits.Labels, rng: np.random.Generator) -> digits.Array | digits.Labels:
    return labels if loss == "cross_entropy" else DOMINANT * rng.standard_normal((len(labels), 10))


def _one_hidden_layer(rng: np.random.Generator) -> list[Finding]:
    """Compare densities of the first layer on one line with that of ReLU."""
    nets = {slope: _network(slope, 1, "mse") for slope in (0.0, *SLOPES, 1.0)}
    relu = nets[0.0]
    theta, line = relu.initialize(rng), _direction(relu, rng)
    X, labels = digits.minibatch(200, rng)
    y = _targets("mse", labels, rng)
    densities = {slope: _densities(net, theta, line, X, y, LENGTH)[0] for slope, net in nets.items()}
    ratios = {slope: float(density / densities[0.0]) for slope, density in densities.items()}
    findings = [
        Finding(f"1 hidden layer, α = {slope:g}: density / ReLU's", (1 - slope) ** 2, ratios[slope], tolerance=1e-5)
        for slope in SLOPES
    ]
    return [*findings, Finding("1 hidden layer, α = 1: density / ReLU's", 0.0, ratios[1.0], tolerance=1e-12)]


def _densities(
    net: gc.MLP,
    theta: digits.Array,
    line: digits.Array,
    X: digits.Array,
    y: digits.Array | digits.Labels,
    length: float,
) -> digits.Array:
    """Sum of the densities (10) of every layer."""
    gradients = [net.value_and_grad(theta + t * length * line, X, y)[1] for t in (-1, 0, 1)]
    return _by_layer(net, gc.glass_kernel().apply(np.array(gradients), length))


def _by_layer(net: gc.MLP, values: digits.Array) -> digits.Array:
    """Sum over the weights of every layer."""
    return np.array([weights.sum() for weights, _ in net.unflatten(values)])


def _direction(net: gc.MLP, rng: np.random.Generator) -> digits.Array:
    """Random signs for the weights; the biases, whose inputs have no gain, stay where they are."""
    line = gc.Rademacher().sample(net.size, rng)
    for _, biases in net.unflatten(line):
        biases[:] = 0
    return line


def _deep(depth: Depth, scale: int, rng: np.random.Generator) -> list[Finding]:
    """Compare densities by layer with those of ReLU, over many networks."""
    nets = [_network(slope, depth.hidden, depth.loss) for slope in (0.0, *DEEP_SLOPES)]
    densities, squares = [], []
    for _ in range(depth.networks * scale):
        theta, line = nets[0].initialize(rng), _direction(nets[0], rng)
        X, labels = digits.minibatch(25, rng)
        y = _targets(depth.loss, labels, rng)
        traced = [gc.trace_crossings(net, theta, line, X, y, distance=DISTANCE) for net in nets]
        densities.append([_by_layer(net, found.density()) for net, found in zip(nets, traced, strict=True)])
        squares.append([np.sum(net.loss.derivative(net.outputs(theta, X), y) ** 2) for net in nets])
    relu, *others = np.mean(squares, axis=0)
    by_slope = np.transpose(densities, (1, 2, 0))
    findings = []
    for slope, square, leaky in zip(DEEP_SLOPES, others, by_slope[1:], strict=True):
        predicted = float((1 - slope) ** 2 * (1 + slope**2) ** (depth.hidden - 1) * square / relu)
        for layer in range(depth.hidden):
            name = f"{depth.name}, layer {layer + 1}, α = {slope:g}: density / ReLU's"
            options = {"tolerance": 0.02 * predicted, "resolution": 0.5}
            findings.append(ratio_finding(name, predicted, leaky[layer], by_slope[0, layer], **options))
    return findings


def _curve(net: gc.MLP, rng: np.random.Generator) -> tuple[digits.Array, digits.Array]:
    """Densities (10) of one network by length and layer, and σ³T²/2 at `LENGTH` where they are smooth."""
    theta, line = net.initialize(rng), _direction(net, rng)
    X, y = digits.minibatch(200, rng)
    measured = np.array([_densities(net, theta, line, X, y, length) for length in LENGTHS])
    step = LENGTH / 10
    ends = [net.hessian_vector(theta + t * step * line, line, X, y) for t in (-1, 1)]
    bend = (ends[1] - ends[0]) / (2 * step)
    return measured, _by_layer(net, LENGTH**3 * bend**2 / 2)


def _mean_curve(net: gc.MLP, networks: int, rng: np.random.Generator) -> tuple[digits.Array, digits.Array]:
    measured, predicted = zip(*(_curve(net, rng) for _ in range(networks)), strict=True)
    return np.mean(measured, axis=0), np.mean(predicted, axis=0)


def _smooth(name: str, measured: digits.Array, predicted: digits.Array) -> Iterator[Finding]:
    """Compare what second differences of smooth networks read with σ³T²/2."""
    for layer, ratio in enumerate(measured[AT] / predicted, start=1):
        yield Finding(f"{name}, layer {layer}: 2d²/σ / (σ³T²/2)", 1.0, float(ratio), tolerance=0.01)
    exponent = np.log(measured[AT].sum() / measured[0].sum()) / np.log(LENGTHS[AT] / LENGTHS[0])
    yield Finding(f"{name}: exponent of 2d²/σ", 3.0, float(exponent), tolerance=0.01)


def _draw_slopes(ax: Axes, shallow: list[Finding], deep: dict[Depth, list[Finding]]) -> None:
    """Draw density ratios against the slope, side by side those of the layers of one network."""
    slopes = np.linspace(-1.3, 2.2, 500)
    shown = {1: [[finding] for finding in shallow[: len(SLOPES)]]}
    shown |= {depth.hidden: [deep[depth][: depth.hidden], deep[depth][depth.hidden :]] for depth in DEPTHS[:2]}
    styles = {1: (BLUE, "o"), 2: (ORANGE, "s"), 3: (GREEN, "^")}
    for hidden, groups in shown.items():
        colour, marker = styles[hidden]
        ax.plot(slopes, (1 - slopes) ** 2 * (1 + slopes**2) ** (hidden - 1), color=colour, lw=1.2)
        label = f"{hidden}: layers side by side" if hidden > 1 else f"{hidden}"
        ax.plot([], [], marker + "-", ms=5, color=colour, label=label)
        for slope, findings in zip(SLOPES if hidden == 1 else DEEP_SLOPES, groups, strict=True):
            x = slope + 0.07 * (np.arange(len(findings)) - (len(findings) - 1) / 2)
            values, intervals = [f.measurement for f in findings], [f.interval for f in findings]
            ax.errorbar(x, values, intervals, fmt=marker, ms=5, color=colour, capsize=2, lw=1)
    ax.set_xlim(slopes[0], slopes[-1])
    ax.set_ylim(0.01, 60)
    ax.set_yscale("log")
    ax.plot([], [], color=GREY, lw=1.2, label="lines: predicted")
    ax.legend(title="hidden layers", fontsize=10, loc="lower left")
    note(ax)


def _draw_lengths(ax: Axes, curves: dict[str, tuple[digits.Array, digits.Array]]) -> None:
    """Draw what second differences read against the length, and the prediction for smooth activations."""
    for (name, (measured, predicted)), (colour, marker) in zip(
        curves.items(), ((BLUE, "o"), (GREY, "s"), (GREEN, "^"), (PURPLE, "v"), (ORANGE, "d")), strict=True
    ):
        if name in SMOOTH:
            ax.loglog(LENGTHS, predicted.sum() * (LENGTHS / LENGTH) ** 3, color=colour, lw=1.2)
            ax.loglog(LENGTHS, measured.sum(axis=1), marker, ms=6, color=colour, label=name)
        else:
            ax.loglog(LENGTHS, measured.sum(axis=1), marker + "--", ms=5, lw=1, color=colour, label=name)
    ax.plot([], [], color=GREY, lw=1.2, label="lines: σ³T²/2, predicted")
    ax.set_ylim(1e-9, 1e3)
    ax.legend(fontsize=10, loc="upper left", ncols=2)
