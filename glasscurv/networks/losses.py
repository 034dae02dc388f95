"""Loss functions of a network's outputs, with the derivatives that backpropagation needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from glasscurv._typing import FloatArray
from glasscurv._validation import finite, real_array
from glasscurv.core import networks as core


@runtime_checkable
class Loss(Protocol):  # it has no constructor: numpydoc ignore=PR01
    """A mean over the minibatch of a loss of outputs f (b, k) and targets.

    `glasscurv.MLP` takes any object with these members. A class may have one more, which makes it fast: a method
    ``row_losses(outputs, y, b, losses, delta)`` gets the outputs (r, k) and targets of some rows of a minibatch of b
    rows, writes the loss of each row into ``losses`` (r,), float64, and 1/b times its derivative into ``delta`` (r, k).
    Several threads may call it at the same time. Subclasses do not inherit it, as they may change the rest.

    See Also
    --------
    glasscurv.MLP : The network that takes it.
    Activation : The other function of a network.

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
        """Return the targets, checked against the shape of the outputs.

        Parameters
        ----------
        y : array_like of shape (b, …)
            Targets as the user passes them.
        outputs : tuple of int
            Shape (b, k) of the outputs.
        dtype : dtype
            That of the parameters.

        Returns
        -------
        ndarray of shape (b, …)
            Targets as the other methods take them, one row for each of the b.
        """
        ...

    def value(self, outputs: FloatArray, y: NDArray[Any]) -> float:
        """Return the loss.

        Parameters
        ----------
        outputs : ndarray of shape (b, k)
            Outputs f.
        y : ndarray of shape (b, …)
            What `targets` returned.

        Returns
        -------
        float
            Mean loss over the minibatch.
        """
        ...

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return the derivative ∂L/∂f.

        Parameters
        ----------
        outputs : ndarray of shape (b, k)
            Outputs f.
        y : ndarray of shape (b, …)
            What `targets` returned.

        Returns
        -------
        ndarray of shape (b, k)
            Derivative, with the weight 1/b of the minibatch (loss/output).
        """
        ...

    def hessian_product(self, outputs: FloatArray, change: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return ∂²L/∂f² applied to a change of the outputs.

        Parameters
        ----------
        outputs : ndarray of shape (b, k)
            Outputs f.
        change : ndarray of shape (b, k)
            Change of the outputs (output).
        y : ndarray of shape (b, …)
            What `targets` returned.

        Returns
        -------
        ndarray of shape (b, k)
            Change of the derivative, to first order (loss/output).
        """
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy of logits, averaged over the minibatch; targets are integer labels (b,)."""

    name: str = "cross_entropy"

    def targets(self, y: ArrayLike, outputs: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return integer labels (b,) in 0 … k − 1."""
        labels = np.asarray(y)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"y must be integer labels for cross_entropy, got dtype {labels.dtype}")
        if labels.shape != (outputs[0],):
            raise ValueError(f"y must have shape ({outputs[0]},) like the rows of X, got {labels.shape}")
        whole = np.ascontiguousarray(labels, np.intp)
        if not core.are_labels(whole, outputs[1]):
            raise ValueError(f"y must hold labels 0 to {outputs[1] - 1}, got {labels.min()} to {labels.max()}")
        return whole

    def value(self, outputs: FloatArray, y: NDArray[Any]) -> float:
        """Return the mean of −log p_y."""
        return _by_rows(self, outputs, y)[0]

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return (p − onehot(y))/b."""
        return _by_rows(self, outputs, y)[1]

    def row_losses(
        self, outputs: FloatArray, y: NDArray[Any], rows: int, losses: FloatArray, delta: FloatArray
    ) -> None:
        """Write −log p_y of some of the minibatch's rows, and (p − onehot(y))/b."""
        core.cross_entropy(outputs, y, outputs.dtype.type(1 / rows), losses, delta)

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
        return _by_rows(self, outputs, y)[0]

    def derivative(self, outputs: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return 2 (f − y)/(bk)."""
        return _by_rows(self, outputs, y)[1]

    def row_losses(
        self, outputs: FloatArray, y: NDArray[Any], rows: int, losses: FloatArray, delta: FloatArray
    ) -> None:
        """Write mean((f − y)²) of some of the minibatch's rows, and 2 (f − y)/(bk)."""
        core.squared_error(outputs, y, outputs.dtype.type(2 / (rows * outputs.shape[1])), losses, delta)

    def hessian_product(self, outputs: FloatArray, change: FloatArray, y: NDArray[Any]) -> FloatArray:
        """Return 2 change/(bk)."""
        result: FloatArray = change * outputs.dtype.type(2 / outputs.size)
        return result


def _by_rows(loss: CrossEntropy | MeanSquaredError, outputs: FloatArray, y: NDArray[Any]) -> tuple[float, FloatArray]:
    """Return loss and derivative."""
    rows, columns = outputs.shape
    losses, delta = np.empty(rows), np.empty((rows, columns), outputs.dtype)
    loss.row_losses(outputs, loss.targets(y, (rows, columns), outputs.dtype), rows, losses, delta)
    return float(losses.mean()), delta


LOSSES: dict[str, Loss] = {"cross_entropy": CrossEntropy(), "mse": MeanSquaredError()}
"""The losses that `MLP` knows by name."""
