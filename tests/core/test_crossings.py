"""The shortcuts of tracing change nothing: compared, bit for bit, with a trace without them."""

from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glasscurv.core import crossings
from tests.oracles import events_without_shortcuts

SLOW = numba.config.DISABLE_JIT  # plain Python: fewer examples


def line(rng, widths):
    """A random network and line as `trace_samples` takes them."""
    size = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
    return rng.normal(size=size), rng.normal(size=size), np.array(widths)


def trace(theta, change, widths, slopes, X):
    """Events of all samples, outputs there, and states at the start."""
    layers = [crossings.parameters(theta, change, widths, k) for k in range(len(widths) - 1)]
    largest = np.array([[max(abs(layer[i]).max(), abs(layer[i + 2]).max()) for layer in layers] for i in (0, 1)])
    active = np.zeros((len(X), widths[1:-1].sum()), np.bool_)
    events, outputs = crossings.trace_samples(theta, change, widths, largest, *slopes, X, active)
    return events, outputs, active


@settings(deadline=None, max_examples=10 if SLOW else 60)
@given(
    seed=st.integers(0, 2**32 - 1),
    depth=st.integers(1, 5),
    slopes=st.sampled_from([(0.0, 1.0), (0.2, 1.0), (-0.5, 1.0), (1.0, 1.0)]),
    kind=st.sampled_from(["plain", "whole numbers", "scales", "layers at rest", "without biases"]),
)
def test_every_event_is_that_of_a_trace_without_shortcuts(seed, depth, slopes, kind):
    rng = np.random.default_rng(seed)
    theta, change, widths = line(rng, [2, *rng.integers(1, 9, depth).tolist(), 2])
    change *= 10 ** rng.uniform(-2, 1)
    X = rng.normal(size=(2, 2))
    if kind == "whole numbers":
        theta, change, X = rng.integers(-3, 4, theta.size) / 2, rng.integers(-3, 4, theta.size) / 2, np.round(X)
    if kind == "scales":
        theta, change = (part * 10 ** rng.uniform(-6, 6, theta.size) for part in (theta, change))
    for k in range(depth + 1):
        _, d, b, e = crossings.parameters(theta, change, widths, k)
        if kind == "layers at rest" and rng.integers(2):
            d[:], e[:] = 0, 0
        if kind == "without biases":
            b[:], e[:] = 0, 0
    events, _, _ = trace(theta, change, widths, slopes, X)
    for sample, x in enumerate(X):
        expected = events_without_shortcuts(theta, change, widths, *slopes, x)
        np.testing.assert_array_equal(events[events[:, 0] == sample, 1:6], expected)


def test_the_rounding_of_hundreds_of_terms_does_not_matter():
    theta, change, widths = line(np.random.default_rng(0), [3, 300, 20, 2])
    x = np.random.default_rng(1).normal(size=3)
    events, _, _ = trace(theta, 5 * change, widths, (0.3, 1.0), x[None])
    assert len(events) > 100
    np.testing.assert_array_equal(events[:, 1:6], events_without_shortcuts(theta, 5 * change, widths, 0.3, 1.0, x))


def test_a_plateau_is_reached_whatever_the_sum_has_been_rounded_to():
    # y₁ = 0.3 − t, 1 + t and 1 + t; y₂ = w y₁⁺ + v y₁⁺ − v y₁⁺ is exactly 0, and off, from t = 0.3 on
    rng = np.random.default_rng(0)
    change = np.array([0.0, 0, 0, -1, 1, 1, 0, 0, 0, 0, 0, 0])
    for v, w in rng.uniform(size=(40, 2)):
        theta = np.array([0.0, 0, 0, 0.3, 1, 1, w, v, -v, 0, 1, 0])
        events, _, _ = trace(theta, change, np.array([1, 3, 1, 1]), (0.0, 1.0), np.zeros((1, 1)))
        np.testing.assert_array_equal(events[:, 1:5], [[0.3, 0, 0, 0], [0.3, 1, 0, 0]])


def test_an_input_that_dwarfs_the_others_leaves_nothing_behind_when_it_goes():
    # y₁ = 1e10 (½ − t), 0.1 and t − ¾; y₂ = y₁⁺ + 2 × 0.1⁺; the output is 3 y₂⁺ = 0.6 from t = ½ on
    theta = np.array([0, 0, 0, 5e9, 0.1, -0.75, 1, 2, 0, 0, 3, 0])
    change = np.zeros(12)
    change[3], change[5] = -1e10, 1.0
    events, outputs, _ = trace(theta, change, np.array([1, 3, 1, 1]), (0.0, 1.0), np.zeros((1, 1)))
    np.testing.assert_array_equal(events[:, 1:5], [[0.5, 0, 0, 0], [0.75, 0, 2, 1]])
    np.testing.assert_allclose(outputs[1], 0.6, rtol=1e-15)


@pytest.mark.parametrize("powers", [1, 2, 4])
@pytest.mark.parametrize("moving", [False, True])
def test_a_layer_is_composed_as_each_of_its_units_is(powers, moving):
    rng = np.random.default_rng(powers)
    layer = rng.normal(size=(9, 5)), rng.normal(size=(9, 5)) * moving, rng.normal(size=5), rng.normal(size=5) * moving
    for off in ([], [4], [0, 3, 8], list(range(9))):
        inputs = rng.normal(size=(powers, 9))
        inputs[:, off] = 0
        sums = np.full((powers + moving, 5), np.nan)
        crossings.compose(inputs, layer, sums)
        for j in range(5):
            p, noise = np.zeros((2, powers + moving))
            crossings.compose_unit(inputs, layer, j, p, noise)
            np.testing.assert_array_equal(sums[:, j], p)
            # Horner's rule in whole matrices, at one position
            t = 0.7
            h = t ** np.arange(powers) @ inputs
            value = h @ (layer[0][:, j] + t * layer[1][:, j]) + layer[2][j] + t * layer[3][j]
            assert abs(crossings.evaluate(p, t) - value) <= crossings.evaluate(noise, t)


@settings(deadline=None, max_examples=10 if SLOW else 60)
@given(seed=st.integers(0, 2**32 - 1), powers=st.integers(1, 6))
def test_units_that_are_excluded_keep_their_sign_and_few_others_are_kept(seed, powers):
    rng = np.random.default_rng(seed)
    polynomials = rng.normal(size=(powers, 400))
    low, high = np.sort(rng.uniform(size=2))
    on = polynomials.T @ low ** np.arange(powers) > 0
    kept = np.isin(np.arange(400), crossings.candidates(polynomials, on, low, high, 1e-12))
    dense = np.linspace(low, high, 200)[:, None] ** np.arange(powers) @ polynomials
    crosses = np.any((dense > 0) != on, axis=0)
    assert not np.any(crosses & ~kept)
    if powers <= 2:  # straight lines: no other is kept
        assert np.array_equal(crosses, kept)
    # a state that the values contradict, and an identical zero, are never excluded
    assert crossings.candidates(polynomials, ~on, low, high, 1e-12).size == 400
    assert crossings.candidates(0 * polynomials, on, low, high, 0.0).size == 400
