"""One value of a setting: text from the shell read as what is wanted, and checked."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError

from yisheng.core.errors import UsageError


def validated(key: str, kind: Any, value: Any) -> Any:
    """``value`` as ``kind``; text from the shell is read as what is wanted (``64,32`` as a list).

    Args:
        key: what it is called, for the error.
        kind: a type with its checks, as in an annotation.
        value: what was given.

    Raises:
        UsageError: the value is not allowed.

    >>> validated("hidden", tuple[int, ...], "64,32")
    (64, 32)
    """
    if isinstance(value, bool) and not _allows_bool(kind):
        raise UsageError(f"{key} must be a number or a word, got {str(value).lower()}", f"give {key} such a value")
    if isinstance(value, str):
        if value.strip().lower() in ("none", "null", "") and type(None) in typing.get_args(kind):
            return None
        if _is_sequence(kind) and value not in _words(kind):
            value = [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        if key == "fold":
            raise UsageError(
                f"fold must be written like 2/5, got {value!r}", "fold=2/5 is the second of five folds"
            ) from None
        reasons = sorted(
            {e["msg"].removeprefix("Input should be ").removeprefix("Value error, ") for e in error.errors()}
        )
        raise UsageError(f"{key} must be {' or '.join(reasons)}; got {value!r}", f"give {key} such a value") from None


def _is_sequence(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _is_sequence(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_sequence, typing.get_args(kind)))
    return origin in (tuple, list)


def _allows_bool(kind: Any) -> bool:
    return kind is bool or kind is Any or any(map(_allows_bool, typing.get_args(kind)))


def _words(kind: Any) -> set[str]:
    """The literal words that a type allows."""
    if typing.get_origin(kind) is Literal:
        return {word for word in typing.get_args(kind) if isinstance(word, str)}
    return set().union(*map(_words, typing.get_args(kind)))
