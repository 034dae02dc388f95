"""Changes of the loss by compressing groups of weights, predicted and measured."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.compression import measured_changes, predicted_changes

RNG = np.random.default_rng(0)
THETA = RNG.normal(size=12)
COMPRESSED = np.where(np.arange(12) % 3 == 0, 0, THETA)
GROUPS = {"first": slice(0, 5), "second": np.arange(6, 12)}
NET = gc.MLP((2, 6, 2))


def loss_of(problem):
    return lambda theta: problem.value_and_grad(theta)[0]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_diagonal_quadratics_are_predicted_exactly(groups):
    problem = gc.Quadratic(np.diag(np.linspace(-1, 5, 12)))
    predicted = predicted_changes(problem.gradient, THETA, COMPRESSED, groups, samples=1, rng=0)
    measured = measured_changes(loss_of(problem), THETA, COMPRESSED, groups)
    np.testing.assert_allclose(predicted, measured, rtol=1e-12)


def test_the_mean_of_a_movement_and_its_opposite_is_exact_to_fourth_order():
    """f = Σ a x + b x² + c x⁴ without cross terms: signs average out, and gradients at δ/√2 integrate δ⁴ exactly."""
    theta, to = np.zeros(12), np.linspace(0.5, 2, 12)
    found = predicted_changes(lambda x: 1 + 2 * x + 4 * x**3, theta, to, samples=1, rng=0)
    np.testing.assert_allclose(found, np.sum(to + to**2 + to**4), rtol=1e-12)


@settings(deadline=None)
@given(st.floats(1.5, 6))
def test_changes_of_any_power_are_too_large_by_its_factor(power):
    """The change |x|^a from 0 to 1 is 1."""
    found = predicted_changes(lambda x: power * abs(x) ** (power - 1) * np.sign(x), [0.0], [1.0], samples=1, rng=0)[0]
    assert found == pytest.approx(power * 2 ** (-power / 2), rel=1e-12)
    assert found <= 2 / (math.e * math.log(2))


def test_predictions_are_slope_and_mean_curvature_of_random_signs():
    """With a full Hessian the mean over all signs is that of the diagonal, which two weights show exactly."""
    H = np.array([[2.0, 3.0], [3.0, 4.0]])
    problem, theta = gc.Quadratic(H), np.array([1.0, 2.0])
    g = H @ theta
    expected = -g @ theta + theta**2 @ np.diag(H) / 2
    found = predicted_changes(problem.gradient, theta, [0.0, 0.0], samples=4096, rng=0)[0]
    # Every sample adds ±H₁₂θ₁θ₂ = ±6: five standard errors have an error rate of 6e-7.
    assert abs(found - expected) < 5 * 6 / 64
    assert found != expected


def test_what_does_not_move_does_not_change():
    problem = gc.RandomHinges(12, hinges=100, half_width=5.0, rng=0)
    assert predicted_changes(problem.gradient, THETA, THETA, GROUPS, rng=0).tolist() == [0, 0]
    assert measured_changes(loss_of(problem), THETA, THETA, GROUPS).tolist() == [0, 0]


def test_groups_move_alone_and_the_same_seed_gives_the_same():
    seen = []

    def gradient(point):
        seen.append(point.copy())
        return point**3

    once = predicted_changes(gradient, THETA, COMPRESSED, GROUPS, samples=2, rng=3)
    assert len(seen) == 1 + 2 * 2 * 2
    moved = [set(np.flatnonzero(point != THETA)) for point in seen]
    assert moved == [set(), *4 * [{0, 3}], *4 * [{6, 9}]]
    np.testing.assert_array_equal(once, predicted_changes(gradient, THETA, COMPRESSED, GROUPS, samples=2, rng=3))


def test_networks_are_predicted_roughly():
    split = gc.data.two_spirals(rng=0)
    theta = NET.initialize(rng=1)
    weights = NET.weight_groups()
    half = gc.compression.prune(theta, abs(theta), 0.5, weights).theta

    def gradient(point):
        return NET.value_and_grad(point, split.X, split.y)[1]

    predicted = predicted_changes(gradient, theta, half, weights, samples=64, rng=0)
    measured = measured_changes(lambda point: NET.value(point, split.X, split.y), theta, half, weights)
    np.testing.assert_allclose(predicted, measured, rtol=0.5)


def test_arguments_are_left_alone_and_points_are_read_only():
    theta, compressed = THETA.astype(np.float32), COMPRESSED.astype(np.float32)
    before = theta.copy(), compressed.copy()

    def gradient(point):
        assert not point.flags.writeable
        assert point.dtype == np.float32
        return point

    def value(point):
        assert not point.flags.writeable
        return float(point.sum())

    found = predicted_changes(gradient, theta, compressed, rng=0), measured_changes(value, theta, compressed)
    assert [each.dtype for each in found] == [np.float64, np.float64]
    np.testing.assert_array_equal(theta, before[0])
    np.testing.assert_array_equal(compressed, before[1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"theta": [np.nan] * 12}, "theta must be finite"),
        ({"compressed": np.zeros(11)}, r"compressed must have shape \(12,\)"),
        ({"compressed": [np.inf] * 12}, "compressed must be finite"),
        ({"groups": {}}, "groups must hold at least one group"),
        ({"groups": {"a": slice(0, 3), "b": slice(2, 5)}}, "groups must not overlap"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    given = {"theta": THETA, "compressed": COMPRESSED} | changed
    with pytest.raises(ValueError, match=message):
        predicted_changes(lambda point: point, **given)
    with pytest.raises(ValueError, match=message):
        measured_changes(lambda point: 0.0, **given)


def test_bad_callables_and_samples_are_named():
    with pytest.raises(TypeError, match="gradient must be callable"):
        predicted_changes(1, THETA, COMPRESSED)
    with pytest.raises(TypeError, match="value must be callable"):
        measured_changes(1, THETA, COMPRESSED)
    with pytest.raises(ValueError, match="samples must be ≥ 1, got 0"):
        predicted_changes(lambda point: point, THETA, COMPRESSED, samples=0)
    with pytest.raises(ValueError, match=r"gradient.*shape"):
        predicted_changes(lambda point: point[:3], THETA, COMPRESSED)


def test_what_is_not_finite_is_refused_with_its_group():
    def gradient(point):
        return point if point[6] == THETA[6] else point * np.nan

    with pytest.raises(gc.NonFiniteError, match="non-finite gradient at theta"):
        predicted_changes(lambda point: point * np.nan, THETA, COMPRESSED)
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient for group 'second'"):
        predicted_changes(gradient, THETA, COMPRESSED, GROUPS, rng=0)
    with pytest.raises(gc.NonFiniteError, match="non-finite loss at theta: nan"):
        measured_changes(lambda point: np.nan, THETA, COMPRESSED)
    with pytest.raises(gc.NonFiniteError, match="non-finite loss for group 'second': inf"):
        measured_changes(lambda point: 0.0 if point[6] == THETA[6] else np.inf, THETA, COMPRESSED, GROUPS)
