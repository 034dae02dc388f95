import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from tests.oracles import two_sided_brownian_covariance

spacings = st.floats(0.01, 10.0)
positive = st.floats(1e-3, 1e3)


@st.composite
def node_sets(draw, at_least=3):
    """3 to 9 irregular positions, on one side of 0 or on both, with 0 among them or not."""
    gaps = draw(st.lists(spacings, min_size=at_least - 1, max_size=8))
    nodes = draw(st.floats(-20, 5)) + np.cumsum([0.0, *gaps])
    if draw(st.booleans()):
        nodes = nodes - nodes[draw(st.integers(0, nodes.size - 1))]
    return nodes


def increments_covariance(nodes, density, length):
    difference = np.diff(np.eye(len(nodes)), axis=0)
    return difference @ two_sided_brownian_covariance(nodes, density, length) @ difference.T


@settings(deadline=None)
@given(node_sets())
def test_glass_kernel_annihilates_constants_and_every_linear_gradient(nodes):
    weights = gc.glass_kernel(nodes).weights
    size = abs(weights).sum()
    np.testing.assert_allclose(weights @ np.ones(nodes.size), 0, atol=1e-14 * size)
    np.testing.assert_allclose(weights @ nodes, 0, atol=1e-14 * size * abs(nodes).max())


@settings(deadline=None)
@given(node_sets(), positive, positive)
def test_glass_kernel_is_unbiased_with_variance_two_over_contrasts(nodes, density, length):
    kernel = gc.glass_kernel(nodes)
    contrasts = nodes.size - 2
    assert kernel.weights.shape == (contrasts, nodes.size)
    covariance = kernel.weights @ two_sided_brownian_covariance(nodes, density, length) @ kernel.weights.T
    mean = np.trace(covariance) / (contrasts * length)
    variance = 2 * np.trace(covariance @ covariance) / (contrasts * length) ** 2
    # Wick's theorem: a quadratic form in Gaussians with covariance K has variance 2 tr(AKAK).
    assert mean == pytest.approx(density, rel=1e-9)
    assert variance == pytest.approx(2 * density**2 / contrasts, rel=1e-9)


@settings(deadline=None)
@given(node_sets(), st.integers(0, 2**32 - 1))
def test_no_unbiased_mixture_of_contrasts_beats_the_glass_kernel(nodes, seed):
    rng = np.random.default_rng(seed)
    kernel = gc.glass_kernel(nodes)
    form = rng.standard_normal((nodes.size - 2, nodes.size - 2))
    form = form @ form.T  # any positive semidefinite form in the contrasts
    covariance = kernel.weights @ two_sided_brownian_covariance(nodes, 1.0, 1.0) @ kernel.weights.T
    form /= np.trace(form @ covariance)  # unbiased
    variance = 2 * np.trace(form @ covariance @ form @ covariance)
    assert variance >= 2 / (nodes.size - 2) * (1 - 1e-9)


@settings(deadline=None)
@given(node_sets(at_least=2), positive, positive)
def test_hessian_kernel_is_generalised_least_squares(nodes, density, length):
    design = np.diff(nodes) * length  # increments of g₀ + b t + W have mean b Δ σ
    inverse = np.linalg.inv(increments_covariance(nodes, density, length))
    increment_weights = inverse @ design / (design @ inverse @ design)
    expected = increment_weights @ np.diff(np.eye(nodes.size), axis=0) * length
    np.testing.assert_allclose(gc.hessian_kernel(nodes).weights[0], expected, atol=1e-9 * abs(expected).max())


@settings(deadline=None)
@given(node_sets(), st.integers(0, 2**32 - 1))
def test_no_feasible_weights_beat_the_hessian_kernel(nodes, seed):
    density, length = 2.0, 0.5
    best = gc.hessian_kernel(nodes).weights[0]
    constraints = np.stack([np.ones(nodes.size), nodes])
    np.testing.assert_allclose(constraints @ best, [0, 1], atol=1e-13)
    noise = np.random.default_rng(seed).standard_normal(nodes.size)
    other = best + noise - np.linalg.pinv(constraints) @ (constraints @ noise)
    covariance = two_sided_brownian_covariance(nodes, density, length)
    variance = best @ covariance @ best / length**2
    assert variance == pytest.approx(density / ((nodes[-1] - nodes[0]) * length), rel=1e-9)
    assert other @ covariance @ other / length**2 >= variance * (1 - 1e-9)


@settings(deadline=None)
@given(st.integers(1, 12), st.floats(1e-6, 1e3), st.integers(0, 2**32 - 1))
def test_three_point_density_of_every_quadratic_is_zero_to_rounding(n, length, seed):
    rng = np.random.default_rng(seed)
    hessian = rng.standard_normal((n, n))
    problem = gc.Quadratic(hessian + hessian.T, linear=rng.standard_normal(n))
    direction = gc.Rademacher().sample(n, rng)
    line = [problem.gradient(t * length * direction) for t in (-1, 0, 1)]
    rounding = 8 * np.finfo(float).eps * max(abs(row).max() for row in line)
    assert gc.glass_kernel().apply(line, length).max() <= 2 * rounding**2 / length


@settings(deadline=None)
@given(node_sets(), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_hessian_kernel_is_exact_on_quadratics(nodes, n, seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    problem = gc.Quadratic(root + root.T)
    direction, center = rng.standard_normal(n), rng.standard_normal(n)
    line = np.array([problem.gradient(center + t * 0.1 * direction) for t in nodes])
    tolerance = 1e-13 * abs(line).max() / (0.1 * (nodes[-1] - nodes[0]))
    np.testing.assert_allclose(
        gc.hessian_kernel(nodes).apply(line, 0.1), problem.hessian @ direction, atol=max(tolerance, 1e-12)
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 4), st.lists(st.floats(-3, 3), min_size=1, max_size=4), st.floats(0.1, 10))
def test_jumps_at_random_places_add_their_squares(increments, jumps, length):
    """All ways to put given jumps into equal increments: section 3 has the mean and the variance over these."""
    places = np.array(list(itertools.product(range(increments), repeat=len(jumps))))
    line = [(places < node) @ jumps for node in range(increments + 1)]
    densities = gc.glass_kernel(range(increments + 1)).apply(line, length)
    squares, distance = np.square(jumps), increments * length
    size = squares.sum() / distance
    assert densities.mean() == pytest.approx(size, rel=1e-12, abs=1e-300)
    variance = 2 / (increments - 1) * (squares.sum() ** 2 - np.sum(squares**2)) / distance**2
    assert densities.var() == pytest.approx(variance, rel=1e-9, abs=1e-12 * size**2)


@settings(deadline=None)
@given(*[st.floats(0.1, 10)] * 3)
def test_bending_adds_what_the_theory_says(length, second, third):
    distances = length * np.array([-1.0, 0.0, 1.0])
    line = (second / 2 * distances**2 + third / 6 * distances**3)[:, None]
    assert gc.glass_kernel().apply(line, length)[0] == pytest.approx(length**3 * second**2 / 2, rel=1e-11)
    assert gc.hessian_kernel().apply(line, length)[0] == pytest.approx(length**2 * third / 6, rel=1e-11)


@settings(deadline=None)
@given(st.floats(0.1, 1), st.floats(1.1, 10), positive)
def test_hessian_kernels_of_two_lengths_share_the_glass_of_the_longer(short, factor, density):
    nodes = np.array([-factor, -1, 1, factor]) * short
    rules = np.array([[0, -1, 1, 0], [-1 / factor, 0, 0, 1 / factor]]) / (2 * short)
    covariance = rules @ two_sided_brownian_covariance(nodes, density, 1.0) @ rules.T
    long = factor * short
    np.testing.assert_allclose(
        covariance, density / 2 * np.array([[1 / short, 1 / long], [1 / long, 1 / long]]), rtol=1e-12
    )


def test_noise_of_its_own_at_every_node_adds_three_times_its_variance_over_the_length():
    # The mean of (Σ_k w_k ε_k)²/σ for independent ε_k of variance η² is η² Σ_k w_k²/σ.
    assert np.sum(gc.glass_kernel().weights ** 2) == pytest.approx(3, rel=1e-14)


def test_three_nodes_give_the_reference_rule():
    g_minus, g_zero, g_plus = np.random.default_rng(0).standard_normal((3, 5))
    density = gc.glass_kernel().apply([g_minus, g_zero, g_plus], 0.3)
    np.testing.assert_allclose(density, 2 * ((g_plus + g_minus) / 2 - g_zero) ** 2 / 0.3, rtol=1e-13)
    product = gc.hessian_kernel().apply([g_minus, g_zero, g_plus], 0.3)
    np.testing.assert_allclose(product, (g_plus - g_minus) / 0.6, rtol=1e-13)


def test_single_precision_stays_single_precision():
    line = np.ones((3, 4), np.float32)
    assert gc.glass_kernel().apply(line, 0.1).dtype == np.float32
    assert gc.hessian_kernel().apply(line, 0.1).dtype == np.float32


@pytest.mark.parametrize("make", [gc.glass_kernel, gc.hessian_kernel])
def test_bad_nodes_are_refused(make):
    with pytest.raises(ValueError, match="nodes must increase strictly"):
        make((0, 0, 1))
    with pytest.raises(ValueError, match="nodes must hold at least"):
        make((0,))
    with pytest.raises(ValueError, match="nodes must be finite"):
        make((0, np.nan, 1))
    with pytest.raises(ValueError, match=r"nodes must have shape \(n,\)"):
        make([[0, 1, 2]])
    with pytest.raises(TypeError, match="nodes must be real numbers"):
        make((0, 1j, 2))


def test_two_nodes_cannot_measure_glass():
    with pytest.raises(ValueError, match="nodes must hold at least 3 positions, got 2"):
        gc.glass_kernel((-1, 1))


def test_bad_gradients_are_refused():
    kernel = gc.glass_kernel()
    with pytest.raises(ValueError, match="gradients must have one row for each of the 3 nodes"):
        kernel.apply(np.zeros((2, 4)), 0.1)
    with pytest.raises(ValueError, match="gradients must have shape"):
        kernel.apply(np.zeros(3), 0.1)
    with pytest.raises(ValueError, match="gradients must be finite"):
        kernel.apply(np.full((3, 1), np.inf), 0.1)
    with pytest.raises(ValueError, match="length must be finite and > 0"):
        kernel.apply(np.zeros((3, 4)), 0.0)
