"""Several processes that serve one model at one port, and a parent that restarts them and stops them together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from yisheng.core.errors import DataError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.serving.server import SHUTDOWN_SECONDS, listen

VARIABLE = "YISHENG_WORKER"
"""Environment variable of a worker: its number, the number of workers, and the descriptor of its socket."""
INHERITS_SOCKETS = os.name != "nt"
MAX_WORKERS = 64
POLL_SECONDS = 0.1
STOP_SECONDS = SHUTDOWN_SECONDS + 1.0
"""Time for workers to end after the parent's signal; then they are killed."""
STABLE_SECONDS = 10.0
"""A worker that ends earlier is restarted after a pause, which doubles each time."""
MAX_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class WorkerPlace:
    """Which of several workers a process is.

    Args:
        number: from 1.
        count: of all workers.
        listening: the socket to accept connections from; None in a service of one process.
    """

    number: int = 1
    count: int = 1
    listening: socket.socket | None = None


def read_worker_place() -> WorkerPlace:
    """Return which worker this process is, and take over its socket; the only one if no parent started it.

    >>> read_worker_place()
    WorkerPlace(number=1, count=1, listening=None)
    """
    words = os.environ.pop(VARIABLE, "").split()  # its readers are no workers
    if len(words) != 3:
        return WorkerPlace()
    number, count, descriptor = map(int, words)
    return WorkerPlace(number, count, socket.socket(fileno=descriptor))


def stop_with_parent() -> None:
    """End this worker by SIGTERM when its parent has ended, which closes the other end of its standard input."""

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stop with the parent", daemon=True).start()


def require_workers(count: int) -> None:
    """Check that this system can run so many workers.

    Raises:
        UsageError: it cannot.
    """
    if not INHERITS_SOCKETS:
        raise UsageError(
            Message("workers={count} needs sockets that processes inherit, which Windows does not have", count=count),
            Message("leave workers out, or start a service at a port of its own for each process"),
        )
    if count > MAX_WORKERS:
        raise UsageError(
            Message("workers must be at most {limit}, got {count}", limit=MAX_WORKERS, count=count),
            Message("use one for each core"),
        )


def listen_for_workers(host: str, port: int, count: int) -> list[socket.socket]:
    """Return a socket for each worker, all at one port.

    On Linux each has its own socket, and the system spreads connections over them; elsewhere they share one. The parent
    keeps them open, so that connections to a worker that died wait for the next one.

    Raises:
        UsageError: see `yisheng.serving.server.listen`.
    """
    first = listen(host, port)  # without sharing the port, so that one in use is an error
    if not sys.platform.startswith("linux"):
        return [first] * count
    port = first.getsockname()[1]
    first.close()
    return [listen(host, port, shares_port=True) for _ in range(count)]


@dataclass
class _Worker:
    """A worker's process, and when it was started and may be started again."""

    number: int
    listening: socket.socket
    process: subprocess.Popen[str] | None = None
    start_time: float = 0.0
    restart_time: float = 0.0
    pause: float = field(default=0.5)


class WorkerGroup:
    """The workers of a service, which the parent starts, watches and stops.

    Args:
        command: of a worker; it prints a line when it accepts connections.
        sockets: one for each worker, see `listen_for_workers`.
    """

    def __init__(self, command: Sequence[str], sockets: Sequence[socket.socket]) -> None:
        self._command = list(command)
        self._workers = [_Worker(number, listening) for number, listening in enumerate(sockets, 1)]

    def start(self) -> None:
        """Start all workers, the first one alone: what it converts or caches is there for the others.

        Raises:
            DataError: a worker ended before it was ready; it has printed why.
        """
        for group in (self._workers[:1], self._workers[1:]):
            for worker in group:
                self._start(worker)
            for worker in group:
                self._wait_until_ready(worker)

    def watch(self, caught: Sequence[int]) -> None:
        """Restart workers that end, until a signal was caught."""
        while not caught:
            time.sleep(POLL_SECONDS)
            for worker in self._workers:
                self._restart_if_ended(worker)

    def stop(self) -> None:
        """Ask all workers to end, and kill those that have not within `STOP_SECONDS`."""
        processes = [worker.process for worker in self._workers if worker.process is not None]
        for process in processes:
            with contextlib.suppress(OSError):
                process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.05, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _start(self, worker: _Worker) -> None:
        descriptor = worker.listening.fileno()
        worker.start_time = time.monotonic()
        worker.process = subprocess.Popen(
            self._command,
            env={**os.environ, VARIABLE: f"{worker.number} {len(self._workers)} {descriptor}"},
            pass_fds=(descriptor,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to the parent alone, which ends the workers
        )

    def _wait_until_ready(self, worker: _Worker) -> None:
        assert worker.process is not None
        assert worker.process.stdout is not None
        if not worker.process.stdout.readline():
            code = worker.process.wait()
            raise DataError(
                Message("worker {number} ended with code {code}", number=worker.number, code=code),
                Message("see its message above"),
            )

    def _restart_if_ended(self, worker: _Worker) -> None:
        current = time.monotonic()
        if worker.process is not None:
            code = worker.process.poll()
            if code is None:
                return
            is_stable = current - worker.start_time > STABLE_SECONDS
            worker.pause = 0.0 if is_stable else min(MAX_PAUSE_SECONDS, max(0.5, 2 * worker.pause))
            worker.restart_time = current + worker.pause
            values = {"number": worker.number, "code": code, "seconds": f"{worker.pause:g}"}
            logger.warning(Message("worker {number} ended with code {code}; restarting it in {seconds} s", **values))
            for stream in (worker.process.stdin, worker.process.stdout):
                if stream is not None:
                    stream.close()
            worker.process = None
        if current >= worker.restart_time:
            self._start(worker)
