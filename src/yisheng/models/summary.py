"""Summary of a network: its layers, the shapes of their outputs, their parameters and their multiply-adds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import torch
from torch import nn

from yisheng import models
from yisheng.core import nested
from yisheng.core.modes import evaluation_mode
from yisheng.core.spec import Spec

COUNTED_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose multiply-adds are counted."""


@dataclass(frozen=True)
class LayerSummary:
    """One call of one layer.

    Args:
        name: its name in the network (``layer1.0.conv1``).
        kind: name of its class.
        output: shape of its output for one sample, without B; empty if the output is not a tensor.
        parameters: its parameters; 0 if an earlier row has counted them.
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
        parameters: of the whole network, each counted once, including those of layers that were not called.
        multiply_adds: of the forward pass of one sample.
    """

    rows: tuple[LayerSummary, ...]
    parameters: int
    multiply_adds: int


def summarize(model: nn.Module, spec: Spec, x: Any = None) -> Summary:
    """Summarize the layers of a network on one sample.

    Layers are the modules without children, and those that have parameters themselves. A layer that is called
    twice has two rows. Additions, activations and norms are not counted as work, since convolutions and linear
    layers need far more. The model is not changed.

    Args:
        model: the network, with weights or on the device ``meta``, where only shapes are computed.
        spec: the contract it was built for.
        x: inputs of one sample; zeros by default, which not every network of a user's own can take (an attention mask
            of zeros hides every token).

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    >>> summary = summarize(net, Spec("regression", (1, 2, 3)))
    >>> summary.parameters, summary.multiply_adds, [row.output for row in summary.rows]
    (14, 12, [(6,), (2,)])
    """
    reference = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    rows: list[LayerSummary | None] = []
    open_calls: list[int] = []
    counted: set[int] = set()
    handles = []
    for name, module in model.named_modules():
        if name and (not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))):
            handles.append(module.register_forward_pre_hook(partial(_reserve_row, rows, open_calls)))
            handles.append(module.register_forward_hook(partial(_fill_row, rows, open_calls, counted, name)))
    try:
        with evaluation_mode(model), torch.no_grad():
            if x is None:
                x = nested.make_zeros(spec, 1, device=reference.device, dtype=reference.dtype)
            nested.call(model, nested.map_tensors(lambda tensor: tensor.to(reference.device), x))
    finally:
        for handle in handles:
            handle.remove()
    layers = tuple(row for row in rows if row is not None)
    return Summary(layers, sum(p.numel() for p in model.parameters()), sum(row.multiply_adds for row in layers))


def summarize_by_name(name: str, spec: Spec, **options: Any) -> Summary:
    """Summarize a registered network without allocating memory for its weights.

    Args:
        name: its registered name.
        spec: the contract of the data.
        **options: its options.

    Raises:
        UsageError: the name or an option is unknown, a value is not allowed, or the network does not fit the data.

    >>> spec = Spec("classification", (3, 224, 224), classes=tuple(map(str, range(1000))))
    >>> summarize_by_name("vgg16", spec).parameters
    138357544
    """
    try:
        with torch.device("meta"):
            return summarize(models.build(name, spec, **options), spec)
    except (NotImplementedError, RuntimeError):  # the network computes with values, which meta tensors do not have
        return summarize(models.build(name, spec, **options), spec)


def _reserve_row(rows: list[LayerSummary | None], open_calls: list[int], *_: Any) -> None:
    """Add an empty row before a layer's call, so that a layer with children comes before them."""
    open_calls.append(len(rows))
    rows.append(None)


def _fill_row(
    rows: list[LayerSummary | None],
    open_calls: list[int],
    counted: set[int],
    name: str,
    module: nn.Module,
    _: Any,
    output: Any,
) -> None:
    parameters = [p for p in module.parameters(recurse=False) if id(p) not in counted]
    counted.update(map(id, parameters))
    shape = tuple(output.shape[1:]) if _is_dense(output) else ()
    rows[open_calls.pop()] = LayerSummary(
        name, type(module).__name__, shape, sum(p.numel() for p in parameters), _count_multiply_adds(module, output)
    )


def _is_dense(output: Any) -> TypeGuard[torch.Tensor]:
    """Return whether an output has one shape: in eval mode, the layers of a transformer encoder get nested tensors."""
    return isinstance(output, torch.Tensor) and not output.is_nested


def _count_multiply_adds(module: nn.Module, output: Any) -> int:
    """Return the number of products for one sample: the numbers in a row of the weight for each value of the output."""
    if not isinstance(module, COUNTED_LAYERS) or not _is_dense(output):
        return 0
    return math.prod(output.shape[1:]) * math.prod(module.weight.shape[1:])
