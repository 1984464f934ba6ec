"""How frequent a word of a column of texts must be to become a feature.

Two places need the same limits: reading proposes the words of a table, and the transforms, which are fitted on the
training part, keep those of them that are neither rare nor everywhere there.
"""

from __future__ import annotations

WORD_PART = "word:"
"""Beginning of `yisheng.core.columns.Column.text_part` of a feature that says whether a text has a word."""
MIN_FRACTION, MAX_FRACTION = 0.02, 0.98
"""Fractions of the rows that must have a word."""
MIN_ROWS, ENOUGH_ROWS = 5, 50
"""Rows that must have a word in any case; and rows that are enough even if they are fewer than `MIN_FRACTION`."""


def min_word_rows(rows: int) -> float:
    """Return the number of rows that must have a word: 2%, at least 5, and no more than 50.

    >>> min_word_rows(100), min_word_rows(1000), min_word_rows(10**6)
    (5, 20.0, 50)
    """
    return max(MIN_ROWS, min(MIN_FRACTION * rows, ENOUGH_ROWS))
