"""Activation functions with two derivatives and the slopes on both sides of the kink.

The jump of the gradient at a boundary is proportional to the slope jump β − α (theory, section 1); smooth activations
have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

from glasscurv._typing import FloatArray
from glasscurv._validation import number

Elementwise = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Activation:
    """An elementwise function of the pre-activation.

    Parameters
    ----------
    name : str
        Its usual name.
    value, derivative, second_derivative : callable
        Functions of an array that return one of the same shape and dtype. At a kink the derivative is the left one.
    left_slope, right_slope : float or None
        Slopes α and β on the two sides of a kink at 0 (dimensionless); None for a smooth function.

    See Also
    --------
    leaky_relu : Make a ReLU with a slope on either side.
    glasscurv.MLP : The network that takes it.

    References
    ----------
    Theory, section 1, equation (1).

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> sine = gc.networks.Activation("sine", np.sin, np.cos, lambda x: -np.sin(x))
    >>> gc.MLP((2, 8, 1), activation=sine, loss="mse")
    MLP((2, 8, 1), activation='sine', loss='mse')
    """

    name: str
    value: Elementwise
    derivative: Elementwise
    second_derivative: Elementwise
    left_slope: float | None = None
    right_slope: float | None = None


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """Return max(x, 0) + negative_slope · min(x, 0).

    Parameters
    ----------
    negative_slope : float
        Slope α left of the kink (dimensionless).

    Returns
    -------
    Activation
        The function, its derivatives, and its slopes α and 1.

    Raises
    ------
    ValueError, TypeError
        `negative_slope` is not a finite number.

    See Also
    --------
    Activation : What it returns.

    Examples
    --------
    >>> import numpy as np
    >>> from glasscurv.networks import leaky_relu
    >>> leaky_relu(0.5).value(np.array([-2.0, 3.0]))
    array([-1.,  3.])
    """
    slope = number(negative_slope, "negative_slope")
    return Activation("leaky_relu", _LeakyValue(slope), _LeakyDerivative(slope), np.zeros_like, slope, 1.0)


@dataclass(frozen=True)
class _LeakyValue:
    slope: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0, x, x.dtype.type(self.slope) * x)


@dataclass(frozen=True)
class _LeakyDerivative:
    slope: float

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.slope))


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, x.dtype.type(0))


def _relu_derivative(x: FloatArray) -> FloatArray:
    return (x > 0).astype(x.dtype)


def straight_slopes(activation: Activation, dtype: np.dtype[Any]) -> tuple[np.floating[Any], np.floating[Any]] | None:
    """Return α and β where value and derivative are this module's own of a ReLU, leaky or not; None otherwise.

    Compiled loops may then stand in for them. `left_slope` and `right_slope` do not tell: a function with a kink may
    bend elsewhere.
    """
    value, derivative = activation.value, activation.derivative
    if value is _relu and derivative is _relu_derivative:
        return dtype.type(0), dtype.type(1)
    if isinstance(value, _LeakyValue) and derivative == _LeakyDerivative(value.slope):
        return dtype.type(value.slope), dtype.type(1)
    return None


def _tanh(x: FloatArray) -> FloatArray:
    return np.tanh(x)


def _tanh_derivative(x: FloatArray) -> FloatArray:
    t = _tanh(x)
    return 1 - t * t


def _tanh_second(x: FloatArray) -> FloatArray:
    t = _tanh(x)
    return 2 * t * (t * t - 1)


def _silu(x: FloatArray) -> FloatArray:
    return x * expit(x)


def _silu_derivative(x: FloatArray) -> FloatArray:
    s = expit(x)
    return s * (1 + x * (1 - s))


def _silu_second(x: FloatArray) -> FloatArray:
    s = expit(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


def _normal_density(x: FloatArray) -> FloatArray:
    y = np.clip(x, -40, 40)  # 0 beyond, where x² may overflow
    density: FloatArray = np.exp(-y * y / 2) / x.dtype.type(math.sqrt(2 * math.pi))
    return density


def _gelu(x: FloatArray) -> FloatArray:
    return x * ndtr(x)


def _gelu_derivative(x: FloatArray) -> FloatArray:
    return ndtr(x) + x * _normal_density(x)


def _gelu_second(x: FloatArray) -> FloatArray:
    y = np.clip(x, -40, 40)  # 0 beyond, where x² may overflow
    return (2 - y * y) * _normal_density(y)


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("relu", _relu, _relu_derivative, np.zeros_like, 0.0, 1.0),
    "leaky_relu": leaky_relu(),
    "tanh": Activation("tanh", _tanh, _tanh_derivative, _tanh_second),
    "silu": Activation("silu", _silu, _silu_derivative, _silu_second),
    "gelu": Activation("gelu", _gelu, _gelu_derivative, _gelu_second),
}
"""The activations that `MLP` knows by name."""
