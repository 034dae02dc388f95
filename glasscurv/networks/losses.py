"""Loss functions of a network's outputs, with the derivatives that backpropagation needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax

from glasscurv._typing import FloatArray
from glasscurv._validation import finite, real_array


@runtime_checkable
class Loss(Protocol):
    """A mean over the minibatch of a loss of outputs f (b, k) and targets.

    `glasscurv.MLP` takes any object with these members.

    Examples
    --------
    >>> import glasscurv as gc
    >>> isinstance(gc.MLP((2, 3)).loss, gc.networks.Loss)
    True
    """

    @property
    def name(self) -> str:
        """Its usual name."""
        ...

    def targets(self, y: ArrayLike, outputs: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return `y` checked against the shape (b, k) of the outputs."""
        ...

    def value(self, outputs: FloatArray, y: NDArray[Any]) -> float:
        """Return the loss."""
        ...

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return ∂L/∂f, shape (b, k)."""
        ...

    def hessian_product(self, outputs: FloatArray, change: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return (∂²L/∂f²) applied to a change of the outputs, shape (b, k)."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy of logits, averaged over the minibatch; targets are integer labels (b,)."""

    name: str = "cross_entropy"

    def targets(self, y: ArrayLike, outputs: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return integer labels (b,) in 0 … k − 1."""
        labels = np.asarray(y)
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"y must be integer labels for cross_entropy, got dtype {labels.dtype}")
        if labels.shape != (outputs[0],):
            raise ValueError(f"y must have shape ({outputs[0]},) like the rows of X, got {labels.shape}")
        if labels.min() < 0 or labels.max() >= outputs[1]:
            raise ValueError(f"y must hold labels 0 to {outputs[1] - 1}, got {labels.min()} to {labels.max()}")
        return labels

    def value(self, outputs: FloatArray, y: NDArray[Any]) -> float:
        """Return the mean of −log p_y."""
        return -float(log_softmax(outputs, axis=1)[np.arange(len(y)), y].mean())

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return (p − onehot(y))/b."""
        delta: FloatArray = softmax(outputs, axis=1)
        delta[np.arange(len(y)), y] -= 1
        delta /= len(y)
        return delta

    def hessian_product(self, outputs: FloatArray, change: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return (diag(p) − ppᵀ) change / b, row by row."""
        p = softmax(outputs, axis=1)
        weighted = p * change
        result: FloatArray = (weighted - p * weighted.sum(axis=1, keepdims=True)) / len(y)
        return result


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean over minibatch and outputs of (f − y)²; targets are (b, k), or (b,) when k = 1."""

    name: str = "mse"

    def targets(self, y: ArrayLike, outputs: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return finite targets of shape (b, k)."""
        values = finite(real_array(y, "y"), "y").astype(dtype, copy=False)
        if outputs[1] == 1 and values.ndim == 1:
            values = values[:, None]
        if values.shape != outputs:
            raise ValueError(f"y must have shape {outputs} like the network's outputs, got {np.shape(y)}")
        return values

    def value(self, outputs: FloatArray, y: NDArray[Any]) -> float:
        """Return mean((f − y)²)."""
        return float(np.mean(np.square(outputs - y)))

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return 2 (f − y)/(bk)."""
        delta: FloatArray = (outputs - y) * outputs.dtype.type(2 / outputs.size)
        return delta

    def hessian_product(self, outputs: FloatArray, change: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return 2 change/(bk)."""
        result: FloatArray = change * outputs.dtype.type(2 / outputs.size)
        return result


LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy(), "mse": MeanSquaredError()}
"""The losses that `MLP` knows by name."""
