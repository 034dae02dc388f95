"""The prediction of `boundary_density`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_checks import boundary_density


@settings(deadline=None, max_examples=20)
@given(inputs=st.integers(1, 100), square=st.floats(0.01, 100), length=st.floats(0.01, 10))
def test_in_the_first_layer_the_rate_integrates_to_the_law_of_a_quotient(inputs, square, length):
    """w·x + t (z·x + z_b) is 0 at a quotient of normal numbers, of variances 2|x|²/m and |x|² + 1."""
    rng = np.random.default_rng(0)
    (rate,) = boundary_density._predicted((inputs, 1), np.array([square]), length, rng)
    chance = np.arctan(length * np.sqrt((square + 1) * inputs / (2 * square))) / np.pi
    assert rate * length == pytest.approx(chance, rel=1e-6)


@settings(deadline=None)
@given(inputs=st.integers(1, 100), square=st.floats(1e-4, 100), turn=st.floats(1e-3, 1))
def test_the_rate_at_the_start_of_the_line_counts_short_ways(inputs, square, turn):
    """Section 1.3: to ωt/π with ω at t = 0, up to a share of (ωt)²/3, however small the inputs are."""
    omega = np.sqrt(inputs / 2 * (1 + 1 / square))
    (rate,) = boundary_density._predicted((inputs, 1), np.array([square]), turn / omega, np.random.default_rng(0))
    assert 1 - turn**2 / 3 <= rate * np.pi / omega + 1e-6
    assert rate * np.pi / omega <= 1 + 1e-6


def test_the_next_layer_follows_from_three_numbers():
    """Against layers of drawn weights, narrow and far along the line."""
    rng, fan_in, width, length, draws = np.random.default_rng(0), 5, 12, 0.8, 20_000
    t = length * (np.arange(draws) + 0.5) / draws
    x = rng.standard_normal(fan_in)
    w = np.sqrt(2 / fan_in) * rng.standard_normal((draws, width, fan_in))
    z, z_b = rng.standard_normal((draws, width, fan_in)), rng.standard_normal((draws, width))
    y = w @ x + t[:, None] * (z @ x + z_b)
    outputs, speeds = np.maximum(y, 0), (z @ x + z_b) * (y > 0)
    squares, product, speed = (np.sum(a * b, axis=1) for a, b in ((outputs,) * 2, (outputs, speeds), (speeds,) * 2))
    s = 2 / width + t**2
    V = s * squares + t**2
    C = t * (squares + 1) + s * product
    W = squares + 1 + s * speed + 2 * t * product
    rates = np.sqrt(np.maximum(W / V - C**2 / V**2, 0)) / np.pi  # 0 up to rounding where no unit is active
    predicted = boundary_density._predicted((fan_in, width, 1), np.array([x @ x]), length, rng)[1]
    assert rates.mean() == pytest.approx(predicted, rel=0.02)  # six standard errors of both


def test_the_rate_grows_with_the_root_of_the_depth_up_to_the_next_order():
    rng, width, layers = np.random.default_rng(0), 50, np.arange(1, 6)
    wide = np.sqrt(layers * width / 2) / np.pi  # 1/m is small against the width
    chain = (width,) * (layers.size + 1), np.array([1e6]), 1e-9, rng
    rates = np.mean([boundary_density._predicted(*chain) for _ in range(4)], axis=0)
    # The fifth layer's rate has the standard error 0.0006, and the order after the next one adds 0.0006.
    np.testing.assert_allclose(rates / wide, 1 + (layers**2 - 1) / (6 * width * layers), rtol=0, atol=0.0042)
