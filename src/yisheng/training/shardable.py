"""What can be trained in shards and in several processes; everything else is refused before work is spent."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.models._fitted_model import FittedModel
from yisheng.models.ensemble import Ensemble
from yisheng.optim._eager import EagerOptimizer
from yisheng.training.shards import MIN_ROWS
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
    return _choose_for_shard_weights(config, processes) if config.shard_weights else config


def _choose_for_shard_weights(config: Config, processes: int) -> Config:
    """Return a config with ``shard_weights=true`` without what reads complete weights during the training.

    Raises:
        UsageError: the config asks for something that does.
    """
    if processes == 1:
        raise UsageError(
            Message("shard_weights=true divides the weights among processes, and there is one"),
            Message("add processes=2, or leave shard_weights= out"),
        )
    if config.exact is True:
        raise UsageError(
            Message("shard_weights=true adds gradients in an order that depends on the number of processes"),
            Message("use exact=false, or leave shard_weights= out"),
        )
    if config.sync_bn:
        raise UsageError(
            Message("sync_bn=true counts each row once, with shard_weights=true a process without rows repeats some"),
            Message("leave sync_bn= or shard_weights= out"),
        )
    reading = {
        "compile": config.compile is True,
        "budget": config.budget not in (None, AUTO),
        "finetune": config.finetune not in (None, "all"),
        "memory_format": config.memory_format == "channels-last",
        "tensorboard": config.tensorboard,
        "watch": config.watch,
    }
    for key, is_used in reading.items():
        if is_used:
            raise UsageError(
                Message("{key}= needs the complete weights in one process, shard_weights=true divides them", key=key),
                Message("leave {key}= or shard_weights= out", key=key),
            )
    changes = {"doctor": "off", "budget": None, "exact": False, "compile": False, "memory_format": "contiguous"}
    return config.model_copy(update={**changes, "precision": "fp32" if config.precision == AUTO else config.precision})


ELEMENTWISE = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD")
"""Classes of torch.optim that update each value by itself."""


def require_elementwise(name: str, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Refuse a method without gradient steps, and an optimizer that may need more than a part of a parameter.

    Args:
        name: of the optimizer in the config.
        model: the network.
        optimizer: its optimizer.

    Raises:
        UsageError: ``shard_weights=true`` cannot be used with one of them.
    """
    if isinstance(model, FittedModel | Ensemble):
        raise UsageError(
            Message(
                "shard_weights=true is for networks that gradient steps train, {kind} is none",
                kind=type(model).__name__,
            ),
            Message("leave shard_weights= and processes= out"),
        )
    classes = tuple(getattr(torch.optim, name) for name in ELEMENTWISE)
    is_built_in = type(optimizer).__module__ == EagerOptimizer.__module__ and isinstance(optimizer, classes)
    if type(optimizer) not in classes and not is_built_in:
        raise UsageError(
            Message(
                "optimizer={name} may need complete weights in an update, shard_weights=true gives it a part of each",
                name=name,
            ),
            Message("use optimizer=adamw or nesterov, or leave shard_weights= out"),
        )


def require_divisible(model: nn.Module) -> None:
    """Refuse a network whose weights cannot be divided.

    Raises:
        UsageError: a parameter has no axes or is not contiguous, or a module keeps it in another place, too.
    """
    for name, parameter in model.named_parameters():
        if not parameter.is_contiguous():
            raise UsageError(
                Message("the parameter {name} is not contiguous in memory: it cannot be divided", name=name),
                Message("make it with .contiguous(), or use shard_weights=false"),
            )
        if not parameter.ndim:
            raise UsageError(
                Message("the parameter {name} is a single number without an axis: it cannot be divided", name=name),
                Message("give it the shape (1,), or use shard_weights=false"),
            )
    ids = {id(p) for p in model.parameters()}
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_modules", "_buffers") and _holds(value, ids):
                raise UsageError(
                    Message(
                        "{module} ({kind}) keeps a reference to its weights in {attribute}, which would stay complete",
                        module=path or type(module).__name__,
                        kind=type(module).__name__,
                        attribute=attribute,
                    ),
                    Message("use another layer in its place, or shard_weights=false"),
                )


def _holds(value: Any, ids: set[int], depth: int = 3) -> bool:
    """Return whether a value is one of some tensors, or a container that holds one."""
    if isinstance(value, torch.Tensor):
        return id(value) in ids
    if not depth or not isinstance(value, list | tuple | set | dict):
        return False
    items = value.values() if isinstance(value, dict) else value
    return any(_holds(item, ids, depth - 1) for item in items)


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


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Layers that `synchronize_batch_norm` replaces."""


def synchronize_batch_norm(model: nn.Module) -> nn.Module:
    """Return the network with batch norm over all processes; parameters and buffers are the same tensors.

    The names of the weights stay, so a checkpoint and the model of the run are those of plain batch norm.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> synchronized = synchronize_batch_norm(model)
    >>> type(synchronized[1]).__name__, synchronized[1].weight is model[1].weight
    ('SyncBatchNorm', True)
    """
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
