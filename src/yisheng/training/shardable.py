"""What can be trained in shards and in several processes; everything else is refused before work is spent."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.training.divisible import choose_for_shard_weights, require_divisible, require_elementwise
from yisheng.training.sync_bn import require_sync_bn
from yisheng.training.update import needs_closure


def choose_shards(config: Config, processes: int) -> Config:
    """Return the config with its number of shards: as many as processes by default.

    Args:
        config: any config.
        processes: number of processes of the training.

    Raises:
        UsageError: the processes do not divide the shards, or the training cannot be divided.

    >>> choose_shards(Config(), 4).shards, choose_shards(Config(shards=8), 2).shards
    (4, 8)
    """
    if processes & (processes - 1):
        raise UsageError(
            Message("processes={processes} is not a power of two: gradients are added in pairs", processes=processes),
            Message("use processes={processes}", processes=1 << processes.bit_length() - 1),
        )
    shards = processes if config.shards == AUTO else config.shards
    config = config.model_copy(update={"shards": shards})
    if shards % processes:
        raise UsageError(
            Message(
                "processes={processes} does not divide shards={shards}: each process computes as many shards",
                processes=processes,
                shards=config.shards,
            ),
            Message(
                "use processes={shards} or fewer, or shards={processes}", shards=config.shards, processes=processes
            ),
        )
    if config.shards != 1:
        require_plain_network(config)
    if processes > 1:
        _require_one_training(config)
    return choose_for_shard_weights(config, processes) if config.shard_weights else config


def require_plain_network(config: Config) -> None:
    """Refuse ``scratch=true`` with shards.

    Raises:
        UsageError: the config asks for both.
    """
    if config.scratch:
        raise UsageError(
            Message(
                "scratch=true trains twice on complete batches, shards={shards} divides them", shards=config.shards
            ),
            Message("leave shards= and processes= out, or use scratch=false"),
        )


def _require_one_training(config: Config) -> None:
    """Refuse what one process does alone while the others would wait."""
    if config.folds is not None:
        raise UsageError(
            Message("processes= is for one training, folds={folds} trains several", folds=config.folds),
            Message("use fold=1/{folds} for one of the folds, or leave processes= out", folds=config.folds),
        )
    if config.doctor == "full":
        raise UsageError(
            Message("doctor=full tries remedies in one process, and records the outputs of all rows there"),
            Message("use doctor=passive, or leave processes= out"),
        )
    if config.epochs == 0:
        raise UsageError(Message("epochs=0 trains nothing that processes could share"), Message("leave processes= out"))


def choose_exact(config: Config, device: torch.device) -> Config:
    """Return the config with ``exact=auto`` decided: false where shards are computed on CUDA GPUs.

    There the kernels of a backward pass may round differently in each run, so an exact sum would cost more without
    giving the same bits.

    >>> choose_exact(Config(shards=2), torch.device("cuda", 1)).exact, choose_exact(Config(), torch.device("cpu")).exact
    (False, True)
    """
    if config.exact != AUTO:
        return config
    is_rounded = device.type == "cuda" and config.shards not in (AUTO, 1)
    return config.model_copy(update={"exact": not is_rounded})


def require_shardable(
    config: ResolvedConfig, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device, processes: int
) -> None:
    """Refuse a network, an optimizer or a device whose updates cannot be computed in shards.

    Args:
        config: the resolved config.
        model: the network.
        optimizer: its optimizer.
        device: where it computes.
        processes: number of processes.

    Raises:
        UsageError: one of them cannot.
    """
    if config.sync_bn:
        require_sync_bn(config, model, device, processes)
    if config.shards == 1:
        if not config.exact:
            raise UsageError(
                Message("exact=false is about adding the gradients of shards, and shards=1 has nothing to add"),
                Message("use processes=2 or shards=2, or leave exact= out"),
            )
        return
    require_plain_network(config)
    if config.shard_weights and processes > 1:
        require_elementwise(config.optimizer.name, model, optimizer)
        require_divisible(model)
    if needs_closure(optimizer):
        raise UsageError(
            Message(
                "optimizer={name} computes the loss several times in an update, on the complete batch",
                name=config.optimizer.name,
            ),
            Message("use optimizer=adam, or shards=1"),
        )
    if any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
        raise UsageError(
            Message("SyncBatchNorm normalizes over several GPUs, and a shard is normalized alone"),
            Message("use nn.BatchNorm2d, with sync_bn=true for statistics of the complete batch, or shards=1"),
        )
