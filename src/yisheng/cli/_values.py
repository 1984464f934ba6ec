"""Values and facts as text."""

from __future__ import annotations


def format_value(value: object) -> str:
    """Return a value of a config as it is written on the command line.

    >>> format_value((64, 32)), format_value(True), format_value(None)
    ('64,32', 'true', 'none')
    """
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)
