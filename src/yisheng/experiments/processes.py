"""Several processes for one training: started here, or by ``torchrun`` or ``srun`` on any number of machines.

Those that are started here are in `yisheng.experiments.worker_processes`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Literal

import torch.distributed as dist

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.launch import find_launch
from yisheng.core.messages import Message
from yisheng.core.process_device import choose_process_count, choose_process_device, count_gpus
from yisheng.experiments.process_group import join_launched
from yisheng.experiments.worker_processes import Follow, start_workers
from yisheng.training.distributed import Peers


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
    with start_workers(processes, follow, device) as peers:
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
