import numpy as np
import pytest

import glasscurv as gc
from tests.contracts import THETA0, OptimizerContract, smooth


class TestAdaHessian(OptimizerContract):
    def make(self, theta0, lr):
        return gc.AdaHessian(theta0, lr, rng=5)


class TestAdaHessianWithEveryOption(OptimizerContract):
    couples = True

    def make(self, theta0, lr):
        return gc.AdaHessian(
            theta0, lr, betas=(0.8, 0.99), eps=1e-3, hessian_power=0.75, block_size=4, length=0.25, rng=6
        )


def test_gradients_are_taken_on_both_sides_and_then_at_the_parameters():
    points = []

    def recording(theta):
        points.append(theta.copy())
        return smooth(theta)

    optimizer, rng = gc.AdaHessian(THETA0, 0.1, length=0.125, rng=3), np.random.default_rng(3)
    for step in range(5):
        theta = optimizer.theta
        loss = optimizer.step(recording)
        z = gc.Rademacher().sample(6, rng)
        assert np.array_equal(points[3 * step :], [theta + 0.125 * z, theta - 0.125 * z, theta])
        assert loss == smooth(theta)[0]
    assert optimizer.evaluations == 15


def test_it_takes_newton_steps_where_the_hessian_is_diagonal():
    # z∘Hz is then the diagonal itself, whatever z: with β₁ = 0 and lr = 1 one step ends at the minimum
    optimizer = gc.AdaHessian([3.0, -2.0], 1.0, betas=(0.0, 0.999), eps=1e-12, length=0.5, rng=0)
    optimizer.step(gc.Quadratic([[1.0, 0.0], [0.0, 400.0]]).value_and_grad)
    np.testing.assert_allclose(optimizer.theta, 0, atol=1e-11)


def test_a_block_shares_the_mean_of_its_diagonal():
    diagonal = np.array([1.0, 3.0, 8.0, -2.0, 0.0, 5.0, 7.0])
    optimizer = gc.AdaHessian(np.ones(7), betas=(0.9, 0.75), block_size=3, length=0.5, rng=0)
    optimizer.step(gc.Quadratic(np.diag(diagonal)).value_and_grad)
    np.testing.assert_allclose(optimizer.state["second_moment"], 0.25 * np.array([4, 4, 4, 1, 1, 1, 7.0]) ** 2)


def test_a_block_shares_the_mean_of_those_that_are_kept():
    diagonal, kept = np.array([1.0, 3.0, 8.0, -2.0, 0.0, 5.0, 7.0]), np.array([1, 0, 1, 0, 0, 0, 1], bool)
    optimizer = gc.AdaHessian(np.ones(7), betas=(0.9, 0.75), block_size=3, length=0.5, rng=0)
    optimizer.mask = kept
    optimizer.step(gc.Quadratic(np.diag(diagonal)).value_and_grad)
    np.testing.assert_allclose(optimizer.state["second_moment"], 0.25 * np.array([4.5, 0, 4.5, 0, 0, 0, 7.0]) ** 2)


def test_without_hessian_power_it_is_momentum():
    optimizer = gc.AdaHessian(THETA0, 0.1, betas=(0.5, 0.9), eps=1e-3, hessian_power=0.0, rng=0)
    theta, m = THETA0.copy(), np.zeros(6)
    for t in range(1, 11):
        m = 0.5 * m + 0.5 * smooth(theta)[1]
        theta = theta - 0.1 * m / (1 - 0.5**t) / (1 + 1e-3)
        optimizer.step(smooth)
    np.testing.assert_allclose(optimizer.theta, theta, rtol=1e-13)


def test_the_glass_enters_the_diagonal_as_jumps_over_the_length():
    # g_i = 1 above a kink at b_i ~ U[−2, 2], so H = 0 and ρ = ¼. The kink is within the length l of 0 with probability
    # l/2, and D_i = z_i (g₊ − g₋)_i/(2l) is then 1/(2l): E D² = 1/(8l) = ρ/(2l).
    n, rng = 40_000, np.random.default_rng(4)
    kinks = rng.uniform(-2, 2, n)
    for length in (0.5, 0.05):
        optimizer = gc.AdaHessian(np.zeros(n), betas=(0.9, 0.0), length=length, rng=1)
        optimizer.step(lambda theta: (0.0, 1.0 * (theta > kinks)))
        squares = optimizer.state["second_moment"]
        assert set(np.unique(np.round(squares * 4 * length**2, 12))) == {0.0, 1.0}
        probability = length / 2
        error = np.sqrt(probability * (1 - probability) / n) / (4 * length**2)
        assert abs(squares.mean() - 0.25 / (2 * length)) < 6 * error
        assert 6 * error < 0.25 * squares.mean()


def test_a_diagonal_whose_square_overflows_is_refused():
    """It would make the second moment infinite, and the parameters would never move again."""
    optimizer = gc.AdaHessian(np.ones(3, np.float32), rng=0)
    optimizer.step(lambda theta: (1.0, theta))
    before = optimizer.state_dict()
    with pytest.raises(gc.NonFiniteError, match=r"Hessian diagonal too large at step 2: the square of .* overflows"):
        optimizer.step(lambda theta: (1.0, 1e25 * theta))
    kinks = optimizer.theta
    with pytest.raises(gc.NonFiniteError, match="Hessian diagonal too large at step 2: the square of inf overflows"):
        optimizer.step(lambda theta: (1.0, np.sign(theta - kinks) * np.float32(3e38)))
    after = optimizer.state_dict()
    assert all(np.array_equal(after["arrays"][name], array) for name, array in before["arrays"].items())
    assert (after["steps"], after["evaluations"], after["rng"]) == (1, 3, before["rng"])


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"betas": (0.9, 1.0)}, ValueError, r"betas\[1\] must be in \[0, 1\), got 1.0"),
        ({"eps": 0.0}, ValueError, "eps must be finite and > 0, got 0.0"),
        ({"hessian_power": 1.5}, ValueError, r"hessian_power must be in \[0, 1\], got 1.5"),
        ({"hessian_power": "1"}, TypeError, "hessian_power must be a real number, got str"),
        ({"block_size": 0}, ValueError, "block_size must be ≥ 1, got 0"),
        ({"block_size": 2.0}, TypeError, "block_size must be an integer, got float"),
        ({"length": 0.0}, ValueError, "length must be finite and > 0, got 0.0"),
        ({"rng": "seed"}, TypeError, "rng must be None, an int or a numpy.random.Generator, got str"),
    ],
)
def test_unusable_arguments_are_refused(options, exception, message):
    with pytest.raises(exception, match=message):
        gc.AdaHessian(THETA0, **options)
