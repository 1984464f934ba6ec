"""Settings of the `yisheng` command's own process, made before torch is imported.

They are environment variables and an option of the C library that a process cannot take back. Only the command makes
them; a Python program that imports `yisheng` keeps its process as it is, and may call `prepare` itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from yisheng.core import machine
from yisheng.core.messages import Message, translate

SPIN_COUNT = "10000"
"""About 20 microseconds."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Numbers of these options in glibc's malloc.h."""
MAX_KEPT_BYTES = 2**31 - 1
_keeps_memory = False


def prepare(*, serves: bool = False) -> None:
    """Set up this process: the number of threads, how they wait, and what happens to freed memory.

    Args:
        serves: whether it answers requests for a long time rather than training; it then returns freed memory.
    """
    limit_threads()
    shorten_spinning()
    if not serves:
        keep_memory()


def limit_threads() -> None:
    """Have torch start one thread for each core that the container grants.

    By default it starts one for each core that the process may run on. In a container that grants a fraction of their
    time (``docker run --cpus=2`` on a machine of 64 cores) that fraction is used up at once, and all threads are then
    paused until the next period. A value set by the user (``OMP_NUM_THREADS``) is kept.
    """
    granted = machine.count_cores()
    if "OMP_NUM_THREADS" not in os.environ and granted < machine.count_affinity():
        os.environ["OMP_NUM_THREADS"] = str(granted)  # torch reads it when it is imported; there is no later way
        os.environ[machine.THREADS_SET_BY_US] = str(granted)  # so that children do not take it for the user's choice


def shorten_spinning() -> None:
    """Have OpenMP's threads spin for about 20 microseconds when they wait for each other, then sleep.

    GNU's OpenMP, which torch uses on Linux, spins for milliseconds by default. On cores that other processes use too,
    waiting threads then take time from working ones: an epoch was measured to take ten times as long. On idle cores the
    short wait has no measurable cost. A value set by the user (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``) is kept.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT  # OpenMP reads it when torch is imported; there is no later way


def keep_memory() -> bool:
    """Have the C library keep the memory that a training step frees, instead of returning it to the system.

    glibc returns blocks above a threshold, and the free end of the heap. The next step asks for the same memory again
    and pays a page fault for every 4 KiB: on LeNet 4,500 to 6,400 faults and up to half of a step's time. With this
    setting no block is mapped separately, and up to a quarter of the machine's memory (2 GiB at most) stays at the end
    of the heap.

    A value set by the user (``MALLOC_*``, ``GLIBC_TUNABLES``) or another allocator (``LD_PRELOAD``) is kept.

    Returns:
        whether the C library was told.

    Source: mallopt(3).
    """
    import ctypes
    import sys

    global _keeps_memory
    is_set_by_user = any(key.startswith("MALLOC_") for key in os.environ)
    if is_set_by_user or {"GLIBC_TUNABLES", "LD_PRELOAD"} & set(os.environ) or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    # mallopt is glibc's only interface to this; musl and others have none.
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    sizes = machine.memory_sizes()
    kept_bytes = min(MAX_KEPT_BYTES, sizes[0] // 4 if sizes else 2**28)
    # Both calls belong to this command's own process, which ends with the command.
    _keeps_memory = bool(library.mallopt(M_MMAP_MAX, 0)) and bool(library.mallopt(M_TRIM_THRESHOLD, kept_bytes))
    return _keeps_memory


def keeps_memory() -> bool:
    """Return whether `keep_memory` was called in this process and had an effect."""
    return _keeps_memory


@contextlib.contextmanager
def set_variables(**values: str | None) -> Iterator[None]:
    """Set environment variables for processes that are started in the block, and put the previous ones back after it.

    Args:
        values: by name; those that are set already are kept. None for one that the block itself may set.
    """
    previous = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None and previous[name] is None})
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def keep_signal_handlers() -> Iterator[None]:
    """Put the handlers of Ctrl-C and SIGTERM back after a block in which a library sets its own."""
    import signal

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def end_after_signals(seconds: float) -> None:
    """End this process some time after Ctrl-C, SIGTERM or SIGHUP, even if a thread is still at work then.

    Python waits for its threads, and handles a signal only between two instructions of the main thread; a library may
    compute for minutes. Handlers that end the process earlier are not changed; Python's own end, which takes seconds on
    a busy machine, is left out. Only the main thread may call it.

    Args:
        seconds: after the first signal.
    """
    import atexit
    import signal
    import socket
    import sys
    import threading
    import time

    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)  # written to at once, by the C handler
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    caught: list[int] = []

    def end() -> None:
        if caught:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(128 + caught[0])

    def wait_for_signal() -> None:
        assert sending  # stays open as long as this thread lives
        while (number := receiving.recv(1)[0]) not in numbers:
            pass
        caught.append(number)
        time.sleep(seconds)
        message = Message("ended {seconds} seconds after {name}", seconds=seconds, name=signal.Signals(number).name)
        print(f"yisheng: {translate(message)}", file=sys.stderr, flush=True)
        os._exit(128 + number)

    atexit.register(end)
    threading.Thread(target=wait_for_signal, name="end after signals", daemon=True).start()
