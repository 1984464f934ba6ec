"""What a process runs that was started for this one: it shows that it is alive while it imports what it needs.

This module imports only the standard library, so that a process shows itself at once, however busy the machine is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait
from typing import Final

LOST_OTHERS: Final = 75
"""Exit code of a process that ended because another one did."""
SIGN_OF_LIFE: Final = ""
"""Message of a process that has not begun its work yet; any other text is its error."""
SECONDS_BETWEEN_SIGNS = 1.0


def run_child(connection: Connection) -> None:
    """Receive a function, and call it with the connection; until then show signs of life.

    Args:
        connection: to the process that started this one; it may send one function, and receives text.
    """
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", None)):
        if number is not None:
            signal.signal(number, signal.SIG_IGN)  # a terminal sends them to all; the first process passes them on
    received = threading.Event()
    for function in (lambda: _show_life(connection, received), _end_with_parent):
        threading.Thread(target=function, daemon=True).start()
    task = connection.recv()
    received.set()
    task(connection)


def _show_life(connection: Connection, received: threading.Event) -> None:
    while not received.is_set():
        try:
            connection.send(SIGN_OF_LIFE)
        except OSError:
            return
        received.wait(SECONDS_BETWEEN_SIGNS)


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, whatever this one waits for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(LOST_OTHERS)
