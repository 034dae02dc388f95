"""Minibatch training with a history and a progress bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from glasscurv._typing import FloatArray, RngLike, ValueAndGrad
from glasscurv._validation import generator, integer, matrix
from glasscurv.networks import MLP
from glasscurv.optimizers import Optimizer


@dataclass(frozen=True, eq=False)
class History:
    """What happened during training.

    Attributes
    ----------
    step_loss : (steps,) array
        Minibatch loss of every step, at the point where the optimizer took its gradient.
    loss : (epochs,) array
        Mean of `step_loss` over each epoch.
    validation_loss : (epochs,) array or None
        Loss on the validation data after each epoch.
    validation_accuracy : (epochs,) array or None
        Share of right labels there; None for regression.
    evaluations : (epochs,) array
        Gradient evaluations that the optimizer had spent by the end of each epoch.
    """

    step_loss: FloatArray
    loss: FloatArray
    validation_loss: FloatArray | None
    validation_accuracy: FloatArray | None
    evaluations: NDArray[np.int64]


def train(
    network: MLP,
    optimizer: Optimizer,
    X: ArrayLike,
    y: ArrayLike,
    epochs: int,
    batch_size: int = 100,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    rng: RngLike = None,
    progress: bool = True,
) -> History:
    """Train a network on shuffled minibatches.

    Parameters
    ----------
    network : MLP
        The model; its parameters live in the optimizer.
    optimizer : Optimizer
        Built on ``network.initialize()``; it is advanced in place, and ``optimizer.theta`` holds the result.
    X : (m, d) array_like
        Inputs.
    y : (m,) or (m, k) array_like
        Targets.
    epochs : int
        Passes over the data, ≥ 1.
    batch_size : int
        Rows per step, ≥ 1; the last minibatch of an epoch may be smaller.
    validation : (X, y), optional
        Data to evaluate on after every epoch.
    rng : None, int or Generator
        Source of the shuffling.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    History

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or data that do not fit the network.
    NonFiniteError
        The loss or gradient became nan or infinite; the message names the step, and the optimizer is as before it.

    Examples
    --------
    >>> import glasscurv as gc
    >>> X, y, X_validation, y_validation = gc.data.load_digits()
    >>> net = gc.MLP((64, 32, 10))
    >>> optimizer = gc.Alice(net.initialize(rng=0), lr=1e-2, rng=1)
    >>> history = gc.train(net, optimizer, X, y, epochs=10, validation=(X_validation, y_validation), rng=2,
    ...                    progress=False)
    >>> bool(history.validation_accuracy[-1] > 0.9)
    True
    """
    inputs, targets = matrix(X, "X"), np.asarray(y)
    if targets.shape[:1] != (len(inputs),):
        raise ValueError(f"y must have one entry for each of the {len(inputs)} rows of X, got shape {targets.shape}")
    total, size, source = integer(epochs, "epochs", 1), integer(batch_size, "batch_size", 1), generator(rng)
    network.check_data(inputs, targets)
    if validation is not None:
        X_validation, y_validation = validation
        network.check_data(X_validation, y_validation)
    step_loss: list[float] = []
    records: list[tuple[float, float, float, int]] = []
    with tqdm(total=total, desc="training", unit="epoch", disable=not progress) as bar:
        for _ in range(total):
            order = source.permutation(len(inputs))
            batches = [order[start : start + size] for start in range(0, len(order), size)]
            step_loss += [optimizer.step(_minibatch_loss(network, inputs[batch], targets[batch])) for batch in batches]
            loss = float(np.mean(step_loss[-len(batches) :]))
            checked = _validate(network, optimizer, validation)
            records.append((loss, *checked, optimizer.evaluations))
            shown = {"loss": f"{loss:.4f}"}
            if validation is not None:
                shown["validation"] = f"{checked[0]:.4f}"
                if network.loss.name == "cross_entropy":
                    shown["accuracy"] = f"{checked[1]:.3f}"
            bar.set_postfix(shown)
            bar.update()
    losses, validation_losses, accuracies, evaluations = (np.array(column) for column in zip(*records, strict=True))
    return History(
        step_loss=np.array(step_loss),
        loss=losses,
        validation_loss=None if validation is None else validation_losses,
        validation_accuracy=None if np.isnan(accuracies).any() else accuracies,
        evaluations=evaluations,
    )


def _minibatch_loss(network: MLP, X: FloatArray, y: NDArray[Any]) -> ValueAndGrad:
    return lambda theta: network.value_and_grad(theta, X, y)


def _validate(
    network: MLP, optimizer: Optimizer, validation: tuple[ArrayLike, ArrayLike] | None
) -> tuple[float, float]:
    """Loss and accuracy on the validation data, nan where there is none."""
    if validation is None:
        return np.nan, np.nan
    X, y = validation
    theta = optimizer.theta
    loss = network.value(theta, X, y)
    if network.loss.name != "cross_entropy":
        return loss, np.nan
    return loss, float(np.mean(network.predict(theta, X) == np.asarray(y)))
