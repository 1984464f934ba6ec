"""A cluster of Ray: tasks in processes of this machine or on others.

Only Ray's tasks are used. What was trained is known from the outcomes that came back, never from Ray's state, so a lost
task, machine or cluster costs the trainings that ran there and nothing else.

Source: Moritz et al., "Ray: A distributed framework for emerging AI applications", 2018; Ray's documentation of the
fault tolerance of tasks.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import math
import re
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from yisheng.core import process
from yisheng.core.errors import MissingPartError, ProcessError, UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.search.executors.sent_data import (
    Origin,
    find_origin,
)

AUTO: Final = "auto"
CONNECT_SECONDS: Final = 10.0
"""Time to wait for an answer of a cluster's address."""
RETRIES: Final = 3
"""How often a task is started again whose process or machine was lost."""
MIN_TASK_SECONDS: Final = 1.0
"""A task trains as many jobs as take this long: one of Ray takes a few milliseconds by itself."""
WAITING_TASKS: Final = 2
"""Tasks that wait on the cluster, so that no core waits for the driver."""
_LOCAL = re.compile(r"local:([1-9][0-9]{0,3})")
_ADDRESS = re.compile(r"(?!local:)[^\s:/]+:[0-9]{1,5}|\[[0-9a-fA-F:]+\]:[0-9]{1,5}")
REMEDY: Final = Message(
    "use cluster=local:2 for processes of this machine, cluster=auto or HOST:PORT for a cluster of Ray"
)


def is_installed() -> bool:
    """Return whether Ray can be imported."""
    return importlib.util.find_spec("ray") is not None


def require_cluster(place: str) -> None:
    """Refuse a cluster that cannot be used here.

    Args:
        place: ``local:N``, ``auto`` or ``HOST:PORT``.

    Raises:
        UsageError: it has another form, or this is Windows.
        MissingPartError: Ray is not installed.
    """
    if place != AUTO and not _LOCAL.fullmatch(place) and not _ADDRESS.fullmatch(place):
        raise UsageError(Message("cluster={place} does not name a cluster", place=f"{place!r}"), REMEDY)
    if sys.platform == "win32":
        raise UsageError(
            Message("cluster= is for Linux and macOS: Ray on Windows was never tried"),
            Message("leave cluster= out; a search may use processes=2 there"),
        )
    if not is_installed():
        raise MissingPartError(Message("cluster= needs Ray"), Message('pip install "yisheng[cluster]"'))


@contextlib.contextmanager
def open_cluster(place: str) -> Iterator[Cluster]:
    """Connect to a cluster, or start one of this machine's processes; it ends with the block.

    Args:
        place: see `require_cluster`.

    Raises:
        ProcessError: there is no cluster, or it cannot be reached.
        UsageError: see `require_cluster`.
    """
    require_cluster(place)
    import ray

    if ray.is_initialized():  # by the program that calls this
        yield Cluster(ray)
        return
    local = _LOCAL.fullmatch(place)
    if not local:
        _require_reachable(place)
    with _own_cluster(int(local[1])) if local else contextlib.nullcontext({"address": place}) as options:
        try:
            with process.keep_signal_handlers(), _silence(logging.getLogger("ray")):
                ray.init(**options, log_to_driver=False, configure_logging=False, logging_level=logging.CRITICAL)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise ProcessError(
                Message("cluster={place} cannot be reached ({reason})", place=place, reason=reason), REMEDY
            ) from error
        try:
            yield Cluster(ray)
        finally:
            ray.shutdown()


def _require_reachable(place: str) -> None:
    """Refuse an address where nothing answers, for which Ray would wait for minutes.

    Raises:
        ProcessError: nothing answers there.
        UsageError: this process had a cluster of its own before; Ray then asks every cluster for that one's secret.
    """
    if _make_token.cache_info().currsize:
        raise UsageError(
            Message(
                "cluster={place} after cluster=local:N in one process: Ray keeps the secret of the first", place=place
            ),
            Message("start Python again, or use cluster=local:2"),
        )
    if place == AUTO:
        return
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ProcessError(
            Message("cluster={place} cannot be reached ({error})", place=place, error=error), REMEDY
        ) from error


@contextlib.contextmanager
def _own_cluster(cores: int) -> Iterator[dict[str, Any]]:
    """Yield the options of a cluster that only this process knows: no dashboard, a secret token, no logs afterwards."""
    variables = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": _make_token(), "RAY_AUTH_MODE": None}
    with process.set_variables(**variables), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield {"address": "local", "num_cpus": cores, "include_dashboard": False, "_temp_dir": folder}


@contextlib.contextmanager
def _silence(log: logging.Logger) -> Iterator[None]:
    """Hide what a library logs in the block; its errors are raised, too."""
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


@functools.cache
def _make_token() -> str:
    """Return the token of all clusters of this process: Ray reads it once."""
    return secrets.token_hex(32)


def open_if_given(place: str | None) -> contextlib.AbstractContextManager[Cluster | None]:
    """Return `open_cluster` of a place, or nothing to enter for None."""
    return contextlib.nullcontext() if place is None else open_cluster(place)


@dataclass(frozen=True)
class _Task:
    """The arguments of a task, and how often it was lost although Ray had repeated it."""

    arguments: Any
    losses: int = 0


class Cluster:
    """A cluster of Ray that this process is connected to.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_call)

    def count_cores(self) -> int:
        """Return the number of cores of all machines that are there now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def run(
        self,
        function: Callable[[Any, Any], Any],
        shared: Any,
        next_arguments: Callable[[int], Any | None],
        *,
        waiting: int = WAITING_TASKS,
        count_seconds_left: Callable[[], float] = lambda: math.inf,
    ) -> Generator[Any]:
        """Call a function in tasks of one thread each.

        Args:
            function: of a module; called with ``shared`` and the arguments of a task.
            shared: sent to each machine once.
            next_arguments: returns the arguments of the next task, given the number of cores; None if there is none.
            waiting: number of tasks that wait on the cluster; with 0 each one begins at once.
            count_seconds_left: returns how long the tasks that run are waited for.

        Returns:
            The results, in the order in which the tasks end. Those that still run end with the iterator.

        Raises:
            UsageError: a machine has other versions or code.
            YishengError: the function raised it.
            ProcessError: a task was lost again and again.
        """
        origin, sent = find_origin(), self._ray.put(shared)
        running: dict[Any, _Task] = {}
        try:
            while True:
                cores = self.count_cores()
                while len(running) < cores + waiting and (arguments := next_arguments(cores)) is not None:
                    task = _Task(arguments)
                    running[self._task.remote(origin, function, sent, task.arguments)] = task
                if not running:
                    return
                seconds = count_seconds_left()
                timeout = None if seconds == math.inf else max(0.0, seconds)
                finished, _ = self._ray.wait(list(running), num_returns=1, timeout=timeout)
                if not finished:
                    return
                (ready,) = finished
                task = running.pop(ready)
                try:
                    result = self._ray.get(ready)
                except self._ray.exceptions.RayError as error:
                    task = self._explain_or_repeat(task, error)
                    sent = self._ray.put(shared)  # it may be what was lost
                    running[self._task.remote(origin, function, sent, task.arguments)] = task
                    continue
                if isinstance(result, YishengError):
                    raise result
                yield result
        finally:
            for reference in running if self._ray.is_initialized() else ():  # it would start a cluster to ask
                with contextlib.suppress(self._ray.exceptions.RayError):
                    self._ray.cancel(reference, force=True)

    def _explain_or_repeat(self, task: _Task, error: Exception) -> _Task:
        """Return a task that was lost, for another try; raise what its code raised, or that it was lost too often."""
        cause = getattr(error, "cause", None)
        if isinstance(error, self._ray.exceptions.RayTaskError) and not isinstance(
            cause, self._ray.exceptions.RayError
        ):
            raise RuntimeError(str(cause)) from error  # of code that is not ours
        if task.losses == RETRIES:
            reason = " ".join(str(error).split())[:200]
            raise ProcessError(
                Message(
                    "a task of the cluster was lost {RETRIES} times, with its process or machine ({reason})",
                    RETRIES=RETRIES + 1,
                    reason=reason,
                ),
                Message("resume the run; if it happens again, look for a machine with too little memory"),
            ) from error
        return replace(task, losses=task.losses + 1)


def _call(origin: Origin, function: Callable[[Any, Any], Any], shared: Any, arguments: Any) -> Any:
    """Call a function in a process of the cluster; return its result, or the error that the user is to see."""
    torch.set_num_threads(1)
    try:
        if difference := origin.explain_difference(find_origin()):
            raise UsageError(
                Message(
                    "a machine of the cluster has {difference}: the results could not be compared",
                    difference=difference,
                ),
                Message("install the same versions everywhere"),
            )
        return function(shared, arguments)
    except YishengError as error:
        return error
