"""What a row of the table is, and how large and how often it is measured."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import Measurement


@dataclass(frozen=True)
class Scale:
    """How large and how often.

    Attributes
    ----------
    parameters : int
        Number n of parameters of the loops over vectors.
    sizes : tuple of int
        Numbers of parameters over which the cost of one should not change.
    samples : int
        Directions of an estimate.
    growth : int
        By how much batch and distance grow where the cost of a crossing should not change.
    repetitions : int
        Of every row, at least 7.
    """

    parameters: int = 10_000_000
    sizes: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000)
    samples: int = 16
    growth: int = 100
    repetitions: int = 11


QUICK = Scale(parameters=4_000_000, sizes=(1_000_000, 10_000_000), samples=4, growth=10, repetitions=7)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    name : str
        What ``--only`` selects.
    subject, reference : str
        What is measured, and against what; the reference is empty where the value stands alone.
    target : float or None
        What the value should reach, in `unit`; None where nothing is promised.
    measure : callable
        Takes the `Scale` and returns the `Measurement`, or raises `NotMeasured`.
    unit : str
        Of the value: empty for a ratio.
    at_least : bool
        Whether more is better; otherwise less is.
    """

    name: str
    subject: str
    reference: str
    target: float | None
    measure: Callable[[Scale], Measurement]
    unit: str = ""
    at_least: bool = False

    def met(self, value: float) -> bool | None:
        """Tell whether a value reaches the target; None where there is none."""
        if self.target is None:
            return None
        return value >= self.target if self.at_least else value <= self.target
