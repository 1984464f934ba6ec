"""Ctrl-C and SIGTERM: collected while something must come to its end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from yisheng.core.errors import StoppedError


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of dying of them; a second one is obeyed at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may set handlers; there the signals do what they always do
        return
    before: dict[int, Any] = {}
    number: int

    def note(number: int, _frame: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def undisturbed(when: str, remedy: str) -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM while files are written that belong together.

    Args:
        when: the end of the sentence "stopped by SIGTERM ...", where one came.
        remedy: what to do then.

    Raises:
        StoppedError: one came.
    """
    with signals() as caught:
        yield
    if caught:
        raise StoppedError(caught[0], f"stopped by {signal.Signals(caught[0]).name} {when}", remedy)
