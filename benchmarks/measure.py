"""Time two sides alternately, so that whatever slows the machine meanwhile slows both."""

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]
"""Runs one side once and returns the seconds that one run took."""

LEAST_REPETITIONS = 7


@dataclass(frozen=True)
class Comparison:
    """The running time of a subject in units of its reference, over the repetitions of one run.

    Attributes
    ----------
    ratio : float
        Median of the repetitions' ratios.
    low, high : float
        Least and greatest ratio.
    subject_seconds, reference_seconds : float
        Median time of each side; the reference's is already scaled to the work of the subject.
    repetitions : int
        Number of repetitions.
    """

    ratio: float
    low: float
    high: float
    subject_seconds: float
    reference_seconds: float
    repetitions: int


def clock(function: Callable[[], object], least_seconds: float = 0.02) -> Clock:
    """Return a clock of a function; it calls a short function often enough to fill `least_seconds`.

    The function is called twice here: once to compile it and to touch its memory, once to see how long it takes.
    """
    function()
    calls = max(1, math.ceil(least_seconds / max(_seconds(function, 1), 1e-9)))
    return lambda: _seconds(function, calls)


def compare(subject: Clock, reference: Clock, repetitions: int, scale: float = 1.0) -> Comparison:
    """Return how many times as long the subject takes as `scale` references.

    Parameters
    ----------
    subject, reference : callable
        Clocks of the two sides. Each repetition runs both, and the next one swaps their order.
    repetitions : int
        At least 7.
    scale : float
        How many references make the work of the subject.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        Fewer than 7 repetitions.
    """
    if repetitions < LEAST_REPETITIONS:
        raise ValueError(f"repetitions must be ≥ {LEAST_REPETITIONS}, got {repetitions}")
    subjects, references = [], []
    for repetition in range(repetitions):
        if repetition % 2:
            references.append(scale * reference())
            subjects.append(subject())
        else:
            subjects.append(subject())
            references.append(scale * reference())
    ratios = [a / b for a, b in zip(subjects, references, strict=True)]
    return Comparison(
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        subject_seconds=statistics.median(subjects),
        reference_seconds=statistics.median(references),
        repetitions=repetitions,
    )


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
