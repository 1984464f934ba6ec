"""What a process runs that was started for this one: it shows that it is alive.

This module imports only the standard library, so that a process shows itself at once, however busy the machine is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait
from typing import Final

LOST_OTHERS: Final = 75
"""Exit code of a process that ended because another one did."""
SIGN_OF_LIFE: Final = ""
"""Message of a process that is not stopped; any other text is its error."""
SECONDS_BETWEEN_SIGNS = 1.0


class Parent:
    """The process that started this one, as several threads may send text to it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, text: str) -> None:
        """Send text.

        Raises:
            OSError: the parent has ended.
        """
        with self._lock:
            self._connection.send(text)


def run_child(connection: Connection) -> None:
    """Receive a function, and call it with the `Parent`; show signs of life until this process ends.

    Args:
        connection: to the process that started this one; it may send one function, and receives text.
    """
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", None)):
        if number is not None:
            signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the first process passes them on
    parent = Parent(connection)
    for function in (lambda: _show_life(parent), _end_with_parent):
        threading.Thread(target=function, daemon=True).start()
    connection.recv()(parent)


def _show_life(parent: Parent) -> None:
    while True:
        try:
            parent.send(SIGN_OF_LIFE)
        except OSError:
            return
        time.sleep(SECONDS_BETWEEN_SIGNS)


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, whatever this one waits for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(LOST_OTHERS)
