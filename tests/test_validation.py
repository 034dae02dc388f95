import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import glasscurv as gc
from glasscurv import _validation as v

NOT_REAL = [
    (1j, "complex128"),
    ([None], "object"),
    (["1.0"], "<U3"),
    ([True], "bool"),
    (np.ones(2, np.float16), "float16"),
    (np.ones(2, np.longdouble), str(np.dtype(np.longdouble))),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
]


# Arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_arrays_are_passed_on_without_a_copy(dtype):
    array = np.arange(3, dtype=dtype)
    assert v.real_array(array, "x") is array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_of_the_other_byte_order_become_native(dtype):
    values = np.array([1.5, -2.0, 1e30], dtype)
    swapped = values.astype(values.dtype.newbyteorder())
    array = v.real_array(swapped, "x")
    assert array.dtype == dtype
    assert array.dtype.isnative
    assert array.tobytes() == values.tobytes()
    assert swapped.dtype != dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_integers_become_float64(dtype):
    array = v.real_array(np.arange(3, dtype=dtype), "x")
    assert array.dtype == np.float64
    assert array.tolist() == [0.0, 1.0, 2.0]
    assert v.real_array([1, 2], "x").dtype == np.float64


@pytest.mark.parametrize(("value", "dtype"), NOT_REAL)
def test_what_is_not_real_is_refused(value, dtype):
    if np.asarray(value).dtype == np.float64:
        pytest.skip("long double is double on this machine")
    message = rf"x must be real numbers \(float32, float64 or integers\), got dtype {dtype}"
    for check in (v.real_array, v.vector, v.matrix):
        with pytest.raises(TypeError, match=message):
            check(value, "x")
    for check in (v.broadcast_vector, v.nonnegative_vector):
        with pytest.raises(TypeError, match=message):
            check(value, "x", 2)


def test_a_finite_array_is_passed_on_without_a_copy():
    array = np.ones((2, 2))
    assert v.finite(array, "x") is array
    assert v.finite(np.array([1.7976931348623157e308, -5e-324]), "x").size == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("shape", "index", "written"), [((4,), (2,), "2"), ((2, 3), (1, 0), r"\(1, 0\)"), ((), (), r"\(\)")]
)
def test_the_first_entry_that_is_not_finite_is_named(bad, shape, index, written):
    array = np.zeros(shape)
    array[index] = bad
    if shape == (4,):
        array[3] = np.nan  # a later one is not named
    with pytest.raises(ValueError, match=f"x must be finite, got {bad} at index {written}"):
        v.finite(array, "x")


def test_vectors_keep_their_dtype_and_are_contiguous():
    strided = np.arange(6, dtype=np.float32)[::2]
    vector = v.vector(strided, "x")
    assert vector.dtype == np.float32
    assert vector.flags.c_contiguous
    assert vector.tolist() == [0.0, 2.0, 4.0]
    contiguous = np.arange(3.0)
    assert v.vector(contiguous, "x", 3) is contiguous


@pytest.mark.parametrize(
    ("value", "size", "message"),
    [
        ([], None, r"x must have shape \(n,\) with n ≥ 1, got \(0,\)"),
        (1.0, None, r"x must have shape \(n,\) with n ≥ 1, got \(\)"),
        ([[1.0]], None, r"x must have shape \(n,\) with n ≥ 1, got \(1, 1\)"),
        ([1.0, 2.0], 3, r"x must have shape \(3,\), got \(2,\)"),
        ([1.0, np.nan], 2, "x must be finite, got nan at index 1"),
    ],
)
def test_bad_vectors_are_refused(value, size, message):
    with pytest.raises(ValueError, match=message):
        v.vector(value, "x", size)


def test_a_scalar_stands_for_equal_entries():
    for scalar, dtype in [(2, np.float64), (np.float32(2), np.float32), (np.array(2.0), np.float64)]:
        for check in (v.broadcast_vector, v.nonnegative_vector):
            array = check(scalar, "x", 3)
            assert array.tolist() == [2.0, 2.0, 2.0]
            assert array.dtype == dtype
            assert array.flags.c_contiguous
    assert v.broadcast_vector([1.0, -2.0], "x", 2).tolist() == [1.0, -2.0]


@pytest.mark.parametrize("check", [v.broadcast_vector, v.nonnegative_vector])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0], r"x must have shape \(3,\), got \(1,\)"),
        (np.ones((3, 1)), r"x must have shape \(3,\), got \(3, 1\)"),
        (np.nan, "x must be finite, got nan at index 0"),
        ([0.0, np.inf, 1.0], "x must be finite, got inf at index 1"),
    ],
)
def test_what_does_not_broadcast_is_refused(check, value, message):
    with pytest.raises(ValueError, match=message):
        check(value, "x", 3)


def test_negative_entries_are_refused_and_zeros_are_not():
    assert v.nonnegative_vector([0.0, -0.0, 5e-324], "x", 3).size == 3
    with pytest.raises(ValueError, match=r"x must be ≥ 0, got -1.0 at index 1"):
        v.nonnegative_vector([0.0, -1.0, -2.0], "x", 3)
    with pytest.raises(ValueError, match=r"x must be ≥ 0, got -0.5 at index 0"):
        v.nonnegative_vector(-0.5, "x", 3)


def test_masks_pass_and_are_contiguous():
    mask = np.array([True, False, True])
    assert v.mask_vector(mask, "mask", 3) is mask
    assert v.mask_vector([True, False], "mask", 2).dtype == np.bool_
    assert v.mask_vector(np.ones(6, bool)[::2], "mask", 3).flags.c_contiguous


@pytest.mark.parametrize(
    ("value", "exception", "message"),
    [
        ([1, 0, 1], TypeError, "kept must be booleans, True for what is kept, got dtype int64"),
        ([True, None, True], TypeError, "kept must be booleans.*object"),
        ([], TypeError, "kept must be booleans.*float64"),
        ([True, False], ValueError, r"kept must have shape \(3,\), got \(2,\)"),
        ([[True], [False], [True]], ValueError, r"kept must have shape \(3,\), got \(3, 1\)"),
        ([False] * 3, ValueError, "kept must keep something, got 3 times False"),
    ],
)
def test_bad_masks_are_refused(value, exception, message):
    with pytest.raises(exception, match=message):
        v.mask_vector(value, "kept", 3)


def test_matrices_pass():
    array = np.ones((2, 3), np.float32)
    assert v.matrix(array, "x") is array
    assert v.matrix(array, "x", 3) is array
    assert v.matrix([[1, 2]], "x").dtype == np.float64


@pytest.mark.parametrize(
    ("value", "columns", "message"),
    [
        ([1.0], None, r"x must have shape \(rows, columns\) and hold something, got \(1,\)"),
        (np.ones((0, 2)), None, r"x must have shape \(rows, columns\) and hold something, got \(0, 2\)"),
        (np.ones((2, 0)), None, r"x must have shape \(rows, columns\) and hold something, got \(2, 0\)"),
        (np.ones((2, 2)), 3, r"x must have shape \(rows, 3\) and hold something, got \(2, 2\)"),
        (np.ones((1, 2, 3)), None, r"x must have shape \(rows, columns\) .*got \(1, 2, 3\)"),
        ([[1.0, np.nan]], 2, r"x must be finite, got nan at index \(0, 1\)"),
    ],
)
def test_bad_matrices_are_refused(value, columns, message):
    with pytest.raises(ValueError, match=message):
        v.matrix(value, "x", columns)


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.integers(1, 8),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_a_vector_passes_exactly_when_every_entry_is_finite(array):
    if all(np.isfinite(x) for x in array):
        assert v.vector(array, "x") is array
    else:
        with pytest.raises(ValueError, match="x must be finite"):
            v.vector(array, "x")


# Scalars


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.float64(3), np.int8(3), np.uint64(3)])
def test_numbers_become_floats(value):
    number = v.number(value, "x")
    assert type(number) is float
    assert number == 3.0


@pytest.mark.parametrize("value", ["3", None, True, np.bool_(True), 3j, [3], np.array(3.0), np.array([3.0])])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=f"x must be a real number, got {type(value).__name__}"):
        v.number(value, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite(value):
    with pytest.raises(ValueError, match=f"x must be finite, got {value}"):
        v.number(value, "x")


def test_an_integer_beyond_all_floats_is_refused():
    with pytest.raises(ValueError, match="x must be finite"):
        v.number(10**400, "x")


@pytest.mark.parametrize(
    ("low", "high", "options", "inside", "outside", "interval"),
    [
        (0, 1, {}, [0, 0.5, 1], [-1e-300, 1.0000001, np.nan], r"in \[0, 1\]"),
        (0, 1, {"open_low": True}, [5e-324, 1], [0, -1, 2], r"in \(0, 1\]"),
        (0, 1, {"open_high": True}, [0, 0.9999999], [1, -1, 2], r"in \[0, 1\)"),
        (0, 1, {"open_low": True, "open_high": True}, [0.5], [0, 1, np.inf], r"in \(0, 1\)"),
        (0, np.inf, {}, [0, 1e308], [-1, np.inf, np.nan], "finite and ≥ 0"),
        (0, np.inf, {"open_low": True}, [5e-324], [0, -1, np.inf], "finite and > 0"),
        (-np.inf, 2.5, {}, [2.5, -1e308], [2.6, -np.inf], "finite and ≤ 2.5"),
        (-np.inf, 2.5, {"open_high": True}, [2.4], [2.5, np.nan], "finite and < 2.5"),
    ],
)
def test_intervals_are_respected_and_named(low, high, options, inside, outside, interval):
    for value in inside:
        assert v.number(value, "x", low, high, **options) == value
    for value in outside:
        with pytest.raises(ValueError, match=f"x must be {interval}, got {value}"):
            v.number(value, "x", low, high, **options)


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_integers_become_ints(value):
    assert type(v.integer(value, "x", 3)) is int
    assert v.integer(value, "x", 3) == 3


@pytest.mark.parametrize("value", [3.0, np.float64(3), "3", None, True, np.bool_(False), [3], np.array([3])])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError, match=f"x must be an integer, got {type(value).__name__}"):
        v.integer(value, "x", 0)


def test_integers_below_the_bound_are_refused():
    with pytest.raises(ValueError, match="x must be ≥ 1, got 0"):
        v.integer(0, "x", 1)
    with pytest.raises(ValueError, match="x must be ≥ -2, got -3"):
        v.integer(np.int64(-3), "x", -2)


@pytest.mark.parametrize("values", [(2, 5), [np.int8(2), 5], np.array([2, 5], np.uint8), range(2, 6, 3)])
def test_sequences_of_integers_become_lists_of_ints(values):
    assert v.integers(values, "x", 2) == [2, 5]
    assert {type(value) for value in v.integers(values, "x", 2)} == {int}
    assert v.integers([], "x", 2) == []


def test_what_is_no_sequence_of_integers_is_refused():
    with pytest.raises(TypeError, match="x must be a sequence of integers, got int"):
        v.integers(5, "x", 2)
    with pytest.raises(TypeError, match="every entry of x must be an integer, got float"):
        v.integers([2, 5.0], "x", 2)
    with pytest.raises(ValueError, match="every entry of x must be ≥ 2, got 1"):
        v.integers([2, 1], "x", 2)


def test_choices_pass_and_others_are_named():
    assert v.choice("b", "x", ("a", "b")) == "b"
    for value in ("c", "A", "", None, 1, ["a"]):
        with pytest.raises(ValueError, match="x must be one of 'a', 'b', got ") as caught:
            v.choice(value, "x", ("a", "b"))
        assert str(caught.value).endswith(repr(value))


# Random generators


def test_an_integer_seeds_a_generator():
    for seed in (5, np.int64(5), np.uint8(5)):
        assert v.generator(seed).random() == np.random.default_rng(5).random()


def test_a_generator_is_used_as_it_is():
    rng = np.random.default_rng(0)
    assert v.generator(rng) is rng
    philox = np.random.Generator(np.random.Philox(0))
    assert v.generator(philox) is philox


def test_none_draws_a_fresh_seed():
    # equal by chance with probability 2^-53
    assert v.generator(None).random() != v.generator(None).random()


@pytest.mark.parametrize(
    ("rng", "exception", "message"),
    [
        (-1, ValueError, "rng must be ≥ 0, got -1"),
        (True, TypeError, "rng must be an integer, got bool"),
        (1.0, TypeError, r"rng must be None, an int or a numpy\.random\.Generator, got float"),
        ("seed", TypeError, r"rng must be None, an int or a numpy\.random\.Generator, got str"),
        ([1, 2], TypeError, r"rng must be None, an int or a numpy\.random\.Generator, got list"),
        (np.random.RandomState(0), TypeError, "rng must be None, .*, got RandomState"),
        (np.random, TypeError, "rng must be None, .*, got module"),
    ],
)
def test_bad_seeds_are_refused(rng, exception, message):
    with pytest.raises(exception, match=message):
        v.generator(rng)


def test_the_message_names_the_argument_it_is_told():
    with pytest.raises(TypeError, match="source must be None"):
        v.generator("seed", "source")


# What a callable returns


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_good_gradient_is_passed_on_without_a_copy(dtype):
    gradient = np.arange(3, dtype=dtype)
    assert v.returned_gradient(gradient, np.zeros(3, dtype), "at step 1") is gradient
    assert v.returned_gradient([1, 2, 3], np.zeros(3, dtype), "at step 1").dtype == dtype


def test_a_gradient_that_compiled_loops_do_not_know_is_copied():
    like = np.zeros(3)
    read_only = np.arange(3.0)
    read_only.setflags(write=False)
    unaligned = np.frombuffer(bytes(25), np.uint8)[1:].view(np.float64)
    for gradient in (read_only, unaligned, np.arange(6.0)[::2], np.arange(3, dtype=np.float32)):
        found = v.returned_gradient(gradient, like, "at step 1")
        assert found.flags.carray
        assert found.dtype == np.float64
        assert not np.shares_memory(found, gradient)
        np.testing.assert_array_equal(found, gradient)


@pytest.mark.parametrize("shape", [(2,), (4,), (3, 1), (1, 3), ()])
def test_a_gradient_of_a_wrong_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"the gradient returned at step 7 must have shape \(3,\), got \("):
        v.returned_gradient(np.ones(shape), np.zeros(3), "at step 7")


@pytest.mark.parametrize(("value", "dtype"), NOT_REAL[:4])
def test_a_gradient_that_is_not_real_is_refused(value, dtype):
    with pytest.raises(TypeError, match=f"the gradient returned by the callable must be real .*{dtype}"):
        v.returned_gradient(value, np.zeros(1), "at step 7")


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ([0, np.nan, np.nan], "non-finite gradient at step 7: 2 of 3 entries, the first is nan at index 1"),
        ([np.inf, 0, 0], "non-finite gradient at step 7: 1 of 3 entries, the first is inf at index 0"),
        ([0, 0, -np.inf], "non-finite gradient at step 7: 1 of 3 entries, the first is -inf at index 2"),
        ([-np.inf, np.inf, 0], "non-finite gradient at step 7: 2 of 3 entries, the first is -inf at index 0"),
        ([1e308, 1e308, np.nan], "non-finite gradient at step 7: 1 of 3 entries, the first is nan at index 2"),
    ],
)
@pytest.mark.parametrize("error_state", ["warn", "raise", "ignore"])
def test_a_gradient_that_is_not_finite_is_counted_and_located(gradient, message, error_state):
    # whatever NumPy is told to do about overflow, and although warnings are errors here
    with np.errstate(all=error_state), pytest.raises(gc.NonFiniteError, match=message):
        v.refuse_nonfinite(np.array(gradient), "at step 7")


def test_a_finite_gradient_is_not_refused():
    v.refuse_nonfinite(np.full(4, np.finfo(float).max), "at step 7")


@pytest.mark.parametrize("error_state", ["warn", "raise", "ignore"])
def test_a_gradient_too_large_for_the_parameters_becomes_infinite(error_state):
    # for `refuse_nonfinite` to find
    with np.errstate(all=error_state):
        assert v.returned_gradient([1e300, 1.0], np.zeros(2, np.float32), "at step 7").tolist() == [np.inf, 1.0]


def test_a_non_finite_error_is_a_value_error_and_a_floating_point_error():
    assert issubclass(gc.NonFiniteError, ValueError)
    assert issubclass(gc.NonFiniteError, FloatingPointError)
    assert v.NonFiniteError is gc.NonFiniteError
