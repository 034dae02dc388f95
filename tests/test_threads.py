import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from glasscurv import _threads
from glasscurv._threads import (
    PIECE,
    available_cores,
    limit_blas,
    num_threads,
    parallel,
    pieces,
    single_threaded_blas,
    thread_map,
)

COUNTS = (1, 2, 7)


@pytest.fixture(autouse=True)
def _limits():
    """Whatever a test does to the number of threads, the next one finds it as it was."""
    with threadpool_limits(2, user_api="blas"):
        yield


def blas_numbers():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def together(task):
    """A task whose two pieces are in two threads at the same time."""
    barrier = threading.Barrier(2)

    def both(piece):
        barrier.wait(timeout=60)
        return task(piece)

    return both


# Pieces


@given(size=st.integers(1, 10**7), largest=st.integers(10**3, 10**6), multiple=st.sampled_from([1, 16, 1024]))
def test_pieces_follow_one_another_and_are_of_one_length(size, largest, multiple):
    found = pieces(size, largest, multiple)
    assert found[0].start == 0
    assert found[-1].stop == size
    assert all(one.stop == other.start for one, other in pairwise(found))
    lengths = {piece.stop - piece.start for piece in found[:-1]}
    assert len(lengths) <= 1
    assert all(length % multiple == 0 and length < largest + multiple for length in lengths)
    assert 0 < found[-1].stop - found[-1].start <= max(lengths, default=size)


# Results


@pytest.mark.parametrize("threads", COUNTS)
def test_results_come_in_the_order_of_the_work(threads):
    limit_blas(threads)
    assert num_threads() == threads
    for count in (0, 1, 2, 3, 50):
        assert thread_map(lambda k: -k, range(count)) == [-k for k in range(count)]


def test_pieces_run_side_by_side():
    names = thread_map(together(lambda _: threading.current_thread().name), range(2))
    assert len(set(names)) == 2
    assert threading.current_thread().name in names


def test_one_thread_means_the_callers():
    limit_blas(1)
    assert set(thread_map(lambda _: threading.current_thread(), range(20))) == {threading.current_thread()}


def test_a_loop_gives_the_same_bits_for_any_number_of_threads():
    x = np.random.default_rng(0).normal(size=3 * PIECE + 5)

    def loop(array, factor, out):
        np.multiply(array, factor, out=out)
        return float(out.sum())

    results = []
    for threads in COUNTS:
        limit_blas(threads)
        out = np.empty_like(x)
        results.append(parallel(loop, x, 3.0, out))
        assert np.array_equal(out, 3 * x)
    assert len(results[0]) > 1
    assert results[0] == results[1] == results[2]


def test_helpers_treat_floating_point_errors_as_their_caller_does():
    divide = together(lambda _: np.ones(3) / np.zeros(3))
    with np.errstate(divide="ignore"):  # a warning is an error in these tests
        assert np.isinf(thread_map(divide, range(2))).all()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        thread_map(divide, range(2))


# Errors


@pytest.mark.parametrize("threads", COUNTS)
@pytest.mark.parametrize("bad", [0, 1, 9])
def test_an_error_in_any_piece_comes_through(threads, bad):
    limit_blas(threads)

    def task(k):
        if k == bad:
            raise ValueError(f"piece {k}")
        return k

    for _ in range(20):
        with pytest.raises(ValueError, match=f"piece {bad}"):
            thread_map(task, range(10))
    assert thread_map(abs, [-1, -2, -3]) == [1, 2, 3]


def test_an_error_in_a_helper_comes_through():
    caller = threading.current_thread()

    def task(_):
        if threading.current_thread() is not caller:
            raise ValueError("the helper's")

    with pytest.raises(ValueError, match="the helper's"):
        thread_map(together(task), range(2))


def test_after_an_error_no_more_pieces_begin_and_none_goes_on():
    begun, finished = [], []
    barrier = threading.Barrier(2)

    def task(k):
        begun.append(k)
        if k < 2:
            barrier.wait(timeout=60)
        if k == 0:
            raise ValueError("stop")
        time.sleep(0.05)
        finished.append(k)

    with pytest.raises(ValueError, match="stop"):
        thread_map(task, range(100))
    assert sorted(begun) == [0, 1]
    assert finished == [1]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_waits_for_the_pieces_that_have_begun():
    caller, finished = threading.current_thread(), []

    def task(k):
        if threading.current_thread() is not caller:
            time.sleep(0.05)  # until the caller waits
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            finished.append(k)

    with pytest.raises(KeyboardInterrupt):
        thread_map(together(task), range(2))
    assert len(finished) == 1


# Busy helpers


def test_a_task_may_use_threads_itself():
    limit_blas(3)
    inner = [k * 10 for k in range(5)]
    assert thread_map(lambda k: thread_map(lambda j: k * j, inner), range(4)) == [
        [k * j for j in inner] for k in range(4)
    ]


def test_helpers_that_never_come_are_not_waited_for():
    release, busy = threading.Event(), threading.Barrier(3)

    def occupy():
        def task(_):
            busy.wait(timeout=60)
            assert release.wait(timeout=60)

        thread_map(task, range(2))

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as other:
        pool, _threads._pool = _threads._pool, _threads._Pool()  # of one thread
        try:
            occupied = other.submit(occupy)
            busy.wait(timeout=60)
            assert thread_map(lambda k: -k, range(5)) == [0, -1, -2, -3, -4]
            release.set()
            occupied.result(timeout=60)
        finally:
            release.set()
            _threads._pool = pool


def test_where_no_thread_can_be_started_the_caller_does_the_work(monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_threads, "_pool", _threads._Pool())
    monkeypatch.setattr(threading.Thread, "start", start)
    assert thread_map(lambda k: -k, range(5)) == [0, -1, -2, -3, -4]


def test_many_callers_at_once():
    def call(seed):
        return [thread_map(lambda k: k * seed, range(8)) for _ in range(20)]

    with ThreadPoolExecutor(6) as callers:
        assert list(callers.map(call, range(6))) == [[[k * seed for k in range(8)]] * 20 for seed in range(6)]


# The threads of BLAS


@pytest.mark.parametrize("threads", COUNTS)
def test_the_number_is_that_of_blas(threads):
    with threadpool_limits(threads, user_api="blas"):
        assert num_threads() == threads
        with single_threaded_blas, single_threaded_blas:
            assert blas_numbers() == {1}
            assert num_threads() == threads
        assert blas_numbers() == {threads}
    assert blas_numbers() == {2}


def test_each_library_gets_its_own_number_back(monkeypatch):
    numbers = [2, 5]

    def library(k):
        return _threads._Library(lambda: numbers[k], lambda number: numbers.__setitem__(k, number))

    libraries = [library(0), library(1)]
    monkeypatch.setattr(_threads, "_libraries", lambda: libraries)
    with single_threaded_blas:
        assert numbers == [1, 1]
        assert num_threads() == 2
    assert numbers == [2, 5]


def test_without_a_known_blas_every_core_is_used(monkeypatch):
    monkeypatch.setattr(_threads, "_libraries", list)
    assert num_threads() == available_cores()
    with single_threaded_blas:
        assert num_threads() == available_cores()


def test_an_error_restores_the_number():
    with pytest.raises(ValueError, match="inside"), single_threaded_blas:
        raise ValueError("inside")
    assert blas_numbers() == {2}


def test_the_last_of_overlapping_contexts_restores_the_number():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with single_threaded_blas:
            entered.set()
            assert leave.wait(timeout=60)
            return blas_numbers()

    with ThreadPoolExecutor(1) as pool:
        with single_threaded_blas:
            inside = pool.submit(other)
            assert entered.wait(timeout=60)
        assert blas_numbers() == {1}
        assert num_threads() == 2
        leave.set()
        assert inside.result(timeout=60) == {1}
    assert blas_numbers() == {2}


def test_any_thread_may_set_the_number():
    """Even where threadpoolctl listens to another thread only: here to this one."""

    def inside():
        with single_threaded_blas:
            return blas_numbers()

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result(timeout=60) == {1}
        assert blas_numbers() == {2}


# Forks


def in_a_fork(function):
    """What `function` returns in a forked process."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put(function()))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 0
    return answers.get()


forks = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")


@forks
def test_a_fork_has_threads_of_its_own():
    def sides():
        return len(set(thread_map(together(lambda _: threading.get_ident()), range(2)))), num_threads()

    assert sides() == in_a_fork(sides) == (2, 2)


@forks
def test_a_fork_is_in_no_other_threads_context():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with single_threaded_blas:
            entered.set()
            assert leave.wait(timeout=60)

    def numbers():
        before = blas_numbers()
        with single_threaded_blas:
            return before, blas_numbers(), num_threads()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(other)
        assert entered.wait(timeout=60)
        assert in_a_fork(numbers) == ({2}, {1}, 2)
        leave.set()
        done.result(timeout=60)


@forks
def test_a_fork_inside_a_context_leaves_it_in_its_turn():
    def numbers():
        inside = blas_numbers(), num_threads()
        single_threaded_blas.__exit__()
        return inside, blas_numbers()

    with single_threaded_blas:
        assert in_a_fork(numbers) == (({1}, 2), {2})
    assert blas_numbers() == {2}
