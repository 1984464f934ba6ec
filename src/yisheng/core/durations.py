"""Durations as text."""

from __future__ import annotations

import math

from yisheng.core.messages import Message

MISSING = "–"


def format_duration(seconds: float) -> str:
    """Return a duration as text for people.

    >>> format_duration(3.21), format_duration(75), format_duration(7260), format_duration(math.nan)
    ('3.2 s', '1 min 15 s', '2 h 1 min', '–')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return Message("{seconds} s", seconds=f"{seconds:.1f}")
    total = round(seconds)
    if total < 3600:
        return Message("{minutes} min {seconds} s", minutes=total // 60, seconds=total % 60)
    return Message("{hours} h {minutes} min", hours=f"{total // 3600:,}", minutes=total % 3600 // 60)


def format_budget(seconds: float) -> str:
    """Return a duration as ``budget=`` takes it, in the largest unit of which it is a whole number.

    >>> format_budget(60), format_budget(90), format_budget(7200), format_budget(2.4)
    ('1m', '90s', '2h', '2.4s')
    """
    unit, name = next(((unit, name) for unit, name in ((3600, "h"), (60, "m")) if seconds % unit == 0), (1, "s"))
    return f"{seconds / unit:g}{name}"


def format_remaining(seconds: float, *, is_limit: bool = False) -> str:
    """Return an estimate of the remaining time as text, not more exact than it is.

    Args:
        seconds: the estimate.
        is_limit: whether it may end much earlier.

    >>> format_remaining(0.2), format_remaining(75), format_remaining(500), format_remaining(90_000)
    ('about 1 s left', 'about 75 s left', 'about 8 min left', 'about 25 h left')
    >>> format_remaining(75, is_limit=True), format_remaining(500, is_limit=True)
    ('at most 75 s left', 'at most 8 min left')
    """
    if seconds < 100:
        count = max(1, math.ceil(seconds))
        return (
            Message("at most {seconds} s left", seconds=count)
            if is_limit
            else Message("about {seconds} s left", seconds=count)
        )
    minutes = round(seconds / 60)
    if minutes < 100:
        return (
            Message("at most {minutes} min left", minutes=minutes)
            if is_limit
            else Message("about {minutes} min left", minutes=minutes)
        )
    hours = f"{minutes / 60:.1f}" if minutes < 600 else f"{round(minutes / 60):,}"
    return Message("at most {hours} h left", hours=hours) if is_limit else Message("about {hours} h left", hours=hours)
