import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.nesterov import averaged_noise_variance
from tests.statistics import assert_mean_is

seeds = st.integers(0, 2**32 - 1)


def random_quadratic(n, rng):
    """Any signature, eigenvalues spread over eight decades."""
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    eigenvalues = rng.choice([-1.0, 1.0], n) * 10 ** rng.uniform(-4, 4, n)
    hessian = (basis * eigenvalues) @ basis.T
    return gc.Quadratic((hessian + hessian.T) / 2, linear=rng.standard_normal(n))


def run(problem, betas, fractions, lookahead, rng, steps=40):
    """The recursion of section 7 with arbitrary steps; returns G − ∇L(μ), Hδ and the size of the gradients."""
    mu = rng.standard_normal(problem.size)
    average = problem.gradient(mu)
    errors, products, scale = [], [], abs(average).max()
    for beta, fraction in zip(betas, fractions, strict=True):
        delta = rng.standard_normal(problem.size) * 10 ** rng.uniform(-2, 1)
        gradient = problem.gradient(mu + lookahead * delta)
        mu = mu + fraction * delta
        average = beta * average + (1 - beta) * gradient
        errors.append(average - problem.gradient(mu))
        products.append(problem.hessian @ delta)
        scale = max(scale, abs(gradient).max(), abs(problem.hessian).max() * abs(mu).max())
    return np.array(errors), np.array(products), scale


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(0, 0.999), st.floats(0, 3), seeds)
def test_averaged_gradient_is_exact_on_every_quadratic_for_any_steps(n, beta, lookahead, seed):
    rng = np.random.default_rng(seed)
    fractions = [gc.exact_step_fraction(beta, lookahead)] * 40
    errors, _, scale = run(random_quadratic(n, rng), [beta] * 40, fractions, lookahead, rng)
    assert abs(errors).max() <= 1e-13 * n * scale


@settings(deadline=None)
@given(st.integers(1, 30), seeds)
def test_exactness_survives_varying_weights(n, seed):
    rng = np.random.default_rng(seed)
    betas = rng.uniform(0, 0.99, 40)
    fractions = [gc.exact_step_fraction(beta, 1.5) for beta in betas]
    errors, _, scale = run(random_quadratic(n, rng), betas, fractions, 1.5, rng)
    assert abs(errors).max() <= 1e-13 * n * scale


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0, 2), st.floats(0, 2), seeds)
def test_any_other_fraction_errs_by_the_predicted_amount(n, beta, lookahead, fraction, seed):
    rng = np.random.default_rng(seed)
    errors, products, scale = run(random_quadratic(n, rng), [beta] * 40, [fraction] * 40, lookahead, rng)
    expected = np.zeros(n)
    mismatch = gc.exact_step_fraction(beta, lookahead) - fraction
    for error, product in zip(errors, products, strict=True):
        expected = beta * expected + mismatch * product  # past errors are averaged with the gradient
        np.testing.assert_allclose(error, expected, atol=1e-12 * n * scale)


@settings(deadline=None)
@given(st.integers(1, 10), st.floats(0, 0.99), seeds)
def test_l2_regularisation_keeps_exactness(n, beta, seed):
    rng = np.random.default_rng(seed)
    smooth = gc.Quadratic(np.diag(rng.uniform(0.5, 2, n)) + 0.3 * np.eye(n))
    fractions = [gc.exact_step_fraction(beta)] * 40
    errors, _, scale = run(smooth, [beta] * 40, fractions, 1.0, rng)
    assert abs(errors).max() <= 1e-13 * n * scale


@pytest.mark.parametrize("seed", range(5))
def test_l1_regularisation_breaks_exactness(seed):
    class WithL1(gc.Quadratic):
        def gradient(self, theta):
            return super().gradient(theta) + np.sign(theta)

    # Twenty coordinates: some change their sign, where the gradient jumps.
    errors, _, _ = run(WithL1(np.eye(20)), [0.9] * 40, [0.1] * 40, 1.0, np.random.default_rng(seed))
    assert abs(errors).max() > 1e-3


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_noise_variance_of_the_average_is_the_steady_state_one(beta):
    rng = np.random.default_rng(5)
    noise = 1.7 * rng.standard_normal((40_000, 150 if beta == 0.9 else 40))
    average = noise[:, 0]
    for column in noise.T[1:]:
        average = beta * average + (1 - beta) * column
    # The start is forgotten: 0.9^(2·149) = 2e-14.
    assert_mean_is(average**2, averaged_noise_variance(beta, 1.7**2))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\), got 1"):
        gc.exact_step_fraction(1.0)
    with pytest.raises(ValueError, match=r"beta must be in \[0, 1\), got -0\.1"):
        averaged_noise_variance(-0.1, 1.0)
    with pytest.raises(ValueError, match="lookahead must be finite and ≥ 0"):
        gc.exact_step_fraction(0.5, -1.0)
    with pytest.raises(ValueError, match="noise_variance must be finite and ≥ 0"):
        averaged_noise_variance(0.5, -1.0)
    with pytest.raises(TypeError, match="beta must be a real number, got str"):
        gc.exact_step_fraction("0.9")
