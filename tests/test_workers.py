import math
import multiprocessing
import operator
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest

from glasscurv._workers import ordered_map


@pytest.mark.parametrize("workers", [1, 2, np.int64(2), map])
def test_results_come_in_the_order_of_the_inputs(workers):
    with ordered_map(workers) as mapped:
        # more than two batches of eight
        assert list(mapped(operator.neg, range(37))) == [-k for k in range(37)]


@pytest.mark.parametrize("workers", [1, 2, map])
def test_nothing_gives_nothing(workers):
    with ordered_map(workers) as mapped:
        assert list(mapped(operator.neg, [])) == []


@pytest.mark.parametrize("workers", [1, 2, map])
def test_a_map_can_be_used_again(workers):
    with ordered_map(workers) as mapped:
        assert list(mapped(math.sqrt, [4.0, 9.0])) == [2.0, 3.0]
        assert list(mapped(operator.neg, iter([1, 2]))) == [-1, -2]


def test_the_order_does_not_depend_on_who_finishes_first():
    second_done = threading.Event()

    def task(k):
        if k == 0:
            assert second_done.wait(timeout=60)
        if k == 1:
            second_done.set()
        return 10 * k

    with ThreadPoolExecutor(2) as pool, ordered_map(pool.map) as mapped:
        assert list(mapped(task, range(6))) == [0, 10, 20, 30, 40, 50]


def test_the_map_of_a_process_pool_serves_as_well():
    with ProcessPoolExecutor(2) as pool, ordered_map(pool.map) as mapped:
        assert list(mapped(operator.neg, range(5))) == [0, -1, -2, -3, -4]


def test_a_callable_gets_the_function_and_the_items():
    seen = []

    def backwards(function, items):
        seen.append((function, items))
        return [function(item) for item in items]

    items = [1, 2, 3]
    with ordered_map(backwards) as mapped:
        result = mapped(operator.neg, items)
        assert next(result) == -1  # an iterator, whatever the callable returns
        assert list(result) == [-2, -3]
    assert seen == [(operator.neg, items)]


def test_one_worker_runs_here_and_one_at_a_time():
    done = []
    with ordered_map(1) as mapped:
        results = mapped(done.append, range(5))
        assert done == []
        next(results)
        assert done == [0]


def test_processes_are_fed_four_tasks_each_at_a_time():
    taken = count()
    with ordered_map(2) as mapped:
        results = mapped(operator.neg, taken)  # endless: a map that took all of it would not return
        assert [next(results) for _ in range(8)] == [-k for k in range(8)]
        assert next(taken) == 8
        next(results)
        assert next(taken) == 17


def test_processes_end_with_the_map():
    before = set(multiprocessing.active_children())
    with ordered_map(2) as mapped:
        results = mapped(operator.neg, range(4))
        next(results)
        assert set(multiprocessing.active_children()) - before
        list(results)
    assert not set(multiprocessing.active_children()) - before


@pytest.mark.parametrize("workers", [1, 2, map])
def test_an_exception_in_a_task_comes_through(workers):
    with ordered_map(workers) as mapped:
        results = mapped(math.sqrt, [4.0, -1.0, 9.0])
        assert next(results) == 2.0
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            next(results)


@pytest.mark.parametrize(
    ("workers", "exception", "message"),
    [
        (0, ValueError, r"workers .* must be ≥ 1, got 0"),
        (-1, ValueError, r"workers .* must be ≥ 1, got -1"),
        (1.0, TypeError, r"workers .* must be an integer, got float"),
        ("2", TypeError, r"workers .* must be an integer, got str"),
        (None, TypeError, r"workers .*client.map.* must be an integer, got NoneType"),
        (True, TypeError, r"workers .* must be an integer, got bool"),
    ],
)
def test_bad_workers_are_refused(workers, exception, message):
    with pytest.raises(exception, match=message), ordered_map(workers):
        pass


class Future:
    def __init__(self, value):
        self.value = value

    def result(self):
        return self.value


def test_futures_are_waited_for():
    with ordered_map(lambda function, items: [Future(function(item)) for item in items]) as mapped:
        assert list(mapped(operator.neg, range(3))) == [0, -1, -2]


def test_a_callable_gets_its_tasks_in_batches():
    sizes = []

    def counting(function, items):
        sizes.append(len(items))
        return map(function, items)

    with ordered_map(counting) as mapped:
        assert list(mapped(operator.neg, range(70))) == [-k for k in range(70)]
    assert sizes == [32, 32, 6]


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="other processes need picklable functions")
def test_the_function_travels_once_and_not_with_every_task():
    with ordered_map(2) as mapped:
        assert list(mapped(lambda k: k + 1, range(20))) == list(range(1, 21))
