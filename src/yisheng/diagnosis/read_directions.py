"""Whether a network reads both directions of a recurrent layer at a step where one of them has read one step only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.nested_tensors import are_equal, list_tensors
from yisheng.diagnosis.probe import MAX_WEIGHTS, REFUSALS, copied_network

MIN_STEPS = 4
"""Steps of a sequence of which one direction has read one."""
Outputs = tuple[torch.Tensor, Any]
"""What a recurrent layer returns: the outputs of all steps and the last states."""


@dataclass(frozen=True)
class HalfReadLayer:
    """A bidirectional layer of which a network reads one step.

    Args:
        name: of the layer.
        steps: of its sequences.
        is_last: whether it is the last step that is read; otherwise it is the first one.
    """

    name: str
    steps: int
    is_last: bool


def find_half_read_layer(model: nn.Module, example: tuple[torch.Tensor, ...] | None) -> HalfReadLayer | None:
    """Return a bidirectional layer of which one step is read, the last or the first, with both directions.

    A copy of the network predicts again while the other outputs and states of the layer are replaced: nothing changes.

    Args:
        model: the network.
        example: its arguments, each with the same rows ``(B, ...)``.

    >>> class Last(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.rnn, self.fc = nn.GRU(2, 3, batch_first=True, bidirectional=True), nn.Linear(6, 1)
    ...     def forward(self, x):
    ...         return self.fc(self.rnn(x)[0][:, -1])
    >>> find_half_read_layer(Last(), (torch.randn(4, 5, 2),))
    HalfReadLayer(name='rnn', steps=5, is_last=True)
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase) and module.bidirectional and not getattr(module, "proj_size", 0)
    }
    if example is None or not layers or sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS:
        return None
    try:
        with copied_network(model, example) as network:
            for name in layers:
                for is_last in (True, False):
                    steps = _measure_steps(network, name, example, is_last=is_last)
                    if steps:
                        return HalfReadLayer(name, steps, is_last)
    except REFUSALS:
        return None
    return None


def _measure_steps(network: nn.Module, name: str, example: tuple[torch.Tensor, ...], *, is_last: bool) -> int:
    """Return the number of steps if both directions are read at one end and nothing else is; else 0."""
    layer = network.get_submodule(name)
    if not isinstance(layer, nn.RNNBase):
        return 0
    axis, size, place, steps = (1 if layer.batch_first else 0), layer.hidden_size, (-1 if is_last else 0), 0

    def replace_rest(outputs: torch.Tensor, states: Any) -> Outputs:
        nonlocal steps
        steps = outputs.shape[axis]
        changed = 2 * outputs + 1
        changed.select(axis, place).copy_(outputs.select(axis, place))
        return changed, tuple(2 * h + 1 for h in states) if isinstance(states, tuple) else 2 * states + 1

    def replace_direction(outputs: torch.Tensor, states: Any) -> Outputs:
        changed = outputs.clone()
        direction = slice(size, None) if is_last else slice(size)  # it has read this step only
        changed.select(axis, place)[..., direction] *= 2
        changed.select(axis, place)[..., direction] += 1
        return changed, states

    expected = list_tensors(network(*example))
    without_rest = _predict(network, layer, example, replace_rest)
    if steps < MIN_STEPS or not are_equal(expected, without_rest):
        return 0
    is_read = not are_equal(expected, _predict(network, layer, example, replace_direction))
    return steps if is_read and are_equal(expected, list_tensors(network(*example))) else 0


def _predict(
    network: nn.Module,
    layer: nn.RNNBase,
    example: tuple[torch.Tensor, ...],
    change: Callable[[torch.Tensor, Any], Outputs],
) -> list[torch.Tensor]:
    """Return the predictions if what a layer returns is changed; a packed sequence is left as it is."""

    def hook(_module: nn.Module, _arguments: Any, returned: Any) -> Any:
        outputs = returned[0]
        return change(*returned) if isinstance(outputs, torch.Tensor) and outputs.ndim == 3 else returned

    handle = layer.register_forward_hook(hook)
    try:
        return list_tensors(network(*example))
    finally:
        handle.remove()
