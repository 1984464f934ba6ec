"""Natural sorting: 10 comes after 9, in names and in values.

Python sorts texts by code point. The package natsort would do it, but is not a dependency for two keys of a few lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any


def natural_key(name: str) -> tuple[object, ...]:
    """Return a sort key for names, by which 10 comes after 9.

    >>> sorted(["class 10", "class 9", "Class 1"], key=natural_key)
    ['Class 1', 'class 9', 'class 10']
    """
    pieces = re.split(r"([0-9]+)", name)
    return tuple(int(piece) if n % 2 else piece.casefold() for n, piece in enumerate(pieces)), name


def sort_naturally(texts: Iterable[str]) -> list[str]:
    """Return the texts of a column sorted: numbers by size, then words by letter, whatever their case.

    Digits inside a word count as a number, too.

    >>> sort_naturally(["b10", "b9", "A", "10", "9.5", "a"])
    ['9.5', '10', 'A', 'a', 'b9', 'b10']
    """
    return sorted(texts, key=_value_key)


def _value_key(text: str) -> tuple[Any, ...]:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isnan(number):
        return (0, number, text)
    pieces = re.split(r"([0-9]+)", text.casefold())  # letters and digits alternate, so equal types are compared
    for index in range(1, len(pieces), 2):
        digits = pieces[index].lstrip("0")
        pieces[index] = (len(digits), digits)  # int() refuses numbers of more than 4300 digits
    return (1, pieces, text)
