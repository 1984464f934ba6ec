"""Calling a function every two seconds in a thread, so that a training waits for no network."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Final

SECONDS_BETWEEN_CALLS: Final = 2.0


class BackgroundCalls:
    """Call a function every two seconds from another thread, and once more at the end.

    Args:
        call: the function; it raises nothing.
        name: of the thread.
    """

    def __init__(self, call: Callable[[], None], name: str) -> None:
        self._call, self._ended = call, threading.Event()
        context = contextvars.copy_context()  # the thread logs where this call does
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True, name=name)

    def start(self) -> None:
        """Start calling."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Call once more and stop; return whether that came to its end within a number of seconds."""
        self._ended.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_CALLS):
            self._call()
        self._call()
