"""The tensors in what a module takes or returns: nested tuples, lists and dicts of anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def list_tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in nested tuples, lists and dicts, in order.

    >>> [len(x) for x in list_tensors({"scores": torch.zeros(2), "states": (torch.zeros(3), [None, torch.zeros(4)])})]
    [2, 3, 4]
    """
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return [tensor for item in items for tensor in list_tensors(item)]


def list_float_tensors(value: Any) -> list[torch.Tensor]:
    """Return those tensors of `list_tensors` that are of floating-point numbers."""
    return [tensor for tensor in list_tensors(value) if tensor.is_floating_point()]


def are_equal(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> bool:
    """Return whether there are tensors, and as many with the same values in the same order."""
    return bool(first) and len(first) == len(second) and all(map(torch.equal, first, second))
