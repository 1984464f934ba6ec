"""Where NaN or infinity began: the step, the rows, the layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from yisheng.core.errors import NonFiniteError
from yisheng.core.types import Batch
from yisheng.training.state import State

REMEDY = "lower lr, clip gradients (clip_norm=1), or look for extreme values in those rows"


def blame_loss(state: State, batch: Batch, value: float) -> NonFiniteError:
    """The error about a loss that is not finite; runs the batch once more to find the layer.

    Args:
        state: before the update.
        batch: what gave the loss.
        value: the loss.
    """
    where = _bad_rows(batch) or _first_bad_layer(state.model, batch)
    return NonFiniteError(f"the loss became {value} {_when(state.step + 1, state.epoch, batch)}: {where}", REMEDY)


def blame_gradient(state: State, batch: Batch) -> NonFiniteError:
    """The error about gradients that are not finite though the loss is.

    Backward goes from the output to the input, so of the layers with bad gradients the one nearest to
    the output is where it began.

    Args:
        state: after backward, before the step.
        batch: what gave the gradients.
    """
    bad = [
        name
        for name, parameter in state.model.named_parameters()
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
    ]
    layer = f"the gradient of {bad[-1]} is the first that is not finite" if bad else "their norm overflows"
    when = _when(state.step + 1, state.epoch, batch)
    return NonFiniteError(f"gradients became non-finite {when}: {_bad_rows(batch) or layer}", REMEDY)


def blame_late(step: int, epoch: int, batch: Batch) -> NonFiniteError:
    """The error about an update that turned out to be bad only after it was made (on a GPU).

    Args:
        step: number of the update, from 1.
        epoch: epochs finished before it.
        batch: what it was made with.
    """
    where = _bad_rows(batch) or "its inputs are finite, its loss or gradients are not"
    return NonFiniteError(f"numbers became non-finite {_when(step, epoch, batch)}: {where}", REMEDY)


def _when(step: int, epoch: int, batch: Batch) -> str:
    rows = ", ".join(str(int(row)) for row in batch.index[:8]) + (", ..." if len(batch) > 8 else "")
    return f"at step {step} (epoch {epoch + 1}, rows {rows})"


def _bad_rows(batch: Batch) -> str:
    """Which rows have inputs or targets that are not finite, if any."""
    for what, values in (("inputs", batch.x), ("targets", batch.y)):
        bad = ~torch.isfinite(values).flatten(1).all(1) if values.ndim > 1 else ~torch.isfinite(values)
        if bad.any():
            rows = batch.index[bad][:8].tolist()
            return f"the {what} of row{'s' * (len(rows) > 1)} {', '.join(map(str, rows))} are not finite"
    return ""


def _first_bad_layer(model: nn.Module, batch: Batch) -> str:
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and not found and not torch.isfinite(output).all():
                found.append(name)

        return hook

    leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(watch(name or type(module).__name__)) for name, module in leaves]
    try:
        with torch.no_grad():
            model(batch.x)
    finally:
        for handle in handles:
            handle.remove()
    return (
        f"layer {found[0]} is the first whose output is not finite"
        if found
        else "the outputs are finite, the loss is not"
    )
