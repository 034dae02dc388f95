"""Run checks one after the other, each with its own random numbers."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from threadpoolctl import threadpool_limits

from paper_checks.outcome import Outcome, Settings

FULL_SCALE = 8


@dataclass(frozen=True)
class Record:
    """A check that was run.

    Attributes
    ----------
    name : str
    claim, source : str
    outcome : Outcome
        Without findings if the check broke down.
    error : str or None
        The traceback, if it did.
    seconds : float
    """

    name: str
    claim: str
    source: str
    outcome: Outcome
    error: str | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the check ran to its end and every finding holds."""
        return self.error is None and self.outcome.holds


def run_checks(
    checks: Iterable[tuple[str, ModuleType]],
    seed: int,
    full: bool = False,
    announce: Callable[[str, str], None] = lambda name, claim: None,
) -> Iterator[Record]:
    """Run checks and give their records one by one.

    Parameters
    ----------
    checks : iterable of (name, module)
        From the registry.
    seed : int
        Together with the check's name it seeds the check: a check gives the same result alone and among others.
    full : bool
        Larger samples and narrower intervals.
    announce : callable
        Called with name and claim before each check.

    Yields
    ------
    Record
    """
    for name, module in checks:
        announce(name, module.CLAIM)
        settings = Settings(np.random.default_rng([seed, *name.encode()]), FULL_SCALE if full else 1)
        start, error = time.perf_counter(), None
        try:
            # Small matrix products are faster on one thread, and a busy machine does not slow them down.
            with threadpool_limits(1):
                outcome = module.run(settings)
        except Exception:  # a check that breaks down fails, and the others still run
            outcome, error = Outcome([]), traceback.format_exc()
        yield Record(name, module.CLAIM, module.SOURCE, outcome, error, time.perf_counter() - start)
