"""Durations as text."""

from __future__ import annotations

import math

MISSING = "–"


def format_duration(seconds: float) -> str:
    """Return a duration as text for people.

    >>> format_duration(3.21), format_duration(75), format_duration(7260), format_duration(math.nan)
    ('3.2 s', '1 min 15 s', '2 h 1 min', '–')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    total = round(seconds)
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600:,} h {total % 3600 // 60} min"


def format_remaining(seconds: float) -> str:
    """Return an estimate of the remaining time as text, not more exact than it is.

    >>> format_remaining(0.2), format_remaining(75), format_remaining(500), format_remaining(90_000)
    ('about 1 s left', 'about 75 s left', 'about 8 min left', 'about 25 h left')
    """
    if seconds < 100:
        return f"about {max(1, math.ceil(seconds))} s left"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"about {minutes} min left"
    hours = f"{minutes / 60:.1f}" if minutes < 600 else f"{round(minutes / 60):,}"
    return f"about {hours} h left"
