"""Items of a data set that was written for torch: which part is the input, which the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.data.objects import _arrays
from yisheng.data.objects._values import Arrays, Options

TARGET_KEYS = ("target", "targets", "label", "labels", "class", "y", "outcome", "response", "fine_label")
"""Keys by which a target is recognized that the user does not name."""
ROLES = ("x", "y", "sample_weight", "-")
"""What a position of an item can be; ``-`` is left out."""


@dataclass(frozen=True)
class ItemRule:
    """Which parts of an item are inputs, target and weight.

    Args:
        x: keys or positions of the inputs.
        y: key or position of the target.
        weight: key or position of the sample's weight, or None.
        single: whether the first of ``x`` is the only input, which may be a tuple or dict itself.
        left_out: keys that are not used.
    """

    x: tuple[Any, ...]
    y: Any
    weight: Any = None
    single: bool = True
    left_out: tuple[str, ...] = ()

    def read_input(self, item: Any) -> Any:
        """Return the input of an item: a value, or a tuple or dict of values."""
        if self.single:
            return item[self.x[0]]
        if isinstance(item, Mapping):
            return {key: item[key] for key in self.x}
        return tuple(item[key] for key in self.x)

    def to_arrays(self, item: Any, name: str) -> tuple[Arrays, np.ndarray, np.ndarray | None]:
        """Return input, target and weight of one item as arrays.

        Args:
            item: the item.
            name: of the item, for messages.

        Raises:
            DataError: the item has another form than the first one, or a value is not an array.
        """
        try:
            x, y = self.read_input(item), item[self.y]
            weight = None if self.weight is None else item[self.weight]
        except (KeyError, IndexError, TypeError):
            raise DataError(
                Message("{name} is {item}, not an item as the first one", name=name, item=describe_item(item)),
                Message("return the same form for every row"),
            ) from None
        is_plain = isinstance(y, str | int | float | bool) or (isinstance(y, list) and y and isinstance(y[0], str))
        target = np.asarray(y) if is_plain else _arrays.to_array(y, Message("the target of {name}", name=name))
        return (
            input_to_arrays(x, Message("the input of {name}", name=name)),
            target,
            None
            if weight is None
            else np.asarray(_arrays.to_array(weight, Message("the weight of {name}", name=name)), np.float32),
        )


def input_to_arrays(x: Any, name: str) -> Arrays:
    """Return an input as one array, or as a tuple or dict of arrays."""
    if isinstance(x, Mapping):
        return {str(key): _to_array(value, f"{name} at {key}") for key, value in x.items()}
    if isinstance(x, tuple):
        return tuple(_to_array(value, f"{name} at {index}") for index, value in enumerate(x))
    return _to_array(x, name)


def _to_array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, str | bytes):
        raise DataError(
            Message("{name} is text ({value})", name=name, value=f"{value[:30]!r}"),
            Message("return numbers: the ids of tokens, or the columns of a DataFrame with target="),
        )
    return _arrays.to_array(value, name)


def find_rule(item: Any, options: Options, name: str) -> ItemRule:
    """Return which parts of an item are what, by the user's options or by the usual forms.

    Args:
        item: the first item.
        options: ``items`` for positions; ``target``, ``columns`` and ``sample_weight`` for keys.
        name: of the data set, for messages.

    Raises:
        DataError: the form of the item does not tell.
        UsageError: an option names a key that the item does not have.

    >>> find_rule((1.0, 2), Options(), "data").y
    1
    """
    if isinstance(item, Mapping):
        return _find_key_rule(item, options, name)
    if isinstance(item, tuple | list):
        return _find_position_rule(item, options, name)
    raise DataError(
        Message("an item of {name} is {item}: it has no target", name=name, item=describe_item(item)),
        Message("return (x, y) from __getitem__, or a dict with the key label"),
    )


def _find_position_rule(item: Sequence[Any], options: Options, name: str) -> ItemRule:
    if options.target or options.columns:
        raise UsageError(
            Message(
                "target= and columns= name keys of dicts, but an item of {name} is {item}",
                name=name,
                item=describe_item(item),
            ),
            Message("name its positions, as in items=x,y,sample_weight"),
        )
    roles = options.items or ("x", "y")
    if len(roles) != len(item):
        example = ",".join(("x", "y", "sample_weight", *["-"] * len(item))[: len(item)])
        raise DataError(
            Message(
                "an item of {name} is {item}, where {roles} is expected",
                name=name,
                item=describe_item(item),
                roles=",".join(roles),
            ),
            Message(
                "return (x, y), or say what the positions are, as in items={example}; several inputs are "
                "returned as ((a, b), y)",
                example=example or "x,y",
            ),
        )
    unknown = [role for role in roles if role not in ROLES]
    if unknown or roles.count("y") != 1 or "x" not in roles:
        raise UsageError(
            Message(
                "items={roles} must name one y, at least one x, and may name a sample_weight", roles=",".join(roles)
            ),
            suggest(unknown[0], ROLES) if unknown else Message("use items=x,y"),
        )
    inputs = tuple(position for position, role in enumerate(roles) if role == "x")
    weight = roles.index("sample_weight") if "sample_weight" in roles else None
    return ItemRule(inputs, roles.index("y"), weight, single=len(inputs) == 1)


def _find_key_rule(item: Mapping[Any, Any], options: Options, name: str) -> ItemRule:
    keys = [str(key) for key in item]
    target = _find_target(keys, options, name)
    weight = options.sample_weight if isinstance(options.sample_weight, str) else None
    for option, key in (("sample_weight", weight), *(("columns", key) for key in options.columns)):
        if key is not None and key not in keys:
            raise UsageError(
                Message("{option}={key}: an item of {name} has no such key", option=option, key=key, name=name),
                suggest(key, keys),
            )
    candidates = options.columns or tuple(key for key in keys if key not in (target, weight))
    texts = () if options.columns else tuple(key for key in candidates if isinstance(item[key], str | bytes | None))
    inputs = tuple(key for key in candidates if key not in texts)
    if not inputs:
        raise DataError(
            Message(
                "an item of {name} has the keys {keys}, and no input other than text", name=name, keys=", ".join(keys)
            ),
            Message("turn text into the ids of tokens first, or name the inputs with columns="),
        )
    return ItemRule(inputs, target, weight, single=len(inputs) == 1, left_out=texts)


def _find_target(keys: Sequence[str], options: Options, name: str) -> str:
    if options.target:
        if len(options.target) > 1 or options.target[0] not in keys:
            named = ",".join(options.target)
            raise UsageError(
                Message("target={named}: an item of {name} has no such key", named=named, name=name),
                suggest(options.target[0], keys),
            )
        return options.target[0]
    candidates = [key for key in keys if key.lower() in TARGET_KEYS]
    if len(candidates) != 1:
        raise UsageError(
            Message(
                "an item of {name} has the keys {keys}: which one is the target is not clear",
                name=name,
                keys=", ".join(keys),
            ),
            Message("name it, as in target={key}", key=(candidates or list(keys))[-1]),
        )
    return candidates[0]


def describe_item(item: Any) -> str:
    """Return the form of an item, for messages.

    >>> describe_item((1.0, "a"))
    'a tuple of 2 (float, str)'
    """
    if isinstance(item, Mapping):
        return Message("a dict with the keys {keys}", keys=", ".join(map(str, item)))
    if isinstance(item, tuple | list):
        return Message(
            "a {type_name} of {count} ({types})",
            type_name=type(item).__name__,
            count=len(item),
            types=", ".join(type(value).__name__ for value in item),
        )
    return Message("a {type_name}", type_name=type(item).__name__)
