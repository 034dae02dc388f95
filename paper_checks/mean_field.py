"""Glass density of ReLU networks at initialisation, from their architecture (theory, section 1)."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def density(widths: Sequence[int], m: Array, rows: int) -> Array:
    """Return the glass density of every hidden layer, mean over its parameters and over inputs of mean squares m."""
    *hidden, outputs = widths
    grid = np.linspace(m.min(), m.max(), 16)
    errors = np.interp(m, grid, [expected_error(2 * square, outputs) for square in grid])
    powers = [width * m + 1 for width in hidden[:-1]]
    rates = np.sqrt(np.cumsum(powers, axis=0) / (2 * m)) / np.pi
    means = [np.mean(2 * errors * power * rates[k:].sum(axis=0)) for k, power in enumerate(powers)]
    sizes = [above * (below + 1) for below, above in pairwise(hidden)]
    return np.array(means) / (rows * np.array(sizes))


def relative_speed(widths: Sequence[int], m: float) -> float:
    """Return by how many of their standard deviations the last hidden layer's pre-activations move per length."""
    return float(np.sqrt(sum(width * m + 1 for width in widths[:-2]) / (2 * m)))


@cache
def expected_error(variance: float, classes: int) -> float:
    """Return the mean of ‖softmax(y) − label‖² for independent normal outputs y and any label.

    It is 1 − 2/K + K E p², and E p² = ∫ t E[a² e^{−ta}] (E e^{−ta})^{K−1} dt with a = e^y, as 1/S² = ∫ t e^{−tS} dt.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    a, weights = np.exp(np.sqrt(variance) * nodes), weights / weights.sum()
    log_t = np.linspace(-40, 20, 600)
    t = np.exp(log_t)
    decay = np.exp(-np.outer(t, a))
    integrand = t**2 * (decay @ (weights * a**2)) * (decay @ weights) ** (classes - 1)
    return float(1 - 2 / classes + classes * integrand.sum() * (log_t[1] - log_t[0]))
