"""Ctrl-C at moments that suit the program: held back while something is written, noted until something is finished."""

from __future__ import annotations

import signal
import threading

# What the functions of `signal` call; they take ten times as long, for they look every handler up in an enum.
from _signal import SIGINT, getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class deferred_interrupts:  # noqa: N801 (a context manager, used like contextlib's)
    """Hold SIGINT back inside a ``with`` block, let it through during `call`, and deliver at the end what came.

    Only a Python handler is held back: nothing else raises inside the block. Outside the main thread there is nothing
    to do, because Python runs its handlers in the main thread. Blocks may be nested: an interrupt goes to the innermost
    block, and what that one lets through to the block around it.
    """

    def __init__(self) -> None:
        self._passing = self._held = False
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._around: deferred_interrupts | None = None

    def __enter__(self) -> deferred_interrupts:
        if threading.get_ident() != threading.main_thread().ident:
            return self
        handler = getsignal(SIGINT)
        if isinstance(handler, _Handler):
            self._handler, self._around = handler, handler.innermost
            self._previous = self._around._handle
            handler.innermost = self
        elif callable(handler):
            self._previous = handler  # before the handler that calls it
            try:
                set_handler(SIGINT, _Handler(self))
            except ValueError:  # in an interpreter that has no signals
                self._previous = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is None:
            return
        if self._around is not None:
            self._handler.innermost = self._around
        else:
            handler = getsignal(SIGINT)
            if isinstance(handler, _Handler) and handler.innermost is self:  # else `call` has set one that is to stay
                set_handler(SIGINT, self._previous)
        self._deliver()

    def call(self, function: Callable[[Argument], Result], argument: Argument) -> Result:
        """Return ``function(argument)``, which interrupts may end at any moment."""
        self._passing = True
        try:
            self._deliver()
            return function(argument)
        finally:
            self._passing = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._passing and self._previous is not None:
            self._passing = False  # a second interrupt must not end the clean-up after the first
            self._previous(number, frame)
            self._passing = True  # the program's handler has chosen to go on
        else:
            self._held = True

    def _deliver(self) -> None:
        if self._held and self._previous is not None:
            self._held = False
            self._previous(signal.SIGINT, None)


class _Handler:
    """The one handler of blocks that are nested, so that only the outermost block has to set it."""

    def __init__(self, innermost: deferred_interrupts) -> None:
        self.innermost = innermost

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.innermost._handle(number, frame)


@contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C sets, so that a loop can end in its own time; a second one interrupts.

    Only Python's own handler in the main thread is replaced: a program with another one has its own way to stop.
    """
    event = threading.Event()
    default = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not default:
        yield event
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            default(number, frame)
        event.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, default)
