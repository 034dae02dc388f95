"""The gradient jumps by exactly (β − α) s_k ∇y_k where a unit crosses its kink.

Claim. Where the pre-activation y_k of one unit and one sample changes sign, the loss is continuous and its gradient
jumps by (β − α) s_k ∇y_k; α and β are the activation's slopes, s_k is the derivative of the loss by the unit's output.

Source. Theory, section 1, equation (1); paper.

Prediction. s_k by central differences of the loss in an offset added to the unit's output, ∇y_k by central differences
of the pre-activation: no backpropagation is involved.

Measurement. Boundaries are located along random lines by root finding on y_k; the backpropagated gradient is taken on
both sides of each, 4e-9 of the line apart. The jump is regressed on the prediction: the slope must be 1, and nothing
may be left over.

Tolerance. 2e-6 of the jump: the smooth change of the gradient over that distance and the error of the differences.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

import glasscurv as gc
from glasscurv.networks import leaky_relu
from paper_checks.figures import BLUE, ORANGE, axes
from paper_checks.outcome import Finding, Outcome, Settings

CLAIM = "At a ReLU boundary the gradient jumps by exactly (β−α) s ∇y"
SOURCE = "theory 1, eq. (1)"
STANDING = "confirmed"

Array = NDArray[np.float64]
GAP = 2e-9
STEP = 1e-6


def run(settings: Settings) -> Outcome:
    """Compare jumps on a ReLU and a leaky ReLU network."""
    figure, ax = axes("Gradient jump at boundaries", "predicted (β−α) s ∂y/∂θ", "measured jump of ∂L/∂θ")
    findings = []
    for activation, colour in (("relu", BLUE), (leaky_relu(0.2), ORANGE)):
        net = gc.MLP((5, 7, 6, 3), activation=activation)
        pairs = [jump for _ in range(4 * settings.scale) for jump in _jumps(net, settings.rng)]
        measured, predicted = (np.concatenate(side) for side in zip(*pairs, strict=True))
        slope = measured @ predicted / (predicted @ predicted)
        left_over = np.linalg.norm(measured - predicted) / np.linalg.norm(predicted)
        name = net.activation.name
        findings += [
            Finding(f"{name}: measured/predicted jump, {len(pairs)} boundaries", 1.0, float(slope), tolerance=2e-6),
            Finding(f"{name}: rest of the jump", 0.0, float(left_over), tolerance=2e-6),
        ]
        ax.plot(predicted, measured, "o", ms=4, mfc="none", color=colour, label=name, rasterized=True)
    ax.axline((0, 0), slope=1, color="0.4", lw=1)
    ax.legend()
    return Outcome(findings, figure)


def _jumps(net: gc.MLP, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """Measured and predicted jumps at a dozen boundaries on one random line."""
    # With zero biases a sample that switches off a whole layer would put all later units on their kinks at once.
    theta, direction = net.initialize(rng) + 0.1 * rng.standard_normal(net.size), rng.standard_normal(net.size)
    X, y = rng.standard_normal((8, net.layers[0])), rng.integers(0, net.layers[-1], 8)
    grid = np.linspace(0, 0.5, 40)
    hidden = [net.preactivations(theta + t * direction, X)[:-1] for t in grid]
    found: list[tuple[Array, Array]] = []
    for layer in range(len(net.layers) - 2):
        signs = np.array([point[layer] > 0 for point in hidden])
        for k, sample, unit in np.argwhere(signs[1:] != signs[:-1])[:6]:

            def preactivation(t: float, layer: int = layer, sample: int = sample, unit: int = unit) -> float:
                return float(net.preactivations(theta + t * direction, X)[layer][sample, unit])

            t = brentq(preactivation, grid[k], grid[k + 1], xtol=1e-15)
            before, after = (net.value_and_grad(theta + (t + s * GAP) * direction, X, y)[1] for s in (-1, 1))
            jump = _slope_jump(net) * _signal(net, theta + t * direction, X, y, layer, sample, unit)
            sign = 1 if preactivation(t + GAP) > 0 else -1
            found.append((after - before, sign * jump))
    return found


def _slope_jump(net: gc.MLP) -> float:
    left, right = net.activation.left_slope, net.activation.right_slope
    assert left is not None
    assert right is not None
    return right - left


def _signal(net: gc.MLP, theta: Array, X: Array, y: Array, layer: int, sample: int, unit: int) -> Array:
    """s_k ∇y_k by central differences."""

    def loss(offset: float) -> float:
        x = net.activation.value(net.preactivations(theta, X)[layer])
        x[sample, unit] += offset
        for k, (weights, biases) in enumerate(net.unflatten(theta)[layer + 1 :], start=layer + 1):
            y_next = x @ weights + biases
            x = net.activation.value(y_next) if k < len(net.layers) - 2 else y_next
        return net.loss.value(x, y)

    def preactivation(point: Array) -> float:
        return float(net.preactivations(point, X)[layer][sample, unit])

    signal = (loss(STEP) - loss(-STEP)) / (2 * STEP)
    steps = STEP * np.eye(theta.size)
    slope = np.array([preactivation(theta + e) - preactivation(theta - e) for e in steps]) / (2 * STEP)
    return np.asarray(signal * slope)
