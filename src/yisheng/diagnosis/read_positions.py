"""Which positions of a sequence the predictions of a trained network depend on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from yisheng.core import nested
from yisheng.diagnosis.probe import REFUSALS, copied_network

MIN_POSITIONS, MAX_POSITIONS = 4, 64
"""Positions of the sequences that are examined; each takes one pass."""
MAX_ROWS, MIN_ROWS = 8, 4
"""Rows that are passed, which differ at each position."""
MAX_WEIGHTS = 20_000_000
"""Weights of a network, up to which as many passes as there are positions cost little."""
MAX_ROUNDING = 1e-6
"""Change of a prediction, relative to the largest one, that is rounding."""


@dataclass(frozen=True)
class ReadPositions:
    """Which predictions change if one position of the rows is replaced.

    Args:
        influence: booleans ``(T, T)`` by position of the prediction and of the input; or ``(1, T)`` for predictions of
            rows.
        varies: booleans ``(T,)``: at which positions the rows differ.
    """

    influence: torch.Tensor
    varies: torch.Tensor

    @property
    def is_per_position(self) -> bool:
        """Return whether there is one prediction for each position."""
        return len(self.influence) > 1


def find_read_positions(model: torch.nn.Module, example: tuple[torch.Tensor, ...] | None) -> ReadPositions | None:
    """Return which positions the predictions depend on, or None if the inputs are not one tensor of sequences.

    Each position in turn is replaced by that of the next row.

    Args:
        model: the network.
        example: tokens ``(B, T)``, or numbers ``(B, T, D)``.

    >>> class First(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, 0]
    >>> find_read_positions(First(), (torch.randn(8, 5, 2),)).influence.tolist()
    [[True, False, False, False, False]]
    """
    if example is None or len(example) != 1 or sum(p.numel() for p in model.parameters()) > MAX_WEIGHTS:
        return None
    x = example[0][:MAX_ROWS]
    is_sequence = x.ndim == (3 if x.is_floating_point() else 2)
    if len(x) < MIN_ROWS or not is_sequence or not MIN_POSITIONS <= x.shape[1] <= MAX_POSITIONS:
        return None
    try:
        with copied_network(model, (x,)) as network:
            return _replace_positions(network, x)
    except REFUSALS:
        return None


def _replace_positions(network: torch.nn.Module, x: torch.Tensor) -> ReadPositions | None:
    first, second, length = _predict(network, x), _predict(network, x), x.shape[1]
    if first is None or second is None or not bool(torch.isfinite(first).all()) or not torch.equal(first, second):
        return None
    axis = next((axis for axis in range(1, first.ndim) if first.ndim == 3 and first.shape[axis] == length), None)
    limit = MAX_ROUNDING * float(first.abs().max())
    columns, varies = [], []
    for position in range(length):
        changed = x.clone()
        changed[:, position] = x[:, position].roll(1, 0)
        output = _predict(network, changed)
        if output is None or output.shape != first.shape:
            return None
        difference = (output - first).abs()
        values = difference.amax().reshape(1) if axis is None else difference.movedim(axis, 0).flatten(1).amax(1)
        columns.append(values > limit)
        varies.append(bool((changed != x).any()))
    return ReadPositions(torch.stack(columns, 1), torch.tensor(varies))


def _predict(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    output = next(iter(nested.tensors(network(x))), None)
    is_per_row = isinstance(output, torch.Tensor) and output.ndim > 1 and len(output) == len(x)
    return output.float() if is_per_row and isinstance(output, torch.Tensor) else None
