import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.contracts import THETA0, SecondMomentContract, smooth


class TestAdam(SecondMomentContract):
    def make(self, theta0, lr):
        return gc.Adam(theta0, lr)


class TestAdamWithShortMemory(SecondMomentContract):
    def make(self, theta0, lr):
        return gc.Adam(theta0, lr, betas=(0.5, 0.8), eps=1e-4)


class TestAdamW(SecondMomentContract):
    def make(self, theta0, lr):
        return gc.AdamW(theta0, lr, weight_decay=0.1)


def slow_adam(gradient, theta0, lr, betas, eps, steps):
    """Algorithm 1 of Kingma and Ba, one coordinate at a time, with both corrected moments written out."""
    theta = [float(x) for x in theta0]
    m, v = [0.0] * len(theta), [0.0] * len(theta)
    path = []
    for t in range(1, steps + 1):
        g = gradient(np.array(theta))
        for i in range(len(theta)):
            m[i] = betas[0] * m[i] + (1 - betas[0]) * g[i]
            v[i] = betas[1] * v[i] + (1 - betas[1]) * g[i] ** 2
            m_hat = m[i] / (1 - betas[0] ** t)
            v_hat = v[i] / (1 - betas[1] ** t)
            theta[i] -= lr * m_hat / (math.sqrt(v_hat) + eps)
        path.append(list(theta))
    return np.array(path)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    lr=st.floats(1e-6, 0.01),
    beta1=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    beta2=st.sampled_from([0.0, 0.9, 0.999]),
    eps=st.sampled_from([1e-8, 1e-3, 1.0]),
)
def test_adam_agrees_with_a_slow_loop(seed, lr, beta1, beta2, eps):
    # far from the minimum, so that no gradient is so close to 0 that its sign is a matter of rounding
    theta0 = np.random.default_rng(seed).uniform(4, 6, 6)
    optimizer = gc.Adam(theta0, lr, betas=(beta1, beta2), eps=eps)
    expected = slow_adam(lambda theta: smooth(theta)[1], theta0, lr, (beta1, beta2), eps, 25)
    path = []
    for _ in expected:
        optimizer.step(smooth)
        path.append(optimizer.theta)
    np.testing.assert_allclose(path, expected, rtol=1e-13)


def test_the_first_step_is_the_learning_rate_against_the_sign():
    # bias correction: m̂ = g and v̂ = g², so the step is lr g/(|g| + ε)
    optimizer = gc.Adam(THETA0, lr=0.01)
    gradient = smooth(THETA0)[1]
    optimizer.step(smooth)
    np.testing.assert_allclose(optimizer.theta, THETA0 - 0.01 * gradient / (abs(gradient) + 1e-8), rtol=1e-14)


def test_adam_does_not_see_the_scale_of_the_loss():
    def scaled(theta):
        loss, gradient = smooth(theta)
        return 2.0**20 * loss, 2.0**20 * gradient

    one, other = gc.Adam(THETA0, 0.01, eps=2.0**-30), gc.Adam(THETA0, 0.01, eps=2.0**-10)
    for _ in range(20):
        one.step(smooth)
        other.step(scaled)
    # a power of 2 changes no digit
    assert one.theta.tobytes() == other.theta.tobytes()


def test_a_zero_gradient_does_not_move():
    optimizer = gc.Adam(THETA0, lr=0.1)
    for _ in range(5):
        optimizer.step(lambda theta: (0.0, np.zeros(6)))
    assert np.array_equal(optimizer.theta, THETA0)


def test_state_holds_the_uncorrected_moments():
    optimizer = gc.Adam(THETA0, lr=0.1, betas=(0.75, 0.9375))
    gradient = smooth(THETA0)[1]
    optimizer.step(smooth)
    # weights that are sums of powers of 2 make both products exact up to one rounding
    np.testing.assert_allclose(optimizer.state["gradient"], 0.25 * gradient, rtol=1e-15)
    np.testing.assert_allclose(optimizer.state["second_moment"], 0.0625 * gradient**2, rtol=1e-15)


def test_without_weight_decay_it_is_adam_bit_for_bit():
    adam, adamw = gc.Adam(THETA0, 0.05), gc.AdamW(THETA0, 0.05, weight_decay=0.0)
    for _ in range(20):
        adam.step(smooth)
        adamw.step(smooth)
    assert adamw.theta.tobytes() == adam.theta.tobytes()


def test_the_decay_is_decoupled_from_the_gradient():
    optimizer = gc.AdamW(THETA0, 0.125, weight_decay=0.5)
    for step in range(1, 6):
        optimizer.step(lambda theta: (0.0, np.zeros(6)))
        np.testing.assert_allclose(optimizer.theta, THETA0 * (1 - 0.125 * 0.5) ** step, rtol=1e-15)
    assert not optimizer.state["second_moment"].any()


def test_the_decay_goes_at_every_parameters_rate():
    rates = np.array([0.0, 0.25, 0.5, 1.0, 0.125, 0.0625])
    optimizer = gc.AdamW(THETA0, rates, weight_decay=0.5)
    optimizer.step(lambda theta: (0.0, np.zeros(6)))
    np.testing.assert_allclose(optimizer.theta, THETA0 * (1 - rates * 0.5), rtol=1e-15)


@pytest.mark.parametrize("lr", [4.0, 1e308])
def test_no_weight_decay_moves_what_is_masked(lr):
    # 0 times 1 − lr weight_decay is −0 or nan
    optimizer = gc.AdamW([1.0, 1.0], np.array([1e-3, lr]), weight_decay=10.0)
    optimizer.mask = [True, False]
    optimizer.step(lambda theta: (0.0, np.ones(2)))
    assert optimizer.theta.tolist()[0] == pytest.approx(1 - 1e-2 - 1e-3)
    assert optimizer.theta[1:].tobytes() == bytes(8)


def test_a_weight_decay_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"weight_decay must be finite and ≥ 0, got -0\.1"):
        gc.AdamW([1.0], weight_decay=-0.1)
    with pytest.raises(TypeError, match="weight_decay must be a real number, got NoneType"):
        gc.AdamW([1.0], weight_decay=None)


@pytest.mark.parametrize("beta", [-0.1, 1.0, np.nan])
def test_averaging_weights_out_of_range_are_refused(beta):
    with pytest.raises(ValueError, match=rf"betas\[0\] must be in \[0, 1\), got {beta}"):
        gc.Adam([1.0], betas=(beta, 0.9))
    with pytest.raises(ValueError, match=rf"betas\[1\] must be in \[0, 1\), got {beta}"):
        gc.Adam([1.0], betas=(0.9, beta))


def test_averaging_weights_that_are_no_pair_are_refused():
    with pytest.raises(ValueError, match=r"betas must be two numbers in \[0, 1\), got \(0.9,\)"):
        gc.Adam([1.0], betas=(0.9,))
    with pytest.raises(TypeError, match=r"betas\[1\] must be a real number, got str"):
        gc.Adam([1.0], betas=(0.9, "0.999"))


@pytest.mark.parametrize("betas", [0.9, None])
def test_averaging_weights_without_a_length_are_refused_by_name(betas):
    with pytest.raises(TypeError, match="betas"):
        gc.Adam([1.0], betas=betas)


@pytest.mark.parametrize("eps", [0.0, -1e-8, np.nan, np.inf])
def test_an_eps_that_is_not_positive_is_refused(eps):
    with pytest.raises(ValueError, match=f"eps must be finite and > 0, got {eps}"):
        gc.Adam([1.0], eps=eps)
