import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glasscurv as gc
from glasscurv.compression import measured_saliency, pruning_saliency, removal_length
from tests.oracles import slow_saliency
from tests.statistics import assert_mean_is

TERMS = ("gradient", "hessian", "glass", "abs_gradient", "abs_hessian", "magnitude", "input_norm")
finite = st.floats(-1e3, 1e3)
positive = st.floats(0, 1e3)
rows = st.lists(st.tuples(finite, finite, finite, positive, positive), min_size=1, max_size=12).map(
    lambda columns: np.array(columns).T
)


def saliency(columns, terms, theta=None):
    start, gradient, hessian, density, norm = columns
    return pruning_saliency(start if theta is None else theta, gradient, hessian, density, terms, norm)


@pytest.mark.parametrize("term", TERMS)
@settings(deadline=None, max_examples=20)
@given(columns=rows)
def test_every_term_is_its_formula(columns, term):
    expected = np.array([float(value) for value in slow_saliency(*columns, term)])
    found = saliency(columns, term)
    np.testing.assert_allclose(found, expected, rtol=4e-15, atol=1e-320)
    assert np.array_equal(saliency(columns, [term]), found)


@settings(deadline=None, max_examples=50)
@given(rows, st.lists(st.sampled_from(TERMS[:5]), min_size=1, unique=True))
def test_terms_add_up(columns, terms):
    parts = [saliency(columns, term) for term in terms]
    scale = np.sum(np.abs(parts), axis=0)
    assert np.all(abs(saliency(columns, terms) - np.sum(parts, axis=0)) <= 1e-15 * scale)


@settings(deadline=None, max_examples=50)
@given(rows)
def test_saliencies_are_loss_changes_of_single_removals(columns):
    theta, gradient, hessian, density, _ = columns
    found, glass = saliency(columns, TERMS[:3]), saliency(columns, "glass")
    for i in range(theta.size):
        delta = np.zeros(theta.size)
        delta[i] = -theta[i]
        change = gc.expected_glass_change(delta, density)
        assert glass[i] == pytest.approx(change, rel=1e-14)
        scale = abs(gradient[i] * theta[i]) + abs(hessian[i]) * theta[i] ** 2 / 2 + change
        assert abs(found[i] - gc.predict_loss_change(delta, gradient, hessian, density)) <= 1e-14 * scale
    # Equation (8a) is separable.
    assert glass.sum() == pytest.approx(gc.expected_glass_change(-theta, density), rel=1e-13)
    scale = abs(saliency(columns, "gradient")).sum() + abs(saliency(columns, "hessian")).sum() + glass.sum()
    assert abs(found.sum() - gc.predict_loss_change(-theta, gradient, hessian, density)) <= 1e-13 * scale


@settings(deadline=None, max_examples=50)
@given(rows)
def test_without_glass_and_with_a_diagonal_hessian_the_prediction_is_the_truth(columns):
    theta, linear, hessian, _, _ = columns
    problem = gc.Quadratic(np.diag(hessian), linear)
    found = pruning_saliency(theta, problem.gradient(theta), hessian, terms=("gradient", "hessian"))
    scale = abs(hessian) @ theta**2 + abs(linear * theta).sum()
    np.testing.assert_allclose(found, measured_saliency(problem.value, theta), rtol=0, atol=1e-13 * scale)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_curvature_of_one_weight_is_gauss_and_newtons(seed):
    rng = np.random.default_rng(seed)
    net, X, y = gc.MLP((3, 4, 3)), rng.standard_normal((5, 3)), rng.integers(0, 3, 5)
    theta = rng.standard_normal(net.size)
    diagonal = [net.hessian_vector(theta, unit, X, y)[i] for i, unit in enumerate(np.eye(net.size))]
    outputs = net.outputs(theta, X)
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    active, behind = net.preactivations(theta, X)[0] > 0, net.unflatten(theta)[1][0]
    # x² times the variance of J under p, a mean over rows: J is a row of the last weights where the unit is active.
    variances = active * (p @ (behind**2).T - (p @ behind.T) ** 2)
    expected = np.square(X).T @ variances / len(X)
    np.testing.assert_allclose(diagonal[: expected.size], expected.ravel(), rtol=1e-9, atol=1e-12)
    assert min(diagonal) > -1e-12


def test_glass_is_the_mean_absolute_change_of_dense_hinges():
    rng = np.random.default_rng(31)
    normals, theta = rng.uniform(-2, 2, (500, 2)), np.array([1.6, -0.9])
    toy = gc.RandomHinges(2, 500, half_width=8.5, normals=normals, rng=rng)
    removal = np.array([-1.6, 0.0])
    assert toy.covers(theta, removal)
    assert toy.expected_crossings(removal) > 30  # E|X| is within 1 % of its dense limit
    expected = pruning_saliency(theta, density=toy.density_matrix().diagonal(), terms="glass")
    changes = np.empty(6500)
    for k in range(changes.size):
        landscape = toy.redraw(rng)
        smooth = pruning_saliency(theta, landscape.gradient(theta), terms="gradient")
        changes[k] = measured_saliency(landscape.value, theta, [0])[0] - smooth[0]
    assert_mean_is(abs(changes), expected[0])


# Numbers of every kind


def test_float32_stays_float32_and_is_rounded_once():
    theta = np.array([1e10, -3.0, 0.0, -0.0], np.float32)
    density = np.array([1e-60, 1e60, 1.0, 1.0])  # float32 has neither
    found = pruning_saliency(theta, 0.5, 2.0, density)
    assert found.dtype == np.float32
    assert np.array_equal(found, pruning_saliency(theta.astype(np.float64), 0.5, 2.0, density).astype(np.float32))
    glass = pruning_saliency(theta, density=density, terms="glass")
    assert glass[0] == pytest.approx(math.sqrt(2 / (3 * math.pi)) * 1e-15, rel=1e-6)
    assert glass[2:].tolist() == [0, 0]
    assert pruning_saliency(theta, terms="magnitude").dtype == np.float32


def test_saliencies_neither_overflow_nor_vanish_on_the_way():
    theta = np.array([1e160, 1e-160])
    np.testing.assert_allclose(pruning_saliency(theta, hessian=[1e-200, 1e200], terms="hessian"), [5e119, 5e-121])
    glass = pruning_saliency(theta, density=[1e-300, 1e300], terms="glass")
    np.testing.assert_allclose(glass, math.sqrt(2 / (3 * math.pi)) * np.array([1e90, 1e-90]))


@pytest.mark.parametrize("term", TERMS)
def test_arrays_of_every_layout_are_taken_and_left_alone(term):
    columns = np.random.default_rng(0).integers(1, 9, (5, 4)).astype(float)
    expected = saliency(columns, term)
    layouts = [
        [row.astype(int) for row in columns],
        [row.astype(">f8") for row in columns],
        [row.tolist() for row in columns],
        np.repeat(columns, 2, axis=1)[:, ::2],
        np.asfortranarray(columns),
    ]
    for layout in layouts:
        if isinstance(layout, np.ndarray):
            layout.setflags(write=False)
        assert np.array_equal(saliency(layout, term), expected)
    assert saliency(columns, "magnitude") is not columns[0]
    result = saliency(columns, term)
    result[:] = 0
    assert columns.min() > 0


def test_a_single_weight_will_do():
    assert pruning_saliency([2], [1], 1, 0).tolist() == [0.0]


def test_only_what_a_term_needs_is_looked_at():
    assert pruning_saliency([1.0, -2.0], np.nan, "?", -1, "magnitude").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"theta": [1.0, np.nan]}, ValueError, "theta must be finite, got nan at index 1"),
        ({"theta": [[1.0]]}, ValueError, r"theta must have shape \(n,\) with n ≥ 1, got \(1, 1\)"),
        ({"theta": []}, ValueError, r"theta must have shape \(n,\) with n ≥ 1, got \(0,\)"),
        ({"gradient": None}, ValueError, "gradient is needed for the term 'gradient', got None"),
        ({"hessian": None}, ValueError, "hessian is needed for the term 'hessian', got None"),
        ({"density": None}, ValueError, "density is needed for the term 'glass', got None"),
        ({"terms": "input_norm"}, ValueError, "input_norm is needed for the term 'input_norm', got None"),
        ({"gradient": [1.0]}, ValueError, r"gradient must have shape \(2,\), got \(1,\)"),
        ({"hessian": np.ones((2, 2))}, ValueError, r"hessian must have shape \(2,\), got \(2, 2\)"),
        ({"density": [1.0, -2.0]}, ValueError, r"density must be ≥ 0, got -2\.0 at index 1"),
        ({"terms": "input_norm", "input_norm": -1.0}, ValueError, r"input_norm must be ≥ 0, got -1\.0"),
        ({"hessian": [1j, 1]}, TypeError, "hessian must be real numbers"),
        ({"terms": "hesian"}, ValueError, "terms must be of 'gradient', .*, 'input_norm', got 'hesian'"),
        ({"terms": [["glass"]]}, ValueError, r"terms must be of .*, got \['glass'\]"),
        ({"terms": ()}, ValueError, r"terms must be of .*, got \(\)"),
        ({"terms": None}, TypeError, "terms must be a name or a sequence of names, got NoneType"),
        ({"terms": {"glass"}}, TypeError, "terms must be a name or a sequence of names, got set"),
        ({"terms": ["glass", "glass"]}, ValueError, r"terms must be different, got \('glass', 'glass'\)"),
        (
            {"terms": ["glass", "magnitude"]},
            ValueError,
            "'magnitude' is in other units than the loss and must stand alo",
        ),
        ({"terms": ["input_norm", "glass"]}, ValueError, "the term 'input_norm' is in other units than the loss"),
    ],
)
def test_bad_arguments_of_saliencies_are_refused(options, exception, message):
    good = {"theta": [1.0, 2.0], "gradient": [1.0, 1.0], "hessian": 1.0, "density": 1.0}
    with pytest.raises(exception, match=message):
        pruning_saliency(**(good | options))


# The truth


@settings(deadline=None, max_examples=50)
@given(st.lists(finite, min_size=1, max_size=8), st.data())
def test_measured_saliencies_are_differences_of_losses(values, data):
    theta = np.array(values)
    indices = data.draw(st.lists(st.integers(0, theta.size - 1), max_size=6))
    points = []

    def value(x):
        points.append(x.copy())
        return math.fsum(x) ** 2 + math.fsum(abs(x))

    found = measured_saliency(value, theta, np.array(indices, np.int8))
    expected, without = [], []
    for i in indices:
        other = theta.copy()
        other[i] = 0
        without.append(other)
        expected.append(value(other) - value(theta))
    assert found.tolist() == expected
    assert found.dtype == np.float64
    assert np.array_equal(points[: len(indices) + 1], [theta, *without])
    assert np.array_equal(theta, values)


def test_the_point_is_read_only_and_keeps_its_dtype():
    theta = np.array([1.0, -0.0, 3.0], np.float32)
    theta.setflags(write=False)

    def value(x):
        assert not x.flags.writeable
        assert x.dtype == np.float32
        return x[0] + 2 * x[2]

    assert measured_saliency(value, theta).tolist() == [-1, 0, -6]
    assert measured_saliency(lambda x: x.sum(), [1, 2]).tolist() == [-1, -2]


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"value": 1.0}, TypeError, "value must be callable, got float"),
        ({"theta": [np.inf]}, ValueError, "theta must be finite"),
        (
            {"indices": [0.0]},
            TypeError,
            r"indices must be a \(k,\) array of integers, got shape \(1,\) and dtype float64",
        ),
        (
            {"indices": [True]},
            TypeError,
            r"indices must be a \(k,\) array of integers, got shape \(1,\) and dtype bool",
        ),
        ({"indices": 0}, TypeError, r"indices must be a \(k,\) array of integers, got shape \(\) and dtype int64"),
        ({"indices": [0, 3, 1]}, ValueError, r"indices must lie in \[0, 3\), got 0 to 3"),
        ({"indices": [-1]}, ValueError, r"indices must lie in \[0, 3\), got -1 to -1"),
        ({"value": lambda x: (1.0, x)}, TypeError, "value must return the loss, one number, got tuple at theta"),
        ({"value": lambda x: x}, TypeError, "value must return the loss, one number, got ndarray at theta"),
        ({"value": lambda x: math.nan}, gc.NonFiniteError, "non-finite loss at theta: nan"),
        (
            {"value": lambda x: math.inf if x[2] == 0 else 1.0},
            gc.NonFiniteError,
            "non-finite loss without weight 2: inf",
        ),
    ],
)
def test_bad_arguments_of_the_measurement_are_refused(options, exception, message):
    good = {"value": lambda x: 1.0, "theta": [1.0, 2.0, 3.0]}
    with pytest.raises(exception, match=message):
        measured_saliency(**(good | options))


# The length of a removal


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_removal_length_is_that_of_the_smallest_weights(values, sparsity):
    count = max(round(sparsity * len(values)), 1)
    with mpmath.workdps(40):
        squares = sum(mpmath.mpf(v) ** 2 for v in sorted(values, key=abs)[:count]) / count
        expected = float(mpmath.sqrt(squares))
    if expected == 0:
        zeros = values.count(0)
        with pytest.raises(ValueError, match=f"removes nothing: {zeros} of the {len(values)} weights are 0 already"):
            removal_length(values, sparsity)
    else:
        assert removal_length(values, sparsity) == pytest.approx(expected, rel=1e-14)


def test_removal_length_is_that_of_magnitude_pruning_within_the_groups():
    theta, groups = np.random.default_rng(0).normal(size=60), {"a": slice(0, 20), "b": slice(30, 60, 2)}
    pruned = gc.compression.prune(theta, abs(theta), 0.4, groups)
    moved = (theta - pruned.theta)[~pruned.mask]
    assert moved.size == round(0.4 * 35)
    assert removal_length(theta, 0.4, groups) == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_removal_length_neither_overflows_nor_vanishes(scale):
    assert removal_length(scale * np.array([3.0, -4.0, 9.0, 9.0]), 0.5) == pytest.approx(scale * math.sqrt(12.5))
    assert removal_length(np.array([3, 4, 9, 9], np.float32), 0.5) == pytest.approx(math.sqrt(12.5), rel=1e-15)


@pytest.mark.parametrize(
    ("theta", "sparsity", "exception", "message"),
    [
        ([0.0, 0.0, 1.0, 1.0], 0.5, ValueError, "sparsity 0.5 removes nothing: 2 of the 4 weights are 0"),
        ([1.0], 0.0, ValueError, r"sparsity must be in \(0, 1\), got 0\.0"),
        ([1.0], 1, ValueError, r"sparsity must be in \(0, 1\), got 1"),
        ([1.0], "0.5", TypeError, "sparsity must be a real number, got str"),
        ([np.nan], 0.5, ValueError, "theta must be finite"),
    ],
)
def test_bad_arguments_of_the_length_are_refused(theta, sparsity, exception, message):
    with pytest.raises(exception, match=message):
        removal_length(theta, sparsity)


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_signed_saliencies_lose_their_gain_beyond_twice_the_best_distance(n, seed):
    """A quadratic that is curved along its gradient only: the sum of the saliencies promises a gain at any distance."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(n)
    direction /= np.linalg.norm(direction)
    slope, curvature = rng.exponential(size=2) + 0.1
    theta = rng.exponential(size=n) * np.sign(direction)  # each weight alone would lower the loss, to first order
    problem = gc.Quadratic(curvature * np.outer(direction, direction))
    linear = slope * direction - problem.gradient(theta)

    def loss(point):
        return problem.value(point) + linear @ point

    for share in (0.3, 1.0, 3.0):
        start = share * theta
        moved = start @ direction  # how far the removal goes against the gradient
        linear = slope * direction - problem.gradient(start)
        change = loss(np.zeros(n)) - loss(start)
        assert change == pytest.approx(-slope * moved + curvature * moved**2 / 2, rel=1e-9, abs=1e-12)
        assert (change < 0) == (moved < 2 * slope / curvature)
        assert pruning_saliency(start, gradient=slope * direction, terms="gradient").sum() == pytest.approx(
            -slope * moved
        )
