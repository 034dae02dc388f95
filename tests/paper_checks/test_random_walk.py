"""The prediction of `random_walk`."""

from itertools import combinations

import numpy as np
import pytest
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


@settings(deadline=None)
@given(rows=st.integers(2, 5), seed=st.integers(0, 2**32 - 1))
def test_the_walk_grows_weaker_with_more_rows_and_the_drift_does_not(rows, seed):
    """Section 1.3: signals carry 1/b, so A goes like 1/b and B like (b − 1)/b, averaged over minibatches of b rows."""
    rng = np.random.default_rng(seed)
    x, velocity = rng.standard_normal((2, 6, 4))
    phi, weights = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))

    def mean_terms(b):
        minibatches = [list(batch) for batch in combinations(range(6), b)]
        terms = [
            random_walk._walk_and_drift(random_walk._pairs(x[batch], velocity[batch]), phi[batch] / b, weights)
            for batch in minibatches
        ]
        return np.mean(terms, axis=0) * [b, b / (b - 1)]

    walk, drift = mean_terms(6)
    np.testing.assert_allclose(mean_terms(rows), [walk, drift], rtol=1e-8, atol=1e-8 * abs(drift))
    signals = phi @ weights.T  # Σ over the units and samples, as in the theorem
    own = random_walk._pairs(x, velocity).own
    assert walk == pytest.approx(6 * np.sum((signals / 6) ** 2 * own[:, None]))


@given(walk=st.floats(1e-3, 1e3), drift=st.floats(1e-3, 1e3), length=st.floats(1e-3, 1e3))
def test_growth_tells_the_correlation_of_neighbouring_increments(walk, drift, length):
    """Section 1.3: a random walk with the mean square At, and a drift with Bt² that is independent of it."""
    numbers = np.array([walk]), np.array([drift])
    sample = random_walk.Sample(1, 1, length, np.empty((1, 2, 1)), *numbers, rate=1.0)
    double, single = (float(part[0]) for part in sample.predicted())
    covariance = np.array([[walk * length, 0], [0, walk * length]]) + drift * length**2
    correlation = covariance[0, 1] / covariance[0, 0]
    assert correlation == pytest.approx(length / (length + sample.crossover))
    assert single == pytest.approx(covariance[0, 0])
    assert double == pytest.approx(covariance.sum())
    assert double / single == pytest.approx(2 * (1 + correlation))
