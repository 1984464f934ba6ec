"""Arrays, tensors and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.objects import _arrays
from yisheng.data.objects._items import TARGET_KEYS, input_to_arrays
from yisheng.data.objects._read_map import read_map_style
from yisheng.data.objects._values import Options, Values

INPUT_KEYS = ("x", "inputs", "input", "data", "features")


def _takes(value: Any) -> bool:
    return isinstance(value, tuple | list | Mapping)


@register(takes=_takes)
def arrays(value: Any, options: Options) -> Values:
    """Read ``(x, y)`` or ``{"x": .., "y": ..}`` of arrays, tensors or lists; x may be a tuple or dict of inputs.

    A list of more than two items, each a pair ``(x, y)`` or a dict, is read as a data set of torch with these items.
    """
    if _holds_items(value):
        return read_map_style(value, options, name="list")
    x, y = _read_keys(value) if isinstance(value, Mapping) else _read_pair(value)
    inputs, targets = input_to_arrays(x, "x"), _arrays.to_array(y, "y")
    _arrays.require_rows(inputs, targets, "data=(x, y)")
    return Values("arrays", inputs, targets)


def _holds_items(value: Any) -> bool:
    """Return whether a list holds items as those of a data set: pairs or dicts, rather than inputs and targets."""
    if isinstance(value, Mapping) or len(value) == 2:
        return False
    return bool(value) and all(isinstance(item, Mapping | tuple) for item in value)


def _read_pair(value: Any) -> tuple[Any, Any]:
    if len(value) != 2:
        raise DataError(
            Message("data must be (x, y), got {count} values", count=len(value)),
            Message(
                "give the inputs first and the targets second; several inputs as ((a, b), y); rows to "
                "validate or test on with validation=(x, y) and test=(x, y)",
            ),
        )
    return value[0], value[1]


def _read_keys(value: Mapping[Any, Any]) -> tuple[Any, Any]:
    keys = {str(key).lower(): key for key in value}
    x = next((keys[key] for key in INPUT_KEYS if key in keys), None)
    y = next((keys[key] for key in TARGET_KEYS if key in keys), None)
    if x is None or y is None or len(keys) != 2:
        raise DataError(
            Message("data has the keys {keys}, where x and y are expected", keys=", ".join(map(str, value))),
            Message('give {"x": inputs, "y": targets}; several inputs as {"x": {"a": .., "b": ..}, "y": targets}'),
        )
    return value[x], value[y]
