"""The predictions of `floor`."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

from paper_checks import floor


def test_mckeans_law_gives_the_rise_from_the_lowest_point():
    """The law of the first return to 0 of integrated Brownian motion with the speed 1 at the start, on a grid."""
    log_time, log_speed = np.linspace(-6, 45, 500), np.linspace(-10, 26, 500)
    time, speed = np.exp(log_time)[:, None], np.exp(log_speed)
    law = 3 * speed / (np.pi * np.sqrt(2) * time**2) * np.exp(-2 * (1 - speed + speed**2) / time)
    law *= np.sqrt(2 / 3) * erf(np.sqrt(6 * speed / time))  # the integral of exp(−3ϑ/2)/√(πϑ) up to 4w/T
    law *= time * speed * (log_time[1] - log_time[0]) * (log_speed[1] - log_speed[0])
    assert law.sum() == pytest.approx(1, abs=1e-4)
    t = 1e8  # long against the start, whose speed is then as good as none
    rise = t + np.sum(law * np.maximum(t - time, 0) * speed)
    assert rise / np.sum(law * (time > t)) / t**1.5 == pytest.approx(floor.LOWEST, rel=0.02)


@pytest.mark.parametrize("curvature", [0.0, 0.7])
def test_local_minima_where_all_slopes_are_as_frequent(curvature):
    """Their kinks, and the mean slope after them, by counting on one line for slopes at its start on a fine grid."""
    rng = np.random.default_rng(0)
    jumps = rng.permutation(np.outer(rng.standard_normal(20), [1, -1]).ravel())
    places = np.sort(rng.uniform(0, 10, jumps.size))
    levels = np.linspace(-40, 40, 4001)[:, None]  # the slope at the start is minus the level
    after = np.cumsum(jumps) + curvature * places
    before = after - jumps
    kinks = (before < levels) & (levels < after)
    ends = np.append(before[1:], after[-1] + curvature * (10 - places[-1]))
    smooth = np.sum((after < levels) & (levels < ends)) + np.sum((levels > 0) & (levels < before[0]))
    rise = jumps[jumps > 0].sum() / 10
    minima = kinks.sum() + smooth
    assert kinks.sum() / minima == pytest.approx(rise / (rise + curvature), rel=0.02)  # of the grid
    slope = np.sum(kinks * (after - levels)) / minima
    assert slope == pytest.approx(np.sum(jumps[jumps > 0] ** 2) / 20 / (rise + curvature), rel=0.02)
    if curvature == 0:
        assert slope == pytest.approx(np.mean(jumps**2) / (2 * np.mean(abs(jumps))), rel=0.02)


def test_a_descent_ends_where_the_ladder_heights_say():
    """Jumps ±1 and ±2, all alike, on slopes that are integers less a number uniform in (0, 1)."""
    depth, jumps = 200, (-2, -1, 1, 2)
    equations, landing = np.eye(depth + 1), np.zeros(depth + 1)  # the mean of the integer on which it lands above 0
    for below in range(depth + 1):
        for jump in jumps:
            if jump > below:
                landing[below] += (jump - below) / 4
            else:
                equations[below, min(below - jump, depth)] -= 1 / 4  # far below 0 the start does not matter
    slope = np.linalg.solve(equations, landing)[-1] - 1 / 2
    two = (3 - np.sqrt(5)) / 2  # P(H = 2): 1 − E z^H has the root of z² + 3z + 1 beyond the unit circle, and 1
    assert slope == pytest.approx((1 + 3 * two) / (2 * (1 + two)), rel=1e-12)
    assert slope < 0.94 * np.mean(np.square(jumps)) / (2 * np.mean(np.abs(jumps)))
    normal = -float(mpmath.zeta(0.5)) / np.sqrt(2 * np.pi)
    rest = quad(lambda x: np.log(-2 * np.expm1(-(x**2) / 2) / x**2) / x**2, 1e-3, np.inf)[0] - 1e-3 / 4
    assert normal == pytest.approx(-rest / np.pi, rel=1e-6)  # Siegmund's integral for E H²/(2 E H)
