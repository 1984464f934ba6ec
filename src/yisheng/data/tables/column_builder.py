"""A column that grows chunk by chunk while a file is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from yisheng.data.tables.dates import infer_date_format
from yisheng.data.tables.literals import infer_number_format
from yisheng.data.tables.raw_column import RawColumn, merge_categories

if TYPE_CHECKING:
    import pandas as pd

MAX_UNCHECKED_TEXTS = 100_000
"""Distinct texts of a column that are kept without a check whether they are dates, numbers, or free text."""
_CHECKED_TEXTS = 100


@dataclass
class ColumnBuilder:
    """A column while it is read.

    Args:
        name: name of the column.
        keep: whether its texts are kept, however many there are.
        is_mixed: whether texts followed numbers, or pandas made True of true: the column must be read again, as texts.
        is_free_text: whether there are too many distinct texts: only missing values are marked.
        rows: rows so far.
        numbers: numbers of each chunk.
        codes: codes of each chunk.
        categories: code of each distinct text.
    """

    name: str
    keep: bool = False
    is_mixed: bool = False
    is_free_text: bool = False
    rows: int = 0
    numbers: list[np.ndarray] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)

    def add(self, values: pd.Series) -> None:
        """Append a chunk, or set ``is_mixed`` if it does not go with the earlier ones."""
        earlier_rows, self.rows = self.rows, self.rows + len(values)
        if self.is_mixed:
            return
        if values.dtype.kind == "b":
            self._set_mixed()
        elif values.dtype.kind in "iuf":
            if not self.codes:
                self.numbers.append(values.to_numpy())
            elif values.isna().all():
                self.codes.append(np.full(len(values), -1, np.int32))
            else:
                self._set_mixed()
        elif self.numbers:
            if not all(chunk.dtype.kind == "f" and np.isnan(chunk).all() for chunk in self.numbers):
                self._set_mixed()
                return
            self.numbers, self.codes = [], [np.full(earlier_rows, -1, np.int32)]
            self._add_texts(values)
        else:
            self._add_texts(values)

    def _set_mixed(self) -> None:
        self.is_mixed = True
        self.numbers, self.codes, self.categories = [], [], {}

    def _add_texts(self, values: pd.Series) -> None:
        import pandas as pd

        codes, distinct = pd.factorize(values)
        if any(isinstance(value, bool) for value in distinct[:2]):
            self._set_mixed()
            return
        if self.is_free_text:
            self.codes.append(_mark_missing(codes))
            return
        table = [self.categories.setdefault(str(text), len(self.categories)) for text in distinct]
        self.codes.append(np.array([*table, -1], np.int32)[codes])
        if not self.keep and len(self.categories) > MAX_UNCHECKED_TEXTS and len(self.categories) * 2 > self.rows:
            sample = list(self.categories)[:: len(self.categories) // _CHECKED_TEXTS or 1]
            if infer_date_format(sample) is None and infer_number_format(sample) is None:
                self.is_free_text = True
                self.codes = [_mark_missing(chunk) for chunk in self.codes]
                self.categories = {}

    def build(self, missing_words: Collection[str] | None = None) -> RawColumn:
        """Return the complete column.

        Args:
            missing_words: words that mean a missing value; see `RawColumn.normalize`.
        """
        if self.numbers:
            return RawColumn(self.name, numbers=np.concatenate(self.numbers))
        codes = np.concatenate(self.codes)
        if self.is_free_text:
            return RawColumn(self.name, codes=codes, is_free_text=True)
        return merge_categories(self.name, codes, list(self.categories)).normalize(missing_words)


def _mark_missing(codes: np.ndarray) -> np.ndarray:
    """Return -1 for missing values and 0 for all others."""
    return np.where(codes < 0, -1, 0).astype(np.int32)
