import numpy as np
import pytest

import glasscurv as gc


def hinges_on_axes(rng, n=4, each=60, half_width=3.0):
    """Hinges across one axis each: R is diagonal."""
    axes = np.repeat(np.eye(n), each, axis=0)
    return gc.RandomHinges(n, len(axes), half_width=half_width, normals=axes, rng=rng)


def test_diagonal_and_row_sum_are_those_of_random_hinges():
    """Many hinges and nodes, so that one landscape is enough: each entry is known to a tenth or so."""
    toy = gc.RandomHinges(3, 3000, half_width=12.0, rng=51)
    matrix, nodes = toy.density_matrix(), np.linspace(-1, 1, 129)
    found = gc.glass_density_diagonal(toy.gradient, np.zeros(3), 4.0, (0.05, 0.1), 400, nodes, rng=52)
    np.testing.assert_allclose(found.diagonal, matrix.diagonal(), rtol=0.35)
    assert (abs(found.row_sum / matrix.sum(axis=1) - 1) < 4.9 * found.row_sum_error / found.row_sum + 0.3).all()
    assert (found.row_sum > 1.4 * found.diagonal).all()


def test_without_neighbours_the_row_sum_is_the_diagonal():
    toy = hinges_on_axes(np.random.default_rng(0))
    found = gc.glass_density_diagonal(
        toy.gradient, np.zeros(4), 1.0, (0.2, 0.4), 400, nodes=np.linspace(-1, 1, 9), rng=1
    )
    line = [toy.gradient(np.full(4, t)) for t in np.linspace(-1, 1, 9)]
    exact = gc.glass_kernel(np.linspace(-1, 1, 9)).apply(line, 1.0)
    # Each coordinate sees its own axis whatever the others do; the row sum counts how often it moves.
    np.testing.assert_allclose(found.diagonal, exact, rtol=1e-9)
    assert (found.diagonal_error <= 1e-6 * exact).all()
    assert (abs(found.row_sum - exact) <= 4.9 * found.row_sum_error).all()
    assert found.evaluations == 1 + 2 * 400 * 8
    assert found.probabilities.tolist() == [0.2, 0.4]
    assert (found.samples, found.length) == (400, 1.0)


def test_standard_errors_are_the_spread_over_directions():
    toy = gc.RandomHinges(4, 400, half_width=8.0, rng=0)
    found = [gc.glass_density_diagonal(toy.gradient, np.zeros(4), 1.0, (0.2, 0.4), 100, rng=k) for k in range(100)]
    for name in ("diagonal", "row_sum"):
        spread = np.std([getattr(one, name) for one in found], axis=0, ddof=1)
        stated = np.sqrt(np.mean([np.square(getattr(one, f"{name}_error")) for one in found], axis=0))
        np.testing.assert_allclose(stated, spread, rtol=0.35)  # the spread of 100 is known to 7 %, 5 deviations


def test_a_coordinate_that_never_moves_has_no_diagonal():
    toy = gc.RandomHinges(5, 100, half_width=4.0, rng=0)
    found = gc.glass_density_diagonal(toy.gradient, np.zeros(5), 1.0, (1e-9, 0.5), 5, rng=0)
    assert np.isnan(found.diagonal).all()
    assert np.isfinite(found.row_sum).all()


def test_single_precision_stays_single_precision():
    toy = gc.RandomHinges(3, 90, rng=0)
    found = gc.glass_density_diagonal(
        lambda x: toy.gradient(x).astype(np.float32), np.zeros(3, np.float32), 0.3, (0.3, 0.6), 20, rng=0
    )
    for name in ("diagonal", "diagonal_error", "row_sum", "row_sum_error"):
        assert getattr(found, name).dtype == np.float32


def test_bad_arguments_are_refused():
    def run(**options):
        return gc.glass_density_diagonal(np.array, [0.0, 0.0], **options)

    for bad in ([0.1], [0.1, 0.1], [0.0, 0.1], [0.1, 1.0]):
        with pytest.raises(ValueError, match=r"probabilities must lie in \(0, 1\) and hold at least two"):
            run(probabilities=bad)
    with pytest.raises(ValueError, match="samples must be ≥ 2, got 1"):
        run(samples=1)
    with pytest.raises(ValueError, match="length must be finite and > 0, got 0"):
        run(length=0)
    with pytest.raises(ValueError, match="nodes must hold at least 3 positions"):
        run(nodes=(0, 1))
    with pytest.raises(gc.NonFiniteError, match="non-finite gradient in sample 0, node -1"):
        gc.glass_density_diagonal(lambda x: x if (x == 0).all() else x * np.nan, [0.0], 0.1, (0.98, 0.99), 5, rng=0)
    huge = np.finfo(float).max / 4
    with pytest.raises(gc.NonFiniteError, match="the gradients are too large"), np.errstate(over="ignore"):
        gc.glass_density_diagonal(lambda x: huge * np.sign(x), [0.0], 0.1, (0.8, 0.9), 5, nodes=(0, 1, 2), rng=0)


def test_the_extrapolation_tells_when_too_many_move():
    few, many = gc.RandomHinges(3, 600, half_width=12.0, rng=0), gc.RandomHinges(200, 600, half_width=80.0, rng=0)
    small = gc.glass_density_diagonal(few.gradient, np.zeros(3), 1.0, (0.02, 0.04), 400, rng=1)
    large = gc.glass_density_diagonal(many.gradient, np.zeros(200), 1.0, (0.05, 0.1), 100, rng=1)
    assert small.extrapolation < 1 / 3 < large.extrapolation


def test_lengths_at_the_resolution_of_theta_raise_a_warning():
    with pytest.warns(RuntimeWarning, match="within a hundred times the spacing"):
        gc.glass_density_diagonal(np.array, np.ones(2), 1e-15, (0.5, 0.6), 5, rng=0)
