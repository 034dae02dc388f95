"""Statistical assertions with a stated error rate.

A correct implementation fails an assertion less than once in a million runs (normal theory, shared over all compared
numbers); the assertion itself makes sure that it has the power to catch a constant that is 10 % off.
"""

import numpy as np
from scipy.stats import norm

ERROR_RATE = 1e-6


def critical_value(comparisons: int = 1) -> float:
    """Two-sided normal quantile for `comparisons` simultaneous tests: 4.89 for one."""
    return float(norm.isf(ERROR_RATE / 2 / comparisons))


def assert_mean_is(samples, expected, resolution=0.1):
    """The mean of `samples` (M, …) is `expected`, and one that is off by `resolution` would be noticed."""
    samples, expected = np.asarray(samples, float), np.asarray(expected, float)
    mean = samples.mean(axis=0)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    margin = critical_value(max(expected.size, 1)) * error
    if resolution is not None:
        # Twice the margin: a wrong value lies its whole error away and is missed as rarely as a right one fails.
        assert np.all(2 * margin <= resolution * abs(expected)), "too few samples to notice a wrong constant"
    assert np.all(abs(mean - expected) <= margin), f"mean {mean}, expected {expected} ± {margin}"
