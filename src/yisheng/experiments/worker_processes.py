"""The processes that the first one of a training starts on its machine, and the news that it gets of them."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in the stubs

from yisheng.core import process
from yisheng.core.child_process import LOST_OTHERS, SIGN_OF_LIFE, Parent, run_child
from yisheng.core.errors import ProcessError, UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.core.process_device import choose_process_device
from yisheng.experiments.process_group import JOIN_SECONDS, form_group
from yisheng.training.distributed import Peers

SILENT_SECONDS = 30.0
"""Seconds without a sign of life after which a process that is started here counts as lost."""
LOST_SECONDS = 120.0
"""The same during the training: Python code that never lets another thread run may take a while then."""
END_SECONDS = 10.0
"""Seconds that the other processes have to end by themselves when the first one has ended."""
END_SECONDS_AFTER_LOSS = 1.0
"""The same when one of them was lost: others may wait for it."""
LOCAL_ADDRESS = "127.0.0.1"
_MAIN_REMEDY = Message('start the work of a script below if __name__ == "__main__":, or use processes=1')

Follow = Callable[..., object]
"""What the other processes do: called with ``peers=``. It must be importable."""


class WorkerProcesses:
    """The processes that this one has started: ranks 1 and above."""

    def __init__(self) -> None:
        self._processes: list[SpawnProcess] = []
        self._connections: list[Connection] = []
        self._seen: list[float] = []
        self._errors: dict[int, str] = {}
        self._reading = threading.Lock()

    def start(self, size: int, port: int, follow: Follow, device: str) -> None:
        """Start the processes.

        Raises:
            UsageError: what they are to do cannot be sent to them.
        """
        context = multiprocessing.get_context("spawn")
        for rank in range(1, size):
            connection, child_end = context.Pipe()
            worker = context.Process(target=run_child, args=(child_end,), daemon=True, name=f"yisheng-rank-{rank}")
            worker.start()
            child_end.close()
            self._processes.append(worker)
            self._connections.append(connection)
            self._seen.append(time.monotonic())
        for rank, connection in enumerate(self._connections, 1):
            try:
                connection.send(functools.partial(_follow_first, rank, size, port, follow, device))
            except OSError:
                continue  # it has ended; `wait_until_joined` explains it
            except Exception as error:  # whatever an object of the user's own raises
                raise UsageError(
                    Message(
                        "the data or a component cannot be sent to another process: {reason}",
                        reason=str(error).splitlines()[0],
                    ),
                    Message("put it into a file or a data set with a name, or start the program with torchrun"),
                ) from None

    def wait_until_joined(self, store: TCPStore) -> None:
        """Wait until all processes have come.

        Raises:
            ProcessError: one ended, or did not come in time.
        """
        end = time.monotonic() + JOIN_SECONDS
        keys = {rank: _joined_key(rank) for rank in range(1, len(self._processes) + 1)}
        while missing := [rank for rank, key in keys.items() if not store.check([key])]:
            if reason := self.explain_end():
                remedy = _MAIN_REMEDY if "exit code" in reason else Message("see its message, and train again")
                raise ProcessError(reason, remedy)
            if time.monotonic() > end:
                raise ProcessError(
                    Message(
                        "process {missing} of {count} did not come within {JOIN_SECONDS} seconds",
                        missing=missing[0],
                        count=len(keys) + 1,
                        JOIN_SECONDS=f"{JOIN_SECONDS:g}",
                    ),
                    Message(
                        "see what the code of your own does when it is imported; train again when the machine is "
                        "less busy",
                    ),
                )
            silent = [rank for rank in missing if time.monotonic() - self._seen[rank - 1] > SILENT_SECONDS]
            if silent:
                raise ProcessError(
                    Message(
                        "process {silent} of {count} showed no sign of life for {SILENT_SECONDS} seconds",
                        silent=silent[0],
                        count=len(keys) + 1,
                        SILENT_SECONDS=f"{SILENT_SECONDS:g}",
                    ),
                    Message("train again when the machine is less busy, or with fewer processes"),
                )
            time.sleep(0.02)

    def explain_end(self, wait: float = 0.0) -> str:
        """Return which process ended and why, or "" if none has."""
        end = time.monotonic() + wait
        while True:
            for rank, (worker, connection) in enumerate(zip(self._processes, self._connections, strict=True), 1):
                self._receive(rank, connection)
                if rank in self._errors:
                    return Message("process {rank}: {problem}", rank=rank, problem=self._errors[rank])
                if worker.exitcode is not None and worker.exitcode < 0:
                    name = signal.Signals(-worker.exitcode).name
                    count = len(self._processes) + 1
                    return Message("process {rank} of {count} was ended by {name}", rank=rank, count=count, name=name)
                if worker.exitcode not in (None, 0, LOST_OTHERS):
                    values = {"rank": rank, "count": len(self._processes) + 1, "code": worker.exitcode}
                    return Message("process {rank} of {count} ended (exit code {code})", **values)
            if time.monotonic() >= end:
                return ""
            time.sleep(0.02)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """End a process that is stopped during the block, so that the others do not wait for it."""
        is_over = threading.Event()
        watcher = threading.Thread(target=self._end_silent, args=(is_over,), daemon=True)
        self._seen = [time.monotonic()] * len(self._seen)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()

    def _end_silent(self, is_over: threading.Event) -> None:
        while not is_over.wait(1.0):
            for rank, (worker, connection) in enumerate(zip(self._processes, self._connections, strict=True), 1):
                self._receive(rank, connection)
                if worker.is_alive() and time.monotonic() - self._seen[rank - 1] > LOST_SECONDS:
                    self._errors[rank] = Message(
                        "it showed no sign of life for {seconds} seconds, and was ended", seconds=f"{LOST_SECONDS:g}"
                    )
                    worker.kill()

    def _receive(self, rank: int, connection: Connection) -> None:
        """Read the signs of life and the error of a process."""
        with self._reading, contextlib.suppress(EOFError, OSError):
            while connection.poll():
                text = connection.recv()
                self._seen[rank - 1] = time.monotonic()
                if text != SIGN_OF_LIFE:
                    self._errors[rank] = text

    def end(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for the processes to end by themselves, then end them; they write nothing."""
        deadline = time.monotonic() + grace
        try:
            for worker in self._processes:
                worker.join(max(0.0, deadline - time.monotonic()))
        finally:  # a signal may end the wait
            for worker in self._processes:
                worker.kill()
            for worker, connection in zip(self._processes, self._connections, strict=True):
                worker.join()
                connection.close()


@contextlib.contextmanager
def start_workers(size: int, follow: Follow, device: str) -> Iterator[Peers]:
    """Start the other processes on this machine, and end them with the block."""
    first_device = choose_process_device(device, 0, is_launched=False)
    timeout = timedelta(seconds=JOIN_SECONDS)
    store = TCPStore(LOCAL_ADDRESS, 0, size, is_master=True, timeout=timeout, wait_for_workers=False)
    workers, grace = WorkerProcesses(), 0.0
    try:
        workers.start(size, store.port, follow, device)
        workers.wait_until_joined(store)
        grace = END_SECONDS
        with form_group(store, 0, size, first_device) as peers, workers.watched():
            try:
                yield peers
            except ProcessError as error:
                grace = END_SECONDS_AFTER_LOSS
                raise ProcessError(workers.explain_end(wait=1.0) or error.problem, error.remedy) from error
    finally:
        workers.end(grace)


def _joined_key(rank: int) -> str:
    return f"yisheng/joined/{rank}"


def _follow_first(rank: int, size: int, port: int, follow: Follow, device_name: str, parent: Parent) -> None:
    """Do the work of a process that was started here; send its error to the first one."""
    process.keep_memory()
    try:
        timeout = timedelta(seconds=JOIN_SECONDS)
        store = TCPStore(LOCAL_ADDRESS, port, size, is_master=False, timeout=timeout)
        device = choose_process_device(device_name, rank, is_launched=False)
        store.set(_joined_key(rank), "1")
        with form_group(store, rank, size, device) as peers:
            follow(peers=peers)
    except ProcessError:
        sys.exit(LOST_OTHERS)  # the first process knows which one ended
    except YishengError as error:
        with contextlib.suppress(OSError):
            parent.send(error.problem)
        sys.exit(error.code)
