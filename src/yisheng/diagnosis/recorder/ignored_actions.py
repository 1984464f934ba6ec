"""Losses of the largest output of each row, in programs that hold the actions which were taken."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, read_signed, saved_tensor
from yisheng.diagnosis.recorder.program_values import find_numbers

ACTIONS = re.compile(r"(^|_)(a|acts?|actions?|moves?|arms?|choices?|decisions?)($|_)", re.IGNORECASE)
OTHER_ACTIONS = re.compile(r"(^|_)(next|new|best|greedy|optimal|target|max|argmax)($|_)", re.IGNORECASE)
"""Names of actions that were not taken."""
MIN_ROWS, MIN_OUTPUTS, MAX_DEPTH = 4, 2, 40


@dataclass(frozen=True)
class IgnoredActions:
    """A loss of the largest output of each row, next to the actions of the rows.

    Args:
        name: of the variable that holds the actions.
        outputs: how many outputs a row has.
        rows: rows of the batch.
        different: rows in which the action is not that of the largest output.
    """

    name: str
    outputs: int
    rows: int
    different: int


def find_ignored_actions(root: Any, output: torch.Tensor | None) -> IgnoredActions | None:
    """Return the actions that a loss does not read, or None if it reads other outputs or the program has none.

    Args:
        root: node of the loss.
        output: of the network ``(B, K)``: the value of each action.
    """
    if output is None or output.ndim != 2 or len(output) < MIN_ROWS or output.shape[1] < MIN_OUTPUTS:
        return None
    selected = find_largest_outputs(root, output)
    if selected is None:
        return None
    numbers = find_numbers(ACTIONS, OTHER_ACTIONS, len(output))
    for name, actions in itertools.islice(numbers, 4):
        is_action = bool(((actions >= 0) & (actions < output.shape[1]) & (actions == actions.round())).all())
        if is_action:
            different = int((actions.long() != selected.cpu()).sum())
            return IgnoredActions(name, output.shape[1], len(output), different)
    return None


def find_largest_outputs(root: Any, output: torch.Tensor) -> torch.Tensor | None:
    """Return which output of each row ``(B,)`` is the largest if a loss depends on it alone, or None.

    Args:
        root: node of the loss.
        output: of the network ``(B, K)``; another pass may have followed, whose output has the same shape.

    >>> q = torch.tensor([[1.0, 2.0], [4.0, 3.0]], requires_grad=True)
    >>> largest, first = torch.tensor([[1], [0]]), torch.tensor([[0], [0]])
    >>> reads = q.max(1).values, q.amax(1), q.gather(1, largest), q[[0, 1], [1, 0]], q.gather(1, first), q.mean(1)
    >>> for values in reads:
    ...     print(find_largest_outputs(values.square().mean().grad_fn, q.detach()))
    tensor([1, 0])
    tensor([1, 0])
    tensor([1, 0])
    tensor([1, 0])
    None
    None
    """
    node = root
    for _ in range(MAX_DEPTH):
        if node is None or node.name().startswith(LAYER_PREFIXES):
            return None
        selected = _read_selection(node, output)
        if selected is not None:
            return selected
        children = [child for child, _ in node.next_functions if child is not None]
        if len(children) != 1:
            return None
        node = children[0]
    return None


def _read_selection(node: Any, output: torch.Tensor) -> torch.Tensor | None:
    """Return which output of each row a node selects if these are the largest ones, or None."""
    name, rows, columns = node.name(), *output.shape
    selected: torch.Tensor | None = None
    if name == "MaxBackward0":
        is_of_columns = tuple(node._saved_self_sym_sizes) == (rows, columns) and _read_axis(node) == 1
        selected = saved_tensor(node, "indices") if is_of_columns else None
    elif name == "AmaxBackward0":
        values = saved_tensor(node, "self")
        is_of_columns = values is not None and values.shape == output.shape and _reduces_columns(node)
        selected = values.argmax(1) if values is not None and is_of_columns else None
    elif name == "GatherBackward0":
        values, index = saved_tensor(node, "self"), saved_tensor(node, "index")
        is_of_columns = values is not None and values.shape == output.shape and _read_axis(node) == 1
        selected = _select_if_largest(index, values) if is_of_columns else None
    elif name == "TopkBackward0" and tuple(node._saved_self_sym_sizes) == (rows, columns) and _read_axis(node) == 1:
        selected = _select_if_largest(saved_tensor(node, "indices"), output)
    elif name == "IndexBackward0" and tuple(node._saved_self_sym_sizes) == (rows, columns):
        selected = _select_if_largest(_read_index(node, rows), output)
    return selected.flatten() if selected is not None and selected.numel() == rows else None


def _select_if_largest(index: torch.Tensor | None, values: torch.Tensor | None) -> torch.Tensor | None:
    """Return the columns of some values ``(B, K)``, one for each row, if they are those of the largest ones."""
    if index is None or values is None or index.numel() != len(values):
        return None
    return index if torch.equal(index.flatten(), values.argmax(1)) else None


def _read_index(node: Any, rows: int) -> torch.Tensor | None:
    """Return the columns of `output[torch.arange(rows), columns]`, or None for another index."""
    try:
        indices: Sequence[Any] = node._saved_indices
    except RuntimeError:  # freed by a backward pass
        return None
    if len(indices) != 2 or not all(isinstance(index, torch.Tensor) for index in indices):
        return None
    lines, selected = (index.detach().flatten() for index in indices)
    is_each_row = len(lines) == rows and torch.equal(lines.cpu(), torch.arange(rows))
    return selected if is_each_row and not selected.is_floating_point() else None


def _read_axis(node: Any) -> int:
    """Return the axis of a node of a table."""
    return read_signed(node._saved_dim) % 2


def _reduces_columns(node: Any) -> bool:
    axes = [read_signed(axis) % 2 for axis in node._saved_dim]
    return axes == [1]
