"""Loops over vectors that estimators and optimizers share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glasscurv._jit import entry, jit
from glasscurv._typing import FloatArray


@jit
def perturb(point: FloatArray, direction: FloatArray, length: float | FloatArray, sign: float, out: FloatArray) -> None:
    """Write ν ± σz into `out`."""
    number: Any = out.dtype.type
    for i in range(point.size):
        out[i] = point[i] + number(sign * entry(length, i)) * direction[i]


@jit
def signs(bits: NDArray[np.uint8], out: FloatArray) -> None:
    """Write 1 for every bit that is 0 and −1 for every bit that is 1, the lowest bit of every byte first."""
    number: Any = out.dtype.type
    full = out.size // 8
    for k in range(full):
        byte = np.int64(bits[k])
        for j in range(8):
            out[8 * k + j] = number(1 - 2 * ((byte >> j) & 1))
    for j in range(out.size - 8 * full):
        out[8 * full + j] = number(1 - 2 * ((np.int64(bits[full]) >> j) & 1))


@jit
def within(values: FloatArray, limit: float) -> bool:
    """Tell whether every |x| ≤ limit; a nan is not."""
    largest = values.dtype.type(limit)
    inside = True
    for i in range(values.size):  # no branch: the loop vectorises
        inside &= abs(values[i]) <= largest
    return inside


@jit
def copy_within(values: FloatArray, limit: float, out: FloatArray) -> bool:
    """Copy into `out`, and tell whether every |x| ≤ limit."""
    largest = values.dtype.type(limit)
    inside = True
    for i in range(values.size):
        out[i] = values[i]
        inside &= abs(values[i]) <= largest
    return inside


@jit
def copy_masked_within(values: FloatArray, mask: NDArray[np.bool_], limit: float, out: FloatArray) -> bool:
    """Copy into `out` with 0 where the mask is False, and tell whether every |x| ≤ limit, masked or not."""
    largest, zero = values.dtype.type(limit), values.dtype.type(0)
    inside = True
    for i in range(values.size):
        out[i] = values[i] if mask[i] else zero
        inside &= abs(values[i]) <= largest
    return inside


@jit
def clear_masked(values: FloatArray, mask: NDArray[np.bool_]) -> None:
    """Write 0 where the mask is False, whatever was there."""
    zero = values.dtype.type(0)
    for i in range(values.size):
        values[i] = values[i] if mask[i] else zero


@jit
def sum_in_pairs(values: FloatArray) -> float:
    """Return the sum of a power of two of numbers and destroy them: halves are added until one is left.

    Unlike a running sum it vectorises, and its rounding errors grow with the logarithm of the number.
    """
    half = values.size // 2
    while half > 0:
        for i in range(half):
            values[i] += values[i + half]
        half //= 2
    total: float = values[0]
    return total
