"""What a network is made of: its layers, the shapes of what they give, their parameters and their work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from yisheng import models
from yisheng.core.types import Spec

COUNTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Row:
    """One call of one layer.

    Args:
        name: where it is in the network (``layer1.0.conv1``).
        kind: name of its class.
        output: shape of what it gives for one sample, without B; empty if that is no tensor.
        parameters: its own parameters; 0 where an earlier row has counted them.
        multiply_adds: products summed for one sample, in convolutions and linear layers.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """A network's layers in the order of their calls, and the totals.

    Args:
        rows: one for each call of a layer.
        parameters: of the whole network, each counted once, those of layers that were not called included.
        multiply_adds: of one sample's way through it.
    """

    rows: tuple[Row, ...]
    parameters: int
    multiply_adds: int


def summary(model: nn.Module, spec: Spec) -> Summary:
    """The layers of a network on one sample.

    Layers are the modules without children, and those that have parameters of their own. A layer that is called
    twice has two rows. Additions, activations and norms are not counted as work: beside convolutions and linear
    layers they are little. The model is left as it was.

    Args:
        model: the network, with weights or on the device ``meta``, where nothing is computed but the shapes.
        spec: the contract it was built for.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    >>> found = summary(net, Spec("regression", (1, 2, 3)))
    >>> found.parameters, found.multiply_adds, [row.output for row in found.rows]
    (14, 12, [(6,), (2,)])
    """
    first = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    rows: list[Row | None] = []
    waiting: list[int] = []
    counted: set[int] = set()
    handles = []
    for name, module in model.named_modules():
        if name and (not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))):
            handles.append(module.register_forward_pre_hook(partial(_reserve, rows, waiting)))
            handles.append(module.register_forward_hook(partial(_note, rows, waiting, counted, name)))
    training = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *spec.shape, device=first.device, dtype=first.dtype))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    seen = tuple(row for row in rows if row is not None)
    return Summary(seen, sum(p.numel() for p in model.parameters()), sum(row.multiply_adds for row in seen))


def outline(name: str, spec: Spec, **options: Any) -> Summary:
    """The layers of a network that is only named: no memory is taken for its weights.

    Args:
        name: its registered name.
        spec: the contract of the data.
        **options: its options.

    Raises:
        UsageError: the name or an option is unknown, a value is not allowed, or it does not fit the data.

    >>> outline("vgg16", Spec("classification", (3, 224, 224), classes=tuple(map(str, range(1000))))).parameters
    138357544
    """
    try:
        with torch.device("meta"):
            return summary(models.build(name, spec, **options), spec)
    except (NotImplementedError, RuntimeError):  # a network that looks at values
        return summary(models.build(name, spec, **options), spec)


def _reserve(rows: list[Row | None], waiting: list[int], *_: Any) -> None:
    """A layer with children is told of before them."""
    waiting.append(len(rows))
    rows.append(None)


def _note(
    rows: list[Row | None], waiting: list[int], counted: set[int], name: str, module: nn.Module, _: Any, output: Any
) -> None:
    own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
    counted.update(map(id, own))
    shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else ()
    rows[waiting.pop()] = Row(name, type(module).__name__, shape, sum(p.numel() for p in own), _work(module, output))


def _work(module: nn.Module, output: Any) -> int:
    """Products that a layer sums for one sample: for each value of its output, those of one row of its weight."""
    if not isinstance(module, COUNTED) or not isinstance(output, torch.Tensor):
        return 0
    return math.prod(output.shape[1:]) * math.prod(module.weight.shape[1:])
