import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.contracts import THETA0, OptimizerContract, smooth


class TestPlainSGD(OptimizerContract):
    fixed_options = frozenset({"nesterov"})

    def make(self, theta0, lr):
        return gc.SGD(theta0, lr)


class TestMomentumSGD(OptimizerContract):
    fixed_options = frozenset({"nesterov"})

    def make(self, theta0, lr):
        return gc.SGD(theta0, lr, momentum=0.9)


class TestNesterovSGD(OptimizerContract):
    def make(self, theta0, lr):
        return gc.SGD(theta0, lr, momentum=0.8, nesterov=True)


def slow_sgd(gradient, theta0, lr, momentum, nesterov, steps):
    """The update as in the documentation, one coordinate at a time."""
    theta = [float(x) for x in theta0]
    velocity = [0.0] * len(theta)
    path = []
    for _ in range(steps):
        g = gradient(np.array(theta))
        for i in range(len(theta)):
            velocity[i] = momentum * velocity[i] + g[i]
            direction = g[i] + momentum * velocity[i] if nesterov else velocity[i]
            theta[i] -= lr * direction
        path.append(list(theta))
    return np.array(path)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    lr=st.floats(0, 0.1),
    momentum=st.floats(0, 0.99),
    nesterov=st.booleans(),
)
def test_sgd_agrees_with_a_slow_loop(seed, lr, momentum, nesterov):
    nesterov = nesterov and momentum > 0
    theta0 = np.random.default_rng(seed).uniform(-2, 2, 6)
    optimizer = gc.SGD(theta0, lr, momentum=momentum, nesterov=nesterov)
    expected = slow_sgd(lambda theta: smooth(theta)[1], theta0, lr, momentum, nesterov, 25)
    path = []
    for _ in expected:
        optimizer.step(smooth)
        path.append(optimizer.theta)
    # the same operations in the same order: rounding alone may differ
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-12)


def test_momentum_follows_the_closed_form_on_a_line():
    # L = ½hθ²: θ_{t+1} = (1 + m − lr h) θ_t − m θ_{t−1}, whose solution is a sum of powers of the two roots
    h, lr, momentum = 2.0, 0.1, 0.5
    optimizer = gc.SGD([1.0], lr, momentum=momentum)
    path = [1.0]
    for _ in range(30):
        optimizer.step(gc.Quadratic([[h]]).value_and_grad)
        path.append(optimizer.theta[0])
    roots = np.roots([1, -(1 + momentum - lr * h), momentum]).astype(complex)
    weights = np.linalg.solve(np.array([roots**0, roots**1]), path[:2])
    expected = [(weights @ roots**t).real for t in range(31)]
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-14)


def test_plain_sgd_contracts_a_quadratic_by_one_minus_lr_h():
    optimizer = gc.SGD([1.0, 1.0], lr=0.25)
    for _ in range(10):
        optimizer.step(gc.Quadratic([[1.0, 0.0], [0.0, 2.0]]).value_and_grad)
    # powers of ½ are exact, those of ¾ nearly so
    np.testing.assert_allclose(optimizer.theta, [0.75**10, 0.5**10], rtol=1e-15)


def test_velocity_starts_as_the_first_gradient():
    optimizer = gc.SGD(THETA0, lr=0.1, momentum=0.9)
    optimizer.step(smooth)
    assert np.array_equal(optimizer.state["velocity"], smooth(THETA0)[1])
    assert np.array_equal(optimizer.theta, THETA0 - 0.1 * smooth(THETA0)[1])


def test_the_loss_is_that_of_the_point_before_the_step():
    optimizer = gc.SGD(THETA0, lr=0.1)
    assert optimizer.step(smooth) == smooth(THETA0)[0]


def test_a_zero_learning_rate_does_not_move():
    optimizer = gc.SGD(THETA0, lr=0.0, momentum=0.9)
    for _ in range(5):
        optimizer.step(smooth)
    assert np.array_equal(optimizer.theta, THETA0)


def test_a_huge_finite_gradient_is_not_taken_for_an_infinite_one():
    # the sum of the entries overflows, none of them does
    optimizer = gc.SGD(np.zeros(3), lr=1e-300)
    optimizer.step(lambda theta: (1.0, np.array([1.5e308, 1.5e308, -1.0])))
    np.testing.assert_allclose(optimizer.theta, [-1.5e8, -1.5e8, 1e-300], rtol=1e-15)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 2.0, np.nan])
def test_a_momentum_out_of_range_is_refused(momentum):
    with pytest.raises(ValueError, match=rf"momentum must be in \[0, 1\), got {momentum}"):
        gc.SGD([1.0], 0.1, momentum=momentum)


def test_a_momentum_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="momentum must be a real number, got str"):
        gc.SGD([1.0], 0.1, momentum="0.9")


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="nesterov needs momentum > 0, got momentum=0"):
        gc.SGD([1.0], 0.1, nesterov=True)
