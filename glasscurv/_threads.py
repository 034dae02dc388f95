"""Threads for compiled loops and matrix products, as many as BLAS may use.

Work is cut into pieces that depend on its size alone, and each piece is computed by one thread: the result is the
same, bit for bit, whatever the number of threads. BLAS does not promise that of its own threads (OpenBLAS divides long
sums by their number), and the threads of Numba survive neither a fork nor calls from several Python threads. So the
threads are Python's, which compiled loops and NumPy's matrix products let run side by side.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")

PIECE = 1 << 16  # entries of the arrays of a loop, at least; to hand a piece over costs some 10 µs
MANY = 64  # pieces of a loop, at most
LINE = 1 << 10  # entries whose multiples begin pieces, for the alignment of vectors


def parallel(loop: Callable[..., Result], *arguments: object) -> list[Result]:
    """Run a loop over vectors, piece by piece on several threads, and return what it returned for each piece.

    The first argument is a vector. It is cut, as are all arguments of its length and all in tuples; others are passed
    as they are.
    """
    first = arguments[0]
    assert isinstance(first, np.ndarray)
    size = first.size
    if size <= PIECE:
        return [loop(*arguments)]

    def cut(value: object, piece: slice) -> object:
        if isinstance(value, tuple):
            return tuple(cut(item, piece) for item in value)
        return value[piece] if isinstance(value, np.ndarray) and value.shape == (size,) else value

    def run(piece: slice) -> Result:
        return loop(*(cut(value, piece) for value in arguments))

    return thread_map(run, pieces(size, max(PIECE, -(-size // (MANY * LINE)) * LINE), LINE))


def pieces(size: int, largest: int, multiple: int = 1) -> list[slice]:
    """Cut 0 … size − 1 into pieces of one length ≤ `largest`, a multiple of `multiple`, and a shorter last one."""
    count = -(-size // largest)
    length = -(-size // (count * multiple)) * multiple
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]


def thread_map(task: Callable[[Piece], Result], work: Sequence[Piece]) -> list[Result]:
    """Return ``[task(piece) for piece in work]``; a task may not use threads of this module itself."""
    helpers = min(num_threads(), len(work)) - 1
    if helpers < 1:
        return [task(piece) for piece in work]
    results: list[Result | None] = [None] * len(work)
    numbers = itertools.count()  # its next() is atomic

    def take() -> None:
        while (number := next(numbers)) < len(work):
            results[number] = task(work[number])

    futures = [_pool().submit(take) for _ in range(helpers)]
    try:
        take()
    finally:
        # One that has not begun, behind other callers' tasks, is not needed any more.
        errors = [future.exception() for future in futures if not future.cancel()]
    for error in filter(None, errors):
        raise error
    return results  # type: ignore[return-value]


def num_threads() -> int:
    """Return how many threads BLAS may use: OMP_NUM_THREADS, threadpoolctl and the like then hold for all."""
    return single_threaded_blas.num_threads()


class _SingleThreadedBlas:
    """Context in which BLAS uses the calling thread alone; afterwards it has the number of threads that it had.

    The number belongs to the whole process. So the first of several overlapping contexts sets it, and the last one
    restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users, self._threads = 0, 1

    def num_threads(self) -> int:
        with self._lock:
            return self._threads if self._users else _blas_threads()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._threads = _blas_threads()
                limit_blas(1)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                limit_blas(self._threads)


single_threaded_blas = _SingleThreadedBlas()


def limit_blas(threads: int) -> None:
    """Let BLAS use this many threads from now on."""
    for library in _blas().lib_controllers:
        if library.get_num_threads() != threads:
            library.set_num_threads(threads)


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _blas_threads() -> int:
    return max((library.get_num_threads() for library in _blas().lib_controllers), default=available_cores())


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(available_cores() - 1, 1), thread_name_prefix="glasscurv")


def _after_fork() -> None:
    """Forget the threads of the parent process, which a fork does not copy, and whatever they were doing."""
    _pool.cache_clear()
    single_threaded_blas.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
