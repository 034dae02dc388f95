"""One meaning of ``workers`` for the whole package: an int (processes) or any map-like callable, as in SciPy."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from glasscurv._typing import Workers
from glasscurv._validation import integer

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def ordered_map(
    workers: Workers,
) -> Iterator[Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]]:
    """Give a map that returns results in the order of its inputs, a few at a time.

    A pool is fed in batches of four tasks a worker, so that the results that wait in memory stay few however
    many tasks there are. The order of the results does not depend on the workers, so a sum over them does not.

    Parameters
    ----------
    workers : int or callable
        1 runs here; k > 1 starts k processes; a callable ``workers(function, items)`` is used as the map.

    Raises
    ------
    TypeError, ValueError
        `workers` is neither a positive int nor callable.
    """
    if callable(workers):
        yield lambda function, items: iter(workers(function, items))
        return
    count = integer(workers, "workers", 1)
    if count == 1:
        yield map
        return
    with ProcessPoolExecutor(count) as pool:

        def batched(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
            waiting = iter(items)
            while batch := list(islice(waiting, 4 * count)):
                yield from pool.map(function, batch)

        yield batched
