"""The predictions of `floor`."""

import numpy as np
import pytest
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
