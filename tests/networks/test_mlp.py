import copy
import math
import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from threadpoolctl import threadpool_info, threadpool_limits

import glasscurv as gc
from glasscurv._workers import ordered_map
from glasscurv.networks import ACTIVATIONS, LOSSES, Activation, leaky_relu, workspace
from tests.oracles import backpropagation

NAMES = list(ACTIVATIONS)
SMOOTH = ["tanh", "silu", "gelu"]


def example(activation="tanh", loss="cross_entropy", layers=(3, 5, 4, 2), rows=6, seed=0):
    """A network, parameters with biases, inputs and targets."""
    rng = np.random.default_rng(seed)
    net = gc.MLP(layers, activation=activation, loss=loss)
    theta = rng.normal(size=net.size) * 0.7
    X = rng.normal(size=(rows, layers[0]))
    y = rng.integers(0, layers[-1], rows) if loss == "cross_entropy" else rng.normal(size=(rows, layers[-1]))
    return net, theta, X, y


def directional(function, theta, direction, h):
    """A directional derivative of fourth order."""
    near = function(theta + h * direction) - function(theta - h * direction)
    far = function(theta + 2 * h * direction) - function(theta - 2 * h * direction)
    return (8 * near - far) / (12 * h)


def crosses_a_kink(net, theta, direction, X, reach):
    patterns = [
        [y > 0 for y in net.preactivations(theta + t * direction, X)[:-1]] for t in np.linspace(-reach, reach, 9)
    ]
    return any((one != other).any() for p in patterns[1:] for one, other in zip(patterns[0], p, strict=True))


# A slow rewrite


def slow_outputs(net, theta, x, function):
    """The network on one row, one multiplication at a time, straight from the layout of the parameter vector."""
    position = 0
    for k, (fan_in, fan_out) in enumerate(zip(net.layers[:-1], net.layers[1:], strict=True)):
        biases = position + fan_in * fan_out
        y = [
            sum((x[i] * theta[position + i * fan_out + j] for i in range(fan_in)), theta[biases + j])
            for j in range(fan_out)
        ]
        position = biases + fan_out
        x = [function(value) for value in y] if k < len(net.layers) - 2 else y
    assert position == net.size
    return x


@pytest.mark.parametrize("name", NAMES)
def test_outputs_agree_with_a_slow_loop(name):
    net, theta, X, _ = example(name)
    expected = [
        slow_outputs(net, theta, list(x), lambda value: ACTIVATIONS[name].value(np.array(value)).item()) for x in X
    ]
    np.testing.assert_allclose(net.outputs(theta, X), expected, rtol=1e-13, atol=1e-14)


EXACT = {
    "tanh": mpmath.tanh,
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "gelu": lambda x: x * mpmath.ncdf(x),
}


def exact_loss(net, theta, X, y):
    """The loss in the current mpmath precision."""
    rows = [slow_outputs(net, theta, [mpmath.mpf(float(v)) for v in x], EXACT[net.activation.name]) for x in X]
    if net.loss.name == "mse":
        return sum(
            (f - float(t)) ** 2 for row, ts in zip(rows, y, strict=True) for f, t in zip(row, ts, strict=True)
        ) / (len(rows) * len(rows[0]))
    return sum(mpmath.log(sum(mpmath.exp(f) for f in row)) - row[t] for row, t in zip(rows, y, strict=True)) / len(rows)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", EXACT)
def test_gradient_and_hessian_product_agree_with_forty_digits(name, loss):
    net, theta, X, y = example(name, loss, layers=(2, 2, 2), rows=3, seed=4)
    v = np.random.default_rng(5).normal(size=net.size)
    value, gradient = net.value_and_grad(theta, X, y)
    product = net.hessian_vector(theta, v, X, y)
    with mpmath.workdps(40):
        exact_theta, exact_v = ([mpmath.mpf(float(t)) for t in array] for array in (theta, v))
        h = mpmath.mpf(10) ** -10  # second differences of relative error 1e-20, and of rounding 1e-20

        def moved(i, s, t):
            point = [a + t * b for a, b in zip(exact_theta, exact_v, strict=True)]
            point[i] += s
            return exact_loss(net, point, X, y)

        expected = exact_loss(net, exact_theta, X, y)
        slopes = [(moved(i, h, 0) - moved(i, -h, 0)) / (2 * h) for i in range(net.size)]
        bends = [
            (moved(i, h, h) - moved(i, -h, h) - moved(i, h, -h) + moved(i, -h, -h)) / (4 * h * h)
            for i in range(net.size)
        ]
    assert abs(value - float(expected)) <= 4e-15 * abs(value)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient, np.array(slopes, dtype=float), rtol=0, atol=4e-15 * max(scale, 1))
    scale = np.abs(product).max()
    np.testing.assert_allclose(product, np.array(bends, dtype=float), rtol=0, atol=8e-15 * max(scale, 1))


# Derivatives


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_agrees_with_central_differences(name, loss):
    net, theta, X, y = example(name, loss)
    value, gradient = net.value_and_grad(theta, X, y)
    h = 5e-4
    slopes = []
    for unit in np.eye(net.size):
        # a kink within reach would make the difference meaningless; the seed keeps them away
        assert ACTIVATIONS[name].left_slope is None or not crosses_a_kink(net, theta, unit, X, 2 * h)
        slopes.append(directional(lambda t: net.value(t, X, y), theta, unit, h))
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-11)
    assert value == net.value(theta, X, y)
    assert np.abs(gradient).max() > 0.01


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
def test_the_hessian_product_agrees_with_differences_of_the_gradient(name, loss):
    net, theta, X, y = example(name, loss)
    h = 1e-4
    for seed in range(3):
        v = np.random.default_rng(seed).normal(size=net.size)
        assert ACTIVATIONS[name].left_slope is None or not crosses_a_kink(net, theta, v, X, 2 * h)
        expected = directional(lambda t: net.value_and_grad(t, X, y)[1], theta, v, h)
        assert np.abs(expected).max() > 0.01
        product = net.hessian_vector(theta, v, X, y)
        np.testing.assert_allclose(product, expected, rtol=0, atol=2e-11 * max(1, np.abs(expected).max()))


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(NAMES),
    loss=st.sampled_from(list(LOSSES)),
    layers=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_hessian_is_symmetric_and_linear(name, loss, layers, seed):
    net, theta, X, y = example(name, loss, tuple(layers), rows=3, seed=seed)
    u, v = np.random.default_rng(seed).normal(size=(2, net.size))
    hu, hv = net.hessian_vector(theta, u, X, y), net.hessian_vector(theta, v, X, y)
    scale = np.linalg.norm(u) * np.linalg.norm(hv) + np.linalg.norm(v) * np.linalg.norm(hu) + 1e-300
    # rounding grows with the products in between, which may cancel in hu and hv
    assert abs(u @ hv - v @ hu) <= 1e-12 * max(scale, 1)
    combined = net.hessian_vector(theta, 2 * u - 3 * v, X, y)
    np.testing.assert_allclose(combined, 2 * hu - 3 * hv, rtol=0, atol=1e-12 * max(scale, 1))
    assert not net.hessian_vector(theta, np.zeros(net.size), X, y).any()


def test_a_network_without_hidden_layers_is_linear_regression():
    rng = np.random.default_rng(6)
    net = gc.MLP((3, 2), loss="mse")
    X, Y, W, b = rng.normal(size=(7, 3)), rng.normal(size=(7, 2)), rng.normal(size=(3, 2)), rng.normal(size=2)
    theta = np.concatenate([W.ravel(), b])
    residual = X @ W + b - Y
    value, gradient = net.value_and_grad(theta, X, Y)
    assert abs(value - (residual**2).mean()) < 1e-15
    expected = np.concatenate([(X.T @ residual).ravel(), residual.sum(axis=0)]) * 2 / residual.size
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-15)
    design = np.hstack([X, np.ones((7, 1))])
    hessian = 2 / residual.size * np.kron(design.T @ design, np.eye(2))
    v = rng.normal(size=net.size)
    np.testing.assert_allclose(net.hessian_vector(theta, v, X, Y), hessian @ v, rtol=0, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_averages_its_rows(loss):
    net, theta, X, y = example("gelu", loss)
    v = np.random.default_rng(0).normal(size=net.size)
    rows = [net.value_and_grad(theta, X[[k]], y[[k]]) for k in range(6)]
    value, gradient = net.value_and_grad(theta, X, y)
    assert abs(np.mean([row[0] for row in rows]) - value) < 1e-14
    np.testing.assert_allclose(np.mean([row[1] for row in rows], axis=0), gradient, rtol=0, atol=1e-14)
    products = [net.hessian_vector(theta, v, X[[k]], y[[k]]) for k in range(6)]
    np.testing.assert_allclose(np.mean(products, axis=0), net.hessian_vector(theta, v, X, y), rtol=0, atol=1e-13)


def test_crossing_a_kink_changes_the_gradient_by_the_back_propagated_signal():
    # Equation (1): L = relu(w x + b) u with one unit, mean squared error to target 0 after the output bias c.
    net = gc.MLP((1, 1, 1), activation="relu", loss="mse")
    x, u, c = 2.0, 3.0, 5.0
    active = net.value_and_grad(np.array([0.5, -1 + 1e-9, u, c]), [[x]], [0.0])[1]
    inactive = net.value_and_grad(np.array([0.5, -1 - 1e-9, u, c]), [[x]], [0.0])[1]
    signal = 2 * c * u  # ∂L/∂relu at the crossing
    np.testing.assert_allclose(active - inactive, [signal * x, signal, 0, 0], rtol=0, atol=1e-6)


def test_the_activation_may_be_an_object():
    wide, known = example(leaky_relu(0.3))[0], example("leaky_relu")[0]
    _, theta, X, y = example()
    assert wide.activation.left_slope == 0.3
    assert wide.value(theta, X, y) != known.value(theta, X, y)
    square = Activation("square", np.square, lambda x: 2 * x, lambda x: 2 * np.ones_like(x))
    net = gc.MLP((3, 5, 4, 2), activation=square)
    v = np.random.default_rng(0).normal(size=net.size)
    expected = directional(lambda t: net.value_and_grad(t, X, y)[1], theta, v, 1e-4)
    np.testing.assert_allclose(net.hessian_vector(theta, v, X, y), expected, rtol=1e-9, atol=1e-9)


# Dtypes


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_agrees_with_float64(name, loss):
    net, theta, X, y = example(name, loss)
    v = np.random.default_rng(7).normal(size=net.size)
    single = theta.astype(np.float32)
    value, gradient = net.value_and_grad(single, X, y)
    arrays = [gradient, net.hessian_vector(single, v, X, y), *net.preactivations(single, X), net.outputs(single, X)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert type(value) is float
    if loss == "mse":
        assert net.predict(single, X).dtype == np.float32
    double = [net.value_and_grad(theta, X, y)[1], net.hessian_vector(theta, v, X, y), *net.preactivations(theta, X)]
    for one, other in zip(arrays, double, strict=False):
        # a few tens of float32 roundings of the largest numbers
        np.testing.assert_allclose(one, other, rtol=0, atol=4e-6 * max(1, np.abs(other).max()))


def test_the_dtype_of_the_parameters_rules():
    net, theta, X, y = example()
    assert net.value_and_grad(theta, X.astype(np.float32), y)[1].dtype == np.float64
    assert net.hessian_vector(theta, theta.astype(np.float32), X, y).dtype == np.float64
    assert net.value_and_grad(np.ones(net.size, dtype=np.int64), X, y)[1].dtype == np.float64
    regression, theta, X, y = example(loss="mse")
    assert regression.value_and_grad(theta.astype(np.float32), X, y)[1].dtype == np.float32


# Parameters


def test_groups_tile_the_parameter_vector():
    net = gc.MLP((7, 5, 3, 2))
    assert net.groups == {"layer1": slice(0, 40), "layer2": slice(40, 58), "layer3": slice(58, 66)}
    covered = np.concatenate([np.arange(net.size)[group] for group in net.groups.values()])
    assert np.array_equal(covered, np.arange(net.size))
    assert net.layers == (7, 5, 3, 2)


def test_unflatten_gives_views_row_by_row():
    net = gc.MLP((3, 2, 4))
    theta = np.arange(float(net.size))
    (w1, b1), (w2, b2) = net.unflatten(theta)
    assert np.array_equal(w1, [[0, 1], [2, 3], [4, 5]])
    assert np.array_equal(b1, [6, 7])
    assert np.array_equal(w2, np.arange(8.0, 16).reshape(2, 4))
    assert np.array_equal(b2, [16, 17, 18, 19])
    for view in (w1, b1, w2, b2):
        assert np.shares_memory(view, theta)
    w2[1, 3] = -1
    assert theta[15] == -1


def test_the_preactivations_of_every_layer_are_given():
    net, theta, X, _ = example("relu")
    ys = net.preactivations(theta, X)
    assert [y.shape for y in ys] == [(6, 5), (6, 4), (6, 2)]
    (w1, b1), (w2, b2), _ = net.unflatten(theta)
    np.testing.assert_allclose(ys[0], X @ w1 + b1, rtol=1e-14)
    np.testing.assert_allclose(ys[1], np.maximum(ys[0], 0) @ w2 + b2, rtol=1e-13, atol=1e-15)
    assert np.array_equal(ys[2], net.outputs(theta, X))


# Initialisation


def variance_is_plausible(weights, variance):
    """Whether Σw²/variance lies inside the central 1 − 2e-8 of its χ² law: the error rate of each test.

    With 30 000 weights or more a variance wrong by 10 % passes with probability below 1e-5.
    """
    law = stats.chi2(weights.size)
    return law.ppf(1e-8) < np.sum(weights.astype(float) ** 2) / variance < law.isf(1e-8)


@pytest.mark.parametrize(
    ("activation", "method", "variances"),
    [
        ("relu", None, (2 / 100, 2 / 300, 2 / 200)),
        ("leaky_relu", None, (2 / 100, 2 / 300, 2 / 200)),
        ("silu", None, (2 / 100, 2 / 300, 2 / 200)),
        ("gelu", None, (2 / 100, 2 / 300, 2 / 200)),
        ("tanh", None, (2 / 400, 2 / 500, 2 / 350)),
        ("tanh", "he", (2 / 100, 2 / 300, 2 / 200)),
        ("relu", "glorot", (2 / 400, 2 / 500, 2 / 350)),
    ],
)
def test_initial_weights_have_the_variance_of_the_rule(activation, method, variances):
    net = gc.MLP((100, 300, 200, 150), activation=activation)
    theta = net.initialize(np.random.default_rng(8), method=method)
    for (weights, biases), variance in zip(net.unflatten(theta), variances, strict=True):
        assert variance_is_plausible(weights, variance)
        assert not variance_is_plausible(weights * np.sqrt(1.1), variance)
        assert not variance_is_plausible(weights * np.sqrt(0.9), variance)
        assert not biases.any()
        # normal with mean 0: the Kolmogorov-Smirnov test errs in 1e-8 of all seeds
        assert stats.kstest(weights.ravel() / np.sqrt(variance), "norm").pvalue > 1e-8


def test_equal_seeds_give_equal_parameters():
    net = gc.MLP((4, 3, 2))
    assert np.array_equal(net.initialize(3), net.initialize(np.random.default_rng(3)))
    assert not np.array_equal(net.initialize(3), net.initialize(4))


def test_initial_parameters_come_in_the_dtype_asked_for():
    net = gc.MLP((4, 3, 2))
    single, double = net.initialize(3, dtype=np.float32), net.initialize(3)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.array_equal(single, double.astype(np.float32))
    assert double.shape == (net.size,)
    assert net.initialize(3, dtype="float32").dtype == np.float32


# Predictions


def test_predictions_are_the_most_likely_labels():
    net = gc.MLP((3, 3))
    theta = np.concatenate([np.eye(3).ravel(), np.zeros(3)])
    labels = net.predict(theta, [[3.0, 1.0, 2.0], [-1.0, -2.0, 0.0], [0.0, 5.0, 4.0]])
    assert np.array_equal(labels, [0, 2, 1])
    assert np.issubdtype(labels.dtype, np.integer)


def test_predictions_of_a_regression_are_values():
    X = np.random.default_rng(9).normal(size=(5, 2))
    for outputs, shape in [(1, (5,)), (3, (5, 3))]:
        net = gc.MLP((2, 4, outputs), loss="mse")
        theta = net.initialize(1)
        values = net.predict(theta, X)
        assert values.shape == shape
        assert np.array_equal(values.reshape(5, outputs), net.outputs(theta, X))


def test_targets_of_a_single_output_may_be_a_vector_or_a_column():
    net = gc.MLP((2, 4, 1), loss="mse")
    rng = np.random.default_rng(10)
    theta, X, y = net.initialize(rng), rng.normal(size=(5, 2)), rng.normal(size=5)
    for one, other in zip(net.value_and_grad(theta, X, y), net.value_and_grad(theta, X, y[:, None]), strict=True):
        assert np.array_equal(one, other)


# What the caller owns


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arguments_never_change_and_may_be_read_only(name, loss, dtype):
    net, theta, X, y = example(name, loss)
    theta, X, v = theta.astype(dtype), X.astype(dtype), np.ones(net.size, dtype)
    arrays = (theta, X, y, v)
    kept = [array.copy() for array in arrays]
    for writeable in (False, True):
        for array in arrays:
            array.setflags(write=writeable)
        net.value(theta, X, y)
        net.value_and_grad(theta, X, y)
        net.hessian_vector(theta, v, X, y)
        net.preactivations(theta, X)
        net.predict(theta, X)
        for array, before in zip(arrays, kept, strict=True):
            assert array.tobytes() == before.tobytes()


def test_results_are_fresh_arrays():
    net, theta, X, y = example()
    first = net.value_and_grad(theta, X, y)[1]
    kept = first.copy()
    second = net.value_and_grad(2 * theta, X, y)[1]
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)


def test_strided_arguments_are_accepted():
    net, theta, X, y = example()
    v = np.random.default_rng(0).normal(size=net.size)
    spread = [np.repeat(array, 2, axis=0)[::2] for array in (theta, v, np.asfortranarray(X), y)]
    np.testing.assert_allclose(
        net.value_and_grad(spread[0], *spread[2:])[1], net.value_and_grad(theta, X, y)[1], rtol=1e-14, atol=1e-16
    )
    np.testing.assert_allclose(net.hessian_vector(*spread), net.hessian_vector(theta, v, X, y), rtol=1e-13, atol=1e-15)


def test_lists_are_accepted():
    net, theta, X, y = example()
    assert net.value(theta.tolist(), X.tolist(), y.tolist()) == net.value(theta, X, y)


# What each weight is and multiplies


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_weight_groups_are_the_weights_and_no_biases(layers):
    net = gc.MLP(layers)
    theta = np.arange(net.size)
    matrices = [weights for weights, _ in net.unflatten(theta)]
    whole, units = net.weight_groups(), net.weight_groups(per="unit")
    assert list(whole) == list(net.groups)
    for group, weights in zip(whole.values(), matrices, strict=True):
        assert np.array_equal(theta[group], weights.ravel())
    columns = {f"layer{k}/{j}": column for k, weights in enumerate(matrices, 1) for j, column in enumerate(weights.T)}
    assert list(units) == list(columns)
    for name, column in columns.items():
        assert np.array_equal(theta[units[name]], column)


@pytest.mark.parametrize("name", NAMES)
def test_input_norms_are_those_of_a_slow_loop(name):
    net, theta, X, _ = example(name, rows=40)
    expected, h = [], X
    for k, (weights, biases) in enumerate(net.unflatten(theta)):
        sizes = [math.sqrt(math.fsum(value**2 for value in column) / len(X)) for column in h.T]
        expected += [size for size in sizes for _ in biases] + [1.0 for _ in biases]
        h = ACTIVATIONS[name].value(h @ weights + biases) if k < len(net.layers) - 2 else None
    np.testing.assert_allclose(net.input_norm(theta, X), expected, rtol=1e-13)


def test_input_norms_take_numbers_of_every_kind():
    net = gc.MLP((2, 1), loss="mse")
    for dtype in (np.float32, np.float64):
        norm = net.input_norm(np.ones(3, dtype), np.array([[3e30, 0], [4e30, 1]], np.float32))  # squares overflow
        assert norm.dtype == dtype
        np.testing.assert_allclose(norm, [math.sqrt(12.5) * 1e30, math.sqrt(0.5), 1], rtol=1e-6)
    assert net.input_norm([1, 1, 1], [[3, 4]]).tolist() == [3, 4, 1]


def test_other_groups_than_of_layers_and_units_are_refused():
    with pytest.raises(ValueError, match="per must be one of 'layer', 'unit', got 'column'"):
        gc.MLP((2, 2)).weight_groups("column")


# Bad arguments


@pytest.mark.parametrize(
    ("layers", "exception", "message"),
    [
        ((2,), ValueError, r"layers must hold at least an input and an output width, got \(2,\)"),
        ((), ValueError, r"layers must hold at least an input and an output width, got \(\)"),
        ((2, 0, 3), ValueError, "every entry of layers must be ≥ 1, got 0"),
        ((2, -1), ValueError, "every entry of layers must be ≥ 1, got -1"),
        ((2, True), TypeError, "every entry of layers must be an integer, got bool"),
        ((2, np.bool_(True)), TypeError, "every entry of layers must be an integer, got bool"),
        ((2, 3.0), TypeError, "every entry of layers must be an integer, got float"),
        ("23", TypeError, "every entry of layers must be an integer, got str"),
        ((2, None), TypeError, "every entry of layers must be an integer, got NoneType"),
        (5, TypeError, "layers must be a sequence of integers, got int"),
    ],
)
def test_bad_widths_are_refused(layers, exception, message):
    with pytest.raises(exception, match=message):
        gc.MLP(layers)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"activation must be one of 'relu', 'leaky_relu', .*, got 'sigmoid'"):
        gc.MLP((2, 2), activation="sigmoid")
    with pytest.raises(ValueError, match=r"activation must be one of .*, got None"):
        gc.MLP((2, 2), activation=None)
    with pytest.raises(ValueError, match="loss must be one of 'cross_entropy', 'mse', got 'hinge'"):
        gc.MLP((2, 2), loss="hinge")
    with pytest.raises(ValueError, match="method must be one of 'he', 'glorot', got 'lecun'"):
        gc.MLP((2, 2)).initialize(0, method="lecun")


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.complex128, object, bool])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=f"dtype must be float32 or float64, got {np.dtype(dtype)}"):
        gc.MLP((2, 2)).initialize(0, dtype=dtype)


def test_a_bad_seed_is_refused():
    with pytest.raises(TypeError, match=r"rng must be None, an int or a numpy.random.Generator, got str"):
        gc.MLP((2, 2)).initialize("seed")


CALLS = {
    "value": lambda net, theta, X, y: net.value(theta, X, y),
    "value_and_grad": lambda net, theta, X, y: net.value_and_grad(theta, X, y),
    "hessian_vector": lambda net, theta, X, y: net.hessian_vector(theta, np.ones(net.size), X, y),
    "preactivations": lambda net, theta, X, y: net.preactivations(theta, X),
    "outputs": lambda net, theta, X, y: net.outputs(theta, X),
    "predict": lambda net, theta, X, y: net.predict(theta, X),
    "input_norm": lambda net, theta, X, y: net.input_norm(theta, X),
}
GOOD = {"theta": np.linspace(-1, 1, 9), "X": np.array([[1.0, 2.0], [3.0, 4.0]]), "y": np.array([0, 2])}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("bad", "exception", "message"),
    [
        ({"theta": np.ones(8)}, ValueError, r"theta must have shape \(9,\), got \(8,\)"),
        ({"theta": np.ones((9, 1))}, ValueError, r"theta must have shape \(9,\), got \(9, 1\)"),
        ({"theta": 1.0}, ValueError, r"theta must have shape \(9,\), got \(\)"),
        ({"theta": np.ones(9) + 0j}, TypeError, "theta must be real numbers .*complex128"),
        ({"theta": np.ones(9, dtype=object)}, TypeError, "theta must be real numbers .*object"),
        ({"theta": np.ones(9, dtype=bool)}, TypeError, "theta must be real numbers .*bool"),
        ({"theta": np.ones(9, dtype=np.float16)}, TypeError, "theta must be real numbers .*float16"),
        ({"X": np.ones((2, 3))}, ValueError, r"X must have shape \(rows, 2\) and hold something, got \(2, 3\)"),
        ({"X": np.ones(2)}, ValueError, r"X must have shape \(rows, 2\) and hold something, got \(2,\)"),
        ({"X": np.ones((0, 2))}, ValueError, r"X must have shape \(rows, 2\) and hold something, got \(0, 2\)"),
        ({"X": [[1.0, 2.0], [np.nan, 4.0]]}, ValueError, r"X must be finite, got nan at index \(1, 0\)"),
        ({"X": [[1.0, np.inf], [3.0, 4.0]]}, ValueError, r"X must be finite, got inf at index \(0, 1\)"),
        ({"X": np.ones((2, 2)) * 1j}, TypeError, "X must be real numbers .*complex128"),
        ({"X": [["1", "2"], ["3", "4"]]}, TypeError, "X must be real numbers .*<U1"),
        ({"X": [[None, 1.0], [2.0, 3.0]]}, TypeError, "X must be real numbers .*object"),
    ],
)
def test_bad_parameters_and_inputs_are_refused(call, bad, exception, message):
    with pytest.raises(exception, match=message):
        CALLS[call](gc.MLP((2, 3)), **{**GOOD, **bad})


@pytest.mark.parametrize("call", ["value", "value_and_grad", "hessian_vector"])
@pytest.mark.parametrize(
    ("y", "exception", "message"),
    [
        ([0, 3], ValueError, "y must hold labels 0 to 2, got 0 to 3"),
        ([-1, 0], ValueError, "y must hold labels 0 to 2, got -1 to 0"),
        ([0.0, 2.0], TypeError, "y must be integer labels for cross_entropy, got dtype float64"),
        ([0, 1, 2], ValueError, r"y must have shape \(2,\) like the rows of X, got \(3,\)"),
        ([[0], [1]], ValueError, r"y must have shape \(2,\) like the rows of X, got \(2, 1\)"),
    ],
)
def test_bad_labels_are_refused(call, y, exception, message):
    with pytest.raises(exception, match=message):
        CALLS[call](gc.MLP((2, 3)), **{**GOOD, "y": y})


@pytest.mark.parametrize("call", ["value", "value_and_grad", "hessian_vector"])
@pytest.mark.parametrize(
    ("y", "exception", "message"),
    [
        (np.ones(2), ValueError, r"y must have shape \(2, 3\) like the network's outputs, got \(2,\)"),
        (np.full((2, 3), np.nan), ValueError, r"y must be finite, got nan at index \(0, 0\)"),
        (np.ones((2, 3)) * 1j, TypeError, "y must be real numbers .*complex128"),
    ],
)
def test_bad_values_are_refused(call, y, exception, message):
    with pytest.raises(exception, match=message):
        CALLS[call](gc.MLP((2, 3), loss="mse"), **{**GOOD, "y": y})


@pytest.mark.parametrize(
    ("v", "exception", "message"),
    [
        (np.ones(8), ValueError, r"v must have shape \(9,\), got \(8,\)"),
        (np.ones((9, 1)), ValueError, r"v must have shape \(9,\), got \(9, 1\)"),
        (np.ones(9) * 1j, TypeError, "v must be real numbers .*complex128"),
        (np.full(9, np.nan), ValueError, "v must be finite, got nan at index 0"),
    ],
)
def test_a_bad_direction_is_refused(v, exception, message):
    with pytest.raises(exception, match=message):
        gc.MLP((2, 3)).hessian_vector(GOOD["theta"], v, GOOD["X"], GOOD["y"])


def test_parameters_that_are_not_finite_reach_the_gradient():
    # the optimizer then names the step at which it happened
    net, theta, X, y = example()
    theta[0] = np.nan
    value, gradient = net.value_and_grad(theta, X, y)
    assert np.isnan(value)
    assert np.isnan(gradient).any()


def test_a_network_says_what_it_is():
    assert repr(gc.MLP((2, 3), activation="tanh")) == "MLP((2, 3), activation='tanh', loss='cross_entropy')"


def test_widths_must_be_a_sequence():
    with pytest.raises(TypeError, match="layers must be a sequence of integers, got int"):
        gc.MLP(3)


# The fast passes against the plain ones


@dataclass(frozen=True)
class Cubic:
    """A loss that is no mean over rows, with nothing but the members of the protocol."""

    name: str = "cubic"

    def targets(self, y, outputs, dtype):
        return np.asarray(y, dtype).reshape(outputs)

    def value(self, outputs, y):
        return float(np.sum(outputs * y, dtype=np.float64)) ** 3

    def derivative(self, outputs, y):
        return (3 * np.sum(outputs * y) ** 2 * y).astype(outputs.dtype)

    def hessian_product(self, outputs, change, y):
        return 6 * np.sum(outputs * y) * np.sum(change * y) * y


SQUARE = Activation("square", np.square, lambda x: 2 * x, lambda x: 2 * np.ones_like(x))
LAYOUTS = {
    "plain": lambda X: X,
    "columns first": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": lambda X: np.broadcast_to(X, X.shape),
}


@pytest.mark.parametrize("work", [workspace.WORK, 1])  # one piece, many
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient_are_those_of_plain_backpropagation(dtype, work, monkeypatch):
    monkeypatch.setattr(workspace, "WORK", work)
    activations = [*ACTIVATIONS, leaky_relu(-0.5), leaky_relu(0.0), SQUARE]
    losses = [*LOSSES, Cubic()]
    for seed in range(60):
        rng = np.random.default_rng(seed)
        widths = tuple(rng.choice([1, 2, 7, 40], 2 + seed % 4).tolist())
        net = gc.MLP(widths, activations[seed % len(activations)], losses[seed % len(losses)])
        rows = int(rng.choice([1, 2, 31, 64, 130]))
        X = rng.normal(size=(rows, widths[0]))
        y = rng.integers(0, widths[-1], rows) if seed % len(losses) == 0 else rng.normal(size=(rows, widths[-1]))
        if seed % len(losses) == 1 and widths[-1] == 1 and seed % 2:
            y = y[:, 0]
        theta = (rng.normal(size=net.size) / np.sqrt(net.size)).astype(dtype)
        X = LAYOUTS[list(LAYOUTS)[int(rng.integers(len(LAYOUTS)))]](X.astype(rng.choice([np.float32, np.float64])))
        value, gradient = net.value_and_grad(theta, X, y)
        targets = y.astype(dtype) if y.dtype.kind == "f" else y
        expected, slopes = backpropagation(net, theta, X, targets)
        tolerance = 500 * np.finfo(dtype).eps
        assert abs(value - expected) <= tolerance * max(1, abs(expected)), seed
        np.testing.assert_allclose(gradient, slopes, rtol=0, atol=tolerance * max(1, abs(slopes).max()), err_msg=seed)


def test_a_minibatch_is_cut_by_its_shape_alone():
    large = 10**7
    lengths = {
        rows: [part.stop - part.start for part in workspace.panels(rows, large)]
        for rows in (1, 31, 64, 128, 1024, 5000)
    }
    assert lengths[1] == [1]
    assert lengths[31] == [31]
    assert lengths[64] == [32, 32]
    assert lengths[128] == [64, 64]
    assert lengths[1024] == [256] * 4
    assert len(lengths[5000]) == 20
    assert len(workspace.panels(100, 9000)) == 1  # too little to share
    for rows, found in lengths.items():
        assert sum(found) == rows


def test_what_only_looks_like_the_librarys_own_is_not_replaced_by_compiled_loops():
    class Doubled(type(LOSSES["mse"])):
        def value(self, outputs, y):
            return 2 * super().value(outputs, y)

        def derivative(self, outputs, y):
            return 2 * super().derivative(outputs, y)

    net, theta, X, y = example("relu", "mse")
    value, gradient = net.value_and_grad(theta, X, y)
    doubled = gc.MLP(net.layers, "relu", Doubled()).value_and_grad(theta, X, y)
    assert doubled[0] == 2 * value
    assert np.array_equal(doubled[1], 2 * gradient)
    relu, leaky = ACTIVATIONS["relu"], leaky_relu(0.3)
    for activation in (
        replace(relu, derivative=lambda x: 1.1 * relu.derivative(x)),
        replace(relu, value=lambda x: 1.1 * relu.value(x)),
        replace(leaky, derivative=leaky_relu(0.4).derivative),
        replace(leaky, value=relu.value),
    ):
        net = gc.MLP(net.layers, activation, "mse")
        np.testing.assert_allclose(
            net.value_and_grad(theta, X, y)[1], backpropagation(net, theta, X, y)[1], rtol=1e-12, atol=1e-14
        )


def test_a_unit_at_minus_infinity_is_off():
    net, theta, X, y = example("relu")
    theta[15] = -np.inf  # a bias of the first layer
    value, gradient = net.value_and_grad(theta, X, y)
    off = theta.copy()
    off[15] = -1e9
    expected, slopes = net.value_and_grad(off, X, y)
    assert value == expected
    assert np.array_equal(gradient, slopes)


# Threads


def everything(net, theta, X, y):
    """Results of all methods, as bytes."""
    value, gradient = net.value_and_grad(theta, X, y)
    v = np.random.default_rng(0).normal(size=net.size)
    arrays = [gradient, net.hessian_vector(theta, v, X, y), *net.preactivations(theta, X), net.outputs(theta, X)]
    return [value, net.value(theta, X, y), *(array.tobytes() for array in [*arrays, net.predict(theta, X)])]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("activation", "loss"), [("relu", "cross_entropy"), ("tanh", "mse"), (SQUARE, Cubic())])
def test_bits_do_not_depend_on_the_number_of_threads(activation, loss, dtype, monkeypatch):
    # BLAS's own threads change bits at these sizes
    monkeypatch.setattr(workspace, "WORK", 1)
    monkeypatch.setattr(workspace, "BLOCK", 64)
    rng = np.random.default_rng(0)
    net = gc.MLP((210, 300, 190, 5), activation, loss)
    theta = net.initialize(rng, dtype=dtype)
    X = rng.normal(size=(300, 210))
    y = rng.integers(0, 5, 300) if loss == "cross_entropy" else rng.normal(size=(300, 5)) / 300
    results = []
    for threads in (1, 2, 7):
        with threadpool_limits(threads, user_api="blas"):
            results.append(everything(net, theta, X, y))
    assert results[0] == results[1] == results[2]
    assert results[0][0] == results[0][1]


def test_the_threads_of_blas_are_restored_even_after_an_error():
    net, theta, X, y = example()
    bad = X.copy()
    bad[-1, -1] = np.nan
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            before = threadpool_info()
            net.value_and_grad(theta, X, y)
            with pytest.raises(ValueError, match=r"X must be finite, got nan at index \(5, 2\)"):
                net.value_and_grad(theta, bad, y)
            assert threadpool_info() == before


def test_the_last_panel_is_checked_as_the_first_one_is(monkeypatch):
    monkeypatch.setattr(workspace, "WORK", 1)
    net, theta, X, y = example(rows=200)
    X[199, 1] = np.inf
    for call in (net.value_and_grad, net.value):
        with pytest.raises(ValueError, match=r"X must be finite, got inf at index \(199, 1\)"):
            call(theta, X, y)


def test_a_network_may_be_used_by_several_threads_at_once(monkeypatch):
    monkeypatch.setattr(workspace, "WORK", 2000)
    net, theta, X, y = example("relu", layers=(3, 30, 20, 2), rows=120)
    tasks = [(rows, scale) for rows in (40, 80, 120) for scale in range(1, 9)]

    def call(task):
        rows, scale = task
        value, gradient = net.value_and_grad(scale * theta, X[:rows], y[:rows])
        return value, gradient.tobytes()

    alone = [call(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(call, tasks)) == alone


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_network_may_be_used_in_forked_processes(monkeypatch):
    monkeypatch.setattr(workspace, "WORK", 1)
    net, theta, X, y = example("relu", layers=(3, 30, 20, 2), rows=200)
    here = [net.value_and_grad(scale * theta, X, y)[1] for scale in range(1, 5)]
    with ordered_map(2) as mapped:
        there = list(mapped(lambda scale: net.value_and_grad(scale * theta, X, y)[1], range(1, 5)))
    assert np.array_equal(here, there)


# Memory


def test_the_gradient_may_be_written_into_an_array():
    net, theta, X, y = example("relu")
    for dtype in (np.float32, np.float64):
        out = np.full(net.size, np.nan, dtype)
        value, gradient = net.value_and_grad(theta.astype(dtype), X, y, out=out)
        assert gradient is out
        expected = net.value_and_grad(theta.astype(dtype), X, y)
        assert value == expected[0]
        assert np.array_equal(out, expected[1])
    point = theta.copy()
    net.value_and_grad(point, X, y, out=point)  # in place of the parameters
    assert np.array_equal(point, out)


@pytest.mark.parametrize(
    ("out", "exception", "message"),
    [
        ([0.0] * 9, TypeError, "out must be an array of dtype float64, got list"),
        (np.zeros(9, np.float32), TypeError, "out must be an array of dtype float64, got float32"),
        (np.zeros(9, np.dtype(float).newbyteorder()), TypeError, "out must be an array of dtype float64, got >f8"),
        (np.zeros(8), ValueError, r"out must be contiguous, writeable and of shape \(9,\), got shape \(8,\)"),
        (np.zeros((9, 1)), ValueError, r"out must be contiguous, writeable and of shape \(9,\), got shape \(9, 1\)"),
        (np.zeros(18)[::2], ValueError, r"out must be contiguous, writeable and of shape \(9,\)"),
        (np.broadcast_to(0.0, 9), ValueError, r"out must be contiguous, writeable and of shape \(9,\)"),
        (np.zeros(9).view()[:], None, ""),
    ],
)
def test_an_out_that_cannot_take_the_gradient_is_refused(out, exception, message):
    net = gc.MLP((2, 3))
    if exception is None:
        net.value_and_grad(**GOOD, out=out)
        return
    with pytest.raises(exception, match=message):
        net.value_and_grad(**GOOD, out=out)


def test_a_loss_may_keep_what_it_gets():
    class Keeping(Cubic):
        def value(self, outputs, y):
            self.kept.append(outputs)
            return super().value(outputs, y)

        kept = []  # noqa: RUF012

    net = gc.MLP((3, 4, 2), loss=Keeping())
    _, theta, X, y = example("relu", "mse", net.layers)
    expected = []
    for scale in (1, 2):
        net.value_and_grad(scale * theta, X, y)
        expected.append(net.outputs(scale * theta, X))
    assert np.array_equal(Keeping.kept, expected)


def test_few_workspaces_are_kept_and_none_after_an_error():
    net, theta, X, y = example()
    for rows in (1, 2, 3, 4, 3):
        net.value_and_grad(theta, X[:rows], y[:rows])
    assert [rows for rows, _ in net._local.workspaces] == [4, 3]
    work = net._local.workspaces[3, theta.dtype]
    net.value_and_grad(theta, X[:3], y[:3])
    assert net._local.workspaces[3, theta.dtype] is work
    with pytest.raises(ValueError, match="X must be finite"):
        net.value_and_grad(theta, np.full((3, 3), np.nan), y[:3])
    assert [rows for rows, _ in net._local.workspaces] == [4]


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_pickles_are_networks_without_the_memory_of_the_first(name):
    net, theta, X, y = example(name)
    fresh = len(pickle.dumps(net))
    value, gradient = net.value_and_grad(theta, X, y)
    assert len(pickle.dumps(net)) == fresh
    for again in (pickle.loads(pickle.dumps(net)), copy.copy(net), copy.deepcopy(net)):
        assert not vars(again._local)
        assert (again.layers, again.activation, again.groups) == (net.layers, net.activation, net.groups)
        result = again.value_and_grad(theta, X, y)
        assert result[0] == value
        assert np.array_equal(result[1], gradient)


def test_an_evaluation_of_many_rows_does_not_hold_all_layers():
    net = gc.MLP((4, 300, 300, 2), "tanh")
    theta, X = net.initialize(0), np.ones((6000, 4))
    layers = 6000 * 600 * 8
    tracemalloc.start()
    try:
        net.outputs(theta, X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < layers / 2
