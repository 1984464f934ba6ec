"""Batch norm over all processes of a training (``sync_bn=true``): where it is possible, and the layers for it."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.training.shards import MIN_ROWS

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Layers that `synchronize_batch_norm` replaces."""


def require_sync_bn(config: ResolvedConfig, model: nn.Module, device: torch.device, processes: int) -> None:
    """Refuse ``sync_bn=true`` where batch norm cannot be computed over all processes, or where there is none.

    Each process waits for the others in every layer of batch norm, so all must compute one piece of each batch.

    Args:
        config: the resolved config.
        model: the network.
        device: where it computes.
        processes: number of processes.

    Raises:
        UsageError: they do not.
    """
    if device.type != "cuda":
        raise UsageError(
            Message("sync_bn=true is for CUDA GPUs, this is device={device}", device=device),
            Message("leave sync_bn= out: each shard is then normalized alone; shards=1 normalizes the complete batch"),
        )
    if processes == 1 or config.shards != processes:
        raise UsageError(
            Message(
                "sync_bn=true needs a process for each shard, this is processes={processes} shards={shards}",
                processes=processes,
                shards=config.shards,
            ),
            Message("use as many processes as shards, 2 or more, or leave sync_bn= out"),
        )
    if config.accumulate > 1:
        raise UsageError(
            Message(
                "sync_bn=true with accumulate={accumulate}: processes may have different numbers of passes and would "
                "wait for each other",
                accumulate=config.accumulate,
            ),
            Message("use a larger batch= in place of accumulate=, or leave sync_bn= out"),
        )
    if not any(isinstance(module, BATCH_NORMS) for module in model.modules()):
        raise UsageError(
            Message("sync_bn=true has no effect: model={name} has no batch norm", name=config.model.name),
            Message("leave sync_bn= out"),
        )


def require_rows_for_sync_bn(config: ResolvedConfig, rows: int) -> None:
    """Refuse ``sync_bn=true`` if the last batch of an epoch would leave a process without rows.

    Args:
        config: the resolved config.
        rows: of the smallest batch.

    Raises:
        UsageError: it would.
    """
    if config.sync_bn and rows < MIN_ROWS * config.shards:
        raise UsageError(
            Message(
                "sync_bn=true needs {minimum} rows or more in every batch, and the last one of an epoch has {rows}",
                minimum=MIN_ROWS * config.shards,
                rows=rows,
            ),
            Message("use another batch= than {batch}, or leave sync_bn= out", batch=config.batch),
        )


def synchronize_batch_norm(model: nn.Module) -> nn.Module:
    """Return the network with batch norm over all processes; parameters and buffers are the same tensors.

    The names of the weights stay, so a checkpoint and the model of the run are those of plain batch norm.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> synchronized = synchronize_batch_norm(model)
    >>> type(synchronized[1]).__name__, synchronized[1].weight is model[1].weight
    ('SyncBatchNorm', True)
    """
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
