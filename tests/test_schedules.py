import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import glasscurv as gc
from glasscurv import schedules
from tests.contracts import THETA0, smooth

EVERY = [
    schedules.constant(0.3),
    schedules.warmup(0.3, 4),
    schedules.step(0.3, 5, 0.5),
    schedules.cosine(0.3, 12, 0.01),
]


def values(schedule, steps):
    return [schedule(t) for t in range(steps)]


def test_a_constant_is_constant():
    assert values(schedules.constant(0.3), 5) == [0.3] * 5
    assert schedules.constant(0)(3) == 0.0


def test_a_warm_up_is_linear_and_ends_exactly_at_the_schedule():
    assert values(schedules.warmup(0.5, 4), 6) == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert values(schedules.warmup(0.3, 1), 3) == [0.3] * 3


def test_a_warm_up_multiplies_a_schedule_that_counts_its_steps_too():
    inner = schedules.cosine(1.0, 8)
    expected = [inner(t) * min((t + 1) / 3, 1) for t in range(10)]
    assert values(schedules.warmup(inner, 3), 10) == expected
    assert schedules.warmup(lambda t: 8.0 - t, 4)(1) == 3.5


def test_a_step_schedule_falls_by_its_factor():
    assert values(schedules.step(1.0, 2, 0.5), 7) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert schedules.step(2.0, 3)(3) == 2.0 * 0.1


def test_a_cosine_starts_at_the_rate_halves_the_way_and_stays_at_the_end():
    schedule = schedules.cosine(0.9, 10, 0.1)
    path = values(schedule, 14)
    assert path[0] == 0.9
    assert path[5] == pytest.approx(0.5, rel=1e-15)
    assert path[10:] == [0.1] * 4
    assert (np.diff(path[:11]) < 0).all()
    assert path[3] == pytest.approx(0.1 + 0.4 * (1 + math.cos(0.3 * math.pi)), rel=1e-15)


@pytest.mark.parametrize("schedule", EVERY)
def test_a_rate_is_a_float_and_the_repr_makes_the_schedule_again(schedule):
    assert {type(schedule(t)) for t in (0, 3, 12, np.int64(40))} == {float}
    assert eval(repr(schedule), vars(schedules)) == schedule
    with pytest.raises(FrozenInstanceError):
        schedule.lr = 1.0


@pytest.mark.parametrize("schedule", EVERY)
def test_a_step_must_be_an_integer_from_0(schedule):
    with pytest.raises(ValueError, match="step must be ≥ 0, got -1"):
        schedule(-1)
    with pytest.raises(TypeError, match="step must be an integer, got float"):
        schedule(1.0)


@pytest.mark.parametrize(
    ("make", "exception", "message"),
    [
        (lambda: schedules.constant(-1.0), ValueError, "lr must be finite and ≥ 0, got -1.0"),
        (lambda: schedules.constant([0.1]), TypeError, "lr must be a real number, got list"),
        (lambda: schedules.warmup("0.1", 3), TypeError, "schedule must be a real number, got str"),
        (lambda: schedules.warmup(-0.1, 3), ValueError, "schedule must be finite and ≥ 0, got -0.1"),
        (lambda: schedules.warmup(0.1, 0), ValueError, "steps must be ≥ 1, got 0"),
        (lambda: schedules.step(np.nan, 3), ValueError, "lr must be finite and ≥ 0, got nan"),
        (lambda: schedules.step(0.1, 0), ValueError, "every must be ≥ 1, got 0"),
        (lambda: schedules.step(0.1, 3, 0.0), ValueError, "factor must be finite and > 0, got 0.0"),
        (lambda: schedules.cosine(-0.1, 3), ValueError, "lr must be finite and ≥ 0, got -0.1"),
        (lambda: schedules.cosine(0.1, 2.5), TypeError, "steps must be an integer, got float"),
        (lambda: schedules.cosine(0.1, 3, -1.0), ValueError, "final must be finite and ≥ 0, got -1.0"),
    ],
)
def test_unusable_arguments_are_refused(make, exception, message):
    with pytest.raises(exception, match=message):
        make()


def test_a_rate_that_an_optimizer_cannot_use_is_refused_where_it_is_set():
    optimizer, schedule = gc.Alice(THETA0, 0.1, rng=0), schedules.cosine(0.1, 3)
    for t in range(3):
        optimizer.lr = schedule(t)
    with pytest.raises(ValueError, match=r"lr must be finite and > 0, got 0.0"):
        optimizer.lr = schedule(3)


@pytest.mark.parametrize("vector", [1.0, np.array([1.0, 0.25, 0.5, 2.0, 1.5, 0.75])])
def test_alices_bounds_and_steps_scale_with_a_schedule(vector):
    schedule = schedules.warmup(schedules.cosine(0.1, 40), 5)
    first = 0.1 * vector
    optimizer = gc.Alice(THETA0, first, lr_min=0.01, lr_max=0.3, limiter="fixed", step_fraction=1.0, rng=0)
    low, high = [], []
    for t in range(40):
        optimizer.lr = rate = schedule(t) * vector
        np.testing.assert_allclose(optimizer.lr_min / rate, 0.01 / first, rtol=1e-14)
        np.testing.assert_allclose(optimizer.lr_max / rate, 0.3 / first, rtol=1e-14)
        before = optimizer.theta
        optimizer.step(smooth)
        if t >= 10:  # after the warm-up of Alice's own averages
            moved = abs(optimizer.theta - before)
            assert (moved >= optimizer.lr_min - 1e-15).all()
            assert (moved <= optimizer.lr_max + 1e-15).all()
            low.append(moved <= optimizer.lr_min + 1e-15)
            high.append(moved >= optimizer.lr_max - 1e-15)
    assert np.any(low) or np.any(high)  # the bounds are reached, so the test has teeth
