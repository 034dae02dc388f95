"""Run checks, side by side if wanted, each with its own random numbers."""

import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from paper_checks.outcome import Outcome, Settings

FULL_SCALE = 8

# Processes that have grown by a long check are replaced; nothing is lost, and nothing is to be done about it.
warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)


@dataclass(frozen=True)
class Record:
    """A check that was run.

    Attributes
    ----------
    name : str
    claim, source, standing, text : str
        The last is the docstring.
    outcome : Outcome
        Without findings if the check broke down.
    error : str or None
        The traceback, if it did.
    seconds : float
    """

    name: str
    claim: str
    source: str
    standing: str
    text: str
    outcome: Outcome
    error: str | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether the check ran to its end and every finding holds."""
        return self.error is None and self.outcome.holds


def run_checks(checks: Mapping[str, ModuleType], seed: int, full: bool = False, workers: int = 1) -> Iterator[Record]:
    """Run checks and give their records one by one.

    Parameters
    ----------
    checks : mapping of names to modules
        From the registry.
    seed : int
        Together with the check's name it seeds the check: a check gives the same result alone and among others.
    full : bool
        Larger samples and narrower intervals.
    workers : int
        Largest number of processes; the numbers do not depend on it.

    Yields
    ------
    Record
        As they end.
    """
    run = Parallel(n_jobs=min(workers, len(checks)), return_as="generator_unordered")
    yield from run(delayed(_run)(name, module, seed, full) for name, module in checks.items())


def _run(name: str, module: ModuleType, seed: int, full: bool) -> Record:
    settings = Settings(np.random.default_rng([seed, *name.encode()]), FULL_SCALE if full else 1)
    start, error = time.perf_counter(), None
    try:
        # Small matrix products are faster on one thread, and a busy machine does not slow them down.
        with threadpool_limits(1):
            outcome = module.run(settings)
    except Exception:  # a check that breaks down fails, and the others still run
        outcome, error = Outcome([]), traceback.format_exc()
    seconds = time.perf_counter() - start
    return Record(name, module.CLAIM, module.SOURCE, module.STANDING, module.__doc__ or "", outcome, error, seconds)
