"""Threads for compiled loops and matrix products, as many as BLAS may use.

Work is cut into pieces that depend on its size alone, and each piece is computed by one thread: the result is the
same, bit for bit, whatever the number of threads. BLAS does not promise that of its own threads (OpenBLAS divides long
sums by their number), and the threads of Numba survive neither a fork nor calls from several Python threads. So the
threads are Python's, which compiled loops and NumPy's matrix products let run side by side.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")

PIECE = 1 << 17  # entries of a loop that moves data: less is done in the time that it takes to wake a thread
MANY = 64  # pieces of a loop, at most
LINE = 1 << 10  # entries whose multiples begin pieces, for the alignment of vectors


def parallel(loop: Callable[..., Result], *arguments: object, piece: int = PIECE) -> list[Result]:
    """Run a loop over vectors, piece by piece on several threads, and return what it returned for each piece.

    The first argument is a vector. It is cut, as are all arguments of its length and all in tuples; others are passed
    as they are. A piece has about `piece` entries, or more where there would be many pieces.
    """
    first = arguments[0]
    assert isinstance(first, np.ndarray)
    size = first.size
    if size <= piece:
        return [loop(*arguments)]

    def cut(value: object, part: slice) -> object:
        if isinstance(value, tuple):
            return tuple(cut(item, part) for item in value)
        return value[part] if isinstance(value, np.ndarray) and value.shape == (size,) else value

    def run(part: slice) -> Result:
        return loop(*(cut(value, part) for value in arguments))

    return thread_map(run, pieces(size, max(piece, -(-size // (MANY * LINE)) * LINE), LINE))


def pieces(size: int, largest: int, multiple: int = 1) -> list[slice]:
    """Cut 0 … size − 1 into pieces of one length ≤ `largest`, a multiple of `multiple`, and a shorter last one."""
    count = -(-size // largest)
    length = -(-size // (count * multiple)) * multiple
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]


def thread_map(task: Callable[[Piece], Result], work: Sequence[Piece]) -> list[Result]:
    """Return ``[task(piece) for piece in work]``; after an exception no more pieces are begun."""
    helpers = min(num_threads(), len(work)) - 1 if len(work) > 1 else 0
    if helpers < 1:
        return [task(piece) for piece in work]
    job = _Job(task, work)
    shares = [_Share(job) for _ in range(helpers)]
    _pool.run(shares)
    job.work_on()
    for share in shares:
        share.finish()
    error, job.error = job.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # it knows this frame, which should not know it
    return job.results  # type: ignore[return-value]


def num_threads() -> int:
    """Return how many threads BLAS may use: OMP_NUM_THREADS, threadpoolctl and the like then hold for all."""
    return single_threaded_blas.num_threads()


class _Job(Generic[Piece, Result]):
    """The pieces of one `thread_map`, which several threads work on."""

    def __init__(self, task: Callable[[Piece], Result], work: Sequence[Piece]) -> None:
        self.task, self.work = task, work
        self.results: list[Result | None] = [None] * len(work)
        self.error: BaseException | None = None
        self.floating_point_errors = np.geterr()
        self._numbers = itertools.count()  # its next() is atomic

    def work_on(self) -> None:
        """Take pieces until there are no more."""
        try:
            while self.error is None and (number := next(self._numbers)) < len(self.work):
                self.results[number] = self.task(self.work[number])
        except BaseException as error:  # Ctrl-C too: the other threads are to stop first
            self.error = error


class _Share:
    """A helper's part in a job, which whoever called for help may take back while it has not begun."""

    def __init__(self, job: _Job[Any, Any]) -> None:
        self._job, self._taken, self._done = job, threading.Lock(), threading.Lock()
        self._done.acquire()

    def begin(self) -> None:
        if self._taken.acquire(blocking=False):
            with np.errstate(**self._job.floating_point_errors):  # as in the thread that called
                self._job.work_on()
            self._done.release()

    def finish(self) -> None:
        """Wait until nothing more is done, whatever interrupts the wait."""
        while not self._taken.acquire(blocking=False):
            try:
                self._done.acquire()
                return
            except BaseException as error:
                self._job.error = error


class _Pool:
    """Threads that wait for shares; they end with the process."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Share] = SimpleQueue()
        self._lock, self._size = threading.Lock(), 0

    def run(self, shares: list[_Share]) -> None:
        if self._size < len(shares):
            # Where no more threads can be had, as at the end of a program, those that there are do the work.
            with self._lock, suppress(RuntimeError):
                for number in range(self._size, len(shares)):
                    threading.Thread(target=self._serve, name=f"glasscurv-{number}", daemon=True).start()
                    self._size = number + 1
        for share in shares:
            self._queue.put(share)

    def _serve(self) -> None:
        while True:
            self._queue.get().begin()


class _SingleThreadedBlas:
    """Context in which BLAS uses the calling thread alone; afterwards it has the number of threads that it had.

    The number belongs to the whole process. So the first of several overlapping contexts sets it, and the last one
    restores it.
    """

    def __init__(self) -> None:
        self._lock, self._local = threading.Lock(), threading.local()
        self._users, self._numbers = 0, list[int]()

    def num_threads(self) -> int:
        with self._lock:
            # SciPy's BLAS may be loaded after a limit was set, and has not heard of it.
            return min(self._numbers if self._users else _numbers(), default=available_cores())

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._numbers = _numbers()
                _set_numbers([1] * len(self._numbers))
            self._users += 1
        self._local.users = getattr(self._local, "users", 0) + 1

    def __exit__(self, *_: object) -> None:
        self._local.users -= 1
        with self._lock:
            self._users -= 1
            if self._users == 0:
                _set_numbers(self._numbers)

    def after_fork(self) -> None:
        """Go on without the other threads of the parent process, which leave their contexts there alone."""
        left, self._lock, self._users = self._users, threading.Lock(), getattr(self._local, "users", 0)
        if left and not self._users:
            _set_numbers(self._numbers)


single_threaded_blas = _SingleThreadedBlas()
_pool = _Pool()


def limit_blas(threads: int) -> None:
    """Let BLAS use this many threads from now on."""
    _set_numbers([threads] * len(_libraries()))


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Library(NamedTuple):
    """One BLAS: NumPy and SciPy may have their own."""

    get_num_threads: Callable[[], int]
    set_num_threads: Callable[[int], object]


def _numbers() -> list[int]:
    return [library.get_num_threads() for library in _libraries()]


def _set_numbers(numbers: Sequence[int]) -> None:
    for library, number in zip(_libraries(), numbers, strict=True):
        library.set_num_threads(number)


@cache
def _libraries() -> list[_Library]:
    return [_functions(controller) for controller in ThreadpoolController().select(user_api="blas").lib_controllers]


def _functions(controller: Any) -> _Library:
    """Return OpenBLAS's own functions, or those of threadpoolctl for another BLAS.

    Those of threadpoolctl take four times as long, and for OpenBLAS let only one thread of the process set the number:
    what another one asks for is passed over in silence.
    """
    if controller.internal_api == "openblas" and controller.threading_layer == "pthreads":
        library = ctypes.CDLL(controller.filepath)
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            if hasattr(library, f"{prefix}openblas_set_num_threads{suffix}"):
                return _Library(*(library[f"{prefix}openblas_{verb}_num_threads{suffix}"] for verb in ("get", "set")))
    return _Library(controller.get_num_threads, controller.set_num_threads)


def _after_fork() -> None:
    """Forget the threads of the parent process, which a fork does not copy, and whatever they were doing."""
    global _pool
    _pool = _Pool()
    single_threaded_blas.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
