import mpmath
import numpy as np
import pytest

from glasscurv.networks import ACTIVATIONS, Activation, leaky_relu

SMOOTH = ["tanh", "silu", "gelu"]
KINKED = ["relu", "leaky_relu"]
# 40 correct digits of the same functions
EXACT = {
    "tanh": mpmath.tanh,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu": lambda x: x * mpmath.ncdf(x),
}


def central(function, x, h=2.0**-10):
    """A derivative of fourth order: errors h⁴f⁽⁵⁾/30 ≈ 1e-12 and rounding 1e-16/h ≈ 1e-13."""
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8 * near - far) / (12 * h)


def test_the_known_activations_carry_their_own_names():
    assert {name: activation.name for name, activation in ACTIVATIONS.items()} == {n: n for n in SMOOTH + KINKED}
    assert all(isinstance(activation, Activation) for activation in ACTIVATIONS.values())


@pytest.mark.parametrize("name", SMOOTH + KINKED)
def test_derivatives_agree_with_central_differences(name):
    activation = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    # at least 0.1 away from the kink, fifty times the reach of the difference
    x = rng.choice([-1.0, 1.0], 200) * rng.uniform(0.1, 6, 200)
    np.testing.assert_allclose(activation.derivative(x), central(activation.value, x), rtol=0, atol=3e-12)
    np.testing.assert_allclose(activation.second_derivative(x), central(activation.derivative, x), rtol=0, atol=3e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations_agree_with_forty_digits(name):
    activation, exact = ACTIVATIONS[name], EXACT[name]
    x = np.concatenate([np.linspace(-30, 30, 61), np.random.default_rng(1).normal(size=20)])
    with mpmath.workdps(60):
        expected = [[mpmath.diff(exact, mpmath.mpf(float(t)), order) for t in x] for order in (0, 1, 2)]
    functions = (activation.value, activation.derivative, activation.second_derivative)
    for function, values in zip(functions, expected, strict=True):
        # a few roundings of numbers of the size of x, which may multiply something that should vanish
        error = np.abs(function(x) - np.array(values, dtype=float))
        assert (error <= 2.5e-16 * (2 + np.abs(x))).all()


@pytest.mark.parametrize("name", KINKED)
def test_piecewise_linear_activations_have_their_slopes_on_both_sides(name):
    activation = ACTIVATIONS[name]
    x = np.array([-1e6, -1e-300, 1e-300, 1e6])
    slopes = np.array([activation.left_slope, activation.left_slope, activation.right_slope, activation.right_slope])
    assert np.array_equal(activation.value(x), slopes * x)
    assert np.array_equal(activation.derivative(x), slopes)
    assert np.array_equal(activation.second_derivative(x), np.zeros(4))


def test_slopes_of_the_kinks_are_as_documented():
    slopes = {name: (activation.left_slope, activation.right_slope) for name, activation in ACTIVATIONS.items()}
    assert slopes == {"relu": (0.0, 1.0), "leaky_relu": (0.01, 1.0), **dict.fromkeys(SMOOTH, (None, None))}


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_the_derivative_at_a_kink_is_the_left_one(zero):
    x = np.array([zero])
    assert ACTIVATIONS["relu"].derivative(x) == 0
    assert leaky_relu(0.25).derivative(x) == 0.25
    assert ACTIVATIONS["relu"].value(x) == 0
    assert leaky_relu(0.25).value(x) == 0


@pytest.mark.parametrize("name", SMOOTH + KINKED)
@pytest.mark.parametrize("order", ["value", "derivative", "second_derivative"])
def test_float32_stays_float32_and_agrees_with_float64(name, order):
    function = getattr(ACTIVATIONS[name], order)
    x = np.random.default_rng(2).normal(size=(20, 5)).astype(np.float32)
    kept = x.copy()
    single, double = function(x), function(x.astype(np.float64))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert single.shape == double.shape == x.shape
    # a few float32 roundings (6e-8) of numbers up to 3
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-6)
    assert x.tobytes() == kept.tobytes()


@pytest.mark.parametrize("name", SMOOTH + KINKED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturation_is_silent_and_exact(name, dtype):
    # warnings are errors here: no overflow, no 0·∞
    activation = ACTIVATIONS[name]
    x = np.array([-1e4, 1e4], dtype=dtype)
    left = 0.01 if name == "leaky_relu" else 0.0
    value = np.array([-1, 1]) if name == "tanh" else np.array([left, 1]) * x
    slope = np.zeros(2) if name == "tanh" else np.array([left, 1])
    np.testing.assert_allclose(activation.value(x), value, rtol=1e-6)
    np.testing.assert_allclose(activation.derivative(x), slope, rtol=1e-6)
    assert np.array_equal(activation.second_derivative(x), np.zeros(2))


def test_leaky_relu_takes_any_slope():
    for slope in (-0.5, 0.0, 0.2, 1.0, 2.0):
        activation = leaky_relu(slope)
        assert np.array_equal(activation.value(np.array([-2.0, 3.0])), [-2 * slope, 3.0])
        assert np.array_equal(activation.derivative(np.array([-2.0, 3.0])), [slope, 1.0])
        assert (activation.left_slope, activation.right_slope) == (slope, 1.0)


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
def test_a_slope_that_is_not_finite_is_refused(slope):
    with pytest.raises(ValueError, match=f"negative_slope must be finite, got {slope}"):
        leaky_relu(slope)


def test_a_slope_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="negative_slope must be a real number, got str"):
        leaky_relu("0.1")
