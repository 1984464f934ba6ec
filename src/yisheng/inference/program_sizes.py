"""The functions on sizes that a saved program may call: arithmetic with numbers, and the items of several results."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

MAX_INTEGER: Final = 2**63 - 1
NUMBERS: Final = (int, float, bool, torch.SymInt, torch.SymFloat, torch.SymBool)


def _compute_size(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes and returns numbers only, of at most 64 bits."""

    @functools.wraps(function)
    def compute(*arguments: Any) -> Any:
        if not all(isinstance(value, NUMBERS) for value in arguments):
            raise TypeError("sizes must be numbers")
        result = function(*arguments)
        if type(result) is int and not -MAX_INTEGER - 1 <= result <= MAX_INTEGER:
            raise ValueError("a size has more than 64 bits")
        return result

    return compute


def _get_item(values: Any, index: Any) -> Any:
    """Return one of several results of an operator."""
    if not isinstance(values, tuple | list) or type(index) is not int:
        raise TypeError("only a result of several values has items")
    return values[index]


SIZE_OPERATORS = (
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_"),
)
_SIZE_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{f"operator.{name}": getattr(operator, name) for name in SIZE_OPERATORS},
    **{f"math.{name}": getattr(math, name) for name in ("ceil", "floor", "trunc")},
    **{
        f"torch.{name}": getattr(torch, name)
        for name in ("sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not", "sym_sum")
        if hasattr(torch, name)
    },
}
"""Functions on sizes, under the names that a program gives them."""
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "operator.getitem": _get_item,
    **{name: _compute_size(function) for name, function in _SIZE_FUNCTIONS.items()},
}
FUNCTION_NAMES: Final[Mapping[Any, str]] = {
    operator.getitem: "operator.getitem",
    **{function: name for name, function in _SIZE_FUNCTIONS.items()},
}
