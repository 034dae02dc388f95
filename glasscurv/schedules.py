"""Learning rates as plain callables of the step: ``schedule(steps taken so far) -> lr``.

Any callable will do. A number for every parameter is a schedule times a vector:
``lambda step: vector * gc.schedules.cosine(1.0, 1000)(step)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from glasscurv._validation import integer, number

__all__ = ["constant", "cosine", "step", "warmup"]


@dataclass(frozen=True)
class constant:  # noqa: N801 (these classes are used like functions)
    """The same rate at every step.

    Parameters
    ----------
    lr : float
        Rate ≥ 0.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a step that is no integer ≥ 0.

    See Also
    --------
    warmup : Let the rate grow at first.
    glasscurv.train : Set an optimizer's rate by a schedule.

    Examples
    --------
    >>> import glasscurv as gc
    >>> gc.schedules.constant(0.1)(7)
    0.1
    """

    lr: float

    def __post_init__(self) -> None:
        number(self.lr, "lr", 0)

    def __call__(self, step: int) -> float:
        """Return the rate after `step` steps."""
        integer(step, "step", 0)
        return float(self.lr)


@dataclass(frozen=True)
class warmup:  # noqa: N801
    """Another schedule, its rate growing linearly from 1/steps of it to all of it during the first steps.

    Parameters
    ----------
    schedule : callable or float
        The schedule, which counts the warm-up's steps too, or one rate for all steps.
    steps : int
        Length of the warm-up, ≥ 1: step t = 0, 1, … has the factor min((t + 1)/steps, 1).

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a step that is no integer ≥ 0.

    See Also
    --------
    cosine : Let the rate fall along half a cosine.
    step : Let the rate fall in steps.

    Examples
    --------
    >>> import glasscurv as gc
    >>> schedule = gc.schedules.warmup(gc.schedules.step(0.5, every=3), steps=2)
    >>> [schedule(t) for t in range(6)]
    [0.25, 0.5, 0.5, 0.05, 0.05, 0.05]
    """

    schedule: Callable[[int], float] | float
    steps: int

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            number(self.schedule, "schedule", 0)
        integer(self.steps, "steps", 1)

    def __call__(self, step: int) -> float:
        """Return the rate after `step` steps."""
        done = integer(step, "step", 0) + 1
        rate = self.schedule(step) if callable(self.schedule) else float(self.schedule)
        return rate * (done / self.steps) if done < self.steps else rate


@dataclass(frozen=True)
class step:  # noqa: N801
    """A rate that is multiplied by a factor every so many steps.

    Parameters
    ----------
    lr : float
        First rate ≥ 0.
    every : int
        Steps at each rate, ≥ 1.
    factor : float
        Factor > 0 between one rate and the next.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a step that is no integer ≥ 0.

    See Also
    --------
    cosine : Let the rate fall along half a cosine.
    warmup : Let the rate grow at first.

    Examples
    --------
    >>> import glasscurv as gc
    >>> schedule = gc.schedules.step(1.0, every=2, factor=0.5)
    >>> [schedule(t) for t in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        number(self.lr, "lr", 0)
        integer(self.every, "every", 1)
        number(self.factor, "factor", 0, open_low=True)

    def __call__(self, step: int) -> float:
        """Return the rate after `step` steps."""
        return float(self.lr * self.factor ** (integer(step, "step", 0) // self.every))


@dataclass(frozen=True)
class cosine:  # noqa: N801
    """A rate that falls along half a cosine, and stays at its final value afterwards.

    Parameters
    ----------
    lr : float
        First rate ≥ 0.
    steps : int
        Steps until the final rate, ≥ 1. A run of so many steps ends just before it.
    final : float
        Final rate ≥ 0. Alice needs a rate > 0 at every step that it takes.

    Raises
    ------
    ValueError, TypeError
        Bad arguments, or a step that is no integer ≥ 0.

    See Also
    --------
    step : Let the rate fall in steps.
    warmup : Let the rate grow at first.

    Examples
    --------
    >>> import glasscurv as gc
    >>> schedule = gc.schedules.cosine(1.0, steps=4)
    >>> [round(schedule(t), 4) for t in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """

    lr: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        number(self.lr, "lr", 0)
        integer(self.steps, "steps", 1)
        number(self.final, "final", 0)

    def __call__(self, step: int) -> float:
        """Return the rate after `step` steps."""
        share = min(integer(step, "step", 0) / self.steps, 1.0)
        return float(self.final + (self.lr - self.final) * 0.5 * (1 + math.cos(math.pi * share)))
