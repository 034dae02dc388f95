import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

import glasscurv as gc
from tests.oracles import all_vectors
from tests.statistics import assert_mean_is, critical_value

seeds = st.integers(0, 2**32 - 1)


def slow_hinges(toy, theta):
    value, gradient = 0.0, np.zeros(toy.size)
    for normal, offset, signal in zip(toy.normals, toy.offsets, toy.signals, strict=True):
        margin = normal @ theta - offset
        if margin > 0:
            value += signal * margin
            gradient += signal * normal
    return value, gradient


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), seeds)
def test_random_hinges_are_the_sum_of_their_hinges(n, hinges, seed):
    toy = gc.RandomHinges(n, hinges, half_width=2.0, rng=seed)
    theta = np.random.default_rng(seed).standard_normal(n)
    value, gradient = slow_hinges(toy, theta)
    assert toy.value(theta) == pytest.approx(value, abs=1e-12)
    np.testing.assert_allclose(toy.gradient(theta), gradient, atol=1e-12)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), seeds)
def test_exact_densities_agree_with_one_another(n, hinges, seed):
    rng = np.random.default_rng(seed)
    toy = gc.RandomHinges(n, hinges, half_width=3.0, signal_scale=1.7, rng=rng)
    direction = rng.standard_normal(n)
    np.testing.assert_allclose(toy.covariance(direction).diagonal(), toy.density(direction), rtol=1e-12)
    columns = np.stack([toy.density(e) for e in np.eye(n)], axis=1)
    np.testing.assert_allclose(columns, toy.density_matrix(), rtol=1e-12)
    # E v_i² ≤ Σ_j R_ij |δ_j|, and density is homogeneous of degree one.
    assert (toy.density(direction) <= toy.density_matrix() @ abs(direction) * (1 + 1e-12)).all()
    np.testing.assert_allclose(toy.density(-2.5 * direction), 2.5 * toy.density(direction), rtol=1e-12)
    u = direction / np.linalg.norm(direction)
    assert toy.directional_density(direction) == pytest.approx(u @ toy.covariance(u) @ u, rel=1e-12)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), seeds)
def test_rademacher_density_obeys_khintchine(n, hinges, seed):
    """Equation (4), with the average over all 2^n sign vectors."""
    toy = gc.RandomHinges(n, hinges, rng=seed)
    signs = all_vectors(n)
    mean = np.mean([toy.density(z) for z in signs], axis=0)
    norms = np.linalg.norm(toy.normals, axis=1)
    upper = (norms * toy.signal_scale**2 / (2 * toy.half_width)) @ toy.normals**2
    assert (mean <= upper * (1 + 1e-12)).all()
    assert (mean >= upper / np.sqrt(2) * (1 - 1e-12)).all()
    assert (toy.density_matrix().diagonal() <= mean * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    "law", [gc.Uniform(0.5, 1.5), gc.Gaussian(), gc.Uniform(0, 1), gc.SparseRademacher(0.5)], ids=repr
)
def test_rademacher_density_is_least_among_laws_of_one_mean_length(law):
    """By Jensen E|a·z| ≥ E|Σ_j a_j s_j E|z_j||: given E|z|, constant |z| contaminates least."""
    toy = gc.RandomHinges(4, 300, half_width=8.0, rng=0)
    rng = np.random.default_rng(1)
    signs = all_vectors(4)
    least = np.mean([toy.density(z) for z in signs], axis=0)
    samples = np.array([toy.density(law.sample(4, rng)) for _ in range(20_000)]) / law.absolute_moment(1)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert (samples.mean(axis=0) - critical_value(4) * error > least).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 10), st.floats(0.05, 0.95), st.floats(0.01, 0.99), seeds)
def test_rademacher_has_the_least_density_under_either_normalisation(n, hinges, probability, ratio, seed):
    """All directions of a law with two magnitudes, 1 and `ratio`: Jensen's inequality, section 4."""
    toy = gc.RandomHinges(n, hinges, rng=seed)
    z = all_vectors(n, (-1.0, -ratio, ratio, 1.0))
    weights = np.prod(np.where(abs(z) == 1, probability, 1 - probability) / 2, axis=1)
    signs = all_vectors(n)
    least = np.mean([toy.density(one) for one in signs], axis=0) * (1 - 1e-12)
    densities = np.array([toy.density(one) for one in z])
    assert (weights @ densities / (probability + (1 - probability) * ratio) >= least).all()
    assert (weights @ (densities / abs(z)) >= least).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 10), st.floats(0.01, 1), seeds)
def test_sparse_directions_bracket_the_diagonal_and_the_row_sum(n, hinges, q, seed):
    """All 3^n directions with their probabilities: the bounds of section 4 for any q."""
    toy = gc.RandomHinges(n, hinges, rng=seed)
    z = all_vectors(n, (-1.0, 0.0, 1.0))
    moves = z != 0
    probability = np.prod(np.where(moves, q / 2, 1 - q), axis=1)
    densities, matrix = np.array([toy.density(one) for one in z]), toy.density_matrix()
    diagonal, row_sum = matrix.diagonal(), matrix.sum(axis=1)
    where_it_moves, of_all = probability @ (moves * densities) / q, probability @ densities / q
    rounding = 1e-12 * row_sum
    assert (diagonal - rounding <= where_it_moves).all()
    assert (where_it_moves <= diagonal + q * (row_sum - diagonal) + rounding).all()
    assert ((1 - q) ** (n - 1) * row_sum - rounding <= of_all).all()
    assert (of_all <= row_sum + rounding).all()


def test_gaussian_normals_give_a_diagonal_twice_the_rest():
    # R_ii/R_ij = E|a|³/(E|a| E a²) = 2; the mean over 4000 hinges of |a|³ has a relative error of 2 %.
    R = gc.RandomHinges(6, 40_000, rng=3).density_matrix()
    off = (R.sum() - R.trace()) / 30
    assert R.diagonal().mean() / off == pytest.approx(2, abs=0.05)


@settings(deadline=None)
@given(st.integers(2, 6), seeds)
def test_on_average_over_signs_the_covariance_is_diagonal(n, seed):
    """A hinge for each of the 2^n signs of one normal: an average over them, for one moving coordinate and for all."""
    rng = np.random.default_rng(seed)
    signs = all_vectors(n)
    toy = gc.RandomHinges(n, len(signs), normals=signs * rng.standard_normal(n), rng=rng)
    covariances = [toy.covariance(e) for e in np.eye(n)]
    covariances.append(sum(toy.covariance(z) for z in signs))
    for covariance in covariances:
        np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=1e-13 * covariance.max())


@pytest.mark.parametrize("signals", ["gaussian", "rademacher"])
def test_signals_have_zero_mean_and_the_stated_scale(signals):
    toy = gc.RandomHinges(1, 60_000, signal_scale=0.3, half_width=2.0, signals=signals, rng=4)
    assert_mean_is(toy.signals, 0.0, resolution=None)
    if signals == "gaussian":
        assert_mean_is(toy.signals**2, 0.09)
    else:
        assert set(abs(toy.signals)) == {0.3}
    assert_mean_is(toy.offsets, 0.0, resolution=None)
    assert_mean_is(toy.offsets**2, 4 / 3)
    assert abs(toy.offsets).max() <= 2.0


def test_crossings_are_counted_right_on_average():
    rng = np.random.default_rng(5)
    toy = gc.RandomHinges(3, 200, half_width=6.0, rng=rng)
    displacement = np.array([0.5, 0.1, -0.4])
    counts = []
    for _ in range(4000):
        landscape = toy.redraw(rng)
        margins = landscape.normals @ displacement - landscape.offsets
        counts.append(np.sum((margins > 0) != (-landscape.offsets > 0)))
    assert_mean_is(counts, toy.expected_crossings(displacement))


def test_covers_tells_where_the_formulas_are_exact():
    toy = gc.RandomHinges(1, 1, half_width=1.0, normals=[[2.0]], rng=0)
    assert toy.covers([0.2], [0.3])
    assert not toy.covers([0.2], [0.31])


def test_redraw_keeps_the_normals_and_leaves_the_original_alone():
    toy = gc.RandomHinges(2, 30, rng=6)
    before = (toy.offsets.copy(), toy.signals.copy())
    other = toy.redraw(7)
    assert other.normals is toy.normals
    assert not np.array_equal(other.offsets, toy.offsets)
    np.testing.assert_array_equal(toy.offsets, before[0])
    np.testing.assert_array_equal(toy.signals, before[1])
    np.testing.assert_array_equal(other.signals, toy.redraw(7).signals)


@settings(deadline=None)
@given(st.integers(1, 8), seeds)
def test_quadratic_has_its_hessian_and_gradient(n, seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n, n))
    problem = gc.Quadratic(root + root.T, linear=rng.standard_normal(n), constant=2.0)
    theta, delta = rng.standard_normal((2, n))
    difference = problem.value(theta + delta) - problem.value(theta)
    expected = problem.gradient(theta) @ delta + delta @ problem.hessian @ delta / 2
    assert difference == pytest.approx(expected, abs=1e-10)
    numeric = approx_fprime(theta, problem.value)
    np.testing.assert_allclose(problem.gradient(theta), numeric, atol=1e-5)


def test_sum_adds_values_and_gradients():
    hinges, quadratic = gc.RandomHinges(2, 20, rng=8), gc.Quadratic(np.eye(2))
    both, theta = hinges + quadratic, np.array([0.3, -0.2])
    assert both.value(theta) == hinges.value(theta) + quadratic.value(theta)
    np.testing.assert_array_equal(both.gradient(theta), hinges.gradient(theta) + quadratic.gradient(theta))
    assert (both + quadratic).value(theta) == pytest.approx(both.value(theta) + quadratic.value(theta))


def test_a_hessian_symmetric_up_to_rounding_will_do():
    root = np.random.default_rng(0).standard_normal((5, 5))
    inverse = np.linalg.inv(root @ root.T + np.eye(5))
    hessian = gc.Quadratic(inverse).hessian
    assert (hessian == hessian.T).all()
    np.testing.assert_allclose(hessian, inverse, rtol=1e-12)


def test_hessian_given_by_the_caller_is_copied():
    hessian = np.eye(2)
    problem = gc.Quadratic(hessian)
    hessian[0, 0] = 9
    assert problem.value([1.0, 0.0]) == 0.5


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"hessian must be square and symmetric, got shape \(2, 2\)"):
        gc.Quadratic([[0, 1], [2, 0]])
    with pytest.raises(ValueError, match=r"hessian must be square and symmetric, got shape \(1, 2\)"):
        gc.Quadratic([[0, 1]])
    with pytest.raises(ValueError, match=r"linear must have shape \(2,\)"):
        gc.Quadratic(np.eye(2), linear=[1.0])
    with pytest.raises(ValueError, match=r"theta must have shape \(2,\)"):
        gc.Quadratic(np.eye(2)).value([1.0])
    with pytest.raises(ValueError, match="dimension must be ≥ 1, got 0"):
        gc.RandomHinges(0, 1)
    with pytest.raises(TypeError, match=r"hinges must be an integer, got float"):
        gc.RandomHinges(1, 1.5)
    with pytest.raises(ValueError, match="half_width must be finite and > 0"):
        gc.RandomHinges(1, 1, half_width=0)
    with pytest.raises(ValueError, match="signal_scale must be finite and > 0"):
        gc.RandomHinges(1, 1, signal_scale=-1)
    with pytest.raises(ValueError, match="signals must be one of"):
        gc.RandomHinges(1, 1, signals="cauchy")
    with pytest.raises(ValueError, match=r"normals must have shape \(rows, 2\)"):
        gc.RandomHinges(2, 1, normals=[[1.0]])
    with pytest.raises(ValueError, match=r"normals must have shape \(2, 1\)"):
        gc.RandomHinges(1, 2, normals=[[1.0]])
    with pytest.raises(ValueError, match="direction must not be zero"):
        gc.RandomHinges(1, 1).directional_density([0.0])
    with pytest.raises(TypeError, match=r"rng must be None, an int or a numpy\.random\.Generator, got str"):
        gc.RandomHinges(1, 1, rng="seed")
    with pytest.raises(ValueError, match=r"problems must be of one size, got sizes \[1, 2\]"):
        gc.Sum(gc.Quadratic([[1.0]]), gc.Quadratic(np.eye(2)))
    with pytest.raises(ValueError, match="problems must be of one size"):
        gc.Sum()
    with pytest.raises(TypeError, match="problems must be Problem instances, got int"):
        gc.Sum(gc.Quadratic([[1.0]]), 1)
    with pytest.raises(NotImplementedError):
        gc.Problem().value([1.0])
