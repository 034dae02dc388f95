"""Training and validation parts, and the checks of inputs and targets that all data pass."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import finite, generator, matrix, number, real_array


class Split(NamedTuple):
    """Training and validation data.

    Parameters
    ----------
    X : ndarray of shape (m, d)
        Training inputs.
    y : ndarray of shape (m,) or (m, k)
        Training targets: int64 labels, or values of a regression.
    X_validation : ndarray of shape (v, d)
        Validation inputs.
    y_validation : ndarray of shape (v,) or (v, k)
        Validation targets.

    See Also
    --------
    split : Split inputs and targets.
    load_digits : Return handwritten digits, split.

    Examples
    --------
    >>> import glasscurv as gc
    >>> data = gc.data.regression(rows=100, rng=0)
    >>> X, y, X_validation, y_validation = data
    >>> X is data.X, y_validation.shape
    (True, (100,))
    """

    X: FloatArray
    y: NDArray[Any]
    X_validation: FloatArray
    y_validation: NDArray[Any]


def split(X: ArrayLike, y: ArrayLike, validation: float = 0.2, rng: RngLike = 0) -> Split:
    """Shuffle rows and set some of them apart for validation.

    Parameters
    ----------
    X : array_like of shape (m, d)
        Inputs, m ≥ 2.
    y : array_like of shape (m,) or (m, k)
        Targets; integers become int64.
    validation : float
        Share of the rows in (0, 1) that validate, rounded to whole rows; both parts get at least one.
    rng : None, int or Generator
        Source of the permutation; by default always the same.

    Returns
    -------
    Split
        Copies: what the caller holds stays as it is.

    Raises
    ------
    ValueError, TypeError
        Inputs or targets that are not finite real numbers or do not fit each other, fewer than two rows, or a share
        outside (0, 1).

    See Also
    --------
    load_csv : Read inputs and targets from comma-separated numbers.
    load_npz : Read inputs and targets from a NumPy archive.
    load_idx : Read images and labels in the format of MNIST.

    Examples
    --------
    >>> import numpy as np, glasscurv as gc
    >>> X, y, X_validation, y_validation = gc.data.split(np.arange(20.0).reshape(10, 2), np.arange(10))
    >>> X.shape, y_validation.shape
    ((8, 2), (2,))
    """
    inputs, targets = paired(X, y, "X", "y")
    share = number(validation, "validation", 0, 1, open_low=True, open_high=True)
    rows = len(inputs)
    if rows < 2:
        raise ValueError(f"X must have at least 2 rows to be split, got {rows}")
    held = min(max(round(share * rows), 1), rows - 1)
    order = generator(rng).permutation(rows)
    return Split(inputs[order[held:]], targets[order[held:]], inputs[order[:held]], targets[order[:held]])


def paired(X: ArrayLike, y: ArrayLike, X_name: str, y_name: str) -> tuple[FloatArray, NDArray[Any]]:
    """Return inputs (m, d) and as many targets, finite; integer targets become int64."""
    inputs, targets = matrix(X, X_name), np.asarray(y)
    if np.issubdtype(targets.dtype, np.integer):
        if targets.size and (largest := int(targets.max())) > np.iinfo(np.int64).max:
            raise ValueError(f"{y_name} must fit int64, got {largest}")
        targets = targets.astype(np.int64)
    else:
        targets = finite(real_array(targets, y_name), y_name)
    if targets.shape[:1] != (len(inputs),):
        raise ValueError(
            f"{y_name} must have one entry for each of the {len(inputs)} rows of {X_name}, got shape {targets.shape}"
        )
    return inputs, targets
