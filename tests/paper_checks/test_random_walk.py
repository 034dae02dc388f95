"""The prediction of `random_walk`."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_checks import random_walk


@settings(deadline=None)
@given(inputs=st.integers(3, 20), seed=st.integers(0, 2**32 - 1))
def test_what_two_samples_share_is_that_of_their_projections(inputs, seed):
    """Section 1, the range of the walk: the coefficients of A and B, with the plane of two inputs by least squares."""
    rng = np.random.default_rng(seed)
    x, velocity = rng.standard_normal((2, 2, inputs))
    pairs, variance = random_walk._pairs(x, velocity), 2 / inputs
    rest = velocity.T - x.T @ np.linalg.lstsq(x.T, velocity.T, rcond=None)[0]
    product = x[0] @ x[1] + 1
    area = np.sqrt(np.linalg.det(x @ x.T))
    shared = product * (product + variance * rest[:, 0] @ rest[:, 1]) / (2 * np.pi * variance * area)
    np.testing.assert_allclose(pairs.shared, [[0, shared], [shared, 0]], rtol=1e-6, atol=1e-9)
    for k in range(2):
        square = x[k] @ x[k]
        across = velocity[k] - (velocity[k] @ x[k]) / square * x[k]
        omega = np.sqrt(inputs / 2 * (1 + 1 / square) + across @ across / square)
        np.testing.assert_allclose(pairs.own[k], omega / np.pi * (square + 1), rtol=1e-9)
