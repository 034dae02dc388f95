"""The data of a training run: checked once, told from others by a digest."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray
from glasscurv._validation import matrix
from glasscurv.networks import MLP


def training_data(network: MLP, X: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
    """Return inputs and targets, checked against the network."""
    inputs, targets = matrix(X, "X"), np.asarray(y)
    if targets.shape[:1] != (len(inputs),):
        raise ValueError(f"y must have one entry for each of the {len(inputs)} rows of X, got shape {targets.shape}")
    network.check_data(inputs, targets)
    return inputs, targets


def validation_data(
    network: MLP, validation: tuple[ArrayLike, ArrayLike] | None
) -> tuple[FloatArray, NDArray[Any]] | None:
    """Return validation inputs and targets, checked, or None where there are none."""
    if validation is None:
        return None
    try:
        X, y = validation
    except (TypeError, ValueError) as error:
        raise ValueError(f"validation must be a pair (X, y), got {type(validation).__name__}") from error
    network.check_data(X, y)
    return matrix(X, "X"), np.asarray(y)


def gradient_into(buffer: FloatArray, network: MLP) -> Callable[..., tuple[float, FloatArray]]:
    """Return the network's `value_and_grad` with `buffer` for its gradients, if it takes one: a subclass may not."""
    function = network.value_and_grad
    return partial(function, out=buffer) if "out" in inspect.signature(function).parameters else function


def evaluate(network: MLP, theta: FloatArray, validation: tuple[FloatArray, NDArray[Any]] | None) -> dict[str, float]:
    """Return loss and accuracy on the validation data, nan where there is none."""
    if validation is None:
        return {"validation_loss": np.nan, "validation_accuracy": np.nan}
    return {
        "validation_loss": network.value(theta, *validation),
        "validation_accuracy": accuracy(network, theta, *validation),
    }


def accuracy(network: MLP, theta: FloatArray, X: FloatArray, y: NDArray[Any]) -> float:
    """Return the share of right labels, nan where the targets are none."""
    labelled = network.loss.name == "cross_entropy"
    return float(np.mean(network.predict(theta, X) == y)) if labelled else np.nan


def digest(*arrays: NDArray[Any]) -> str:
    """Return a digest that tells other data."""
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        # labels of any integer type are the same data
        whole = np.issubdtype(array.dtype, np.integer)
        plain = np.ascontiguousarray(array, dtype=np.int64 if whole else None)
        total.update(f"{plain.dtype.str} {plain.shape}".encode())
        total.update(plain.data)
    return total.hexdigest()
