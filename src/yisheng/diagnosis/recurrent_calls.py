"""Calls of recurrent cells and layers for one step, and the states that they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.nested_tensors import list_float_tensors
from yisheng.diagnosis.recorder.source_lines import find_direct_source

MIN_CALLS = 3
"""Calls in one pass from which on they are a loop over steps."""
CELLS = frozenset({"lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"})
LAYERS = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
POSITION_OF_BATCH_FIRST = 8


@dataclass(frozen=True)
class UnpassedState:
    """A recurrent cell or layer that begins each step with a state of zeros.

    Args:
        parameters: names of its weights.
        calls: how often it is called in one pass.
        is_cell: whether it is a cell; else a layer that is given one step at a time.
        source: the line that calls it; empty if it is unknown.
    """

    parameters: tuple[str, ...]
    calls: int
    is_cell: bool
    source: str


class RecurrentCalls:
    """Notes the recurrent calls of one forward pass."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, ...], list[tuple[torch.Tensor, bool]]] = {}
        self._are_cells: dict[tuple[str, ...], bool] = {}
        self._sources: dict[tuple[str, ...], str] = {}

    def note(self, function: str, args: Sequence[Any], parameters: tuple[str, ...]) -> None:
        """Note a call of a torch function.

        Args:
            function: its name.
            args: its arguments: the input, the state, the weights, and for layers their options.
            parameters: names of the weights among them.
        """
        is_cell = function in CELLS
        if not (is_cell or function in LAYERS) or not parameters or len(args) < 3:
            return
        x, states = args[0], list_float_tensors(args[1])
        if not isinstance(x, torch.Tensor) or not states:  # packed sequences have their state elsewhere
            return
        has_zeros = not any(bool(state.any()) for state in states)
        self._calls.setdefault(parameters, []).append((x.detach(), has_zeros and (is_cell or _has_one_step(x, args))))
        self._are_cells[parameters] = is_cell
        self._sources.setdefault(parameters, find_direct_source())

    def find_unpassed_state(self) -> UnpassedState | None:
        """Return what is called with different inputs and a state of zeros each time, or None if nothing is."""
        for parameters, calls in self._calls.items():
            inputs = [x for x, _ in calls]
            is_repeated = all(x.shape == inputs[0].shape and torch.equal(x, inputs[0]) for x in inputs)
            if len(calls) >= MIN_CALLS and all(has_zeros for _, has_zeros in calls) and not is_repeated:
                return UnpassedState(parameters, len(calls), self._are_cells[parameters], self._sources[parameters])
        return None


def _has_one_step(x: torch.Tensor, args: Sequence[Any]) -> bool:
    is_batch_first = len(args) > POSITION_OF_BATCH_FIRST and bool(args[POSITION_OF_BATCH_FIRST])
    return x.ndim == 3 and x.shape[1 if is_batch_first else 0] == 1
