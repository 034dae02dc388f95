"""Every compiled loop gives the same values as the plain Python that it was compiled from."""

import importlib
import pkgutil
from itertools import chain

import numpy as np
import pytest

import glasscurv.core
from glasscurv._jit import entries, entry, jit
from glasscurv.core import crossings, glass, networks, optimizers, statistics, steps, vectors

N = 7


def arrays(count, dtype, seed=0):
    return [a.astype(dtype) for a in np.random.default_rng(seed).standard_normal((count, N))]


def step_arguments(dtype):
    gradient, hessian, density = arrays(3, dtype)
    return gradient, abs(hessian), abs(density)


def alice_update_arguments(dtype, choice, glass_term, limiter, rates=(0.001, 0.1)):
    vectors = arrays(7, dtype)
    vectors[3], vectors[6] = abs(vectors[3]), abs(vectors[6])
    vectors[5] = vectors[5] if choice == steps.DIAGONAL else abs(vectors[5])
    averages = (*vectors[:4], 0.9, 0.99, 0.01, 0.02)
    return (*averages, *vectors[4:], choice, 0.24 if glass_term else 0.0, 1e-8, limiter, *rates, 0.1, 1.2)


def cases(dtype):
    gradient, hessian, density = step_arguments(dtype)
    out = np.zeros(N, dtype)
    plus, minus, center, curvature, rho = arrays(5, dtype, seed=1)
    signs = np.sign(plus)
    step = (gradient, hessian, density, 0.24, 1e-8, 1e30, out)
    yield steps.quasi_newton_step, step
    yield steps.quasi_newton_step, (gradient, -hessian, *step[2:])
    yield steps.quasi_newton_step_anywhere, step
    yield steps.bound_step, (plus, gradient, hessian, 0.01, 0.1, steps.ADAM, 1e-8, 1e30, out)
    yield steps.valid, (gradient, hessian, density)
    yield steps.valid, (gradient, -hessian, density)
    yield steps.glass_terms, (gradient, hessian, density, 0.24, np.zeros(N))
    yield steps.log_glass_term, (1.5, 0.5, 2.0, 0.24)
    yield steps.joint_leader, (gradient, hessian, density, 0.24)
    scaled = (gradient, hessian, density, 1.3, 0.7, 1.1, 2.0)
    yield steps.joint_terms, (*scaled, *np.ones((2, N)))
    yield steps.joint_sums, scaled
    yield steps.joint_sums_anywhere, scaled
    yield steps.joint_step, (*scaled, 1e-8, 1e30, out)
    yield steps.joint_step_anywhere, (*scaled, 0.24, 1e-8, 1e30, out)
    rates = dtype(0.1) * abs(plus)  # in place of one rate
    yield steps.bound_step, (plus, gradient, hessian, dtype(0.1) * rates, rates, steps.SGDM, 1e-8, 1e30, out)
    for length in (0.1, rates):
        yield vectors.perturb, (center, signs, length, -1.0, out)
    yield vectors.signs, (np.array([0b10110010], np.uint8), out)
    yield vectors.signs, (np.array([0b10110010, 1], np.uint8), np.zeros(9, dtype))
    for limit in (0.1, 100.0):
        yield vectors.within, (gradient, limit)
        yield vectors.copy_within, (gradient, limit, out)
        yield vectors.copy_masked_within, (gradient, gradient > 0, limit, out)
    yield vectors.clear_masked, (plus, plus > 0)
    yield vectors.sum_in_pairs, (np.arange(8.0).astype(dtype),)
    yield steps.alice_move, (minus, plus, center, 0.1, 1.2)
    for choice in (steps.ZERO, steps.ABS, steps.RMS, steps.DIAGONAL):
        for length in (0.1, rates):
            averages = curvature, abs(rho)
            yield steps.alice_curvature, (plus, minus, center, signs, length, 0.9, 0.01, choice, 1.0, 1.0, *averages)
        yield steps.step_curvatures, (curvature if choice == steps.DIAGONAL else abs(curvature), choice, out)
        for limiter in (steps.FIXED, steps.SGDM, steps.ADAM):
            yield steps.alice_update, alice_update_arguments(dtype, choice, choice != steps.RMS, limiter)
    update = alice_update_arguments(dtype, steps.ABS, True, steps.ADAM, (dtype(0.1) * rates, rates))
    yield steps.alice_update, update
    yield steps.alice_averages, update[:8]
    yield steps.alice_displacements, (*update[:8], *update[9:-2], out)
    yield steps.alice_displacements_anywhere, (update[2], update[3], *update[9:-2], out)
    for lr in (0.1, rates):
        for nesterov in (False, True):
            yield optimizers.sgd_update, (gradient, plus, minus, lr, 0.9, nesterov)
        for power in (1.0, 0.5):
            moments = plus, hessian, 3, lr, 0.9, 0.99, 1e-4, 0.01, power
            yield optimizers.adam_update, (gradient, minus, center, *moments)
    for block_size in (1, 3):
        yield optimizers.hutchinson_diagonal, (plus, minus, signs, 0.1, block_size, False, out)
        some = signs * (np.arange(N) > 3)
        yield optimizers.hutchinson_diagonal, (plus, minus, some, 0.1, block_size, True, out)
    yield glass.coordinate_term, (plus[0], density[0])
    yield glass.coordinate_sum, (plus, density)
    yield glass.independent_norm, (plus, density)
    yield glass.quadratic_sum, (plus, gradient, minus)
    sums = list(np.zeros((4, N), dtype))
    weights = np.array([-0.5, 0.5]), np.array([[0.7, 0.7], [0.1, 0.3]])
    yield statistics.accumulate_curvature, (center, *weights, signs, 0.1, 1e-16, *sums, (plus, minus))
    yield statistics.second_length, (center, (plus, minus), weights[1], minus, plus, 0.1, 0.01, 1e-16, 0.01)
    yield statistics.squared_contrasts, (float(center[0]), (plus, minus), weights[1], 0)
    yield statistics.contrast_noise, (weights[1],)
    yield from network_cases(dtype)
    yield from crossing_cases()


def network_cases(dtype):
    rng = np.random.default_rng(3)
    y, targets = rng.normal(size=(2, 3, 4)).astype(dtype)
    y[0, :2] = -np.inf, np.inf
    out = np.zeros((3, 5), dtype)
    yield networks.copy_rows, (targets.astype(np.float64), out)
    yield networks.copy_rows, (y, out)
    for labels in ([0, 3], [0, 4], [-1, 0]):
        yield networks.are_labels, (np.array(labels), 4)
    for left in (0.0, -0.5):
        yield networks.kinked_value, (y, dtype(left), dtype(1.0), out)
        yield networks.kinked_derivative, (y, dtype(left), dtype(1.0), targets.T.copy(), out[:, :4].copy())
    losses, delta = np.zeros(3), np.zeros((3, 4), dtype)
    yield networks.cross_entropy, (targets, np.array([3, 0, 1]), dtype(0.3), losses, delta)
    yield networks.squared_error, (targets, 2 * targets, dtype(0.3), losses, delta)


def crossing_cases():
    """Double precision whatever the dtype: the tracing is."""
    p = np.array([0.02, -0.3, 1.0, -0.9])  # roots near 0.09, 0.37 and 0.65
    yield crossings.evaluate, (p, 0.3)
    yield crossings.slope, (p, 0.3)
    for constant in (p, -p, 0 * p):
        yield crossings.starts_positive, (constant,)
    yield crossings.sign_change, (p, 0.05, 0.12, True)
    yield crossings.turning_points, (p, 0.0, 1.0, np.zeros(5))
    for on in (False, True):
        yield crossings.next_crossing, (p, on, 0.0, 1.0, 1e-15 * abs(p))
    rng = np.random.default_rng(2)
    h, noise = rng.normal(size=(2, 5)), np.zeros((3, 4))
    h[:, 1] = 0
    matrices, biases = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 4))
    for powers in (2, 3):
        layer = matrices[0], matrices[1] * (powers == 3), biases[0], biases[1] * (powers == 3)
        sums = np.zeros((powers, 4))
        for inputs in (h, h[:, 1:]):  # an odd number that counts, and an even one
            yield crossings.compose, (inputs, tuple(part[: inputs.shape[1]] for part in layer[:2]) + layer[2:], sums)
        yield crossings.compose_unit, (h, layer, 3, np.zeros(powers), np.zeros(powers))
        yield crossings.add_inputs, (h[:, 0].copy(), h[:, 2].copy(), 0, 2, *layer[:2], sums)
    polynomials = rng.normal(size=(3, 4))
    yield crossings.evaluate_units, (polynomials, 0.3, np.zeros(4))
    on = polynomials[0] > 0
    for high in (0.1, 1.0):
        yield crossings.candidates, (polynomials, on, 0.0, high, 1e-15)
        yield crossings.seek, (h, layer, polynomials, noise, on, 0.0, high, 1e-15, np.zeros(4))
    yield crossings.absolute_sum, (p,)
    yield crossings.first_of, (np.array([np.inf, 0.4, 0.2, 0.2]),)
    yield (
        crossings.outputs_at,
        (0.3, rng.normal(size=(2, 5)), np.array([0, 1, 1, 0, 1.0]), layer, np.zeros(5), np.zeros(4)),
    )
    yield crossings.switch_input, (p, 0.1, 1.0, *np.zeros((2, 4)), np.ones(4), np.zeros(4))
    yield crossings.row_product, (*rng.normal(size=(2, 6)), 0.3, np.ones(6))
    widths = np.array([2, 6, 5, 4, 1])
    theta, change = rng.normal(size=(2, 18 + 35 + 24 + 5))
    yield crossings.copy, (p, np.zeros(p.size + 1))
    yield crossings.parameters, (theta, change, widths, 1)
    largest = np.full((2, 4), 3.0)
    active = np.zeros((3, 15), np.bool_)
    samples = rng.normal(size=(3, 2))
    yield crossings.trace_samples, (theta, change, widths, largest, 0.1, 1.0, samples, active)
    found, _ = crossings.trace_samples(theta, change, widths, largest, 0.1, 1.0, samples, active)
    yield crossings.backpropagate, (theta, change, widths, 0.1, 1.0, active, found, np.ones((len(found), 1)))


def copies(arguments):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def arrays_in(value):
    """Arrays and numbers in nested tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays_in(part)]
    return [] if value is None else [value]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_and_plain_loops_agree(dtype):
    for function, arguments in cases(dtype):
        plain = getattr(function, "py_func", function)
        compiled_arguments, plain_arguments = copies(arguments), copies(arguments)
        compiled_result = function(*compiled_arguments)
        with np.errstate(all="ignore"):
            plain_result = plain(*plain_arguments)
        # A fused multiply-add may round once where Python rounds twice.
        tolerance = 8 * np.finfo(dtype).eps
        results = zip(arrays_in(compiled_result), arrays_in(plain_result), strict=True)
        changed = zip(arrays_in(compiled_arguments), arrays_in(plain_arguments), strict=True)
        for after, expected in chain(results, changed):
            np.testing.assert_allclose(after, expected, rtol=tolerance, atol=tolerance, err_msg=str(function))
            if isinstance(after, np.ndarray):
                assert after.dtype == expected.dtype


def test_every_compiled_function_is_covered():
    tested = {function for function, _ in cases(np.float64)}
    scalars = {
        "root_curvature",
        "running_averages",
        "step_length",
        "clamp_length",
        "joint_root",
        "model_curvature",
        "safe_range",
        "step_curvature",
        "hypotenuse",
    }  # inlined
    for module in pkgutil.iter_modules(glasscurv.core.__path__):
        namespace = vars(importlib.import_module(f"glasscurv.core.{module.name}"))
        loops = {
            name: value
            for name, value in namespace.items()
            if callable(value)
            and name not in ("jit", "entry", "entries", "Any", "FloatArray", "NDArray", "Layer", "Number")
        }
        for name, value in loops.items():
            assert value in tested or name in scalars, f"core.{module.name}.{name} is not tested"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_entry_is_one_number_for_all_or_an_arrays_own(dtype):
    values = np.array([0.1, 0.25], dtype)

    @jit
    def both(value, i):
        return entry(value, i)

    assert both(values, 1) == entry(values, 1) == 0.25
    assert both(values, 0) == entry(values, 0) == float(values[0])
    assert both(0.1, 1) == entry(0.1, 1) == 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_are_a_part_of_an_array_or_one_number_for_all(dtype):
    values = np.arange(5, dtype=dtype)

    @jit
    def part(value, start, stop):
        return entries(value, slice(start, stop))

    np.testing.assert_array_equal(part(values, 1, 3), [1, 2])
    np.testing.assert_array_equal(entries(values, slice(1, 3)), [1, 2])
    assert part(0.1, 1, 3) == entries(0.1, slice(1, 3)) == 0.1
