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


def format_fact(value: object) -> str:
    """Return a fact about the machine or a run, of nested plain data, in one line.

    >>> format_fact({"total": 8, "gpus": []}), format_fact(None)
    ('total 8, gpus none', 'unknown')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_fact(v)}" for key, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
