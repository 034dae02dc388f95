"""Made data: a classification and a regression that small rectified networks learn in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glasscurv._typing import FloatArray, RngLike
from glasscurv._validation import generator, integer, number
from glasscurv.data.splits import Split


def two_spirals(rows: int = 400, noise: float = 0.1, rng: RngLike = None) -> Split:
    """Draw points of two interlocked spirals.

    Parameters
    ----------
    rows : int
        Training rows, ≥ 1; as many again are drawn for validation.
    noise : float
        Standard deviation ≥ 0 of the noise on both coordinates. The arms are 2/3 apart.
    rng : None, int or Generator
        Source of the points.

    Returns
    -------
    Split
        Points of shape (rows, 2), and labels 0 and 1 of shape (rows,), in either part.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    regression : Draw a regression.
    load_digits : Return handwritten digits.

    Notes
    -----
    With a fair label k and u uniform in [0, 1], a point is r (cos φ, sin φ) + noise (ε₁, ε₂), where r = 2√u,
    φ = 3π√u + kπ and ε is standard normal: one and a half turns, and variance near 1 in either coordinate.

    Examples
    --------
    >>> import glasscurv as gc
    >>> spirals = gc.data.two_spirals(rng=0)
    >>> spirals.X.shape, spirals.y_validation.shape, set(spirals.y.tolist())
    ((400, 2), (400,), {0, 1})
    """
    count, width = integer(rows, "rows", 1), number(noise, "noise", 0)
    source = generator(rng)

    def points() -> tuple[FloatArray, NDArray[np.int64]]:
        labels = source.integers(0, 2, count)
        radius = np.sqrt(source.random(count))
        angle = 3 * np.pi * radius + np.pi * labels
        arms = 2 * radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        return arms + width * source.normal(size=(count, 2)), labels

    return Split(*points(), *points())


def regression(rows: int = 1000, noise: float = 0.1, rng: RngLike = None) -> Split:
    """Draw a nonlinear regression: waves and kinks in six inputs.

    Parameters
    ----------
    rows : int
        Training rows, ≥ 1; as many again are drawn for validation.
    noise : float
        Standard deviation ≥ 0 of the noise on the targets; no model has a smaller mean squared error than its square.
    rng : None, int or Generator
        Source of inputs and noise.

    Returns
    -------
    Split
        Inputs of shape (rows, 6), and float64 targets of shape (rows,), in either part.

    Raises
    ------
    ValueError, TypeError
        Bad arguments.

    See Also
    --------
    two_spirals : Draw a classification.
    load_digits : Return handwritten digits.

    Notes
    -----
    With x uniform in [−2, 2]⁶ and ε standard normal,

        y = sin 2x₁ + sin(x₂ + x₃) + abs(x₄) + max(0, x₅ − x₆) − 5/3 + noise ε,

    where 5/3 is the mean of the rest.

    Examples
    --------
    >>> import glasscurv as gc
    >>> data = gc.data.regression(rng=0)
    >>> data.X.shape, data.y.dtype, round(float(data.y.std()), 1)
    ((1000, 6), dtype('float64'), 1.5)
    """
    count, width = integer(rows, "rows", 1), number(noise, "noise", 0)
    source = generator(rng)

    def examples() -> tuple[FloatArray, FloatArray]:
        X = source.uniform(-2, 2, (count, 6))
        x1, x2, x3, x4, x5, x6 = X.T
        y = np.sin(2 * x1) + np.sin(x2 + x3) + np.abs(x4) + np.maximum(0, x5 - x6) - 5 / 3
        return X, y + width * source.normal(size=count)

    return Split(*examples(), *examples())
