"""One meaning of ``workers`` for the whole package: an int (processes) or any map-like callable, as in SciPy."""

import concurrent.futures
import multiprocessing
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from glasscurv._threads import limit_blas, num_threads
from glasscurv._typing import Workers
from glasscurv._validation import integer

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH = 32
"""Tasks that a map-like callable gets at a time."""


@contextmanager
def ordered_map(
    workers: Workers,
) -> Iterator[Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]]:
    """Give a map that returns results in the order of its inputs, a batch at a time.

    Work is handed out in batches, so that the results that wait in memory stay few however many tasks there are. The
    order of the results does not depend on the workers, so a sum over them does not.

    Parameters
    ----------
    workers : int or callable
        1 runs here; k > 1 starts k processes, each of which gets the function once; a callable
        ``workers(function, items)`` is used as the map, and may return results or futures.

    Raises
    ------
    TypeError, ValueError
        `workers` is neither a positive int nor callable, or loses results, or the function cannot be sent to other
        processes.
    """
    if callable(workers):
        yield lambda function, items: _in_batches(lambda batch: map(_result, workers(function, batch)), items, BATCH)
        return
    count = integer(workers, "workers (a number of processes, or a map-like callable such as client.map)", 1)
    if count == 1:
        yield map
        return

    def over_processes(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        _check_picklable(function, count)
        threads = max(num_threads() // count, 1)  # the processes share the cores
        with concurrent.futures.ProcessPoolExecutor(count, initializer=_receive, initargs=(function, threads)) as pool:
            try:
                yield from _in_batches(lambda batch: pool.map(_call, batch), items, 4 * count)
            except BaseException:  # Ctrl-C too: what has not begun need not
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    yield over_processes


def _in_batches(run: Callable[[list[Item]], Iterable[Result]], items: Iterable[Item], size: int) -> Iterator[Result]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        done = 0
        for result in run(batch):
            done += 1
            yield result
        if done != len(batch):
            raise ValueError(f"workers must give one result for each task: of {len(batch)} tasks, {done} came back")


def _result(value: Any) -> Any:
    """Wait for a future, such as a Dask client's; anything else is a result already."""
    wait = getattr(value, "result", None)
    return wait() if callable(wait) else value


def _check_picklable(function: Callable[..., Any], count: int) -> None:
    """Say in plain words what a pool would say in its own; forked processes inherit the function and need nothing."""
    if multiprocessing.get_start_method() == "fork":
        return
    try:
        pickle.dumps(function)
    except Exception as error:
        raise TypeError(
            f"with workers={count} the callable must be picklable to reach other processes: define it at the top of a "
            f"module, or pass the map of a thread pool; pickle says: {error}"
        ) from error


_function: Callable[[Any], Any]


def _receive(function: Callable[[Any], Any], threads: int) -> None:
    """Keep, in a worker process, the function of all its tasks, and limit the threads of each."""
    global _function
    _function = function
    limit_blas(threads)


def _call(item: Any) -> Any:
    return _function(item)
