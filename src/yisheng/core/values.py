"""Values of settings: text from the shell converted to the type of its key, and checked."""

from __future__ import annotations

import functools
import numbers
import re
import types
import typing
from typing import Annotated, Any, Literal

from yisheng.core.errors import UsageError, show_value
from yisheng.core.messages import Message
from yisheng.core.validation_texts import describe_rule


def validate_value(key: str, annotation: Any, value: Any) -> Any:
    """Return a value as the type of an annotation; text may hold a list (``64,32``), and a number may stand for one.

    Args:
        key: what the value is called, for the error.
        annotation: a type with its checks.
        value: the value, or the text of it.

    Raises:
        UsageError: the value is not allowed.

    >>> validate_value("hidden", tuple[int, ...], "64,32")
    (64, 32)
    >>> validate_value("hidden", tuple[int, ...], 64)
    (64,)
    >>> validate_value("dropout", float | tuple[float, ...], "0.5")
    0.5
    >>> validate_value("candidates", tuple[Literal["linear", "boosting"], ...], "linear")
    ('linear',)
    """
    from pydantic import TypeAdapter, ValidationError  # slow to import; the registry does not need it

    if isinstance(value, bool) and not _allows_bool(annotation):
        raise UsageError(
            Message("{key} must be a number or a word, got {lower}", key=key, lower=str(value).lower()),
            Message("give {key} such a value", key=key),
        )
    if isinstance(value, str):
        if value.strip().lower() in ("none", "null", "") and type(None) in typing.get_args(annotation):
            return None
        is_list = _is_sequence(annotation) and value not in _literals(annotation)
        if is_list and not (_allows_number(annotation) and re.fullmatch(r"[^\[(,]*", value)):
            value = [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    elif isinstance(value, numbers.Real) and takes_lists_of_numbers(annotation) and not _allows_number(annotation):
        value = (value,)
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        if key == "fold":
            raise UsageError(
                Message("fold must be written like 2/5, got {value}", value=show_value(value)),
                Message("fold=2/5 is the second of five folds"),
            ) from None
        rules = sorted({describe_rule(details) for details in error.errors()})
        reasons = functools.reduce(lambda first, last: Message("{first} or {last}", first=first, last=last), rules)
        raise UsageError(
            Message("{key} must be {reasons}; got {value}", key=key, reasons=reasons, value=show_value(value)),
            Message("give {key} such a value", key=key),
        ) from None


def _is_sequence(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _is_sequence(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_sequence, typing.get_args(annotation)))
    return origin in (tuple, list)


def takes_lists_of_numbers(annotation: Any) -> bool:
    """Return whether a type allows a list of numbers of any length, in whose place one number means a list of it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return takes_lists_of_numbers(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(takes_lists_of_numbers, arguments))
    return origin is tuple and arguments[1:] == (...,) and _allows_number(arguments[0])


def _allows_number(annotation: Any) -> bool:
    """Return whether a type allows a single number next to a list of them."""
    if typing.get_origin(annotation) is Annotated:
        return _allows_number(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(map(_allows_number, typing.get_args(annotation)))
    return annotation in (int, float)


def _allows_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(map(_allows_bool, typing.get_args(annotation)))


def _literals(annotation: Any) -> set[str]:
    """Return the literal words that a type allows in place of a list; those within a list are none of them."""
    if typing.get_origin(annotation) in (tuple, list):
        return set()
    if typing.get_origin(annotation) is Literal:
        return {word for word in typing.get_args(annotation) if isinstance(word, str)}
    return set().union(*map(_literals, typing.get_args(annotation)))
