"""Explanations of non-finite values: the step, the rows and the layer where NaN or infinity began."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import NonFiniteError
from yisheng.core.messages import Message
from yisheng.core.types import Batch
from yisheng.training.state import State

REMEDY = "use a lower lr, clip gradients (clip_norm=1), or look for extreme values in those rows"
MAX_LISTED_ROWS = 8


def explain_nonfinite_loss(state: State, batch: Batch, value: float) -> NonFiniteError:
    """Return the error for a loss that is not finite; runs the batch again to find the layer.

    Args:
        state: before the update.
        batch: the batch of the loss.
        value: the loss.
    """
    origin = _describe_nonfinite_rows(batch) or _find_first_nonfinite_layer(state.model, batch)
    update = _describe_update(state.step + 1, state.epoch, batch)
    return NonFiniteError(
        Message("the loss became {value} {update}: {origin}", value=value, update=update, origin=origin), REMEDY
    )


def explain_nonfinite_gradient(state: State, batch: Batch) -> NonFiniteError:
    """Return the error for gradients that are not finite although the loss is.

    Backward goes from the output to the input, so the non-finite gradients began in the layer nearest to the output.

    Args:
        state: after backward, before the step.
        batch: the batch of the gradients.
    """
    nonfinite = [
        name
        for name, parameter in state.model.named_parameters()
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
    ]
    layer = f"the gradient of {nonfinite[-1]} is the first that is not finite" if nonfinite else "their norm overflows"
    update = _describe_update(state.step + 1, state.epoch, batch)
    return NonFiniteError(
        Message(
            "gradients became non-finite {update}: {batch}",
            update=update,
            batch=_describe_nonfinite_rows(batch) or layer,
        ),
        REMEDY,
    )


def explain_nonfinite_update(step: int, epoch: int, batch: Batch) -> NonFiniteError:
    """Return the error for an update whose values were checked only after it was made (on a GPU).

    Args:
        step: number of the update, from 1.
        epoch: epochs finished before it.
        batch: its batch.
    """
    origin = _describe_nonfinite_rows(batch) or "its inputs are finite, its loss or gradients are not"
    return NonFiniteError(
        Message("numbers became non-finite {step}: {origin}", step=_describe_update(step, epoch, batch), origin=origin),
        REMEDY,
    )


def _describe_update(step: int, epoch: int, batch: Batch) -> str:
    rows = ", ".join(str(int(row)) for row in batch.index[:MAX_LISTED_ROWS])
    return f"at step {step} (epoch {epoch + 1}, rows {rows}{', ...' if len(batch) > MAX_LISTED_ROWS else ''})"


def _describe_nonfinite_rows(batch: Batch) -> str:
    """Return which rows have inputs or targets that are not finite, or "" if none has."""
    for name, values in (*(("inputs", x) for x in nested.tensors(batch.x)), ("targets", batch.y)):
        nonfinite = ~torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else ~torch.isfinite(values)
        if nonfinite.any():
            rows = batch.index[nonfinite][:MAX_LISTED_ROWS].tolist()
            return f"the {name} of row{'s' * (len(rows) > 1)} {', '.join(map(str, rows))} are not finite"
    return ""


def _find_first_nonfinite_layer(model: nn.Module, batch: Batch) -> str:
    """Run the batch and return the first layer whose output is not finite."""
    names: list[str] = []

    def make_hook(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and not names and not torch.isfinite(output).all():
                names.append(name)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(make_hook(name or type(module).__name__)) for name, module in leaves]
    try:
        with torch.no_grad():
            nested.call(model, batch.x)
    finally:
        for handle in handles:
            handle.remove()
    if not names:
        return "the outputs are finite, the loss is not"
    return f"layer {names[0]} is the first whose output is not finite"
