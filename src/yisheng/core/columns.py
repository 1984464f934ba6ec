"""Columns of a table as a network gets them, and how its file was read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ColumnKind = Literal["number", "category", "yes/no", "date", "text", "identifier", "constant"]


@dataclass(frozen=True)
class Column:
    """One input column of a network, and how to read it from a table.

    Args:
        name: name of the feature.
        kind: number, category or yes/no; columns of the other kinds never reach a network.
        categories: names of the categories, by number; for a yes/no column the words for 0 and for 1.
        source: header of the column in the file; empty for data from arrays, where prediction accepts only finite
            numbers.
        date_part: the part of a date that the column holds (``year``, ``weekday``, ...); empty for other columns.
        format: how the file writes numbers or dates (``.$``, ``%d/%m/%Y``); empty for plain numbers.
        missing_words: words that mean a missing value in this column, in addition to the usual ones.
        bins: for a scaled number: ascending bin edges; each bin holds about the same number of rows.
        double: whether single precision is too coarse for its values, so that they are scaled in double precision.
        text_part: what the column holds of a text (``length``, ``words``, ``beginning``, ``number``, ``ending``, or
            ``word:mr`` for whether it has the word mr); empty for other columns.
        value_range: smallest and largest finite number of the training table; empty if they are not known, and for
            parts of dates.

    >>> Column("city", kind="category", categories=("Bern", "Zug"), source="City").categories
    ('Bern', 'Zug')
    """

    name: str
    kind: ColumnKind = "number"
    categories: tuple[str, ...] = ()
    # These fields say how to read a file again. The data's fingerprint is computed from repr, so they are not in it.
    source: str = field(default="", repr=False)
    date_part: str = field(default="", repr=False)
    format: str = field(default="", repr=False)
    missing_words: tuple[str, ...] = field(default=(), repr=False)
    bins: tuple[float, ...] = field(default=(), repr=False)
    double: bool = field(default=False, repr=False)
    text_part: str = field(default="", repr=False)
    # Runs from before this field are resumed, so it takes no part in comparisons.
    value_range: tuple[float, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Reading:
    """How the text file of a table was read, as far as a later file does not show it by itself.

    Args:
        encoding: its encoding; empty for UTF-8 and for data that was no text.
        separator: the character between values if the user gave it.
        names: the names of its columns in the order of the file if it has no header and the user gave them.
        missing: words that the user called missing values.
    """

    encoding: str = ""
    separator: str = ""
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
