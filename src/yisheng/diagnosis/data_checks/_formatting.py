"""How findings about rows are put into words."""

from __future__ import annotations

from collections.abc import Sequence

from yisheng.core.types import Part

SHOWN = 5
"""Names in a sentence; evidence holds more."""
CALLED: dict[Part, str] = {"train": "training", "validation": "validation", "test": "test"}


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b"]), listed(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def share(value: float) -> str:
    """A share in words.

    >>> share(0.123), share(0.0004)
    ('12%', '0.04%')
    """
    return f"{value:.0%}" if value >= 0.095 else f"{100 * value:.2g}%"
