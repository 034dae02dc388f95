import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.nesterov import averaged_noise_variance
from tests.oracles import all_vectors
from tests.statistics import assert_mean_is

seeds = st.integers(0, 2**32 - 1)


def random_quadratic(n, rng):
    """Any signature, eigenvalues spread over eight decades."""
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    eigenvalues = rng.choice([-1.0, 1.0], n) * 10 ** rng.uniform(-4, 4, n)
    hessian = (basis * eigenvalues) @ basis.T
    return gc.Quadratic((hessian + hessian.T) / 2, linear=rng.standard_normal(n))


def run(problem, betas, fractions, lookaheads, rng, start_error=0.0):
    """The recursion of section 7 with arbitrary steps; returns G − ∇L(μ), Hδ and the size of the gradients."""
    mu = rng.standard_normal(problem.size)
    average = problem.gradient(mu) + start_error
    errors, products, scale = [], [], abs(average).max()
    for beta, fraction, lookahead in zip(betas, fractions, np.broadcast_to(lookaheads, len(betas)), strict=True):
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
    lookaheads = rng.uniform(0, 2, 40)
    fractions = [gc.exact_step_fraction(beta, ahead) for beta, ahead in zip(betas, lookaheads, strict=True)]
    errors, _, scale = run(random_quadratic(n, rng), betas, fractions, lookaheads, rng)
    assert abs(errors).max() <= 1e-13 * n * scale


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0, 2), st.floats(0, 2), seeds)
def test_any_other_fraction_errs_by_the_predicted_amount(n, beta, lookahead, fraction, seed):
    rng = np.random.default_rng(seed)
    problem, expected = random_quadratic(n, rng), rng.standard_normal(n)  # a wrong start, too
    errors, products, scale = run(problem, [beta] * 40, [fraction] * 40, lookahead, rng, expected)
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


@settings(deadline=None)
@given(st.integers(1, 10), st.floats(0, 0.99), st.floats(0.1, 2), seeds)
def test_l1_regularisation_adds_the_error_of_its_signs(n, beta, lookahead, seed):
    rng = np.random.default_rng(seed)
    problem, weight = gc.Quadratic(np.diag(rng.uniform(-2, 2, n))), 0.7

    def gradient(theta):
        return problem.gradient(theta) + weight * np.sign(theta)

    mu = rng.standard_normal(n)
    average, error = gradient(mu), np.zeros(n)
    for delta in rng.standard_normal((20, n)):
        ahead, after = mu + lookahead * delta, mu + gc.exact_step_fraction(beta, lookahead) * delta
        average = beta * average + (1 - beta) * gradient(ahead)
        added = weight * ((1 - beta) * np.sign(ahead) + beta * np.sign(mu) - np.sign(after))
        assert (abs(added) <= 2 * weight * max(beta, 1 - beta) + 1e-12).all()
        assert (abs(added[np.sign(mu) == np.sign(ahead)]) <= 1e-12).all()
        error, mu = beta * error + added, after
        np.testing.assert_allclose(average - gradient(mu), error, atol=1e-11 * (1 + abs(mu).max()))


@settings(deadline=None)
@given(st.integers(1, 10), st.floats(0, 0.99), st.floats(0, 3), seeds)
def test_on_a_cubic_loss_a_step_adds_half_of_the_third_derivative(n, beta, lookahead, seed):
    """L = Σ κ_i θ_i³/6, whose gradient is of second order: nothing is left out."""
    rng = np.random.default_rng(seed)
    third = rng.standard_normal(n)
    mu, average = rng.standard_normal(n), rng.standard_normal(n)
    error = average - third * mu**2 / 2
    for delta in rng.standard_normal((20, n)):
        average = beta * average + (1 - beta) * third * (mu + lookahead * delta) ** 2 / 2
        mu = mu + gc.exact_step_fraction(beta, lookahead) * delta
        error = beta * error + beta * (1 - beta) * lookahead**2 * third * delta**2 / 2
        np.testing.assert_allclose(average - third * mu**2 / 2, error, atol=1e-11 * (1 + mu @ mu))


def exact_moment(toy, points, weights):
    """E (Σ w_k ∇L(x_k))(Σ w_k ∇L(x_k))ᵀ for weights that add up to 0, hinge by hinge, piece by piece of its offset."""
    margins = toy.normals @ points.T
    order = np.argsort(margins)
    lengths = np.diff(np.take_along_axis(margins, order, axis=1))
    active = np.cumsum(weights[order][:, ::-1], axis=1)[:, ::-1][:, 1:]  # Σ w_k of the points beyond each piece
    pieces = toy.signal_scale**2 / (2 * toy.half_width) * np.sum(active**2 * lengths, axis=1)
    return (toy.normals.T * pieces) @ toy.normals


@settings(deadline=None)
@given(st.integers(1, 5), st.floats(0, 0.99), st.floats(0, 2), seeds)
def test_glass_leaves_the_covariance_of_a_contrast(n, beta, lookahead, seed):
    rng = np.random.default_rng(seed)
    toy = gc.RandomHinges(n, 20, half_width=1e3, rng=rng)
    mu = np.zeros(n)
    points, weights = [mu], np.ones(1)  # G_0 = ∇L(μ_0)
    for delta in rng.standard_normal((8, n)):
        points.append(mu + lookahead * delta)
        weights = np.append(beta * weights, 1 - beta)
        mu = mu + gc.exact_step_fraction(beta, lookahead) * delta
    points, weights = np.array([*points, mu]), np.append(weights, -1)
    pairs = zip(np.outer(weights, weights).ravel(), (points[:, None] - points).reshape(-1, n), strict=True)
    predicted = -0.5 * sum(weight * toy.covariance(difference) for weight, difference in pairs)
    np.testing.assert_allclose(predicted, exact_moment(toy, points, weights), atol=1e-12)


@settings(deadline=None)
@given(st.integers(1, 5), st.floats(0, 0.99), st.floats(0, 2), seeds)
def test_glass_leaves_the_covariance_of_a_bridge(n, beta, lookahead, seed):
    rng = np.random.default_rng(seed)
    toy, delta = gc.RandomHinges(n, 20, half_width=1e3, rng=rng), rng.standard_normal(n)
    points = np.outer([lookahead, 0, gc.exact_step_fraction(beta, lookahead)], delta)
    found = exact_moment(toy, points, np.array([1 - beta, beta, -1]))
    np.testing.assert_allclose(found, beta * (1 - beta) * lookahead * toy.covariance(delta), atol=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_noise_variance_of_the_average_is_the_steady_state_one(beta):
    rng = np.random.default_rng(5)
    noise = 1.7 * rng.standard_normal((40_000, 150 if beta == 0.9 else 40))
    average = noise[:, 0]
    for column in noise.T[1:]:
        average = beta * average + (1 - beta) * column
    # The start is forgotten: 0.9^(2·149) = 2e-14.
    assert_mean_is(average**2, averaged_noise_variance(beta, 1.7**2))


@settings(deadline=None)
@given(st.floats(0, 0.99), st.floats(0.1, 2), st.floats(0.1, 2), st.floats(0.1, 2))
def test_noise_has_mean_zero_and_is_correlated_with_the_centre_that_it_moves(beta, lookahead, rate, curvature):
    """All runs of five steps −aG on a parabola with noise ±1."""
    noise = all_vectors(5)
    fraction = gc.exact_step_fraction(beta, lookahead)
    centre = np.ones(len(noise))
    average = curvature * centre
    variance = product = 0.0
    for new in noise.T:
        ahead, centre = centre - lookahead * rate * average, centre - fraction * rate * average
        average = beta * average + (1 - beta) * (curvature * ahead + new)
        left = average - curvature * centre
        product = beta * ((1 - fraction * rate * curvature) * product - fraction * rate * variance)
        variance = beta**2 * variance + (1 - beta) ** 2
        rounding = 1e-13 * (1 + abs(centre).max()) ** 2 * (1 + curvature)
        assert left.mean() == pytest.approx(0, abs=rounding)
        assert np.mean(left**2) == pytest.approx(variance, abs=rounding)
        assert np.mean(centre * left) == pytest.approx(product, abs=rounding)


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
