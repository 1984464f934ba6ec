"""Which device each process of a training computes on, and how torch.distributed connects them.

Each process has a GPU to itself: the one of its number among the processes of its machine. The functions that decide it
take plain numbers, so that they can be tested on a machine without GPUs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from yisheng.core import machine
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message

if TYPE_CHECKING:
    import torch

CPU_BACKEND, GPU_BACKEND = "gloo", "cpu:gloo,cuda:nccl"
"""Backends of torch.distributed: messages about an update are on the CPU, its tensors where they are computed."""


def count_gpus(name: str) -> int:
    """Return the number of GPUs among which processes can be divided; 0 if they compute on the CPU.

    Args:
        name: the ``device`` of a config.

    >>> count_gpus("cpu")
    0
    """
    import torch

    return torch.cuda.device_count() if name in ("auto", "cuda") and torch.cuda.is_available() else 0


def choose_process_count(gpus: int, shards: int | Literal["auto"]) -> int:
    """Return the number of processes for ``processes=auto``: one for each GPU, a power of two; one without GPUs.

    A CPU has its cores used by the threads of one process already.

    Args:
        gpus: number of GPUs of this machine.
        shards: of the config; the processes divide them.

    >>> choose_process_count(0, "auto"), choose_process_count(6, "auto"), choose_process_count(8, 2)
    (1, 4, 2)
    """
    count = 1 << max(1, gpus).bit_length() - 1
    return count if shards == "auto" else min(count, shards & -shards)


def choose_process_device(name: str, local_rank: int, *, is_launched: bool) -> torch.device:
    """Return the device of one of several processes: the CPU, or a GPU of its own.

    Args:
        name: the ``device`` of the config: ``auto``, ``cuda`` or ``cpu``.
        local_rank: number of the process among those of its machine.
        is_launched: whether a launcher started it, which may have hidden the GPUs of the others from it.

    Raises:
        UsageError: there is no GPU for it, or the device is not one for several processes.
    """
    import torch

    if gpus := count_gpus(name):
        return torch.device("cuda", choose_gpu(local_rank, gpus, is_launched=is_launched))
    device = machine.select_device(name)
    if device.type == "cuda":
        raise UsageError(
            Message("device={name} is one GPU, and each of several processes needs its own", name=name),
            Message("use device=cuda; CUDA_VISIBLE_DEVICES=0,1 chooses among the GPUs"),
        )
    if device.type != "cpu":
        raise UsageError(
            Message("several processes train on CPUs or on CUDA GPUs, this is device={device}", device=device),
            Message("use device=cpu or processes=1"),
        )
    return device


def choose_gpu(local_rank: int, gpus: int, *, is_launched: bool) -> int:
    """Return the number of the GPU of a process.

    Args:
        local_rank: number of the process among those of its machine.
        gpus: number of GPUs that it sees, at least 1.
        is_launched: whether a launcher started it. Slurm with ``--gpus-per-task=1`` shows each process a single GPU, of
            number 0; whether two processes have the same one is seen when they meet (`require_distinct_gpus`).

    Raises:
        UsageError: there are more processes than GPUs.

    >>> choose_gpu(3, 4, is_launched=False), choose_gpu(3, 1, is_launched=True)
    (3, 0)
    """
    if local_rank < gpus:
        return local_rank
    if gpus == 1 and is_launched:
        return 0
    count = choose_process_count(gpus, "auto")
    raise UsageError(
        Message(
            "process {rank} of this machine has no GPU: it has {gpus}, and each process needs its own",
            rank=local_rank,
            gpus=gpus,
        ),
        Message("use processes={count}, which may compute more shards (shards=), or device=cpu", count=count),
    )


def require_distinct_gpus(identities: Sequence[str]) -> None:
    """Refuse processes that compute on the same GPU: NCCL would wait forever.

    Args:
        identities: of the GPU of each process, in the order of the ranks.

    Raises:
        UsageError: two of them are equal.

    >>> require_distinct_gpus(["GPU-5f", "GPU-a0"])
    """
    for rank, identity in enumerate(identities):
        first = identities.index(identity)
        if first < rank:
            raise UsageError(
                Message(
                    "processes {first} and {rank} have the same GPU ({identity}), and each needs its own",
                    first=first,
                    rank=rank,
                    identity=identity,
                ),
                Message("start as many processes on each machine as it has GPUs, or use device=cpu"),
            )


def identify_gpu(device: torch.device) -> str:
    """Return what distinguishes a GPU from all others, on any machine."""
    import torch

    return str(torch.cuda.get_device_properties(device).uuid)


def choose_backend(device: torch.device) -> str:
    """Return the backend of torch.distributed for processes that compute on such a device.

    >>> import torch
    >>> choose_backend(torch.device("cpu")), choose_backend(torch.device("cuda", 1))
    ('gloo', 'cpu:gloo,cuda:nccl')
    """
    return GPU_BACKEND if device.type == "cuda" else CPU_BACKEND
