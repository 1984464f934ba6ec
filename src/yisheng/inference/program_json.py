"""The arguments of a saved program's operators as JSON, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from yisheng.inference.program_operators import Device
from yisheng.inference.program_sizes import MAX_INTEGER

DTYPES: Final[Mapping[str, torch.dtype]] = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}
MEMORY_FORMATS: Final[Mapping[str, torch.memory_format]] = {
    str(memory_format).removeprefix("torch."): memory_format
    for memory_format in (
        torch.contiguous_format,
        torch.preserve_format,
        torch.channels_last,
        torch.channels_last_3d,
    )
}
FLOATS: Final[Mapping[str, float]] = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
"""Floats that JSON does not have."""
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 4096


@dataclass(frozen=True)
class Reference:
    """The result of an earlier node, by its number."""

    index: int


DEVICE: Final = Device()


def encode_argument(value: Any, name_node: Callable[[Any], str | None]) -> Any:
    """Return an argument as plain data for JSON.

    Args:
        value: of a node of a graph.
        name_node: returns the name of a node, or None if the value is none.

    Raises:
        ValueError: it is of a type that a program does not hold.

    >>> encode_argument([1, 2.0, math.inf, torch.int64], lambda value: None)
    [1, 2.0, {'float': 'inf'}, {'dtype': 'int64'}]
    """
    name = name_node(value)
    if name is not None:
        return {"node": name}
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) is int and -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, complex):
        return {"complex": [encode_argument(part, name_node) for part in (value.real, value.imag)]}
    if isinstance(value, torch.device):
        return {"device": "input"}
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        kind = type(value).__name__
        text = str(value).removeprefix("torch.")
        if text in {"dtype": DTYPES, "memory_format": MEMORY_FORMATS, "layout": {"strided": None}}[kind]:
            return {kind: text}
    if isinstance(value, list | tuple):
        return [encode_argument(item, name_node) for item in value]
    raise ValueError(f"an argument is {value!r}"[:200])


def decode_argument(plain: Any, number_node: Callable[[str], int], depth: int = 0) -> Any:
    """Return an argument that `encode_argument` wrote, with a `Reference` for each node, and `DEVICE` for a device.

    Args:
        plain: data of a JSON file that nobody has checked.
        number_node: returns the number of an earlier node, or raises a KeyError.
        depth: number of lists around it.

    Raises:
        ValueError: it is not what `encode_argument` writes.
        KeyError: it refers to a node that does not exist or comes later.

    >>> decode_argument([1, {"float": "-inf"}, {"node": "relu"}], {"relu": 3}.__getitem__)
    [1, -inf, Reference(index=3)]
    """
    if depth > MAX_DEPTH:
        raise ValueError("lists are nested too deeply")
    if plain is None or isinstance(plain, bool) or (isinstance(plain, float) and math.isfinite(plain)):
        return plain
    if isinstance(plain, int) and -MAX_INTEGER - 1 <= plain <= MAX_INTEGER:
        return plain
    if isinstance(plain, str) and len(plain) <= MAX_TEXT:
        return plain
    if isinstance(plain, list):
        return [decode_argument(item, number_node, depth + 1) for item in plain]
    if isinstance(plain, dict) and len(plain) == 1:
        kind, value = next(iter(plain.items()))
        if kind == "complex" and isinstance(value, list) and len(value) == 2:
            parts = [decode_argument(part, number_node, depth + 1) for part in value]
            if all(isinstance(part, float) for part in parts):
                return complex(*parts)
        if isinstance(value, str):
            return _decode_name(kind, value, number_node)
    raise ValueError(f"{plain!r} is not an argument"[:200])


def _decode_name(kind: str, value: str, number_node: Callable[[str], int]) -> Any:
    if kind == "node":
        return Reference(number_node(value))
    if kind == "device" and value == "input":
        return DEVICE
    if kind == "layout" and value == "strided":
        return torch.strided
    tables: Mapping[str, Mapping[str, Any]] = {"float": FLOATS, "dtype": DTYPES, "memory_format": MEMORY_FORMATS}
    if value not in tables.get(kind, {}):
        raise ValueError(f"{value[:100]!r} is not a {kind[:100]}")
    return tables[kind][value]


def flatten_structure(value: Any, leaves: list[torch.Tensor]) -> Any:
    """Return nested tuples, lists and dicts as plain data, with ``{"tensor": number}`` for tensors; collect them.

    Raises:
        ValueError: there is another object among them.

    >>> leaves = []
    >>> flatten_structure((torch.zeros(1), {"a": 2.5}), leaves), len(leaves)
    ({'tuple': [{'tensor': 0}, {'dict': {'a': 2.5}}]}, 1)
    """
    if isinstance(value, torch.Tensor):
        leaves.append(value)
        return {"tensor": len(leaves) - 1}
    if type(value) in (tuple, list):
        return {type(value).__name__: [flatten_structure(item, leaves) for item in value]}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        items = {key: flatten_structure(value[key], leaves) for key in sorted(value)}
        return {"dict": {key: items[key] for key in value}}
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"a {type(value).__name__}")


def fill_structure(structure: Any, leaves: list[torch.Tensor] | tuple[torch.Tensor, ...], depth: int = 0) -> Any:
    """Return the objects that `flatten_structure` read.

    Args:
        structure: its result; from a JSON file, not checked.
        leaves: the tensors.
        depth: number of objects around it.

    Raises:
        ValueError: the structure is not such a result.
    """
    if depth > MAX_DEPTH:
        raise ValueError("objects are nested too deeply")
    if structure is None or isinstance(structure, bool | int | float | str):
        return structure
    if isinstance(structure, dict) and len(structure) == 1:
        kind, value = next(iter(structure.items()))
        if kind == "tensor" and type(value) is int and 0 <= value < len(leaves):
            return leaves[value]
        if kind in ("tuple", "list") and isinstance(value, list):
            items = [fill_structure(item, leaves, depth + 1) for item in value]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict" and isinstance(value, dict):
            return {key: fill_structure(item, leaves, depth + 1) for key, item in value.items()}
    raise ValueError(f"{structure!r} does not describe an object"[:200])
