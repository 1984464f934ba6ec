"""Explain the first loss that was not finite: by its inputs, its targets or the weights."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import Loss, layer_inputs
from yisheng.diagnosis.pairing import read_pairing
from yisheng.diagnosis.recorder.records import NonFiniteLoss
from yisheng.diagnosis.recorder.source_lines import is_user_file

MAX_FRAMES, MAX_VARIABLES = 4, 1000
"""Frames of the user's program, and variables of each, that are searched for the targets."""


def explain_by_graph(loss: Loss, number: int, model: nn.Module) -> NonFiniteLoss:
    """Return why a loss is not finite, from its graph, before its backward pass.

    Args:
        loss: with its graph.
        number: of the loss, from 1.
        model: the network.
    """
    target = read_pairing(loss).target
    inputs = [x for x in layer_inputs(loss) if x.is_floating_point()]
    return NonFiniteLoss(
        number, all(map(_is_finite, inputs)), target is None or _is_finite(target), _are_finite(model), _name_type(loss)
    )


@torch.no_grad()
def explain_by_variables(
    loss: torch.Tensor, number: int, model: nn.Module, arguments: Sequence[Any], targets: torch.Tensor | None
) -> NonFiniteLoss:
    """Return why a loss is not finite, during its backward pass, which has freed the graph.

    Args:
        loss: its value ``()``.
        number: of the loss, from 1.
        model: the network, before its update.
        arguments: of the network in this pass.
        targets: of an earlier recorded step ``(B, ...)``, or None if unknown; the variable of the user's loop that has
            their shape holds those of this pass.
    """
    inputs = list(_float_tensors(arguments))
    rows = next((len(x) for x in arguments if isinstance(x, torch.Tensor) and x.ndim), 0)
    input_ids = {id(x) for x in inputs}
    has_missing_targets = False
    if targets is not None and targets.is_floating_point() and targets.ndim:
        has_missing_targets = any(
            id(y) not in input_ids and y.shape == (rows, *targets.shape[1:]) and not _is_finite(y)
            for y in _find_plain_tensors()
        )
    return NonFiniteLoss(
        number, all(map(_is_finite, inputs)), not has_missing_targets, _are_finite(model), _name_type(loss)
    )


def _find_plain_tensors() -> Iterator[torch.Tensor]:
    """Yield the floating-point tensors without a graph in variables of the user's functions that call this.

    A tensor is left out if one with a graph has the same shape and the same values: an output without its graph.
    """
    frame, frames = inspect.currentframe(), 0
    while frame is not None and frames < MAX_FRAMES:
        if is_user_file(frame.f_code.co_filename):
            frames += 1
            tensors = list(_tensors_of(frame.f_locals))
            outputs = [x for x in tensors if x.requires_grad]
            for x in tensors:
                if not x.requires_grad and not any(_are_equal(x, y) for y in outputs):
                    yield x
        frame = frame.f_back


def _tensors_of(variables: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    for value in list(variables.values())[:MAX_VARIABLES]:
        yield from (x for x in _float_tensors(value) if not isinstance(x, nn.Parameter))


def _float_tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the floating-point tensors of a value: itself, or the items of a tuple, list or dict."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else (value,)
    yield from (x for x in items if isinstance(x, torch.Tensor) and x.is_floating_point())


def _are_equal(x: torch.Tensor, y: torch.Tensor) -> bool:
    return (x.shape, x.dtype, x.device) == (y.shape, y.dtype, y.device) and torch.allclose(x, y, equal_nan=True)


def _are_finite(model: nn.Module) -> bool:
    return all(map(_is_finite, model.parameters()))


def _is_finite(values: torch.Tensor) -> bool:
    return bool(torch.isfinite(values).all())


def _name_type(loss: Loss) -> str:
    return str(getattr(loss, "dtype", "")).removeprefix("torch.")
