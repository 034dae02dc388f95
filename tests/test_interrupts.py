"""Interrupts that are real: SIGINT sent to this process."""

# ruff: noqa: PT012, SIM117 (where in a block it is raised is the point)

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import glasscurv as gc
from glasscurv import _interrupts
from glasscurv._interrupts import deferred_interrupts
from tests.contracts import LR, THETA0, identical, smooth


@pytest.fixture(autouse=True)
def usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(argument=None):
    signal.raise_signal(signal.SIGINT)
    return argument


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with deferred_interrupts():
            interrupt()
            interrupt()
            done.append("block")
        done.append("after")
    assert done == ["block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_call_is_interrupted_at_once_and_what_follows_is_not():
    done = []
    with pytest.raises(KeyboardInterrupt):
        with deferred_interrupts() as interrupts:
            try:
                interrupts.call(interrupt, None)
            finally:
                interrupt()  # a second one, during the clean-up
                done.append("clean")
    assert done == ["clean"]


def test_a_second_interrupt_does_not_end_the_clean_up_within_a_call():
    done = []

    def interrupted(_):
        try:
            interrupt()
        finally:
            interrupt()
            done.append("clean")

    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as interrupts:
        interrupts.call(interrupted, None)
    assert done == ["clean"]


def test_an_interrupt_held_back_ends_the_next_call_before_it_begins():
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as interrupts:
        interrupt()
        interrupts.call(pytest.fail, "the call began")


def test_without_an_interrupt_a_call_returns_and_the_handler_is_back():
    with deferred_interrupts() as interrupts:
        assert interrupts.call(abs, -3) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_exception_passes_and_an_interrupt_after_it_comes_on_top():
    with pytest.raises(LookupError), deferred_interrupts():
        raise LookupError
    with pytest.raises(KeyboardInterrupt) as caught, deferred_interrupts():
        interrupt()
        raise LookupError
    assert isinstance(caught.value.__context__, LookupError)


def test_a_handler_that_goes_on_gets_every_interrupt_of_a_call_and_one_of_the_block():
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with deferred_interrupts() as interrupts:
        interrupts.call(lambda _: (interrupt(), interrupt()), None)
        assert seen == [signal.SIGINT] * 2
        interrupt()
        assert seen == [signal.SIGINT] * 2
    assert seen == [signal.SIGINT] * 3


def test_blocks_nest():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        with deferred_interrupts() as inner:
            inner.call(interrupt, None)  # let through to the outer block, which holds it back
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as outer:
        outer.call(nested, None)


def nested(_):
    with deferred_interrupts() as inner:
        inner.call(interrupt, None)
    pytest.fail("the inner call was not interrupted")


def step(log, evaluate):
    with deferred_interrupts() as inner:
        inner.call(evaluate, log)
        log.append("written")


def training(log):
    with deferred_interrupts() as outer:
        step(log, lambda log: outer.call(evaluation, log))
        log.append("recorded")


def evaluation(log):
    log.append("evaluated")


def test_an_interrupt_at_any_instruction_of_nested_blocks_splits_nothing_and_is_not_lost():
    files = (_interrupts.__file__, __file__)
    own = sys._getframe().f_code
    reached = set()
    for event in range(100_000):
        left = event

        def trace(frame, kind, argument):
            nonlocal left
            if frame.f_code.co_filename not in files or frame.f_code is own:
                return None
            frame.f_trace_opcodes = True
            left -= 1
            if left == -1:
                signal.raise_signal(signal.SIGINT)
            return trace

        log, stopped, tracer = [], False, sys.gettrace()
        sys.settrace(trace)
        try:
            training(log)
        except KeyboardInterrupt:
            stopped = True
        finally:
            sys.settrace(tracer)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if left >= 0:  # the end came first
            break
        assert stopped, "an interrupt was lost"
        reached.add(tuple(log))
    assert reached == {(), ("evaluated",), ("evaluated", "written", "recorded")}
    assert event > 200


def test_a_block_in_another_thread_does_not_touch_those_of_the_main_thread():
    entered, leave = threading.Event(), threading.Event()

    def work():
        with deferred_interrupts():
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        thread.start()
        assert entered.wait(60)
        interrupt()
        assert thread.is_alive()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    leave.set()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_set_between_nested_blocks_stays():
    seen = []

    def chosen(number, frame):
        seen.append(number)

    def choose(_):
        signal.signal(signal.SIGINT, chosen)
        with deferred_interrupts():
            interrupt()
            assert not seen
        assert seen == [signal.SIGINT]

    with deferred_interrupts() as outer, deferred_interrupts() as inner:
        inner.call(lambda _: outer.call(choose, None), None)
    assert signal.getsignal(signal.SIGINT) is chosen


def test_a_handler_put_back_during_a_call_stays():
    def put_back(_):
        kept = signal.signal(signal.SIGINT, signal.default_int_handler)
        with deferred_interrupts() as inner:
            inner.call(lambda _: signal.signal(signal.SIGINT, kept), None)
        assert signal.getsignal(signal.SIGINT) is kept

    with deferred_interrupts() as outer:
        outer.call(put_back, None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_set_during_a_call_stays():
    def chosen(number, frame):
        raise AssertionError

    with deferred_interrupts() as interrupts:
        interrupts.call(lambda _: signal.signal(signal.SIGINT, chosen), None)
    assert signal.getsignal(signal.SIGINT) is chosen


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_is_no_python_handler_is_left_alone(handler):
    signal.signal(signal.SIGINT, handler)
    with deferred_interrupts() as interrupts:
        assert signal.getsignal(signal.SIGINT) == handler
        assert interrupts.call(abs, -3) == 3
    assert signal.getsignal(signal.SIGINT) == handler


def test_other_threads_are_left_alone():
    results = []

    def work():
        optimizer = gc.Adam(THETA0, LR)
        optimizer.step(smooth)
        results.append(optimizer.theta)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    optimizer = gc.Adam(THETA0, LR)
    optimizer.step(smooth)
    assert np.array_equal(results, [optimizer.theta])


def test_interrupts_at_any_time_never_split_a_step():
    """What a person with Ctrl-C does, forty times: the run must be the undisturbed one, only shorter."""
    optimizer, undisturbed = gc.Alice(THETA0, LR, rng=5), gc.Alice(THETA0, LR, rng=5)
    rng = np.random.default_rng(0)
    for _ in range(40):
        timer = threading.Timer(rng.uniform(0, 2e-3), os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                optimizer.step(smooth)
        timer.join()
        while undisturbed.steps < optimizer.steps:
            undisturbed.step(smooth)
        assert identical(optimizer.state_dict(), undisturbed.state_dict())
    assert optimizer.steps > 40
