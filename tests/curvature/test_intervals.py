import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

import glasscurv as gc
from glasscurv.curvature.intervals import chi_square_weights, concentrate, mixture_quantile, orthogonal_weights

KERNEL = gc.glass_kernel()


@pytest.mark.parametrize("k", [1, 2, 5, 50])
@pytest.mark.parametrize("probability", [1e-4, 0.025, 0.5, 0.975, 0.9999])
def test_equal_weights_have_the_quantiles_of_chi_square(k, probability):
    found = k * mixture_quantile(np.full(k, 1 / k), probability)
    assert found == pytest.approx(chi2.ppf(probability, k), rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.sampled_from([0.025, 0.5, 0.975]))
def test_quantiles_of_mixtures(weights, probability):
    """Against 40,000 draws: 4.9 standard errors, and what the gamma variable misses, on the safe side below."""
    weights = np.array(weights) / np.sum(weights)
    draws = np.random.default_rng(0).chisquare(1, (40_000, len(weights))) @ weights
    below = np.mean(draws <= mixture_quantile(weights, probability))
    chance = 4.9 * np.sqrt(probability * (1 - probability) / 40_000)
    assert below - probability <= chance + (0.01 if probability == 0.5 else 0.001)
    assert probability - below <= chance + (0.001 if probability > 0.5 else 0.016)


def test_orthogonal_lines_correlate_with_two_minus_root_two():
    r = 2 - np.sqrt(2)
    weights = orthogonal_weights(KERNEL.nodes, KERNEL.weights, 16)[0]
    np.testing.assert_allclose(np.sort(weights)[[0, -2, -1]], np.array([1 - r, 1 - r, 1 + 15 * r]) / 16, rtol=1e-12)
    for nodes in ((-1, 0, 1), (-2, -1, 0, 3), (0, 1, 2, 3)):
        kernel = gc.glass_kernel(nodes)
        single = orthogonal_weights(kernel.nodes, kernel.weights, 1)[0]
        np.testing.assert_allclose(single, 1 / (len(nodes) - 2), rtol=1e-12)


def test_many_parameters_come_close_to_orthogonal_lines():
    rng = np.random.default_rng(0)
    directions = np.array([gc.Rademacher().sample(4000, rng) for _ in range(6)])
    exact = chi_square_weights(KERNEL.nodes, KERNEL.weights, directions[:, :])[:3]
    expected = np.sort(orthogonal_weights(KERNEL.nodes, KERNEL.weights, 6)[0])
    np.testing.assert_allclose(np.sort(exact, axis=1), np.tile(expected, (3, 1)), atol=0.01)


def test_a_line_drawn_twice_counts_once():
    directions = np.array([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    weights = chi_square_weights(KERNEL.nodes, KERNEL.weights, directions)
    np.testing.assert_allclose(np.sort(weights, axis=1), [[0, 1]] * 3, atol=1e-7)


def test_directions_that_move_nothing_tell_nothing():
    weights = chi_square_weights(KERNEL.nodes, KERNEL.weights, np.zeros((2, 3)))
    np.testing.assert_array_equal(weights, np.full((3, 2), 0.5))


@pytest.mark.parametrize("nodes", [(-1, 0, 1), (-2, -1, 0, 1, 2)])
def test_the_law_is_that_of_random_hinges(nodes):
    """ρ̂/ρ of coordinate 0 over 4000 dense landscapes, three fixed directions of three parameters."""
    rng = np.random.default_rng(5)
    kernel = gc.glass_kernel(nodes)
    directions = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
    weights = chi_square_weights(kernel.nodes, kernel.weights, directions)[0]
    toy = gc.RandomHinges(3, 1500, half_width=14.0, rng=rng)
    points = np.concatenate([t * directions for t in kernel.nodes])
    sides = points @ toy.normals.T
    estimates = []
    for _ in range(4000):
        landscape = toy.redraw(rng)
        gradients = (sides > landscape.offsets) @ (landscape.signals * toy.normals[:, 0])
        contrasts = kernel.weights @ gradients.reshape(len(nodes), 3)
        estimates.append(np.mean(contrasts**2))
    exact = np.mean([toy.density(z)[0] for z in directions])
    draws = rng.chisquare(1, (400_000, len(weights))) @ weights
    # Kolmogorov and Smirnov reject at 0.04 with one in a million; 300 hinges are crossed, not infinitely many.
    assert kstest(np.array(estimates) / exact, draws).statistic < 0.045


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=8), st.floats(0.01, 1e6), st.floats(0.1, 1))
def test_few_crossings_widen_the_law_by_the_variance_of_a_compound_poisson_process(weights, crossings, overlap):
    weights = np.array([weights]) / np.sum(weights)
    widened = concentrate(weights, KERNEL.nodes, crossings, np.array([overlap]))
    assert widened.sum() == pytest.approx(1)
    assert (widened >= 0).all()
    before, after = 2 * np.sum(weights**2), 2 * np.sum(widened**2)
    assert after == pytest.approx(min(before + 9 / (2 * crossings) * overlap, 2.0), rel=1e-6)


@pytest.mark.parametrize("nodes", [np.linspace(-1, 1, 9), np.array([-2.0, 0, 0.5, 1])])
def test_the_variance_of_few_crossings_is_that_of_any_nodes(nodes):
    """40,000 lines of a compound Poisson process with normal jumps, κ = 3: the excess over 2/r, up to its own error."""
    rng, crossings, count = np.random.default_rng(6), 8.0, 40_000
    kernel = gc.glass_kernel(nodes)
    r = len(kernel.weights)
    times = rng.poisson(crossings * np.diff(nodes), (count, nodes.size - 1))
    increments = np.sqrt(times) * rng.standard_normal(times.shape)  # a sum of normal jumps
    paths = np.concatenate([np.zeros((count, 1)), np.cumsum(increments, axis=1)], axis=1)
    densities = np.square(paths @ kernel.weights.T).mean(axis=1) / crossings
    weights = np.full((1, r), 1 / r)
    widened = concentrate(weights, nodes, crossings, np.ones(1))
    excess = (2 * np.sum(widened**2) - 2 / r) / 3  # κ is 3 here, not 9
    assert densities.mean() == pytest.approx(1, abs=0.05)
    assert densities.var() == pytest.approx(2 / r + excess, rel=0.1)


def widened_variance(nodes, crossings):
    r = len(nodes) - 2
    return 2 * float(np.sum(concentrate(np.full((1, r), 1 / r), nodes, crossings, np.ones(1)) ** 2))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=12), st.floats(100, 1e5))
def test_equal_spacing_and_the_stated_number_of_nodes_are_best(spacings, on_the_line):
    """With κ = 9 on a line with so many boundaries: 2/(m − 1) + κ/N, and least m times it at m = 1 + sqrt(2N/κ)."""
    m, nodes = len(spacings), np.concatenate([[0.0], np.cumsum(spacings)])
    equal = widened_variance(np.arange(m + 1.0), on_the_line / m)
    assert equal == pytest.approx(2 / (m - 1) + 9 / on_the_line, rel=1e-9)
    assert equal <= widened_variance(nodes, on_the_line / nodes[-1]) * (1 + 1e-9)
    best = int(1 + np.sqrt(2 * on_the_line / 9))
    costs = [k * widened_variance(np.arange(k + 1.0), on_the_line / k) for k in range(best - 1, best + 3)]
    assert np.argmin(costs) in (1, 2)  # the integers next to the best number


def test_no_crossings_leave_a_single_chi_square_number():
    widened = concentrate(np.full((2, 4), 0.25), KERNEL.nodes, 0.0, np.ones(2))
    np.testing.assert_allclose(np.sort(widened, axis=1), [[0, 0, 0, 1]] * 2, atol=1e-15)
