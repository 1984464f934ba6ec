"""A column that grows chunk by chunk while a file is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from yisheng.data.tables.dates import infer_date_format
from yisheng.data.tables.literals import infer_number_format
from yisheng.data.tables.mapped_memory import allocate_column
from yisheng.data.tables.raw_column import RawColumn, merge_categories

if TYPE_CHECKING:
    import pandas as pd

MAX_UNCHECKED_TEXTS = 100_000
"""Distinct texts of a column that are kept without a check whether they are dates, numbers, or free text."""
MAX_TEXT_BYTES = 1 << 26
"""Memory up to which the distinct texts of such a column are kept: what they have in common becomes features."""
_CHECKED_TEXTS, _TEXT_OVERHEAD = 100, 100
"""Texts that are looked at, and bytes that a text takes besides its characters."""


@dataclass
class ColumnBuilder:
    """A column while it is read.

    Its values are written into one array of the length that a pass over the file has found: small arrays of all columns
    would leave holes in the memory that no complete column fits in.

    Args:
        name: name of the column.
        keep: whether its texts are kept, however many there are.
        capacity: expected number of rows.
        is_mixed: whether texts followed numbers, or pandas made True of true: the column must be read again, as texts.
        is_free_text: whether there are too many distinct texts: only missing values are marked.
        rows: rows so far.
        categories: code of each distinct text.
    """

    name: str
    keep: bool = False
    capacity: int = 0
    is_mixed: bool = False
    is_free_text: bool = False
    rows: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    _values: np.ndarray | None = None
    _is_text: bool = False

    @property
    def numbers(self) -> np.ndarray | None:
        """Return the numbers so far; None if the column holds texts."""
        return None if self._values is None or self._is_text else self._values[: self.rows]

    def add(self, values: pd.Series) -> None:
        """Append a chunk, or set ``is_mixed`` if it does not go with the earlier ones."""
        if self.is_mixed:
            return
        if values.dtype.kind == "b":
            self._set_mixed()
        elif values.dtype.kind in "iuf":
            self.add_numbers(values.to_numpy())
        else:
            numbers = self.numbers
            if numbers is not None and not (numbers.dtype.kind == "f" and np.isnan(numbers).all()):
                self._set_mixed()
                return
            if not self._is_text:
                self._values, self._is_text = allocate_column(max(self.capacity, self.rows), np.dtype(np.int32)), True
                self._values[: self.rows] = -1
            self._add_texts(values)

    def add_numbers(self, values: np.ndarray) -> None:
        """Append a chunk of numbers; see `add`."""
        if self.is_mixed:
            return
        if not self._is_text:
            self._append(values)
        elif np.isnan(values).all():
            self._append(np.full(len(values), -1, np.int32))
        else:
            self._set_mixed()

    def _append(self, values: np.ndarray) -> None:
        start, self.rows = self.rows, self.rows + len(values)
        earlier = self._values
        dtype = values.dtype if earlier is None else np.result_type(earlier, values)
        if earlier is None or dtype != earlier.dtype or self.rows > len(earlier):
            self._values = allocate_column(max(self.capacity, self.rows), dtype)
            if earlier is not None:
                self._values[:start] = earlier[:start]
        assert self._values is not None
        self._values[start : self.rows] = values

    def _set_mixed(self) -> None:
        self.is_mixed = True
        self._values, self.categories = None, {}

    def _add_texts(self, values: pd.Series) -> None:
        import pandas as pd

        codes, distinct = pd.factorize(values)
        if any(isinstance(value, bool) for value in distinct[:2]):
            self._set_mixed()
            return
        if self.is_free_text:
            self._append(_mark_missing(codes))
            return
        table = [self.categories.setdefault(str(text), len(self.categories)) for text in distinct]
        self._append(np.array([*table, -1], np.int32)[codes])
        if not self.keep and len(self.categories) > MAX_UNCHECKED_TEXTS and len(self.categories) * 2 > self.rows:
            sample = list(self.categories)[:: len(self.categories) // _CHECKED_TEXTS or 1]
            text_bytes = sum(map(len, sample)) / len(sample) + _TEXT_OVERHEAD
            if text_bytes * len(self.categories) < MAX_TEXT_BYTES:
                return
            if infer_date_format(sample) is None and infer_number_format(sample) is None:
                assert self._values is not None
                self.is_free_text, self.categories, self._values = True, {}, _mark_missing(self._values)

    def build(self, missing_words: Collection[str] | None = None) -> RawColumn:
        """Return the complete column.

        Args:
            missing_words: words that mean a missing value; see `RawColumn.normalize`.
        """
        assert self._values is not None
        values = self._values[: self.rows]
        if not self._is_text:
            return RawColumn(self.name, numbers=values)
        if self.is_free_text:
            return RawColumn(self.name, codes=values, is_free_text=True)
        return merge_categories(self.name, values, list(self.categories)).normalize(missing_words)


def _mark_missing(codes: np.ndarray) -> np.ndarray:
    """Return -1 for missing values and 0 for all others."""
    return np.where(codes < 0, -1, 0).astype(np.int32)
