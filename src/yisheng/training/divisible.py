"""What ``shard_weights=true`` can divide among processes: settings, networks and optimizers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.models._fitted_model import FittedModel
from yisheng.models.ensemble import Ensemble
from yisheng.optim._eager import EagerOptimizer

ELEMENTWISE = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD")
"""Classes of torch.optim that update each value by itself."""


def choose_for_shard_weights(config: Config, processes: int) -> Config:
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
