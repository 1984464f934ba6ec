"""Which array of a file holds the inputs, the targets and the names of the classes, and of which part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.data.arrays.stored_array import StoredArray

INPUT_WORDS = frozenset(
    ("x", "image", "images", "img", "imgs", "data", "input", "inputs", "feature", "features", "pixels")
)
TARGET_WORDS = frozenset(("y", "label", "labels", "target", "targets"))
CLASS_WORDS = frozenset(("classes", "names", "categories"))
PART_WORDS = {"train": "train", "training": "train", "test": "test", "testing": "test", "t10k": "test"}
PART_WORDS |= dict.fromkeys(("val", "valid", "validation", "dev"), "validation")
PARTS = ("train", "validation", "test")
KEYS = (*(f"{role}{suffix}" for suffix in ("", "_validation", "_test") for role in "xy"), "classes")
"""Roles that the user may name an array for, with ``keys=``."""


@dataclass(frozen=True)
class ArrayRoles:
    """The names of the arrays by their roles.

    Args:
        x: names of the inputs by part.
        y: names of the targets by part.
        classes: name of the array of class names, or empty.
    """

    x: dict[str, str] = field(default_factory=dict)
    y: dict[str, str] = field(default_factory=dict)
    classes: str = ""


def parse_keys(keys: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return the names of arrays by role, from a mapping or from texts like ``x:train_set_x``.

    Raises:
        UsageError: a text is not of this form, or there is no such role.

    >>> parse_keys(["x:train_set_x", "y:train_set_y"])
    {'x': 'train_set_x', 'y': 'train_set_y'}
    """
    pairs = keys.items() if isinstance(keys, Mapping) else [tuple(text.partition(":")[::2]) for text in keys]
    parsed = {}
    for pair in pairs:
        role, name = (str(part).strip() for part in pair)
        if role not in KEYS or not name:
            problem = Message(
                "keys= must be ROLE:NAME with a role of {roles}, got {role}:{name}",
                roles=", ".join(KEYS),
                role=role,
                name=name,
            )
            raise UsageError(problem, suggest(role, KEYS))
        parsed[role] = name
    return parsed


def find_roles(source_name: str, arrays: Mapping[str, StoredArray], keys: Mapping[str, str]) -> ArrayRoles:
    """Return the roles of the arrays: as the user names them, else by their names, else by their shapes.

    Args:
        source_name: the file, for an error.
        arrays: its arrays.
        keys: names by role, from the user.

    Raises:
        UsageError: a named array does not exist.
        DataError: no array, or several, may hold the inputs.
    """
    for role, name in keys.items():
        if name not in arrays:
            raise UsageError(
                Message(
                    "keys={role}:{name}: {source_name} has no such array", role=role, name=name, source_name=source_name
                ),
                suggest(name, list(arrays)),
            )
    roles = ArrayRoles(classes=keys.get("classes", ""))
    for role, name in keys.items():
        letter, _, part = role.partition("_")
        if letter in ("x", "y"):
            getattr(roles, letter)[part or "train"] = name
    if "x" in keys:
        return roles
    detected = _find_by_name(source_name, arrays)
    if not detected.x:
        detected = _find_by_shape(arrays)
    if not detected.x:
        raise DataError(
            Message(
                "{source_name} holds no array of inputs: it holds {arrays}",
                source_name=source_name,
                arrays=list_arrays(arrays),
            ),
            _how_to_name(arrays),
        )
    return ArrayRoles({**detected.x, **roles.x}, {**detected.y, **roles.y}, roles.classes or detected.classes)


def list_arrays(arrays: Mapping[str, StoredArray]) -> str:
    """Return names, shapes and types of arrays, for people."""
    listed = [f"{name} ({array})" for name, array in arrays.items()]
    if len(listed) > 10:
        return Message("{names} and {count} more", names=", ".join(listed[:10]), count=len(listed) - 10)
    return ", ".join(listed) or Message("none")


def split_words(name: str) -> list[str]:
    """Return the words of an array's name in small letters.

    >>> split_words("train_set_x"), split_words("trainImages"), split_words("group/X")
    (['train', 'set', 'x'], ['train', 'images'], ['group', 'x'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def _find_by_name(source_name: str, arrays: Mapping[str, StoredArray]) -> ArrayRoles:
    roles = ArrayRoles()
    classes = ""
    for name, array in arrays.items():
        words = split_words(name)
        part = next((PART_WORDS[word] for word in words if word in PART_WORDS), "train")
        if array.is_text and CLASS_WORDS & set(words) and len(array.shape) == 1:
            classes = classes or name
            continue
        kind = _kind_of(words)
        if kind is None:
            continue
        by_part = roles.x if kind == "x" else roles.y
        if part in by_part:
            values = {"source_name": source_name, "first": by_part[part], "second": name}
            problem = Message("{source_name} has two arrays that may be the inputs: {first} and {second}", **values)
            if kind == "y":
                problem = Message(
                    "{source_name} has two arrays that may be the targets: {first} and {second}", **values
                )
            raise DataError(
                problem,
                _how_to_name(arrays),
            )
        by_part[part] = name
    return ArrayRoles(roles.x, roles.y, classes)


def _kind_of(words: Sequence[str]) -> str | None:
    """Return x or y by the last word that says it."""
    for word in reversed(words):
        if word in TARGET_WORDS:
            return "y"
        if word in INPUT_WORDS:
            return "x"
    return None


def _find_by_shape(arrays: Mapping[str, StoredArray]) -> ArrayRoles:
    """Return the only array of two axes or more as inputs, and the only other one of as many rows as targets."""
    candidates = [name for name, array in arrays.items() if len(array.shape) > 1 and not array.is_text]
    if len(arrays) == 1 and not candidates:
        candidates = list(arrays)
    if len(candidates) != 1:
        return _find_numbered(arrays)
    shape = arrays[candidates[0]].shape
    rows = {shape[0], shape[-1]}  # MATLAB puts the images last
    targets = [name for name, array in arrays.items() if name != candidates[0] and set(array.shape[:1]) & rows]
    return ArrayRoles({"train": candidates[0]}, {"train": targets[0]} if len(targets) == 1 else {})


def _find_numbered(arrays: Mapping[str, StoredArray]) -> ArrayRoles:
    """Return the roles of ``numpy.savez(path, x, y)``, which names arrays by their positions."""
    if set(arrays) != {"arr_0", "arr_1"}:
        return ArrayRoles()
    return ArrayRoles({"train": "arr_0"}, {"train": "arr_1"})


def _how_to_name(arrays: Mapping[str, StoredArray]) -> str:
    names = list(arrays)
    return (
        Message("name them, as in keys=x:{x},y:{y}", x=names[0], y=names[-1])
        if names
        else Message("save x and y in it")
    )
