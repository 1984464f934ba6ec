"""Which targets count in a loss: a mask takes others out after the losses of all were computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

COMPARING_NODES = (
    "NllLossBackward0",
    "NllLoss2DBackward0",
    "MseLossBackward0",
    "SmoothL1LossBackward0",
    "HuberLossBackward0",
    "BinaryCrossEntropyBackward0",
    "BinaryCrossEntropyWithLogitsBackward0",
)
"""Nodes that compare an output with targets value by value."""


def find_counted(gradient: torch.Tensor, shape: Sequence[int]) -> torch.Tensor | None:
    """Return which targets a loss counts, by the gradient of their losses; None if all or none, or if it is unknown.

    A mask, an index or a selection gives the others a gradient of zero, wherever it stands.

    Args:
        gradient: of the losses of the single targets.
        shape: of the targets, which have as many values.

    >>> losses = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> losses[torch.tensor([[True, True], [False, True]])].mean().backward()
    >>> find_counted(losses.grad, (4,))
    tensor([ True,  True, False,  True])
    """
    if gradient.layout != torch.strided or gradient.numel() != torch.Size(shape).numel() or gradient.numel() < 2:
        return None
    counted = gradient.detach() != 0
    count = int(counted.sum())
    return counted.reshape(tuple(shape)) if 0 < count < counted.numel() else None


def watch_counted(
    nodes: Sequence[Any], protect: Callable[[Callable[..., object]], Any], note: Callable[[torch.Tensor], None]
) -> None:
    """Have the gradient noted of the losses of the single targets of a loss, in the backward pass that follows.

    Args:
        nodes: all nodes of the graph of the loss, those nearest to it first.
        protect: makes a hook of a function.
        note: receives the gradient, whose values are those of the targets; nothing if a node gives their mean or sum.
    """
    node = next((node for node in nodes if node.name() in COMPARING_NODES), None)
    if node is None or getattr(node, "_saved_reduction", 0) != 0:
        return

    def read(gradients: tuple[torch.Tensor | None, ...]) -> None:
        if gradients[0] is not None:
            note(gradients[0])

    node.register_prehook(protect(read))
