import copy
import pickle

import numpy as np
import pytest

import glasscurv as gc
from tests.statistics import assert_mean_is


def gradient_with_jumps(positions, sizes):
    """One parameter: the sum of the jumps to the left of θ."""
    order = np.argsort(positions)
    return gradient_with_sorted_jumps(positions[order], sizes[order])


def gradient_with_sorted_jumps(positions, sizes):
    sums = np.concatenate([[0.0], np.cumsum(sizes)])
    return lambda theta: sums[positions.searchsorted(theta)]


@pytest.mark.parametrize("crossings", [0.02, 0.3, 3, 30, 300])
def test_interval_covers_where_it_is_valid(crossings):
    """500 to 2000 landscapes with so many boundaries per increment, with the jumps s_k a_k·u of random hinges.

    The interval is on the safe side; for a true 95.5 % the bounds lie more than 3 standard deviations away, and the
    seeds are fixed.
    """
    rng = np.random.default_rng(round(100 * crossings))
    samples, count = 64, {0.02: 500, 300: 1000}.get(crossings, 2000)
    covered, valid = np.empty((2, count), bool)
    for k in range(count):
        jumps = rng.poisson(crossings * 2 * samples)
        # A boundary is met in proportion to |a·u|: the normal a·u of those that are met is Rayleigh distributed.
        sizes = rng.standard_normal(jumps) * rng.rayleigh(size=jumps)
        # Uniform positions in order: a Poisson process, given its end. To sort them would take longer.
        times = np.cumsum(rng.standard_exponential(jumps + 1))
        gradient = gradient_with_sorted_jumps(2 * times[:-1] / times[-1] - 1, sizes)
        found = gc.directional_density(gradient, [0.0], [1.0], length=1.0, samples=samples)
        low, high = found.interval(0.95)
        covered[k], valid[k] = low <= 2 * crossings * samples <= high, found.valid
    if crossings < 0.1:
        assert valid.mean() < 0.01
    else:
        assert valid.mean() > 0.99
        assert 0.93 <= covered[valid].mean() <= 0.97


def test_too_few_increments_are_not_valid():
    toy = gc.RandomHinges(2, 3000, half_width=3.0, rng=0)
    validity = [
        gc.directional_density(toy.gradient, [0, 0], [1, 1], length=0.5, samples=m).valid for m in (8, 31, 32, 64)
    ]
    assert validity == [False, False, True, True]


def test_rounding_and_the_hessian_are_not_counted_as_crossings():
    jumps = gradient_with_jumps(np.array([-0.2, 0.3]), np.array([3.0, -1.0]))
    found = gc.directional_density(lambda x: 1e3 + 7 * x + jumps(x), [0.0], [1.0], length=1.0, samples=50)
    assert found.crossed == 2


def test_density_is_that_of_random_hinges():
    rng = np.random.default_rng(41)
    toy = gc.RandomHinges(3, 60, half_width=5.0, rng=rng)
    direction = np.array([1.0, 2.0, -1.0])
    quadratic = gc.Quadratic([[30.0, 10.0, 0], [10.0, -20.0, 0], [0, 0, 5.0]])
    found = [
        gc.directional_density((toy.redraw(rng) + quadratic).gradient, np.zeros(3), direction, 1.0, samples=4)
        for _ in range(5000)
    ]
    assert_mean_is(np.array(found), toy.directional_density(direction), resolution=0.25)
    assert {density.evaluations for density in found} == {9}


def test_matrix_is_that_of_random_hinges():
    """The Hessian, large as it is, does not enter; R is not symmetric."""
    rng = np.random.default_rng(42)
    toy = gc.RandomHinges(3, 400, half_width=6.0, normals=rng.standard_normal((400, 3)) * [1, 2, 0.5], rng=rng)
    quadratic = gc.Quadratic([[30.0, 10.0, 0], [10.0, -20.0, 0], [0, 0, 5.0]])
    found = [
        gc.glass_density_matrix((toy.redraw(rng) + quadratic).gradient, np.zeros(3), 1.0, samples=3)
        for _ in range(1500)
    ]
    assert_mean_is(np.array(found), toy.density_matrix(), resolution=0.5)


def test_one_jump_on_each_side_is_counted_exactly():
    """Four increments of 0, 3, −1, 0: the variance over them, per length 0.5."""
    gradient = gradient_with_jumps(np.array([-0.2, 0.3]), np.array([3.0, -1.0]))
    found = gc.directional_density(gradient, [0.0], [-2.0], length=1.0, samples=2)
    assert float(found) == pytest.approx(np.var([0, 3, -1, 0], ddof=1) / 0.5)
    matrix = gc.glass_density_matrix(gradient, [0.0], length=1.0, samples=2)
    np.testing.assert_allclose(matrix, [[float(found)]])
    assert found.relative_error >= np.sqrt(2 / 3)
    assert found.crossed == 2
    assert found.length == 1.0


def test_it_is_a_float():
    found = gc.directional_density(gc.RandomHinges(2, 500, half_width=3.0, rng=0).gradient, [0, 0], [1, 1], length=0.5)
    assert isinstance(found, float)
    assert gc.directional_glass_change(0.25, found) == gc.directional_glass_change(0.25, float(found))
    low, high = found.interval()
    assert low < found < high
    narrow = found.interval(0.5)
    assert low < narrow[0] < narrow[1] < high


def test_smooth_losses_have_no_valid_density():
    for smooth in (np.sin, np.exp, lambda x: x**3):
        found = gc.directional_density(smooth, np.ones(5), np.ones(5), length=0.5)
        assert not found.valid
        assert found.contamination > 0.9
    glass = gc.RandomHinges(3, 3000, half_width=4.0, rng=0)
    assert abs(gc.directional_density(glass.gradient, np.zeros(3), np.ones(3), length=0.5).contamination) < 0.3


def test_copies_keep_what_it_knows():
    found = gc.directional_density(gc.RandomHinges(2, 500, half_width=3.0, rng=0).gradient, [0, 0], [1, 1], length=0.5)
    for other in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
        assert vars(other) == vars(found)
    assert repr(found) == (
        f"DirectionalDensity({float(found):.6g}, relative_error={found.relative_error:.3g}, valid={found.valid})"
    )


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_directions_of_any_norm_serve(scale):
    toy = gc.RandomHinges(2, 500, half_width=3.0, rng=0)
    expected = gc.directional_density(toy.gradient, [0, 0], [1.0, 2.0], length=0.5)
    found = gc.directional_density(toy.gradient, [0, 0], [scale, 2 * scale], length=0.5)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_gradients_of_any_scale_have_a_relative_error(scale):
    toy = gc.RandomHinges(2, 500, half_width=3.0, rng=0)
    expected = gc.directional_density(toy.gradient, [0, 0], [1.0, 2.0], length=0.5)
    found = gc.directional_density(lambda x: scale * toy.gradient(x), [0, 0], [1.0, 2.0], length=0.5)
    assert found.relative_error == pytest.approx(expected.relative_error, rel=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_too_large_are_refused():
    for estimate in (
        lambda: gc.directional_density(lambda x: 1e170 * np.sign(x - 0.01), [0.0], [1.0], length=1.0, samples=2),
        lambda: gc.glass_density_matrix(lambda x: 1e170 * np.sign(x - 0.01), [0.0], length=1.0, samples=2),
    ):
        with pytest.raises(gc.NonFiniteError, match="the gradients are too large"):
            estimate()


def test_where_nothing_is_crossed_nothing_is_known():
    found = gc.directional_density(lambda theta: np.ones(2), np.zeros(2), [1.0, 0.0])
    assert found == 0
    assert found.interval() == (0.0, np.inf)
    assert not found.valid


def test_single_precision_stays_single_precision():
    toy, seen = gc.RandomHinges(3, 300, rng=0), set()

    def gradient(theta):
        seen.add(theta.dtype)
        return toy.gradient(theta).astype(np.float32)

    matrix = gc.glass_density_matrix(gradient, np.zeros(3, np.float32), 0.3)
    gc.directional_density(gradient, np.zeros(3, np.float32), np.ones(3), 0.3)
    assert matrix.dtype == np.float32
    assert seen == {np.dtype(np.float32)}


def test_lengths_at_the_resolution_of_theta_raise_a_warning():
    for estimate in (
        lambda: gc.directional_density(np.array, np.ones(2), [1.0, 0.0], length=1e-15),
        lambda: gc.glass_density_matrix(np.array, np.ones(2), length=1e-15),
    ):
        with pytest.warns(RuntimeWarning, match="is within a hundred times the spacing"):
            estimate()


def test_non_finite_gradients_name_the_place():
    def gradient(theta):
        return np.where(theta > 0.4, np.nan, theta)

    with pytest.raises(gc.NonFiniteError, match=r"on the line, at 0\.5"):
        gc.directional_density(gradient, np.zeros(2), [0.0, 1.0], length=1.0, samples=4)
    with pytest.raises(gc.NonFiniteError, match=r"in column 1, at 0\.5"):
        gc.glass_density_matrix(lambda x: np.where(x > [9, 0.4], np.nan, x), np.zeros(2), length=1.0, samples=2)


def test_bad_arguments_are_refused():
    for function, extra in ((gc.directional_density, ([1.0, 0.0],)), (gc.glass_density_matrix, ())):
        with pytest.raises(TypeError, match="gradient must be callable, got int"):
            function(3, [0.0, 0.0], *extra)
        with pytest.raises(ValueError, match="theta must be finite"):
            function(np.array, [0.0, np.nan], *extra)
        with pytest.raises(ValueError, match="length must be finite and > 0, got -1"):
            function(np.array, [0.0, 0.0], *extra, length=-1)
        with pytest.raises(ValueError, match="samples must be ≥ 1, got 0"):
            function(np.array, [0.0, 0.0], *extra, samples=0)
    with pytest.raises(ValueError, match="direction must not be zero"):
        gc.directional_density(np.array, [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(ValueError, match=r"direction must have shape \(2,\), got \(3,\)"):
        gc.directional_density(np.array, [0.0, 0.0], [0.0, 0.0, 1.0])
    found = gc.directional_density(np.array, [0.0, 0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\), got 1"):
        found.interval(1)
