"""How the glass density depends on the activation: the squared jump of its slope, and nothing without a kink.

Claim. For leaky ReLU with the slopes α and 1 the density is (1 − α)² times that of ReLU, if nothing else changes: exactly
with one hidden layer and fixed signals. Smooth activations have none: what second differences read fades like σ³.

Source. Theory, section 1, equation (1), and section 3, smooth bending; the factor of deeper networks is new here.

Prediction. The jump is (1 − α) s_k ∇y_k. With one hidden layer neither the boundaries nor ∇y_k depend on α; the signals
do not if targets dominate the outputs in a mean squared error. In deeper networks α also sets the gain of the other
hidden layers, in ∇y_k for those below the boundary and in s_k for those above. With independent symmetric weights the
mean square of the slopes is (1 + α²)/2, that of ReLU ½, wherever the layer stands; the scale of the pre-activations
drops out of the rate of crossings. Hence (1 − α)² (1 + α²)^(H−1) in each of H hidden layers, times the ratio of the
mean squares of ∂L/∂outputs, which is 1 for dominant targets and is taken from the outputs for cross-entropy. For smooth
activations σ³T²/2 with T the second derivative of the gradient along the line, from exact Hessian-vector products.

Measurement. One hidden layer: the kernel (10) on gradients of 200 rows along one line, the same for all α. Deeper: squared
jumps of `trace_crossings` on Rademacher lines of length 0.01, with the same initial parameters (He), line and 50 rows
for every α; one network is one sample. Smooth: (10) at initialisation, by layer, σ = 10⁻³; the exponent from a σ ten
times shorter.

Tolerance. One hidden layer: targets of 10⁶ against outputs below 10 give 10⁻⁵. Deeper: five standard errors and 0.05,
because slopes and weights are independent for wide layers only (corrections of the order 1/64 a layer) and because the
gain of the biases, one input of 65, is that of other layers. Signals of 64 units vary, and a finding notices 40 %; without
(1 + α²)^(H−1) it would be off by 20 to 75 %. Smooth: 0.01 for terms of relative order σ², in the exponent too.

Limits. (1 − α)² alone holds at one hidden layer; at α = −1 (the absolute value) it is too small by the factor 2 for every
further hidden layer, while for 0 ≤ α ≤ 0.5 the factor is at most 1.25. With cross-entropy and weights by He's rule, the
outputs grow with α as well: at α = −1 this adds 4 %, 12 % and 23 % with one, two and three hidden layers.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

import glasscurv as gc
from paper_checks import digits
from paper_checks.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from paper_checks.outcome import Finding, Outcome, Settings, ratio_finding

CLAIM = "Glass density scales with the squared slope jump, and fades like σ³ without a kink"
SOURCE = "theory 1, eq. (1), and 3; new (depth)"

SLOPES = (-1.0, -0.5, 0.1, 0.3, 0.5, 0.8, 2.0)
DEEP_SLOPES = (-1.0, 0.5)
SMOOTH = {"tanh": GREEN, "silu": PURPLE, "gelu": ORANGE}
DOMINANT = 1e6
LENGTH, DISTANCE = 1e-3, 3e-2


class Depth(NamedTuple):
    """Networks of one depth and loss."""

    hidden: int
    loss: str
    networks: int

    @property
    def name(self) -> str:
        """What the findings call them."""
        return f"{self.hidden} hidden layers, " + ("fixed signals" if self.loss == "mse" else "cross-entropy")


DEPTHS = (Depth(2, "mse", 120), Depth(3, "mse", 100), Depth(2, "cross_entropy", 120))


def run(settings: Settings) -> Outcome:
    """Compare densities of activations on the same parameters and lines."""
    rng = settings.rng
    shallow = _one_hidden_layer(rng)
    deep = {depth: _deep(depth, settings.scale, rng) for depth in DEPTHS}
    smooth = [finding for name in SMOOTH for finding in _smooth(name, 3 * settings.scale, rng)]
    figure, (left, right) = panels(
        ["Kinks: the squared slope jump", "No kink, no glass"],
        ["slope α of leaky ReLU left of 0", "perturbation length σ"],
        ["density / that of ReLU", "second differences: 2d²/σ, ReLU = 1"],
    )
    _draw_slopes(left, shallow, deep)
    _draw_lengths(right, settings.rng)
    return Outcome([*shallow, *(finding for found in deep.values() for finding in found), *smooth], figure)


def _network(slope: float, hidden: int, loss: str) -> gc.MLP:
    return gc.MLP((*[64] * (hidden + 1), 10), gc.networks.leaky_relu(slope), loss)


def _targets(loss: str, labels: digits.Labels, rng: np.random.Generator) -> digits.Array | digits.Labels:
    return labels if loss == "cross_entropy" else DOMINANT * rng.standard_normal((len(labels), 10))


def _one_hidden_layer(rng: np.random.Generator) -> list[Finding]:
    """Compare densities of the first layer on one line with that of ReLU."""
    nets = {slope: _network(slope, 1, "mse") for slope in (0.0, *SLOPES, 1.0)}
    relu = nets[0.0]
    theta, line = relu.initialize(rng), gc.Rademacher().sample(relu.size, rng)
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
    net: gc.MLP, theta: digits.Array, line: digits.Array, X: digits.Array, y: digits.Array | digits.Labels, length: float
) -> digits.Array:
    """Sum of the densities (10) of every layer."""
    gradients = [net.value_and_grad(theta + t * length * line, X, y)[1] for t in (-1, 0, 1)]
    return _by_layer(net, gc.glass_kernel().apply(np.array(gradients), length))


def _by_layer(net: gc.MLP, values: digits.Array) -> digits.Array:
    return np.array([values[group].sum() for group in net.groups.values()])


def _deep(depth: Depth, scale: int, rng: np.random.Generator) -> list[Finding]:
    """Compare densities by layer with those of ReLU, over many networks."""
    nets = [_network(slope, depth.hidden, depth.loss) for slope in (0.0, *DEEP_SLOPES)]
    densities, squares = [], []
    for _ in range(depth.networks * scale):
        theta, line = nets[0].initialize(rng), gc.Rademacher().sample(nets[0].size, rng)
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
            options = {"tolerance": 0.05 * predicted, "resolution": 0.4}
            findings.append(ratio_finding(name, predicted, leaky[layer], by_slope[0, layer], **options))
    return findings


def _smooth(name: str, networks: int, rng: np.random.Generator) -> Iterable[Finding]:
    """Compare what second differences of a smooth network read with σ³T²/2."""
    net = gc.MLP((64, 64, 64, 10), name)
    measured, predicted = np.zeros((2, 3)), np.zeros(3)
    for _ in range(networks):
        theta, line = net.initialize(rng), gc.Rademacher().sample(net.size, rng)
        X, y = digits.minibatch(200, rng)
        ends = [net.hessian_vector(theta + t * LENGTH / 10 * line, line, X, y) for t in (-1, 1)]
        bend = (ends[1] - ends[0]) / (2 * LENGTH / 10)
        predicted += _by_layer(net, LENGTH**3 * bend**2 / 2)
        measured += [_densities(net, theta, line, X, y, length) for length in (LENGTH / 10, LENGTH)]
    for layer, ratio in enumerate(measured[1] / predicted, start=1):
        yield Finding(f"{name}, layer {layer}: 2d²/σ / (σ³T²/2)", 1.0, float(ratio), tolerance=0.01)
    exponent = np.log10(measured[1].sum() / measured[0].sum())
    yield Finding(f"{name}: exponent of 2d²/σ", 3.0, float(exponent), tolerance=0.01)


def _draw_slopes(ax: Axes, shallow: list[Finding], deep: dict[Depth, list[Finding]]) -> None:
    """Draw density ratios against the slope."""
    slopes = np.linspace(-1.15, 2.15, 400)
    for hidden, colour in ((1, BLUE), (2, ORANGE), (3, GREEN)):
        label = "(1 − α)²" + ("", " (1 + α²)", " (1 + α²)²")[hidden - 1]
        ax.plot(slopes, (1 - slopes) ** 2 * (1 + slopes**2) ** (hidden - 1), color=colour, lw=1.2, label=label)
    ax.plot(SLOPES, [finding.measurement for finding in shallow[:-1]], "o", color=BLUE, label="1 hidden layer")
    ax.set_xlim(slopes[0], slopes[-1])
    ax.set_yscale("log")
    ax.legend(fontsize=9)


def _draw_lengths(ax: Axes, rng: np.random.Generator) -> None:
    """Draw what second differences read against the length."""
    ax.plot([], color=GREY)
