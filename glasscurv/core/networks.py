"""What a network does between its matrix products, each in one pass over a panel of rows.

The arithmetic on whole arrays is in their own dtype: factors come as numbers of it, because float32 times float64 is
float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._jit import jit
from glasscurv._typing import FloatArray

Number = np.floating[Any]  # of the dtype of the arrays


@jit
def copy_rows(rows: FloatArray, out: FloatArray) -> bool:
    """Copy (r, d) into the first d columns of `out`; return whether all entries are finite."""
    finite = True
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            value = rows[i, j]
            out[i, j] = value
            finite &= value - value == 0  # nan for an infinity
    return finite


@jit
def are_labels(values: NDArray[np.intp], count: int) -> bool:
    """Return whether all values are in 0 … count − 1."""
    labels = True
    for i in range(values.size):
        labels &= 0 <= values[i] < count
    return labels


@jit
def kinked_value(y: FloatArray, left: Number, right: Number, out: FloatArray) -> None:
    """Write αy for y ≤ 0 and βy for y > 0 into the first columns of `out`; 0 is the limit of a slope of zero."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            value = y[i, j]
            if value > 0:
                out[i, j] = right * value
            elif value == -np.inf and left == 0:
                out[i, j] = 0
            else:
                out[i, j] = left * value


@jit
def kinked_derivative(y: FloatArray, left: Number, right: Number, signal: FloatArray, delta: FloatArray) -> None:
    """δ_ij = s_ji · (slope of the activation at y_ij, at a kink the left one)."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            delta[i, j] = signal[j, i] * (right if y[i, j] > 0 else left)


@jit
def cross_entropy(
    outputs: FloatArray, labels: NDArray[np.intp], weight: Number, losses: FloatArray, delta: FloatArray
) -> None:
    """ℓ = log Σ exp f_j − f_y of every row, and its derivative weight · (p − onehot(y))."""
    for i in range(outputs.shape[0]):
        largest = outputs[i, 0]
        for j in range(1, outputs.shape[1]):
            largest = max(largest, outputs[i, j])
        total = 0.0
        for j in range(outputs.shape[1]):
            delta[i, j] = np.exp(outputs[i, j] - largest)
            total += delta[i, j]
        label = labels[i]
        excess = delta[i, label] / total - 1
        for j in range(outputs.shape[1]):
            delta[i, j] = delta[i, j] / total * weight
        delta[i, label] = excess * weight
        losses[i] = np.log(total) - (outputs[i, label] - largest)


@jit
def squared_error(
    outputs: FloatArray, targets: FloatArray, weight: Number, losses: FloatArray, delta: FloatArray
) -> None:
    """Write the mean over j of (f_j − y_j)² of every row, and the derivative weight · 2 (f − y)/k."""
    columns = outputs.shape[1]
    for i in range(outputs.shape[0]):
        total = 0.0
        for j in range(columns):
            residual = outputs[i, j] - targets[i, j]
            total += np.float64(residual) * residual
            delta[i, j] = weight * residual
        losses[i] = total / columns
