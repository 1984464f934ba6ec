"""Phrases that the messages of several checks share."""

from __future__ import annotations

from collections.abc import Sequence

from yisheng.core.dataset import Part
from yisheng.core.messages import Message

MAX_NAMES = 5
"""Names in a sentence about rows or columns; the evidence holds more."""
PART_NAMES: dict[Part, str] = {"train": "training", "validation": "validation", "test": "test"}


def describe_shortage(required: int, count: int, noun: str) -> str:
    """Return why a check cannot run: it needs more observations; empty if there are enough.

    >>> describe_shortage(5, 2, "updates"), describe_shortage(5, 6, "updates")
    ('it needs at least 5 updates, got 2', '')
    """
    if count >= required:
        return ""
    return Message("it needs at least {required} {noun}, got {count}", required=required, noun=noun, count=count)


def describe_defect(error: Exception) -> Message:
    """Return why a check could not run that raised an error of its own.

    >>> describe_defect(ZeroDivisionError("division by zero"))
    'it has a defect: ZeroDivisionError: division by zero'
    """
    return Message("it has a defect: {type_name}: {error}", type_name=type(error).__name__, error=error)


def join_names(names: Sequence[str], limit: int = MAX_NAMES) -> str:
    """Return the first names, and the number of the others.

    >>> join_names(["a", "b", "c"], limit=2), join_names(["a", "b"])
    ('a, b and 1 more', 'a, b')
    """
    hidden = len(names) - limit
    text = ", ".join(names[:limit])
    return Message("{names} and {count} more", names=text, count=hidden) if hidden > 0 else text


def format_fraction(value: float) -> str:
    """Return a fraction as a percentage of two digits.

    >>> format_fraction(0.123), format_fraction(0.0004)
    ('12%', '0.04%')
    """
    return f"{value:.0%}" if value >= 0.095 else f"{100 * value:.2g}%"
