"""Time several sides alternately, so that whatever slows the machine meanwhile slows them all."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Clock = Callable[[], float]
"""Runs one side once and returns the seconds that one run took."""

LEAST_REPETITIONS = 7
LEAST_SECONDS = 0.02
PAUSE = 0.01
"""Seconds after which threads of BLAS and PyTorch that have nothing to do sleep; until then they keep a core busy."""


class NotMeasured(Exception):  # noqa: N818 (no error: the table says why)
    """What a row needs is missing on this machine; the message says what, in plain words."""


@dataclass(frozen=True)
class Measurement:
    """What a row has measured, over the repetitions of one run.

    Attributes
    ----------
    value : float
        Median of the repetitions' values, in the unit of the row.
    low, high : float
        Least and greatest value.
    repetitions : int
        Number of repetitions.
    seconds : dict of str to float
        Median time of every side, if times were measured.
    note : str
        What else the reader of the table should know.
    """

    value: float
    low: float
    high: float
    repetitions: int
    seconds: dict[str, float] = field(default_factory=dict)
    note: str = ""


def clock(function: Callable[[], object]) -> Clock:
    """Return a clock of a function; it calls a short function often enough to fill `LEAST_SECONDS`.

    The first call here compiles it and touches its memory. And it is called before each timing, so that it finds its
    own data in the caches and its own threads awake.
    """
    function()
    calls = 1
    while calls * _seconds(function, calls) < LEAST_SECONDS:
        calls *= 2

    def run() -> float:
        time.sleep(PAUSE)
        function()
        return _seconds(function, calls)

    return run


def clock_between(function: Callable[[], object], other: Callable[[], object], calls: int = 5) -> Clock:
    """Return a clock of single calls of a function, with an untimed call of another one before each."""
    function()

    def run() -> float:
        seconds = 0.0
        for _ in range(calls):
            other()
            seconds += _seconds(function, 1)
        return seconds / calls

    return run


def scaled(run: Clock, factor: float) -> Clock:
    """Return a clock that gives `factor` times the seconds: of more work, or of a part of it."""
    return lambda: factor * run()


def alternate(sides: Mapping[str, Clock], value: Callable[..., float], repetitions: int) -> Measurement:
    """Run all sides in turn, again and again.

    Parameters
    ----------
    sides : mapping of str to callable
        Names and clocks. Each repetition runs all of them, and the next one reverses their order.
    value : callable
        Takes the seconds of the sides in one repetition, in the order of `sides`, and returns the row's value.
    repetitions : int
        At least 7.

    Returns
    -------
    Measurement

    Raises
    ------
    ValueError
        Fewer than 7 repetitions.
    """
    if repetitions < LEAST_REPETITIONS:
        raise ValueError(f"repetitions must be ≥ {LEAST_REPETITIONS}, got {repetitions}")
    order = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in order}
    for _ in range(repetitions):
        for name in order:
            seconds[name].append(sides[name]())
        order.reverse()
    values = [value(*together) for together in zip(*seconds.values(), strict=True)]
    return spread(values, {name: statistics.median(times) for name, times in seconds.items()})


def ratio(subject: float, reference: float) -> float:
    """Return how many times as long the subject takes as the reference."""
    return subject / reference


def growth(*costs: float) -> float:
    """Return how many times the least cost the greatest is."""
    return max(costs) / min(costs)


def spread(values: list[float], seconds: dict[str, float] | None = None) -> Measurement:
    """Return the median of the repetitions' values and their range."""
    return Measurement(statistics.median(values), min(values), max(values), len(values), seconds or {})


def _seconds(function: Callable[[], object], calls: int) -> float:
    """Mean seconds of one call, without the garbage collector."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls
    finally:
        if collecting:
            gc.enable()
