import mpmath
import numpy as np
import pytest

from glasscurv.networks import LOSSES

CROSS_ENTROPY, MSE = LOSSES["cross_entropy"], LOSSES["mse"]


def example(name, rows=5, columns=3, seed=0):
    """Outputs and checked targets of a loss."""
    rng = np.random.default_rng(seed)
    outputs = 2 * rng.normal(size=(rows, columns))
    y = rng.integers(0, columns, rows) if name == "cross_entropy" else rng.normal(size=(rows, columns))
    return outputs, LOSSES[name].targets(y, outputs.shape, outputs.dtype)


def directional(function, x, direction, h=2.0**-10):
    """A directional derivative of fourth order."""
    near = function(x + h * direction) - function(x - h * direction)
    far = function(x + 2 * h * direction) - function(x - 2 * h * direction)
    return (8 * near - far) / (12 * h)


def test_losses_carry_their_own_names():
    assert {name: loss.name for name, loss in LOSSES.items()} == {"cross_entropy": "cross_entropy", "mse": "mse"}


@pytest.mark.parametrize("name", LOSSES)
def test_the_derivative_agrees_with_central_differences(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    derivative = loss.derivative(outputs, y)
    for index in np.ndindex(outputs.shape):
        unit = np.zeros_like(outputs)
        unit[index] = 1
        assert abs(directional(lambda f: loss.value(f, y), outputs, unit) - derivative[index]) < 5e-12


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_product_agrees_with_central_differences(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    change = np.random.default_rng(1).normal(size=outputs.shape)
    expected = directional(lambda f: loss.derivative(f, y), outputs, change)
    np.testing.assert_allclose(loss.hessian_product(outputs, change, y), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", LOSSES)
def test_the_hessian_is_symmetric_and_not_negative(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    units = np.eye(outputs.size).reshape(-1, *outputs.shape)
    hessian = np.array([loss.hessian_product(outputs, unit, y).ravel() for unit in units])
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-17)
    assert np.linalg.eigvalsh(hessian).min() > -1e-16


def test_cross_entropy_agrees_with_forty_digits():
    outputs, y = example("cross_entropy")
    with mpmath.workdps(40):
        rows = [[mpmath.exp(mpmath.mpf(float(f))) for f in row] for row in outputs]
        expected = -sum(mpmath.log(row[label] / sum(row)) for row, label in zip(rows, y, strict=True)) / len(y)
        probabilities = [[p / sum(row) for p in row] for row in rows]
    assert abs(CROSS_ENTROPY.value(outputs, y) / float(expected) - 1) < 1e-15
    onehot = np.eye(3)[y]
    derivative = (np.array(probabilities, dtype=float) - onehot) / len(y)
    np.testing.assert_allclose(CROSS_ENTROPY.derivative(outputs, y), derivative, rtol=0, atol=1e-16)


def test_cross_entropy_does_not_overflow():
    outputs = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    y = np.array([0, 0])
    assert CROSS_ENTROPY.value(outputs, y) == 1e4  # 0 and 2e4
    assert np.array_equal(CROSS_ENTROPY.derivative(outputs, y), [[0, 0, 0], [-0.5, 0.5, 0]])


def test_cross_entropy_does_not_see_a_common_shift():
    outputs, y = example("cross_entropy")
    shifted = outputs + np.arange(5.0)[:, None]
    assert abs(CROSS_ENTROPY.value(shifted, y) - CROSS_ENTROPY.value(outputs, y)) < 1e-14
    np.testing.assert_allclose(CROSS_ENTROPY.derivative(outputs, y).sum(axis=1), 0, rtol=0, atol=1e-16)
    ones = np.ones_like(outputs)
    np.testing.assert_allclose(CROSS_ENTROPY.hessian_product(outputs, ones, y), 0, rtol=0, atol=1e-16)


def test_equal_logits_cost_the_logarithm_of_the_number_of_labels():
    assert abs(CROSS_ENTROPY.value(np.zeros((4, 10)), np.arange(4)) - np.log(10)) < 1e-15


def test_mean_squared_error_is_the_mean_over_rows_and_outputs():
    outputs, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert MSE.value(outputs, y) == (0 + 4 + 9 + 16) / 4
    assert np.array_equal(MSE.derivative(outputs, y), np.array([[0.0, 2.0], [3.0, 4.0]]) / 2)
    assert np.array_equal(MSE.hessian_product(outputs, 8 * y, y), 4 * y)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_averages_its_rows(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    rows = [loss.value(outputs[[k]], y[[k]]) for k in range(5)]
    assert abs(np.mean(rows) - loss.value(outputs, y)) < 1e-15
    slopes = [loss.derivative(outputs[[k]], y[[k]])[0] for k in range(5)]
    np.testing.assert_allclose(np.array(slopes) / 5, loss.derivative(outputs, y), rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("name", LOSSES)
def test_float32_stays_float32_and_agrees_with_float64(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    single = outputs.astype(np.float32)
    y32 = loss.targets(y, single.shape, single.dtype)
    change = np.ones_like(single) * np.arange(3, dtype=np.float32)
    assert loss.derivative(single, y32).dtype == np.float32
    assert loss.hessian_product(single, change, y32).dtype == np.float32
    assert type(loss.value(single, y32)) is float
    np.testing.assert_allclose(loss.value(single, y32), loss.value(outputs, y), rtol=1e-6)
    np.testing.assert_allclose(loss.derivative(single, y32), loss.derivative(outputs, y), rtol=0, atol=1e-6)
    expected = loss.hessian_product(outputs, change.astype(float), y)
    np.testing.assert_allclose(loss.hessian_product(single, change, y32), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_arguments_never_change(name):
    loss = LOSSES[name]
    outputs, y = example(name)
    y = y.copy()
    change = outputs + 1
    for array in (outputs, y, change):
        array.setflags(write=False)
    loss.value(outputs, y)
    loss.derivative(outputs, y)
    loss.hessian_product(outputs, change, y)
    loss.targets(y, outputs.shape, outputs.dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_labels_of_every_integer_type_mean_the_same(dtype):
    outputs, y = example("cross_entropy")
    labels = CROSS_ENTROPY.targets(y.astype(dtype), outputs.shape, outputs.dtype)
    assert CROSS_ENTROPY.value(outputs, labels) == CROSS_ENTROPY.value(outputs, y)
    assert np.array_equal(CROSS_ENTROPY.derivative(outputs, labels), CROSS_ENTROPY.derivative(outputs, y))


def test_targets_of_a_single_output_may_be_a_vector_or_a_column():
    y = np.array([1.0, 2.0, 3.0])
    for targets in (y, y[:, None], [1, 2, 3]):
        assert np.array_equal(MSE.targets(targets, (3, 1), np.dtype(np.float64)), y[:, None])


@pytest.mark.parametrize(
    ("y", "exception", "message"),
    [
        ([0.0, 1.0], TypeError, "y must be integer labels for cross_entropy, got dtype float64"),
        ([True, False], TypeError, "y must be integer labels for cross_entropy, got dtype bool"),
        ([0, None], TypeError, "y must be integer labels for cross_entropy, got dtype object"),
        (["0", "1"], TypeError, "y must be integer labels for cross_entropy, got dtype <U1"),
        ([0, 1j], TypeError, "y must be integer labels for cross_entropy, got dtype complex128"),
        ([0, 1, 2], ValueError, r"y must have shape \(2,\) like the rows of X, got \(3,\)"),
        ([[0], [1]], ValueError, r"y must have shape \(2,\) like the rows of X, got \(2, 1\)"),
        (0, ValueError, r"y must have shape \(2,\) like the rows of X, got \(\)"),
        ([0, 3], ValueError, "y must hold labels 0 to 2, got 0 to 3"),
        ([-1, 2], ValueError, "y must hold labels 0 to 2, got -1 to 2"),
    ],
)
def test_bad_labels_are_refused(y, exception, message):
    with pytest.raises(exception, match=message):
        CROSS_ENTROPY.targets(y, (2, 3), np.dtype(np.float64))


@pytest.mark.parametrize(
    ("y", "outputs", "exception", "message"),
    [
        ([1.0, 2.0], (2, 3), ValueError, r"y must have shape \(2, 3\) like the network's outputs, got \(2,\)"),
        ([[1.0, 2.0]], (2, 1), ValueError, r"y must have shape \(2, 1\) like the network's outputs, got \(1, 2\)"),
        ([1.0, 2.0, 3.0], (2, 1), ValueError, r"y must have shape \(2, 1\) .*, got \(3,\)"),
        ([1.0, np.nan], (2, 1), ValueError, "y must be finite, got nan at index 1"),
        ([[1.0, 2.0], [np.inf, 4.0]], (2, 2), ValueError, r"y must be finite, got inf at index \(1, 0\)"),
        ([1.0, 2j], (2, 1), TypeError, "y must be real numbers .*complex128"),
        ([1.0, None], (2, 1), TypeError, "y must be real numbers .*object"),
        ([True, False], (2, 1), TypeError, "y must be real numbers .*bool"),
    ],
)
def test_bad_values_are_refused(y, outputs, exception, message):
    with pytest.raises(exception, match=message):
        MSE.targets(y, outputs, np.dtype(np.float64))
