"""Which device to use."""

from __future__ import annotations

import torch


def cpu() -> torch.device:
    """Return the CPU as a device.

    >>> cpu()
    device(type='cpu')
    """
    return torch.device("cpu")


def gpu(i: int = 0) -> torch.device:
    """Return the GPU of that number, whether the machine has it or not."""
    return torch.device(f"cuda:{i}")


def num_gpus() -> int:
    """Return the number of GPUs."""
    return torch.cuda.device_count()


def try_gpu(i: int = 0) -> torch.device:
    """Return the GPU of that number if the machine has it, else the CPU; ``yisheng.train`` chooses by itself."""
    return gpu(i) if num_gpus() > i else cpu()


def try_all_gpus() -> list[torch.device]:
    """Return all GPUs, or a list of the CPU if there are none."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
