"""Explanations of non-finite values: the step, the rows and the layer where NaN or infinity began."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.messages import Message, plural_message
from yisheng.training.state import State

REMEDY = Message("use a lower lr, clip gradients (clip_norm=1), or look for extreme values in those rows")
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


def explain_nonfinite_gradient(state: State, batch: Batch, nonfinite: list[str] | None = None) -> NonFiniteError:
    """Return the error for gradients that are not finite although the loss is.

    Backward goes from the output to the input, so the non-finite gradients began in the layer nearest to the output.

    Args:
        state: after backward, before the step.
        batch: the batch of the gradients.
        nonfinite: names of the parameters whose gradients are not finite, in the order of the network, if they are
            known: the gradients of parameters that processes divide are not there to be examined.
    """
    if nonfinite is None:
        nonfinite = [
            name
            for name, parameter in state.model.named_parameters()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
    layer = (
        Message("the gradient of {name} is the first that is not finite", name=nonfinite[-1])
        if nonfinite
        else Message("their norm overflows")
    )
    origin = _describe_nonfinite_rows(batch) or layer
    update = _describe_update(state.step + 1, state.epoch, batch)
    return NonFiniteError(
        Message("gradients became non-finite {update}: {origin}", update=update, origin=origin), REMEDY
    )


def explain_nonfinite_update(step: int, epoch: int, batch: Batch) -> NonFiniteError:
    """Return the error for an update whose values were checked only after it was made (on a GPU).

    Args:
        step: number of the update, from 1.
        epoch: epochs finished before it.
        batch: its batch.
    """
    origin = _describe_nonfinite_rows(batch) or Message("its inputs are finite, its loss or gradients are not")
    update = _describe_update(step, epoch, batch)
    return NonFiniteError(Message("numbers became non-finite {update}: {origin}", update=update, origin=origin), REMEDY)


def _describe_update(step: int, epoch: int, batch: Batch) -> Message:
    rows = [str(int(row)) for row in batch.index[:MAX_LISTED_ROWS]] + ["..."] * (len(batch) > MAX_LISTED_ROWS)
    return Message("at step {step} (epoch {epoch}, rows {rows})", step=step, epoch=epoch + 1, rows=", ".join(rows))


def _describe_nonfinite_rows(batch: Batch) -> Message | None:
    """Return which rows have inputs or targets that are not finite, or None if none has."""
    for name, values in (*(("inputs", x) for x in nested.tensors(batch.x)), ("targets", batch.y)):
        nonfinite = ~torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else ~torch.isfinite(values)
        if nonfinite.any():
            rows = batch.index[nonfinite][:MAX_LISTED_ROWS].tolist()
            listed = ", ".join(map(str, rows))
            if name == "inputs":
                return plural_message(
                    len(rows),
                    "the inputs of row {rows} are not finite",
                    "the inputs of rows {rows} are not finite",
                    rows=listed,
                )
            return plural_message(
                len(rows),
                "the targets of row {rows} are not finite",
                "the targets of rows {rows} are not finite",
                rows=listed,
            )
    return None


def _find_first_nonfinite_layer(model: nn.Module, batch: Batch) -> Message:
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
        return Message("the outputs are finite, the loss is not")
    return Message("layer {name} is the first whose output is not finite", name=names[0])
