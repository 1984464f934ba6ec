"""Several processes for one training: started here, or by ``torchrun`` or ``srun`` on any number of machines."""

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
from typing import Literal

import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not in the stubs

from yisheng.core import process
from yisheng.core.child_process import LOST_OTHERS, SIGN_OF_LIFE, Parent, run_child
from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import ProcessError, UsageError, YishengError
from yisheng.core.launch import find_launch
from yisheng.core.messages import Message
from yisheng.core.process_device import choose_process_count, choose_process_device, count_gpus
from yisheng.experiments.process_group import JOIN_SECONDS, form_group, join_launched
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

Follow = Callable[..., object]
"""What the other processes do: called with ``peers=``. It must be importable."""


def count_processes(
    processes: int | Literal["auto"] | None, *, device: str = AUTO, shards: int | Literal["auto"] = AUTO
) -> int:
    """Return the number of processes of a training: the given one, or that of the launcher.

    Args:
        processes: a number; None for those of the launcher, or this one alone; ``auto`` for those of the launcher, or
            one for each GPU of this machine.
        device: of the config.
        shards: of the config.

    Raises:
        UsageError: the number is not allowed, or differs from that of the launcher.
    """
    launch = find_launch()
    if processes is None:
        return launch.size if launch else 1
    if processes == AUTO:
        return launch.size if launch else choose_process_count(count_gpus(device), shards)
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise UsageError(
            Message("processes must be a whole number from 1, or auto, got {processes}", processes=f"{processes!r}"),
            Message("use processes=2"),
        )
    if processes > 1 and launch is not None and launch.size != processes:
        raise UsageError(
            Message(
                "processes={processes}, and {launcher} started {size}",
                processes=processes,
                launcher=launch.launcher,
                size=launch.size,
            ),
            Message("leave processes= out, or give {launcher} that number", launcher=launch.launcher),
        )
    return processes


def is_first_process() -> bool:
    """Return whether this process shows results: all but those that a launcher started with a rank above 0."""
    launch = find_launch()
    return launch is None or launch.rank == 0


@contextlib.contextmanager
def join_processes(processes: int, follow: Follow | None, *, device: str = "cpu") -> Iterator[Peers | None]:
    """Train in the block with several processes; yield them, or None for this one alone.

    If a launcher started the processes, each of them enters the block. Otherwise they are started here, and this one
    is the first; the others call ``follow``, and end at the latest with the block.

    Args:
        processes: see `count_processes`.
        follow: what a process that is started here does; None if there is no other one.
        device: of the config; on GPUs each process has one to itself.

    Raises:
        ProcessError: a process did not come, or ended.
        UsageError: processes are not possible here.
    """
    if processes == 1:
        yield None
        return
    _require_gloo()
    if launch := find_launch():
        with join_launched(launch, device) as peers:
            yield peers
        return
    if dist.is_initialized():
        raise UsageError(
            Message(
                "this process belongs to a process group of torch.distributed already, so no other one can be started",
            ),
            Message("call torch.distributed.destroy_process_group() first, or start the program with torchrun"),
        )
    assert follow is not None
    choose_process_device(device, processes - 1, is_launched=False)  # an error if there are too few GPUs
    with _start_workers(processes, follow, device) as peers:
        yield peers


def list_references(config: Config) -> dict[str, str | list[str]]:
    """Return the references of the user's own components of a config, for `supply_components` in another process."""
    references: dict[str, str | list[str]] = {}
    for key, choice in config.custom_choices().items():
        head, dot, _ = key.partition(".")
        if choice.component is not None:
            references[head] = [*references.get(head, []), choice.name] if dot else choice.name
    return references


def _require_gloo() -> None:
    if sys.platform == "win32" or not dist.is_available() or not dist.is_gloo_available():
        raise UsageError(
            Message("several processes need torch.distributed with gloo, which this system does not have"),
            Message("use Linux or macOS, or processes=1: shards= gives the same weights in one process"),
        )


class _Workers:
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


_MAIN_REMEDY = Message('start the work of a script below if __name__ == "__main__":, or use processes=1')


@contextlib.contextmanager
def _start_workers(size: int, follow: Follow, device: str) -> Iterator[Peers]:
    """Start the other processes on this machine, and end them with the block."""
    first_device = choose_process_device(device, 0, is_launched=False)
    timeout = timedelta(seconds=JOIN_SECONDS)
    store = TCPStore(LOCAL_ADDRESS, 0, size, is_master=True, timeout=timeout, wait_for_workers=False)
    workers, grace = _Workers(), 0.0
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
