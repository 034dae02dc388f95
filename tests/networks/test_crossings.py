from dataclasses import dataclass, replace
from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv import _threads
from glasscurv.networks import Loss, crossings, leaky_relu
from tests.oracles import all_vectors, crossings_on_a_line, signals_on_a_line

SLOW = numba.config.DISABLE_JIT  # plain Python: fewer examples
EXAMPLES = 40 if SLOW else 100


@dataclass(frozen=True)
class Linear:
    """A loss linear in the outputs: the mean over the minibatch of Σ_j y_j f_j."""

    name: str = "linear"

    def targets(self, y, outputs, dtype):
        return np.asarray(y, dtype).reshape(outputs)

    def value(self, outputs, y):
        return float(np.sum(outputs * y)) / len(y)

    def derivative(self, outputs, y):
        return y / len(y)

    def hessian_product(self, outputs, change, y):
        return np.zeros_like(outputs)


def example(seed, loss="cross_entropy", depth=None, rows=3):
    """A random small network, a random line and random data; one network in five moves only some of its layers."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 6, 1 + seed % 4 if depth is None else depth).tolist()
    layers = [int(rng.integers(1, 4)), *widths, 2]
    net = gc.MLP(layers, "relu" if seed % 3 else leaky_relu(float(rng.choice([0.2, -0.5]))), loss)
    theta = net.initialize(rng) + 0.3 * rng.normal(size=net.size)
    direction = rng.normal(size=net.size)
    if seed % 5 == 0:
        for group in list(net.groups.values())[1:]:
            direction[group] *= rng.integers(2)
    X = rng.normal(size=(rows, layers[0]))
    y = rng.integers(0, 2, rows) if loss == "cross_entropy" else rng.normal(size=(rows, 2))
    return net, theta, direction, X, y, float(10 ** rng.uniform(-1.5, 1))


def events(found):
    """Rows (position, sample, layer, unit, on)."""
    columns = (found.position, found.sample, found.layer, found.unit, found.on)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def by_unit(rows):
    return sorted(rows, key=lambda row: (row[1:4], row[0]))


def assert_events(found, expected, tolerance=1e-13):
    """The same crossings, at the same positions up to rounding."""
    assert [row[1:] for row in events(found)] == [row[1:] for row in expected]
    np.testing.assert_allclose(found.position, [row[0] for row in expected], rtol=tolerance, atol=tolerance)


def layer_line(net, layer, rng):
    """A direction that moves one layer."""
    direction = np.zeros(net.size)
    group = net.groups[f"layer{layer}"]
    direction[group] = rng.normal(size=group.stop - group.start)
    return direction


# Against brute force


@pytest.mark.parametrize("first", range(0, 80 if SLOW else 400, 40))
def test_crossings_are_those_of_dense_sampling_and_bisection(first):
    total = 0
    for seed in range(first, first + 40):
        net, theta, direction, X, y, distance = example(seed)
        found = gc.trace_crossings(net, theta, direction, X, y, distance)
        # Two crossings of one unit in one cell of the grid would be missed: cut it between them.
        rows = by_unit(events(found))
        pairs = [(a[0] + b[0]) / 2 for a, b in pairwise(rows) if a[1:4] == b[1:4]]
        expected = crossings_on_a_line(net, theta, direction, X, distance, 300, pairs)
        assert [row[1:] for row in rows] == [row[1:] for row in by_unit(expected)], seed
        error = [abs(a[0] - b[0]) for a, b in zip(rows, by_unit(expected), strict=True)]
        assert max(error, default=0) <= 1e-12 * distance, seed
        total += len(found)
    assert total > 100


def states_at(found, t):
    """Hidden units that are on at t, (b, h), from the states at the start and the crossings before t."""
    state = found.active.copy()
    column = found.unit + np.concatenate([[0], np.cumsum(found.net.layers[1:-1])])[found.layer - 1]
    for k in np.flatnonzero(found.position <= t):
        assert state[found.sample[k], column[k]] != found.on[k]
        state[found.sample[k], column[k]] = found.on[k]
    return state


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_states_between_crossings_follow_from_the_crossings(seed, data):
    net, theta, direction, X, y, distance = example(seed)
    found = gc.trace_crossings(net, theta, direction, X, y, distance)
    assert np.array_equal(np.lexsort((found.unit, found.layer, found.sample, found.position)), np.arange(len(found)))
    assert np.all((found.position > 0) & (found.position <= distance))
    ends = np.concatenate([[0], found.position, [distance]])
    k = data.draw(st.sampled_from(np.flatnonzero(np.diff(ends) > 1e-9 * distance).tolist()))
    t = (ends[k] + ends[k + 1]) / 2
    hidden = np.concatenate(net.preactivations(theta + t * direction, X)[:-1], axis=1)
    assert np.array_equal(states_at(found, t), hidden > 0)


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    seed=st.integers(0, 2**32 - 1),
    unit=st.sampled_from([0.5, 0.1, 0.3]),  # multiples of 0.5 are exact, those of the others are rounded
    t=st.floats(0.01, 2.99),
)
def test_states_are_right_where_many_events_coincide(seed, unit, t):
    """Small integers as weights: double roots, shared roots, units that rest at zero."""
    rng = np.random.default_rng(seed)
    layers = [int(rng.integers(1, 3)), *rng.integers(1, 5, 1 + seed % 4).tolist(), 2]
    net = gc.MLP(layers, "relu" if seed % 2 else leaky_relu(0.25), "mse")
    theta, direction = unit * rng.integers(-3, 4, net.size), unit * rng.integers(-2, 3, net.size)
    direction[0] = unit
    for group in list(net.groups.values())[1:]:
        direction[group] *= rng.integers(2)
    X = rng.integers(-2, 3, (3, layers[0]))
    found = gc.trace_crossings(net, theta, direction, X, np.ones((3, 2)), 3.0)
    hidden = np.concatenate(net.preactivations(theta + t * direction, X)[:-1], axis=1)
    clear = abs(hidden) > 1e-11
    assert np.array_equal(states_at(found, t)[clear], (hidden > 0)[clear])


# Signals, slopes and jumps


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_jumps_of_a_linear_loss_add_up_to_the_difference_of_gradients(seed):
    rng = np.random.default_rng(seed)
    net, theta, _, X, y, distance = example(seed, Linear(), depth=1 + seed % 4)
    layer = int(rng.integers(1, len(net.layers)))
    group, direction = net.groups[f"layer{layer}"], layer_line(net, layer, rng)
    found = gc.trace_crossings(net, theta, direction, X, y, distance)
    start, end = (net.value_and_grad(theta + t * direction, X, y)[1] for t in (0, distance))
    scale = max(1.0, np.abs(start).max(), np.abs(end).max())
    jumps = found.jumps()
    np.testing.assert_allclose(jumps[:, group].sum(axis=0), (end - start)[group], rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(found.variation(), jumps.sum(axis=0), rtol=0, atol=1e-12 * scale)


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), loss=st.sampled_from(["cross_entropy", "mse"]))
def test_each_jump_is_that_of_the_gradient_on_both_sides(seed, loss):
    net, theta, direction, X, y, distance = example(seed, loss)
    found = gc.trace_crossings(net, theta, direction, X, y, distance)
    gaps = np.diff(np.concatenate([[0], found.position, [distance]]))
    alone = np.flatnonzero(np.minimum(gaps[1:], gaps[:-1]) > 1e-6 * distance)
    jumps = found.jumps(alone)
    for t, jump in zip(found.position[alone], jumps, strict=True):
        # Richardson's extrapolation of the smooth change to no distance
        wide, narrow = (
            net.value_and_grad(theta + (t + h) * direction, X, y)[1]
            - net.value_and_grad(theta + (t - h) * direction, X, y)[1]
            for h in (2e-7 * distance, 1e-7 * distance)
        )
        scale = max(1, np.abs(narrow).max(), np.abs(wide).max())
        assert np.abs(2 * narrow - wide - jump).max() <= 1e-7 * scale + 0.02 * np.abs(wide - narrow).max()


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_slopes_and_densities_are_those_of_the_jumps(seed):
    net, theta, direction, X, y, distance = example(seed)
    found = gc.trace_crossings(net, theta, direction, X, y, distance)
    jumps = found.jumps()
    sign = np.where(found.on, 1, -1) * (net.activation.right_slope - net.activation.left_slope)
    scale = np.abs(jumps).sum(axis=1) * np.abs(direction).max() + 1e-12
    assert np.all(np.abs(jumps @ direction - sign * found.signal * found.slope) <= 1e-9 * scale)
    # A crossing with a slope well away from zero goes on upwards and off downwards.
    clear = np.abs(found.slope) > 1e-9
    assert np.array_equal(found.slope[clear] > 0, found.on[clear])
    np.testing.assert_allclose(found.density(), (jumps**2).sum(axis=0) / distance, rtol=1e-11, atol=1e-300)
    norm = np.linalg.norm(direction)
    along = np.sum((jumps @ direction / norm) ** 2) / (distance * norm)
    np.testing.assert_allclose(found.directional_density(), along, rtol=1e-6, atol=1e-20)


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_signals_are_those_of_backpropagation_at_each_crossing(seed):
    net, theta, direction, X, y, distance = example(seed, "mse")
    found = gc.trace_crossings(net, theta, direction, X, y, distance)
    expected = signals_on_a_line(found)
    np.testing.assert_allclose(found.signal, expected, rtol=0, atol=1e-12 * abs(expected).max(initial=0))


def test_jumps_may_be_chosen_and_do_not_depend_on_chunks(monkeypatch):
    net, theta, direction, X, y, _ = example(3, rows=20)
    found = gc.trace_crossings(net, theta, direction, X, y, 5.0)
    jumps = found.jumps()
    assert jumps.shape == (len(found), net.size)
    for which in (slice(3, 9), np.array([7, 2, 2, -1])):
        np.testing.assert_allclose(found.jumps(which), jumps[which], rtol=1e-13, atol=1e-15)
    assert found.jumps(slice(0, 0)).shape == (0, net.size)
    sums = found.variation(), found.density()
    for chunk in (1, 7):
        monkeypatch.setattr(crossings, "CHUNK", chunk)
        again = gc.trace_crossings(net, theta, direction, X, y, 5.0)
        np.testing.assert_allclose(again.signal, found.signal, rtol=1e-12, atol=1e-16)
        np.testing.assert_allclose(again.jumps(), jumps, rtol=1e-12, atol=1e-16)
        for one, other in zip((again.variation(), again.density()), sums, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)


def test_the_units_of_the_direction_do_not_matter():
    net, theta, direction, X, y, distance = example(6)
    one = gc.trace_crossings(net, theta, direction, X, y, distance)
    other = gc.trace_crossings(net, theta, direction / 8, X, y, 8 * distance)
    assert np.array_equal(other.position, 8 * one.position)
    assert np.array_equal(other.slope, one.slope / 8)
    np.testing.assert_allclose(other.directional_density(), one.directional_density(), rtol=1e-13)
    np.testing.assert_allclose(other.density(), one.density() / 8, rtol=1e-13)


# Special positions


def chain(*layers, biases=None, activation="relu"):
    """A network of given weights, all that follows its last hidden layer being ones."""
    sizes = [np.atleast_2d(layer).shape for layer in layers]
    net = gc.MLP([sizes[0][0], *(size[1] for size in sizes), 1], activation, Linear())
    theta = np.ones(net.size)
    for k, (weights, bias) in enumerate(net.unflatten(theta)):
        if k < len(layers):
            weights[:] = layers[k]
            bias[:] = 0 if biases is None else biases[k]
    return net, theta


def trace(net, theta, direction, X, distance=1.0):
    return gc.trace_crossings(net, theta, direction, X, np.ones((len(X), 1)), distance)


def in_bias(net, layer, unit=0, value=1.0):
    direction = np.zeros(net.size)
    net.unflatten(direction)[layer - 1][1][unit] = value
    return direction


def test_touching_zero_is_no_crossing():
    # y₁ = 1 + t and y₂ = y₁ (t − 5/4) + 3/2 − 3t/4 = (t − ½)²
    net, theta = chain([[0.0]], [[-1.25]], biases=[1.0, 1.5])
    direction = in_bias(net, 1) + in_bias(net, 2, value=-0.75)
    net.unflatten(direction)[1][0][0, 0] = 1.0
    assert len(trace(net, theta, direction, [[1.0]])) == 0
    below = theta - in_bias(net, 2, value=1e-4)  # (t − ½)² − 1e-4
    assert_events(trace(net, below, direction, [[1.0]]), [(0.49, 0, 2, 0, False), (0.51, 0, 2, 0, True)], 1e-12)
    above = theta + in_bias(net, 2, value=1e-4)
    assert len(trace(net, above, direction, [[1.0]])) == 0
    # from below: −(t − ½)²
    net.unflatten(theta)[1][0][:] *= -1
    net.unflatten(theta)[1][1][:] *= -1
    net.unflatten(direction)[1][0][:] *= -1
    net.unflatten(direction)[1][1][:] *= -1
    assert len(trace(net, theta, direction, [[1.0]])) == 0


@pytest.mark.parametrize("root", [1 / 3, 0.1, 0.7, np.pi / 4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_touching_zero_up_to_rounding_is_no_crossing(root, scale):
    # y₂ = (1 + t)(t − 2r − 1) + (r + 1)² = (t − r)², the terms being rounded
    net, theta = chain([[0.0]], [[-(2 * root + 1) * scale]], biases=[1.0, (root + 1) ** 2 * scale])
    direction = in_bias(net, 1)
    net.unflatten(direction)[1][0][0, 0] = scale
    assert len(trace(net, theta, direction, [[1.0]])) == 0


def test_a_triple_root_is_one_crossing():
    # y₁ = t + 1, y₂ = t (t + 1) + 1 = t² + t + 1, y₃ = (t² + t + 1)(t − 5/2) + 19/8 + 9t/4 = (t − ½)³
    net, theta = chain([[0.0]], [[0.0]], [[-2.5]], biases=[1.0, 1.0, 19 / 8])
    direction = in_bias(net, 1) + in_bias(net, 3, value=9 / 4)
    for layer in (1, 2):
        net.unflatten(direction)[layer][0][0, 0] = 1.0
    found = trace(net, theta, direction, [[1.0]])
    assert_events(found, [(0.5, 0, 3, 0, True)], 1e-4)


def test_a_duplicated_unit_and_a_duplicated_sample_are_all_reported():
    net, theta = chain([[1.0, 1.0, -1.0]], biases=[[-0.5, -0.5, 0.5]])
    direction = in_bias(net, 1, 0) + in_bias(net, 1, 1) + in_bias(net, 1, 2, -1.0)
    found = trace(net, theta, direction, [[0.25], [0.25]])
    expected = [(0.25, sample, 1, unit, unit < 2) for sample in range(2) for unit in range(3)]
    assert_events(found, expected)
    assert len(set(found.position)) == 1


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_duplicates_cross_together_and_their_jumps_add_up(seed):
    rng = np.random.default_rng(seed)
    net, theta, _, X, y, distance = example(seed, Linear(), depth=1 + seed % 3)
    wide = gc.MLP([net.layers[0], *(2 * width for width in net.layers[1:-1]), 2], net.activation, Linear())
    layer = int(rng.integers(1, len(net.layers)))
    direction, doubled = layer_line(net, layer, rng), []
    for vector in (theta, direction):
        copy = np.zeros(wide.size)
        for k, ((w, b), (w2, b2)) in enumerate(zip(net.unflatten(vector), wide.unflatten(copy), strict=True)):
            last = k == len(net.layers) - 2
            w2[:] = np.tile(w, (1 if k == 0 else 2, 1 if last else 2)) * (1 if k == 0 else 0.5)
            b2[:] = np.tile(b, 1 if last else 2)
        doubled.append(copy)
    one = gc.trace_crossings(net, theta, direction, X, y, distance)
    both = gc.trace_crossings(wide, *doubled, np.tile(X, (2, 1)), np.tile(y, (2, 1)), distance)
    assert len(both) == 4 * len(one)
    np.testing.assert_allclose(np.sort(both.position), np.repeat(one.position, 4), rtol=1e-9, atol=1e-12 * distance)
    start, end = (
        wide.value_and_grad(doubled[0] + t * doubled[1], both.X, both.y)[1][wide.groups[f"layer{layer}"]]
        for t in (0, distance)
    )
    scale = max(1.0, np.abs(start).max(), np.abs(end).max())
    change = both.variation()[wide.groups[f"layer{layer}"]]
    np.testing.assert_allclose(change, end - start, rtol=0, atol=1e-11 * scale)


def test_a_unit_at_zero_takes_the_state_right_of_it():
    net, theta = chain([[0.0, 0.0, 0.0]], biases=[[0.0, 0.0, 0.0]])
    direction = in_bias(net, 1, 0) + in_bias(net, 1, 1, -1.0)  # up, down, resting
    found = trace(net, theta, direction, [[1.0]])
    assert len(found) == 0
    assert found.active.tolist() == [[True, False, False]]


def test_a_crossing_at_the_end_counts_and_at_the_start_does_not():
    net, theta = chain([[0.0]], biases=[-1.0])
    direction = in_bias(net, 1)
    assert len(trace(net, theta, direction, [[0.0]])) == 0  # 0 at the end is still off
    assert_events(trace(net, theta, direction, [[0.0]], 1.0000001), [(1.0, 0, 1, 0, True)])
    assert_events(trace(net, -theta, -direction, [[0.0]]), [(1.0, 0, 1, 0, False)])
    assert len(trace(net, -theta, -direction, [[0.0]], 0.9999999)) == 0


def test_a_dead_network_without_biases_crosses_nothing():
    rng = np.random.default_rng(0)
    weights = -abs(rng.normal(size=(2, 4))), rng.normal(size=(4, 4)), rng.normal(size=(4, 3))
    net, theta = chain(*weights)
    X = abs(rng.normal(size=(5, 2)))
    for layer in (1, 2, 3):
        direction = layer_line(net, layer, rng)
        net.unflatten(direction)[layer - 1][1][:] = 0
        direction[net.groups["layer1"]] = -abs(direction[net.groups["layer1"]])
        found = trace(net, theta, direction, X)
        assert len(found) == 0
        assert not found.active.any()


def test_a_plateau_at_zero_is_off_when_it_is_reached():
    # y₁ = 0.3 − t; y₂ = 0.7 y₁⁺ and −0.7 y₁⁺; y₃ = 1.1 y₂⁺: all go off together where y₁ does
    net, theta = chain([[0.0]], [[0.7, -0.7]], [[1.1], [0.9]], biases=[0.3, 0.0, 0.0])
    found = trace(net, theta, in_bias(net, 1, 0, -1.0), [[1.0]])
    assert_events(found, [(0.3, 0, 1, 0, False), (0.3, 0, 2, 0, False), (0.3, 0, 3, 0, False)])
    # and back: on together
    back = theta.copy()
    net.unflatten(back)[0][1][:] = -0.3
    found = trace(net, back, in_bias(net, 1), [[1.0]])
    assert_events(found, [(0.3, 0, 1, 0, True), (0.3, 0, 2, 0, True), (0.3, 0, 3, 0, True)])
    # a leaky unit passes through zero with a kink; y₃ only touches zero
    leaky = gc.MLP(net.layers, "leaky_relu", Linear())
    found = trace(leaky, theta, in_bias(net, 1, 0, -1.0), [[1.0]])
    assert_events(found, [(0.3, 0, 1, 0, False), (0.3, 0, 2, 0, False), (0.3, 0, 2, 1, True)])


def test_a_plateau_reached_at_the_end_is_off():
    # y₁ = 0.3 (1 − t), and y₂ = (v + wt) y₁⁺ is 0 at 1 but for rounding
    v, w = np.random.default_rng(0).uniform(0.1, 2, (2, 20))
    net, theta = chain([[0.0]], [v], biases=[0.3, 0.0])
    direction = in_bias(net, 1, value=-0.3)
    net.unflatten(direction)[1][0][:] = w
    found = trace(net, theta, direction, [[1.0]])
    off = [(0, 1, 0, False), *((0, 2, unit, False) for unit in range(20))]
    assert [row[1:] for row in by_unit(events(found))] == off
    np.testing.assert_allclose(found.position, 1, rtol=1e-14)


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_biases_jumps_still_add_up(seed):
    """Whole layers go off and on together, so that many crossings coincide."""
    rng = np.random.default_rng(seed)
    net = gc.MLP([1, *rng.integers(1, 4, 1 + seed % 4).tolist(), 2], "relu" if seed % 2 else "leaky_relu", Linear())
    theta, direction = net.initialize(rng), np.zeros(net.size)
    net.unflatten(direction)[0][0][:] = rng.normal(size=net.layers[1])  # weights of the first layer only
    X, y = rng.normal(size=(3, 1)), rng.normal(size=(3, 2))
    found = gc.trace_crossings(net, theta, direction, X, y, 10.0)
    start, end = (net.value_and_grad(theta + t * direction, X, y)[1][net.groups["layer1"]] for t in (0, 10.0))
    scale = max(1.0, np.abs(start).max(), np.abs(end).max())
    np.testing.assert_allclose(found.variation()[net.groups["layer1"]], end - start, rtol=0, atol=1e-11 * scale)
    # a second crossing of one unit of the first layer, which is linear, would be rounding
    first = [row[1:4] for row in events(found) if row[2] == 1]
    assert len(set(first)) == len(first)


def test_a_unit_that_turns_at_an_event_below_crosses_once_or_not_at_all():
    # y₂ = |y₁| − b, y₁ = t − c: touching zero at the kink for b = 0, two crossings for b > 0
    for c in (0.1, 0.3, 0.37, 0.6, 0.7):
        for b in (0.0, 0.05):
            net, theta = chain([[0.0, 0.0]], [[0.7], [0.7]], biases=[[-c, c], [-0.7 * b]])
            found = trace(net, theta, in_bias(net, 1, 0) + in_bias(net, 1, 1, -1.0), [[1.0]])
            second = found.layer == 2
            if b:
                np.testing.assert_allclose(found.position[second], [c - b, c + b], rtol=1e-13)
                assert found.on[second].tolist() == [False, True]
            else:
                assert second.sum() in (0, 2)  # on both sides, off in the very point
                np.testing.assert_allclose(found.position[second], c, rtol=1e-13)


def test_a_root_next_to_an_event_below_is_neither_missed_nor_met_twice():
    # y₂ = y₁⁺ + v y₁'⁺ − b + … crosses at t = ½ + shift, the second unit of layer 1 turns at ½
    for shift in [*(10.0 ** np.arange(-20, -3)), *(-(10.0 ** np.arange(-20, -3))), 0.0]:
        for weight in (0.3, -0.4, 5.0):
            net, theta = chain([[0.0, 0.0]], [[0.7], [weight]], biases=[[1 / 3, -0.5], [-0.7 * (5 / 6 + shift)]])
            found = trace(net, theta, in_bias(net, 1, 0) + in_bias(net, 1, 1), [[1.0]])
            assert [row[1:] for row in events(found) if row[2] == 1] == [(0, 1, 1, True)]
            second = found.layer == 2
            assert found.on[second].tolist() == [True]
            slope = 0.7 + weight if shift > 0 else 0.7
            np.testing.assert_allclose(found.position[second], 0.5 + 0.7 * shift / slope, rtol=1e-13)


# Interface


def test_result_does_not_depend_on_the_number_of_threads(monkeypatch):
    net, theta, direction, X, y, distance = example(7, rows=40)
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(_threads, "num_threads", lambda count=count: count)
        found = gc.trace_crossings(net, theta, direction, X, y, distance)
        results.append(b"".join(a.tobytes() for a in (found.position, found.unit, found.signal, found.density())))
    assert len(set(results)) == 1


def test_float32_is_traced_in_float64():
    net, theta, direction, X, y, distance = example(8, "mse")
    single = [a.astype(np.float32) for a in (theta, direction, X, y)]
    found = gc.trace_crossings(net, *single, distance)
    double = gc.trace_crossings(net, *(a.astype(np.float64) for a in single), distance)
    assert len(found) > 0
    for name in ("position", "signal", "slope", "theta", "direction", "X", "y"):
        assert getattr(found, name).dtype == np.float64
        assert np.array_equal(getattr(found, name), getattr(double, name))
    assert found.density().dtype == np.float64


def test_lists_are_accepted_and_the_result_keeps_its_own_copies():
    net, theta, direction, X, y, distance = example(9, "mse")
    arrays = theta, direction, X, y
    found = gc.trace_crossings(net, *(a.tolist() for a in arrays), distance)
    again = gc.trace_crossings(net, *arrays, distance)
    kept = again.density()
    for array in arrays:
        array *= 2
    assert np.array_equal(again.density(), kept)
    assert np.array_equal(found.density(), kept)


def test_a_network_without_hidden_layers_has_no_crossings():
    net = gc.MLP((3, 2))
    found = gc.trace_crossings(net, np.ones(8), np.ones(8), np.ones((4, 3)), [0, 1, 0, 1], 1.0)
    assert len(found) == 0
    assert found.active.shape == (4, 0)
    assert found.jumps().shape == (0, 8)
    assert not found.variation().any()
    assert found.directional_density() == 0


def test_many_events_outgrow_the_buffer():
    rng = np.random.default_rng(0)
    net = gc.MLP((1, 300, 1), loss="mse")
    theta, direction = rng.normal(size=(2, net.size))
    found = gc.trace_crossings(net, theta, direction, [[1.0]], [0.0], 10.0)
    (w, b), (dw, db) = net.unflatten(theta)[0], net.unflatten(direction)[0]
    roots = -(w[0] + b) / (dw[0] + db)
    expected = np.sort(roots[(roots > 0) & (roots <= 10)])
    assert expected.size > 128
    np.testing.assert_allclose(found.position, expected, rtol=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "silu", "gelu"])
def test_smooth_activations_are_refused(activation):
    net = gc.MLP((2, 3, 2), activation)
    with pytest.raises(ValueError, match=f"net must have an activation with a kink, got '{activation}'"):
        gc.trace_crossings(net, np.ones(net.size), np.ones(net.size), [[1.0, 2.0]], [0], 1.0)


GOOD = {
    "theta": np.ones(17),
    "direction": np.ones(17),
    "X": np.array([[1.0, 2.0]]),
    "y": np.array([0]),
    "distance": 1.0,
}


@pytest.mark.parametrize(
    ("bad", "exception", "message"),
    [
        ({"theta": np.ones(16)}, ValueError, r"theta must have shape \(17,\), got \(16,\)"),
        ({"theta": np.full(17, np.nan)}, ValueError, "theta must be finite, got nan at index 0"),
        ({"direction": np.ones((17, 1))}, ValueError, r"direction must have shape \(17,\), got \(17, 1\)"),
        ({"direction": np.zeros(17)}, ValueError, "direction must not be zero, got a zero vector"),
        ({"direction": np.full(17, 1e300), "distance": 1e300}, ValueError, "distance times direction must be finite"),
        ({"theta": np.full(17, 1e200)}, ValueError, "pre-activations on the line must not overflow"),
        (
            {"theta": np.repeat([1e308, 0], [16, 1]), "X": np.full((1, 2), 9)},
            ValueError,
            "pre-activations on the line must not overflow",
        ),
        ({"X": np.ones((1, 3))}, ValueError, r"X must have shape \(rows, 2\) .*, got \(1, 3\)"),
        ({"y": np.array([2])}, ValueError, "y must hold labels 0 to 1, got 2 to 2"),
        ({"distance": 0.0}, ValueError, "distance must be finite and > 0, got 0.0"),
        ({"distance": -1}, ValueError, "distance must be finite and > 0, got -1"),
        ({"distance": "1"}, TypeError, "distance must be a real number, got str"),
    ],
)
def test_bad_arguments_are_refused(bad, exception, message):
    with pytest.raises(exception, match=message):
        gc.trace_crossings(gc.MLP((2, 3, 2)), **(GOOD | bad))


def test_any_object_with_the_members_of_a_loss_will_do():
    assert isinstance(Linear(), Loss)
    assert gc.MLP((2, 2), loss=Linear()).loss == Linear()
    with pytest.raises(ValueError, match="loss must be one of 'cross_entropy', 'mse', got None"):
        gc.MLP((2, 2), loss=None)


def test_equal_slopes_jump_by_nothing():
    net, theta, direction, X, y, _ = example(9)
    straight = gc.MLP(net.layers, replace(leaky_relu(1.0), name="straight"))
    found = gc.trace_crossings(straight, theta, direction, X, y, 5.0)
    assert len(found) > 0
    assert not found.variation().any()


@settings(deadline=None, max_examples=EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1), slope=st.floats(-2, 2))
def test_with_one_hidden_layer_jumps_grow_with_the_jump_of_the_slope(seed, slope):
    net, theta, direction, X, y, distance = example(seed, Linear(), depth=1)
    direction[net.groups["layer2"]] = 0  # the signals stay what they are
    relu, leaky = (
        gc.trace_crossings(gc.MLP(net.layers, kind, Linear()), theta, direction, X, y, distance)
        for kind in ("relu", leaky_relu(slope))
    )
    np.testing.assert_allclose(leaky.jumps(), (1 - slope) * relu.jumps(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(leaky.density(), (1 - slope) ** 2 * relu.density(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("hidden", "distance"), [(6, 1000.0), (8, 100.0), (12, 10.0)])
def test_early_crossings_on_long_lines_through_deep_networks_are_found(hidden, distance):
    """The terms of high powers are huge at the end of such a line and must not hide what happens at its start."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        net = gc.MLP((3, *[4] * hidden, 2))
        theta = net.initialize(rng) + 0.1 * rng.standard_normal(net.size)
        direction = rng.standard_normal(net.size)
        X, y = rng.standard_normal((3, 3)), rng.integers(0, 2, 3)
        found = gc.trace_crossings(net, theta, direction, X, y, distance)
        for t in distance * np.geomspace(1e-5, 1, 60):
            on = states_at(found, t)
            expected = np.concatenate(net.preactivations(theta + t * direction, X)[:-1], axis=1)
            size = np.repeat(abs(expected).reshape(3, hidden, 4).max(axis=2), 4, axis=1)
            clear = abs(expected) > 1e-9 * size
            np.testing.assert_array_equal(on[clear], expected[clear] > 0)


def outgoing_weights(net, theta, weights):
    """Parameters with these weights out of the last hidden layer, unit after unit."""
    changed = theta.copy()
    changed[net.groups[f"layer{len(net.layers) - 1}"]][: weights.size] = weights.ravel()
    return changed


def unit_line(net, units, rng):
    """A direction that moves only these units of the last hidden layer."""
    direction = np.zeros(net.size)
    weights, biases = net.unflatten(direction)[-2]
    weights[:, units], biases[units] = rng.normal(size=(len(weights), len(units))), rng.normal(size=len(units))
    return direction


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), loss=st.sampled_from(["cross_entropy", "mse"]), depth=st.integers(1, 2))
def test_signals_of_one_unit_correlate_like_the_derivatives_above_it(seed, loss, depth):
    """Section 1.3: E[s_j s_k] = τ φ_j·φ_k over the unit's outgoing weights.

    The mean over ±sqrt(m τ) along m orthogonal axes is that of every law with the variance τ, for quadratic functions.
    """
    rng = np.random.default_rng(seed)
    outputs, rows, unit, variance = 3, 12, 1, 0.7
    net = gc.MLP((2, *(4,) * depth, outputs), leaky_relu(0.1) if seed % 2 else "relu", loss)
    theta = net.initialize(rng) + 0.3 * rng.normal(size=net.size)
    direction, X = unit_line(net, [unit], rng), rng.normal(size=(rows, 2))
    y = rng.integers(0, outputs, rows) if loss == "cross_entropy" else rng.normal(size=(rows, outputs))
    above, signals = net.unflatten(theta)[-1][0].copy(), []
    axes = np.linalg.qr(rng.normal(size=(outputs, outputs)))[0] * np.sqrt(outputs * variance)
    for above[unit] in (*axes, *-axes):
        found = gc.trace_crossings(net, outgoing_weights(net, theta, above), direction, X, y, 1.0)
        signals.append(found.signal)
    above[unit] = rng.normal(size=outputs)  # at its kink the unit passes nothing on: any weights will do
    theta = outgoing_weights(net, theta, above)
    derivatives = [
        net.loss.derivative(net.outputs(theta + t * direction, X), y)[sample]
        for t, sample in zip(found.position, found.sample, strict=True)
    ]
    phi = np.reshape(derivatives, (-1, outputs))
    np.testing.assert_allclose(np.mean(signals, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.transpose(signals) @ signals / len(signals), variance * phi @ phi.T, atol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_signals_of_different_units_share_what_each_passes_to_the_other(seed):
    """Section 1.3: for squared errors E[s_a s_b] = κ² m τ² h_b(x_a) h_a(x_b), over all signs of outgoing weights."""
    rng = np.random.default_rng(seed)
    units, outputs, rows = 3, 1 + seed % 2, 6
    net = gc.MLP((2, units, outputs), "relu", "mse")
    theta, direction = net.initialize(rng) + 0.3 * rng.normal(size=net.size), unit_line(net, [0, 1], rng)
    X, y = rng.normal(size=(rows, 2)), rng.normal(size=(rows, outputs))
    signals = []
    for weights in all_vectors(units * outputs):
        theta = outgoing_weights(net, theta, weights)
        found = gc.trace_crossings(net, theta, direction, X, y, 1.0)
        signals.append(found.signal)
    passed = np.reshape(  # what every unit passes on where each boundary is met, on its sample
        [
            np.maximum(net.preactivations(theta + t * direction, X[[sample]])[0][0], 0)
            for t, sample in zip(found.position, found.sample, strict=True)
        ],
        (-1, units),
    )
    slope = float(net.loss.derivative(np.ones((rows, outputs)), np.zeros((rows, outputs)))[0, 0])
    products = np.transpose(signals) @ signals / len(signals)
    different = found.unit[:, None] != found.unit
    shared = slope**2 * outputs * passed[:, found.unit] * passed[:, found.unit].T
    np.testing.assert_allclose(products[different], shared[different], atol=1e-9)
