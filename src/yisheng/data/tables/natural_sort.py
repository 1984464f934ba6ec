"""Texts in the order in which people sort them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any


def sorted_for_people(texts: Iterable[str]) -> list[str]:
    """Numbers by size, then words by letter whatever their case; 10 stands behind 9 inside a word, too.

    >>> sorted_for_people(["b10", "b9", "A", "10", "9.5", "a"])
    ['9.5', '10', 'A', 'a', 'b9', 'b10']
    """
    return sorted(texts, key=_key)


def _key(text: str) -> tuple[Any, ...]:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isnan(number):
        return (0, number, text)
    pieces = re.split(r"([0-9]+)", text.casefold())  # letters and digits in turn: like is compared with like
    for place in range(1, len(pieces), 2):
        digits = pieces[place].lstrip("0")
        pieces[place] = (len(digits), digits)  # by size, however long the number is
    return (1, pieces, text)
