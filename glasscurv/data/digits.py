"""The handwritten digits of scikit-learn."""

from typing import Any

import numpy as np

from glasscurv.data.splits import Split

_SPLIT_SEED = 20241116
_VALIDATION = 360


def load_digits() -> Split:
    """Return the handwritten digits that scikit-learn carries, scaled to [0, 1] and split once and for all.

    Returns
    -------
    Split
        1437 training and 360 validation images of 8 × 8 pixels as rows of 64 numbers in [0, 1], labels 0 to 9. The
        split is a fixed permutation, the same on every machine.

    Raises
    ------
    ImportError
        scikit-learn is missing; the message says what to install.

    See Also
    --------
    load_idx : Read MNIST and its relatives from files.
    two_spirals : Draw a classification of two inputs.

    Examples
    --------
    >>> import glasscurv as gc
    >>> X, y, X_validation, y_validation = gc.data.load_digits()
    >>> X.shape, y.shape, X_validation.shape
    ((1437, 64), (1437,), (360, 64))
    """
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError as error:
        raise ImportError("load_digits needs scikit-learn: pip install scikit-learn") from error
    digits: Any = bundled()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(digits.target))
    X = np.ascontiguousarray(digits.data[order] / 16.0)
    y = digits.target[order].astype(np.int64)
    return Split(X[:-_VALIDATION], y[:-_VALIDATION], X[-_VALIDATION:], y[-_VALIDATION:])
