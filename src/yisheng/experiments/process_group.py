"""The process group of one training: processes meet at a store, and each takes its own device."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # not in the stubs

from yisheng.core.errors import ProcessError
from yisheng.core.launch import Launch
from yisheng.core.logging import hide_messages
from yisheng.core.messages import Message
from yisheng.core.process_device import choose_backend, choose_process_device, identify_gpu, require_distinct_gpus
from yisheng.training.distributed import Peers

JOIN_SECONDS = 300.0
"""Seconds that a process waits for others that are alive: they import and may share their cores with much else."""


@contextlib.contextmanager
def join_launched(launch: Launch, device_name: str) -> Iterator[Peers]:
    """Join the processes that a launcher started; all but the first are quiet."""
    device = choose_process_device(device_name, launch.local_rank, is_launched=True)
    quiet = hide_messages(progress=False) if launch.rank else contextlib.nullcontext()
    if dist.is_initialized():  # the user's program uses it, too
        group = dist.new_group(backend=choose_backend(device), timeout=timedelta(seconds=JOIN_SECONDS))
        with quiet, _use_gpu(Peers(group, dist.get_rank(), dist.get_world_size(), device)) as peers:
            yield peers
        return
    with quiet, form_group(_open_store(launch), launch.rank, launch.size, device) as peers:
        yield peers


@contextlib.contextmanager
def _use_gpu(peers: Peers) -> Iterator[Peers]:
    """Make the GPU of a process the current one, and add up a number over all of them; do nothing on a CPU.

    Raises:
        UsageError: processes have different kinds of devices, or two of them have the same GPU.
        ProcessError: the GPUs cannot reach each other.
    """
    remedy = Message("give all processes the same device=, and start each where it has it")
    peers.require_equal({Message("kind of device"): peers.device.type.encode()}, remedy)
    if peers.device.type != "cuda":
        yield peers
        return
    with torch.cuda.device(peers.device):  # NCCL needs it
        require_distinct_gpus(peers.gather_json(identify_gpu(peers.device)))
        peers.add_up(torch.ones(1, device=peers.device), on_gpu=True)
        torch.cuda.synchronize(peers.device)
        yield peers


_meetings = itertools.count()
"""Numbers of the trainings of this process, equal in all processes of a launcher."""


def _open_store(launch: Launch) -> Store | None:
    """Return the store where the processes of the next training meet, or None if torch knows where it is.

    Raises:
        ProcessError: the first process cannot be reached.
    """
    return PrefixStore(f"yisheng/{next(_meetings)}", _connect(launch)) if launch.address is not None else None


@functools.cache
def _connect(launch: Launch) -> TCPStore:
    """Return the store of all trainings of this process; the first process answers the others until it ends."""
    assert launch.address is not None
    host, port = launch.address
    is_first, timeout = launch.rank == 0, timedelta(seconds=JOIN_SECONDS)
    try:
        return TCPStore(host, port, launch.size, is_first, timeout=timeout, wait_for_workers=False)
    except RuntimeError as error:  # `DistError` of torch
        raise ProcessError(
            Message(
                "process {rank} of {size} cannot open or reach {host}:{port} ({reason})",
                rank=launch.rank,
                size=launch.size,
                host=host,
                port=port,
                reason=str(error).splitlines()[0],
            ),
            Message(
                "set MASTER_ADDR to a name of the first machine that all others reach, and MASTER_PORT to a free port",
            ),
        ) from error


@contextlib.contextmanager
def form_group(store: Store | None, rank: int, size: int, device: torch.device) -> Iterator[Peers]:
    """Form the process group; it is taken apart at the end of the block.

    Args:
        store: where the processes meet, or None if torch knows it from the environment.
        rank: of this process.
        size: number of processes.
        device: where this process computes.

    Raises:
        ProcessError: a process did not come, or GPUs cannot reach each other.
        UsageError: processes have different kinds of devices, or two of them have the same GPU.
    """
    timeout = timedelta(seconds=JOIN_SECONDS)
    try:
        dist.init_process_group(choose_backend(device), store=store, rank=rank, world_size=size, timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise ProcessError(
            Message(
                "process {rank} of {size} waited {JOIN_SECONDS} seconds for the others ({reason})",
                rank=rank,
                size=size,
                JOIN_SECONDS=f"{JOIN_SECONDS:g}",
                reason=str(error).splitlines()[0],
            ),
            Message("start all processes at the same time, and check MASTER_ADDR and MASTER_PORT"),
        ) from error
    try:
        with _use_gpu(Peers(None, rank, size, device)) as peers:
            yield peers
    finally:
        dist.destroy_process_group()
