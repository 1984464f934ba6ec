"""Ctrl-C and SIGTERM, deferred while something must be completed."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from yisheng.core.errors import StoppedError


@contextlib.contextmanager
def collect_signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM during the block; a second one has its usual effect at once.

    Only the main thread may set handlers; in other threads signals have their usual effect.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    handlers: dict[int, Any] = {}
    number: int

    def collect(number: int, _frame: Any) -> None:
        caught.append(number)
        signal.signal(number, handlers[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, collect)
    try:
        yield caught
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def defer_signals(when: str, remedy: str) -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM while files are written that belong together.

    Args:
        when: end of the sentence "stopped by SIGTERM ...".
        remedy: what to do about it.

    Raises:
        StoppedError: a signal came during the block.
    """
    with collect_signals() as caught:
        yield
    if caught:
        raise StoppedError(caught[0], f"stopped by {signal.Signals(caught[0]).name} {when}", remedy)
