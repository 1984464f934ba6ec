"""Ctrl-C, SIGTERM and the end of the terminal, deferred while something must be completed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from yisheng.core.errors import StoppedError
from yisheng.core.messages import Message

HANGUP: Final[int | None] = getattr(signal, "SIGHUP", None)
"""The signal that the end of a terminal sends; Windows has none."""
STOP_SIGNALS: Final[tuple[int, ...]] = (signal.SIGINT, signal.SIGTERM, *(() if HANGUP is None else (HANGUP,)))
"""Signals that ask a process to end."""


@contextlib.contextmanager
def handle_stop_signals(handle: Callable[[int], None]) -> Iterator[None]:
    """Call a function for the first Ctrl-C, SIGTERM or SIGHUP during the block; a second one has its usual effect.

    A terminal that closes sends SIGHUP more than once, so the block ignores a second one. A signal that is ignored
    before (``nohup``) stays ignored. Only the main thread may set handlers; in other threads signals have their usual
    effect.

    Args:
        handle: called with the signal's number, between two instructions of the block.
    """
    handlers: dict[int, Any] = {}

    def on_signal(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN if number == HANGUP else handlers[number])
        handle(number)

    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN:
                handlers[number] = handler
                signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class StopSignal(BaseException):
    """A signal that asks to end, raised wherever the program is; as KeyboardInterrupt, it is not an `Exception`.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """Return the signal's name."""
        return signal.Signals(self.number).name


@contextlib.contextmanager
def raise_stop_signals() -> Iterator[None]:
    """Raise `StopSignal` for the first Ctrl-C, SIGTERM or SIGHUP during the block; see `handle_stop_signals`."""

    def stop(number: int) -> None:
        raise StopSignal(number)

    with handle_stop_signals(stop):
        yield


@contextlib.contextmanager
def collect_signals(*, with_server: bool = False) -> Iterator[list[int]]:
    """Collect the first Ctrl-C, SIGTERM or SIGHUP during the block; see `handle_stop_signals`.

    Args:
        with_server: follow SIGHUP by SIGTERM, for a server in the block that handles only Ctrl-C and SIGTERM.
    """
    caught: list[int] = []

    def collect(number: int) -> None:
        caught.append(number)
        if with_server and number == HANGUP:
            signal.raise_signal(signal.SIGTERM)

    with handle_stop_signals(collect):
        yield caught


@contextlib.contextmanager
def defer_signals(when: str, remedy: str) -> Iterator[None]:
    """Defer Ctrl-C, SIGTERM and SIGHUP while files are written that belong together.

    Args:
        when: end of the sentence "stopped by SIGTERM ...".
        remedy: what to do about it.

    Raises:
        StoppedError: a signal came during the block.
    """
    with collect_signals() as caught:
        yield
    if caught:
        raise StoppedError(
            caught[0], Message("stopped by {name} {when}", name=signal.Signals(caught[0]).name, when=when), remedy
        )
