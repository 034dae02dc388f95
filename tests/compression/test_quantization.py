import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import glasscurv as gc
from glasscurv.compression import (
    directional_quantization_changes,
    expected_quantization_change,
    quantization_changes,
    quantize,
)
from tests.oracles import directional_rounding
from tests.statistics import assert_mean_is

LARGEST = {np.float32: 1e38, np.float64: 1e308}
SCHEMES = ("symmetric", "affine")
schemes = st.sampled_from(SCHEMES)
widths = st.integers(2, 16)


@st.composite
def weights(draw):
    """Weights of both precisions: ordinary, huge, tiny, subnormal and zero ones."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    least = np.finfo(dtype).smallest_subnormal
    largest = float(dtype(draw(st.sampled_from([1.0, LARGEST[dtype], 100 * np.finfo(dtype).tiny, 100 * least]))))
    size, width = draw(st.integers(1, 12)), 32 if dtype == np.float32 else 64
    return draw(arrays.arrays(dtype, size, elements=st.floats(-largest, largest, width=width)))


def interleaved(size):
    """Groups with strides, of which the last leaves something out."""
    return {"even": slice(0, None, 2)} | ({"odd": slice(1, None, 4)} if size > 1 else {})


@settings(deadline=None, max_examples=200)
@given(weights(), widths, schemes, st.booleans())
def test_rounding_to_a_grid(theta, bits, scheme, strided):
    before, groups = theta.copy(), interleaved(theta.size) if strided else {"all": slice(None)}
    rounded = quantize(theta, bits, groups, scheme)
    assert np.array_equal(theta, before)
    assert not np.shares_memory(rounded.theta, theta)
    assert rounded.theta.dtype == rounded.step.dtype == theta.dtype
    assert rounded.codes.dtype == np.int32
    assert (rounded.scheme, set(rounded.bits.values())) == (scheme, {bits})
    low, high = (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1) if scheme == "symmetric" else (0, 2**bits - 1)
    others = np.ones(theta.size, bool)
    for name, group in groups.items():
        others[group] = False
        start, codes = theta[group].astype(np.longdouble), rounded.codes[group]
        scale, zero = rounded.scale[name], rounded.zero_point[name]
        assert low <= zero <= high
        assert zero == 0 or scheme == "affine"
        assert low <= codes.min()
        assert codes.max() <= high
        assert scale == theta.dtype.type(scale)
        assert (scale == 0) == (not start.any())
        assert np.array_equal(rounded.theta[group], ((codes - zero) * scale).astype(theta.dtype))
        assert np.array_equal(rounded.step[group], np.where(start != 0, scale, 0).astype(theta.dtype))
        # The grid spans the weights and no more, but where it would be finer than numbers are.
        span = max(abs(start)) / high if scheme == "symmetric" else (max(*start, 0) - min(*start, 0)) / high
        tiny = np.finfo(theta.dtype).tiny
        expected = np.array(max(span, tiny) if start.any() else 0, np.longdouble)
        assert abs(scale - expected) <= np.finfo(theta.dtype).eps * expected
        # q/2, and the rounding of the product.
        error = abs(rounded.theta[group].astype(np.longdouble) - start)
        assert np.all(error <= scale / 2 + np.finfo(theta.dtype).eps * abs(rounded.theta[group]))
        assert np.all(codes[start == 0] == zero)
        assert np.all(rounded.theta[group][start == 0] == 0)
    assert np.array_equal(rounded.theta[others], theta[others])
    assert not rounded.codes[others].any()
    assert not rounded.step[others].any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_sixteen_bits_of_a_float32_are_the_nearest(scheme):
    theta = np.random.default_rng(2).normal(size=20_000).astype(np.float32)
    rounded = quantize(theta, 16, scheme=scheme)
    scale, zero = rounded.scale["all"], rounded.zero_point["all"]
    error = abs((rounded.codes - zero) * scale - theta)
    # The ends, whose distance is a multiple of a rounded scale, aside.
    assert error[abs(theta) < abs(theta).max() / 2].max() <= scale / 2 * (1 + 1e-9)


@settings(deadline=None)
@given(weights(), widths, st.booleans())
def test_what_is_on_a_symmetric_grid_stays(theta, bits, strided):
    groups = interleaved(theta.size) if strided else None
    once = quantize(theta, bits, groups)
    twice = quantize(once.theta, bits, groups)
    assert np.array_equal(twice.theta, once.theta)
    assert np.array_equal(twice.codes, once.codes)
    mirrored = quantize(-theta, bits, groups)
    assert np.array_equal(mirrored.theta, -once.theta)


@settings(deadline=None)
@given(weights(), widths)
def test_what_spans_an_affine_grid_stays(theta, bits):
    once = quantize(theta, bits, scheme="affine")
    if once.codes.min() > 0 or once.codes.max() < 2**bits - 1:  # both ends half a step from the grid, or subnormal
        return
    twice = quantize(once.theta, bits, scheme="affine")
    assert np.array_equal(twice.codes, once.codes)
    np.testing.assert_allclose(twice.theta, once.theta, rtol=4 * np.finfo(theta.dtype).eps)


def test_affine_grids_end_where_the_weights_do():
    theta = np.array([-1.0, 0.0, 2.0])
    rounded = quantize(theta, 2, scheme="affine")
    assert (rounded.scale, rounded.zero_point) == ({"all": 1.0}, {"all": 1})
    assert rounded.codes.tolist() == [0, 1, 3]
    for shifted, zero in ((theta + 5, 0), (theta - 5, 3)):  # the grid holds 0 even so
        rounded = quantize(shifted, 2, scheme="affine")
        assert rounded.zero_point == {"all": zero}
        assert rounded.scale["all"] == pytest.approx(abs(shifted).max() / 3)


def test_an_affine_grid_is_finer_where_weights_have_one_sign():
    theta = np.linspace(0, 1, 50)
    errors = [abs(quantize(theta, 4, scheme=scheme).theta - theta).max() for scheme in SCHEMES]
    assert errors[1] < 0.55 * errors[0]


def test_units_have_their_own_grids_and_biases_none():
    net = gc.MLP((5, 4, 3))
    theta = np.random.default_rng(0).normal(size=net.size)
    groups = net.weight_groups("unit")
    rounded = quantize(theta, 4, groups)
    for (weights, biases), (fine, kept) in zip(net.unflatten(theta), net.unflatten(rounded.theta), strict=True):
        assert np.array_equal(biases, kept)
        scale = abs(weights).max(axis=0) / 7
        np.testing.assert_allclose(fine, np.rint(weights / scale) * scale, rtol=1e-14)
    for name, group in groups.items():
        assert rounded.scale[name] == abs(theta[group]).max() / 7


def test_groups_may_have_different_numbers_of_bits():
    theta, groups = np.random.default_rng(1).normal(size=12), {"a": slice(0, 6), "b": [6, 8, 10]}
    rounded = quantize(theta, {"b": np.int8(3), "a": 5}, groups)
    assert rounded.bits == {"a": 5, "b": 3}
    assert all(type(width) is int for width in rounded.bits.values())
    for name, bits in rounded.bits.items():
        alone = quantize(theta[groups[name]], bits)
        assert np.array_equal(rounded.theta[groups[name]], alone.theta)
        assert np.array_equal(rounded.codes[groups[name]], alone.codes)
    for bits in ([5, 3], (5, 3), np.array([5, 3])):
        same = quantize(theta, bits, groups)
        assert np.array_equal(same.codes, rounded.codes)
        assert same.bits == rounded.bits


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_of_every_kind_are_taken(scheme):
    theta = np.array([3.0, -0.0, 1.0, -7.0])
    expected = quantize(theta, 4, scheme=scheme)
    theta.setflags(write=False)
    for other in (theta, theta.tolist(), theta.astype(np.int8), theta.astype(">f8"), np.repeat(theta, 2)[::2]):
        found = quantize(other, np.uint8(4), {"all": [True] * 4}, scheme)
        assert np.array_equal(found.theta, expected.theta)
        assert np.array_equal(found.codes, expected.codes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_beyond_the_end_of_all_numbers_are_refused(dtype, scheme):
    largest = np.finfo(dtype).max
    assert np.isfinite(quantize(np.array([largest / 2, -largest / 2], dtype), 2, scheme=scheme).theta).all()
    with pytest.raises(ValueError, match="theta, as rounded, must be finite, got -inf at index 1"):
        quantize(np.array([largest, -largest], dtype), 2, scheme="affine")


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"theta": [1.0, np.inf]}, ValueError, "theta must be finite, got inf at index 1"),
        ({"theta": 1.0}, ValueError, r"theta must have shape \(n,\)"),
        ({"bits": 1}, ValueError, "bits of 'a' must be ≥ 2, got 1"),
        ({"bits": 17}, ValueError, "bits of 'a' must be at most 16, got 17"),
        ({"bits": 4.0}, TypeError, "bits of 'a' must be an integer, got float"),
        ({"bits": {"a": 4}}, ValueError, r"bits must have one entry for each of the groups \['a', 'b'\], got \['a'\]"),
        ({"bits": {"a": 4, "b": 4, "c": 4}}, ValueError, "bits must have one entry for each of the groups .*'c'"),
        ({"bits": {"a": 4, "b": 20}}, ValueError, "bits of 'b' must be at most 16, got 20"),
        ({"bits": [4]}, ValueError, r"bits must have one entry for each of the groups \['a', 'b'\], got 1 entries"),
        ({"bits": np.array([4, 20])}, ValueError, "bits of 'b' must be at most 16, got 20"),
        ({"bits": "44"}, TypeError, "bits of 'a' must be an integer, got str"),
        ({"scheme": "log"}, ValueError, "scheme must be one of 'symmetric', 'affine', got 'log'"),
    ],
)
def test_bad_arguments_of_the_rounding_are_refused(options, exception, message):
    good = {"theta": [1.0, 2.0], "bits": 4, "groups": {"a": [0], "b": [1]}}
    with pytest.raises(exception, match=message):
        quantize(**(good | options))


# Predicted changes

steps = st.lists(
    st.tuples(st.floats(0, 10), st.floats(-10, 10), st.floats(0, 10)), min_size=1, max_size=10
).map(lambda rows: np.array(rows).T)  # fmt: skip


def mean_power(step, power):
    """E|δ|^p for δ uniform in ±q/2, by numerical integration."""
    if step == 0:
        return 0.0
    return float(mpmath.quad(lambda x: abs(x) ** power, [-step / 2, 0, step / 2]) / step)


@settings(deadline=None, max_examples=15)
@given(steps)
def test_expected_changes_are_the_integrals_of_the_theory(rows):
    q, hessian, density = rows
    c = math.sqrt(2 / (3 * math.pi))
    smooth = sum(h / 2 * mean_power(step, 2) for step, h in zip(q, hessian, strict=True))
    coordinate = c * sum(math.sqrt(rho) * mean_power(step, 1.5) for step, rho in zip(q, density, strict=True))
    independent = c * math.sqrt(sum(rho * mean_power(step, 3) for step, rho in zip(q, density, strict=True)))
    directional = c * math.sqrt(density[0]) * sum(mean_power(step, 2) for step in q) ** 0.75
    scale = abs(hessian) @ q**2 + coordinate + independent + directional
    for model, glass in (("coordinate", coordinate), ("independent", independent), ("directional", directional)):
        along = density[0] if model == "directional" else density
        found = expected_quantization_change(q, hessian, along, model)
        assert found == pytest.approx(smooth + glass, abs=1e-10 * scale)
        assert expected_quantization_change(q, 0.0, along, model) == pytest.approx(glass, rel=1e-9, abs=1e-200)
    assert expected_quantization_change(q, hessian) == pytest.approx(smooth, abs=1e-10 * scale)
    ones = np.ones(q.size)
    assert expected_quantization_change(q, 2.0, 3.0) == expected_quantization_change(q, 2 * ones, 3 * ones)
    if q.size > 1:
        assert expected_quantization_change(2.0, hessian, 1.0) == expected_quantization_change(2 * ones, hessian, ones)
        assert expected_quantization_change(2.0, 1.0, density) == expected_quantization_change(2 * ones, ones, density)


def test_the_models_of_one_rounded_weight_have_known_ratios():
    coordinate, independent, directional = (
        expected_quantization_change(0.3, density=2.0, model=model)
        for model in ("coordinate", "independent", "directional")
    )
    assert independent / coordinate == pytest.approx(5 / 4)
    assert directional / coordinate == pytest.approx(3**-0.75 / 0.4)


def test_rounding_of_many_weights_exceeds_the_independent_model_by_its_factor():
    rng = np.random.default_rng(50)
    normals = rng.choice([-1.0, 1.0], (100, 400))
    toy = gc.RandomHinges(400, 100, half_width=1e3, normals=normals, rng=rng)
    rho = np.mean([toy.density(z) for z in rng.choice([-1.0, 1.0], (1000, 400))], axis=0)
    cubes = np.mean(abs(rng.uniform(-0.5, 0.5, (1000, 400)) @ normals.T) ** 3, axis=0)
    spread = math.sqrt(2 / (3 * math.pi) * cubes.sum() / (2 * toy.half_width))
    ratio = spread / expected_quantization_change(1.0, density=rho, model="independent")
    # Of 100 000 cubes of nearly normal numbers, of relative variance 4.9: six standard errors of the root.
    assert ratio == pytest.approx(8 / 12**0.75, rel=6 * math.sqrt(4.9 / 1e5) / 2)


def test_a_single_step_will_do():
    assert expected_quantization_change(2, 6) == 1.0
    assert expected_quantization_change([2], [6], [0]) == 1.0
    assert isinstance(expected_quantization_change(np.float32(2), 6), float)


def test_the_hessian_term_is_the_mean_change_of_a_quadratic():
    rng = np.random.default_rng(41)
    root = rng.normal(size=(6, 6))
    hessian, step = root @ root.T, rng.uniform(0.1, 1, 6)
    delta = step * rng.uniform(-0.5, 0.5, (60_000, 6))
    changes = np.einsum("ki,ij,kj->k", delta, hessian, delta) / 2
    assert changes[0] == pytest.approx(gc.Quadratic(hessian).value(delta[0]))
    # Rows of the Hessian beside its diagonal average out: the roundings are independent.
    assert_mean_is(changes, expected_quantization_change(step, hessian.diagonal()), resolution=0.05)


def test_models_are_means_of_those_of_a_movement():
    rng = np.random.default_rng(42)
    step, density = rng.uniform(0.5, 1, 400), rng.uniform(0.5, 1, 400)
    delta = step * rng.uniform(-0.5, 0.5, (800, 400))
    for model in ("coordinate", "independent"):
        changes = [gc.expected_glass_change(each, density, model) for each in delta]
        # The mean of roots is below the root of means by a tenth of a percent.
        assert_mean_is(changes, expected_quantization_change(step, density=density, model=model), resolution=0.02)
    changes = [gc.directional_glass_change(float(np.linalg.norm(each)), 3.0) for each in delta]
    assert_mean_is(changes, expected_quantization_change(step, density=3.0, model="directional"), resolution=0.02)


def test_what_the_real_rounding_does_to_a_quadratic():
    """Weights without a pattern are moved as the theory assumes."""
    rng = np.random.default_rng(43)
    theta, hessian = rng.normal(size=20_000), rng.uniform(0.5, 2, 20_000)
    for scheme in SCHEMES:
        rounded = quantize(theta, 6, scheme=scheme)
        change = float(hessian @ (rounded.theta - theta) ** 2) / 2
        predicted = expected_quantization_change(rounded.step, hessian)
        # A sum of 20000 independent terms of relative variance below 1.2: six standard errors.
        assert change == pytest.approx(predicted, rel=6 * math.sqrt(1.2 / 20_000))


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        ({"step": [1.0, -1.0]}, ValueError, r"step must be ≥ 0, got -1\.0 at index 1"),
        ({"step": [np.nan, 1.0]}, ValueError, "step must be finite"),
        ({"step": [], "hessian": 1.0, "density": 1.0}, ValueError, r"step must have shape \(1,\), got \(0,\)"),
        ({"step": np.ones((2, 1))}, ValueError, r"step must have shape \(2,\), got \(2, 1\)"),
        ({"hessian": [1.0]}, ValueError, r"hessian must have shape \(2,\), got \(1,\)"),
        ({"density": np.ones(3)}, ValueError, r"density must have shape \(2,\), got \(3,\)"),
        ({"density": -1.0}, ValueError, r"density must be ≥ 0, got -1\.0"),
        ({"density": -1.0, "model": "directional"}, ValueError, r"density must be finite and ≥ 0, got -1\.0"),
        ({"model": "directional"}, TypeError, "density must be a real number, got list"),
        ({"model": "isotropic"}, ValueError, "model must be one of 'coordinate', 'independent', 'directional', got"),
    ],
)
def test_bad_arguments_of_the_prediction_are_refused(options, exception, message):
    good = {"step": [1.0, 1.0], "hessian": [1.0, 1.0], "density": [1.0, 1.0]}
    with pytest.raises(exception, match=message):
        expected_quantization_change(**(good | options))


# Tables


def test_a_table_has_what_each_group_by_itself_does():
    rng = np.random.default_rng(44)
    theta, hessian, density = rng.normal(size=30), rng.normal(size=30), rng.exponential(size=30)
    theta[3] = 0
    groups, bits = {"a": slice(0, 10), "b": slice(10, 30, 2), "c": [29, 27, 25, 23, 21, 11]}, (2, 3, 8, 16)
    for scheme in SCHEMES:
        table = quantization_changes(theta, groups, hessian, density, bits, scheme)
        assert table.shape == (3, 4)
        for k, width in enumerate(bits):
            step = quantize(theta, width, groups, scheme).step
            for g, group in enumerate(groups.values()):
                alone = expected_quantization_change(step[group], hessian[group], density[group])
                assert table[g, k] == pytest.approx(alone, rel=1e-14)
            # Disjoint groups: (8a) adds up, and (8b) in squares.
            assert table[:, k].sum() == pytest.approx(expected_quantization_change(step, hessian, density), rel=1e-13)
            rows = quantization_changes(theta, groups, 0.0, density, [width], scheme, "independent")
            whole = expected_quantization_change(step, density=density, model="independent")
            assert (rows**2).sum() == pytest.approx(whole**2, rel=1e-13)


def test_tables_take_scalars_and_whole_vectors():
    theta = np.array([1, -3, 2], np.float32)
    table = quantization_changes(theta, hessian=np.float32(2), density=0.0)
    assert (table.shape, table.dtype) == ((1, 7), np.float64)
    expected = [2 * 3 * (3 / (2 ** (bits - 1) - 1)) ** 2 / 24 for bits in range(2, 9)]
    np.testing.assert_allclose(table[0], expected, rtol=1e-6)
    assert quantization_changes([0.0, 0.0], hessian=1.0, density=1.0, bits=[4]).tolist() == [[0.0]]


BAD_TABLES = [
    ({"theta": [np.nan, 1.0]}, ValueError, "theta must be finite"),
    ({"bits": ()}, ValueError, "bits must hold at least one number, got none"),
    ({"bits": 4}, TypeError, "bits must be a sequence of integers, got int"),
    ({"bits": (1, 2)}, ValueError, "every entry of bits must be ≥ 2, got 1"),
    ({"bits": (8, 17)}, ValueError, "bits of 'all' must be at most 16, got 17"),
    ({"bits": (2.0,)}, TypeError, "every entry of bits must be an integer, got float"),
    ({"scheme": 1}, ValueError, "scheme must be one of 'symmetric', 'affine', got 1"),
]


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        *BAD_TABLES,
        ({"hessian": np.ones(3)}, ValueError, r"hessian must have shape \(2,\), got \(3,\)"),
        ({"density": [1.0, -1.0]}, ValueError, "density must be ≥ 0"),
        ({"model": "directional"}, ValueError, "model must be one of 'coordinate', 'independent', got 'directional'"),
    ],
)
def test_bad_arguments_of_the_table_are_refused(options, exception, message):
    with pytest.raises(exception, match=message):
        quantization_changes(**({"theta": [1.0, 2.0]} | options))


# Along the movements themselves


def movements(seed, sizes, columns, samples):
    """The movements of a table, in units of the step, in the order in which they are drawn."""
    rng = np.random.default_rng(seed)
    return [[rng.uniform(-0.5, 0.5, (samples, size)) for _ in range(columns)] for size in sizes]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_directional_changes_agree_with_a_slow_loop(scheme):
    rng = np.random.default_rng(45)
    root = rng.normal(size=(12, 12))
    problem = gc.Quadratic(root @ root.T) + gc.RandomHinges(12, 300, half_width=20.0, rng=rng)
    theta, groups, bits = rng.normal(size=12), {"a": slice(0, 9, 2), "b": [11, 10]}, (2, 4, 7)
    points = []

    def gradient(x):
        points.append(x.copy())
        return problem.gradient(x)

    found = directional_quantization_changes(gradient, theta, groups, bits, scheme, samples=3, rng=9)
    assert found.evaluations == len(points) == 1 + 2 * 2 * 3 * 3
    assert np.array_equal(points[0], theta)
    drawn = movements(9, (5, 2), 3, 3)
    for k, width in enumerate(bits):
        step = quantize(theta, width, groups, scheme).step
        for g, group in enumerate(groups.values()):
            hessian, glass = directional_rounding(problem.gradient, theta, group, step, drawn[g][k])
            assert found.hessian[g, k] == pytest.approx(hessian, rel=1e-9)
            assert found.glass[g, k] == pytest.approx(glass, rel=1e-9)
    assert all(np.all(abs(x - theta) <= abs(theta).max() / 2) for x in points)


def test_on_a_quadratic_the_hessian_part_is_exact_and_there_is_no_glass():
    rng = np.random.default_rng(46)
    root = rng.normal(size=(8, 8))
    problem = gc.Quadratic(root @ root.T, linear=rng.normal(size=8))
    theta = rng.normal(size=8)
    found = directional_quantization_changes(problem.gradient, theta, bits=(3, 5), samples=50, rng=1)
    for k, (width, moved) in enumerate(zip((3, 5), movements(1, [8], 2, 50)[0], strict=True)):
        delta = moved * quantize(theta, width).step
        changes = [problem.value(theta + d) / 2 + problem.value(theta - d) / 2 - problem.value(theta) for d in delta]
        assert found.hessian[0, k] == pytest.approx(np.mean(changes), rel=1e-9)
    assert np.all(found.glass <= 1e-13)


def test_on_hinges_the_glass_is_that_of_equation_8c_and_the_hessian_vanishes():
    rng = np.random.default_rng(47)
    toy, theta = gc.RandomHinges(6, 250, half_width=4.5, rng=rng), np.ones(6)
    step = quantize(theta, 2).step
    assert toy.covers(np.zeros(6), step / 2 * np.sign(toy.normals[abs(toy.normals).sum(axis=1).argmax()]))
    hessian, squares = np.empty((2, 1500, 6))
    for k in range(len(squares)):
        landscape = toy.redraw(rng)
        found = directional_quantization_changes(
            lambda x, hinges=landscape: hinges.gradient(x - theta), theta, bits=[2] * 6, samples=1, rng=k
        )
        delta = np.array(movements(k, [6], 6, 1)[0])[:, 0] * step
        # With one movement the square of the glass is c² ρ_u ‖δ‖³ on average, with no approximation.
        variances = (abs(delta @ toy.normals.T) ** 3).sum(axis=1) * toy.signal_scale**2 / (2 * toy.half_width)
        squares[k] = found.glass[0] ** 2 / (2 / (3 * math.pi) * variances)
        hessian[k] = found.hessian[0]
    assert variances[0] == pytest.approx(toy.directional_density(delta[0]) * np.linalg.norm(delta[0]) ** 3)
    # A tenth of the glass is a fifth of its square.
    assert_mean_is(squares.mean(axis=1), 1.0, resolution=0.2)
    assert_mean_is(hessian.mean(axis=1), 0.0, resolution=None)


def test_how_much_of_the_glass_is_a_shift_and_how_much_of_it_the_rule_sees():
    """Hinges of unit normals: their part in X, and that part and the rule's averaged over roundings, 32 at a time.

    With signals of zero mean the products of two hinges vanish, so that variances over landscapes are sums of squares
    over hinges; of two sets of roundings, they are free of the scatter of either.
    """
    rng = np.random.default_rng(49)
    landscapes, hinges, weights, half_width = 2200, 48, 128, 5.0
    normals = rng.choice([-1.0, 1.0], (weights, hinges)) / math.sqrt(weights)
    samples = np.empty((landscapes, 6))
    for k in range(landscapes):
        # Rounding with the step sqrt(12): movements along the normals have variance 1 and are nearly normal.
        q = math.sqrt(12) * rng.uniform(-0.5, 0.5, (2, 32, weights)) @ normals
        offsets = rng.uniform(-half_width, half_width, hinges)
        change = np.maximum(np.where(offsets > 0, q - offsets, offsets - q), 0)
        near = q / math.sqrt(2)
        rule = abs(q) * ((near > offsets) != (-near > offsets)) / (2 * math.sqrt(2))
        shift, seen = change.mean(axis=1), rule.mean(axis=1)
        both = (shift[0] * seen[1] + shift[1] * seen[0]) / 2
        parts = shift, seen, change**2, shift[0] * shift[1], both, seen[0] * seen[1]
        samples[k] = [2 * half_width * np.mean(part) for part in parts]
    spread, constant = 4 / 3 / math.sqrt(2 * math.pi), (math.sqrt(2) - 1) / 2
    squared_correlation, slope = 1.5 * (1 + math.sqrt(2)) * (2 - math.sqrt(3)), math.sqrt(2) * (math.sqrt(3) - 1)
    shared = constant * spread * squared_correlation / slope
    # Signals of one sign shift every landscape, by ½ E q² K, and the rule by as much.
    assert_mean_is(samples, [0.5, 0.5, spread, constant * spread, shared, shared / slope])


def test_the_same_seed_gives_the_same_table_and_nothing_is_changed():
    theta = np.random.default_rng(48).normal(size=10).astype(np.float32)
    theta.setflags(write=False)
    seen = []

    def gradient(x):
        assert x.dtype == np.float32
        assert not x.flags.writeable
        seen.append(x)
        return np.sin(x)

    first = directional_quantization_changes(gradient, theta, bits=(2, 6), rng=3)
    again = directional_quantization_changes(gradient, theta, bits=(2, 6), rng=np.random.default_rng(3))
    other = directional_quantization_changes(gradient, theta, bits=(2, 6), rng=4)
    assert np.array_equal(first.hessian, again.hessian)
    assert np.array_equal(first.glass, again.glass)
    assert not np.array_equal(first.hessian, other.hessian)
    assert first.hessian.dtype == first.glass.dtype == np.float64
    assert np.array_equal(seen[-1], theta)  # the point is put back


def test_a_gradient_may_reuse_its_array():
    buffer, theta = np.empty(6), np.linspace(-1, 1, 6)

    def gradient(x):
        buffer[:] = x**3
        return buffer

    found = directional_quantization_changes(gradient, theta, rng=0)
    expected = directional_quantization_changes(lambda x: x**3, theta, rng=0)
    assert np.array_equal(found.hessian, expected.hessian)
    assert np.array_equal(found.glass, expected.glass)


def test_weights_that_are_0_do_not_move():
    found = directional_quantization_changes(lambda x: x + 1, np.zeros(4), bits=[3], samples=2, rng=0)
    assert (found.hessian.tolist(), found.glass.tolist(), found.evaluations) == ([[0.0]], [[0.0]], 5)


@pytest.mark.parametrize(
    ("options", "exception", "message"),
    [
        *BAD_TABLES,
        ({"gradient": None}, TypeError, "gradient must be callable, got NoneType"),
        ({"samples": 0}, ValueError, "samples must be ≥ 1, got 0"),
        ({"samples": 2.0}, TypeError, "samples must be an integer, got float"),
        ({"rng": "seed"}, TypeError, "rng must be None, an int or a numpy.random.Generator, got str"),
        (
            {"gradient": lambda x: x[:1]},
            ValueError,
            r"the gradient returned at theta must have shape \(2,\), got \(1,\)",
        ),
        ({"gradient": lambda x: x * np.nan}, gc.NonFiniteError, "non-finite gradient at theta: 2 of 2 entries"),
        (
            {"gradient": lambda x: np.where(x == [1.0, 2.0], x, np.inf)},
            gc.NonFiniteError,
            "non-finite gradient for group 'all' and 2 bits: 2 of 2 entries, the first is inf at index 0",
        ),
    ],
)
def test_bad_arguments_of_the_directional_table_are_refused(options, exception, message):
    good = {"gradient": lambda x: x, "theta": [1.0, 2.0]}
    with pytest.raises(exception, match=message):
        directional_quantization_changes(**(good | options))
