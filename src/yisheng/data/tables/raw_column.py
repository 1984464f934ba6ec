"""Columns as they were read: numbers, or texts with a code each. What a column means is inferred later."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.data.tables.literals import MAX_EXACT, MISSING_WORDS, is_number
from yisheng.data.tables.unicode_forms import choose_spellings, normalize_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RawColumn:
    """One column of a table as it was read, either as numbers or as texts.

    Texts are stored as by a pandas Categorical: each distinct text once, and its code in every row.

    Args:
        name: name of the column.
        numbers: int64, uint64 or float64 ``(N,)``, NaN where missing; None for texts.
        codes: int32 ``(N,)``, position of each row's text in ``categories``, -1 where missing; None for numbers.
        categories: the distinct texts, in any order.
        ordered: whether the order of the categories has a meaning and is kept.
        is_free_text: whether there were too many distinct texts to keep: ``codes`` then only marks missing values.
        is_date: whether the texts are dates of Python or pandas in ISO 8601, whatever form the file of training has.
        number_format: how the other columns of the file write numbers, for texts that leave it open; see
            `yisheng.data.tables.literals.infer_number_format`.
    """

    name: str
    numbers: np.ndarray | None = None
    codes: np.ndarray | None = None
    categories: tuple[str, ...] = ()
    ordered: bool = False
    is_free_text: bool = False
    is_date: bool = False
    number_format: str = ""

    def __len__(self) -> int:
        return len(self._values)

    @property
    def _values(self) -> np.ndarray:
        values = self.codes if self.numbers is None else self.numbers
        assert values is not None
        return values

    @property
    def missing(self) -> np.ndarray:
        """Return the mask of rows without a value, bool ``(N,)``."""
        if self.numbers is None:
            return self._values < 0
        return np.isnan(self.numbers) if self.numbers.dtype.kind == "f" else np.zeros(len(self), bool)

    @property
    def present_numbers(self) -> np.ndarray:
        """Return the numbers of the rows that have one; not a copy if all of them do."""
        assert self.numbers is not None
        missing = self.missing
        return self.numbers[~missing] if missing.any() else self.numbers

    def take(self, rows: np.ndarray) -> RawColumn:
        """Return some of the rows; categories are kept even if none of these rows has them."""
        if self.numbers is not None:
            return replace(self, numbers=self.numbers[rows])
        return replace(self, codes=self._values[rows])

    def as_text(self) -> RawColumn:
        """Return the column as texts; numbers are written without needless decimals, 3 rather than 3.0.

        >>> RawColumn("a", numbers=np.array([2.0, 1.5, np.nan])).as_text().categories
        ('1.5', '2')
        """
        if self.numbers is None:
            return self
        present = ~self.missing
        distinct, present_codes = np.unique(self.numbers[present], return_inverse=True)
        codes = np.full(len(self), -1, np.int32)
        codes[present] = present_codes
        categories = tuple(map(format_number, distinct.tolist()))
        return RawColumn(self.name, codes=codes, categories=categories, number_format=self.number_format)

    def parse_numbers(self, parse: Callable[[str], float]) -> tuple[np.ndarray, list[int]]:
        """Return texts as numbers.

        Args:
            parse: function from text to number that raises ValueError, see `make_number_parser`.

        Returns:
            float64 ``(N,)``, NaN where missing or not a number; and the codes of the texts that are not numbers.
        """
        table = np.full(len(self.categories) + 1, np.nan)  # the last entry is for code -1
        rejected = []
        for code, text in enumerate(self.categories):
            try:
                table[code] = parse(text)
            except ValueError:
                rejected.append(code)
        numbers: np.ndarray = table[self._values]
        return numbers, rejected

    def normalize(self, missing_words: Collection[str] | None = None) -> RawColumn:
        """Strip the texts, merge those that look alike, drop words for missing values and unused categories.

        Args:
            missing_words: the words; those of `yisheng.data.tables.literals` by default.
        """
        if self.numbers is not None or self.is_free_text:
            return self
        used = np.zeros(len(self.categories) + 1, bool)
        used[self._values] = True  # the last entry is for code -1
        words = MISSING_WORDS if missing_words is None else missing_words
        spellings = choose_spellings(text for code, text in enumerate(self.categories) if used[code])
        new_code: dict[str, int] = {}
        table = np.full(len(self.categories) + 1, -1, np.int32)
        for code, category in enumerate(self.categories):
            key = normalize_text(category)
            if used[code] and key and key not in words:
                table[code] = new_code.setdefault(spellings[key], len(new_code))
        return replace(self, codes=table[self._values], categories=tuple(new_code))

    def mark_missing(self, words: Collection[str]) -> RawColumn:
        """Return the column without the values that a user calls missing: words, and numbers such as -999."""
        if not words or self.is_free_text:
            return self
        if self.numbers is None:
            return self.normalize({*words})
        numbers = [float(word) for word in words if is_number(word)]
        is_marked = np.isin(self.numbers, numbers)
        if not is_marked.any():
            return self
        return replace(self, numbers=np.where(is_marked, np.nan, self.numbers.astype(np.float64)))


def format_number(number: float) -> str:
    """Return a number as text, whole numbers without decimals.

    >>> format_number(3.0), format_number(0.5), format_number(10**20)
    ('3', '0.5', '100000000000000000000')
    """
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        return str(int(number))
    return str(number)


def column_from_series(
    name: str, values: pd.Series, missing_words: Collection[str] | None = None, *, exact: bool = False
) -> RawColumn:
    """Return a column of a DataFrame, of any type; values that are neither number nor text become ``str(value)``.

    Args:
        name: name of the column.
        values: the values.
        missing_words: words that mean a missing value; see `RawColumn.normalize`.
        exact: keep whole numbers that a float would round, next to missing values, as texts.
    """
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = tuple(map(_to_text, values.cat.categories))
        codes = values.cat.codes.to_numpy().astype(np.int32)
        return RawColumn(name, codes=codes, categories=categories, ordered=bool(values.cat.ordered)).normalize(
            missing_words
        )
    if pd.api.types.is_bool_dtype(dtype) or not pd.api.types.is_numeric_dtype(dtype) or dtype.kind == "c":
        return _text_column_from_series(name, values).normalize(missing_words)
    if pd.api.types.is_integer_dtype(dtype) and not values.isna().any():
        return RawColumn(name, numbers=values.to_numpy(np.uint64 if dtype.kind == "u" else np.int64))
    if exact and pd.api.types.is_integer_dtype(dtype) and (values.abs() > MAX_EXACT).any():
        return _text_column_from_series(name, values.astype("string")).normalize(missing_words)
    return RawColumn(name, numbers=values.to_numpy(np.float64, na_value=np.nan))


def _text_column_from_series(name: str, values: pd.Series) -> RawColumn:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if getattr(values.dtype, "tz", None) is not None:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        codes, moments = pd.factorize(values.to_numpy())
        categories = tuple(np.datetime_as_string(moments).tolist())
        return RawColumn(name, codes=codes.astype(np.int32), categories=categories, is_date=True)
    try:
        codes, distinct = pd.factorize(values)
    except TypeError:  # lists and dictionaries cannot be hashed
        codes, distinct = pd.factorize(values.map(_to_text, na_action="ignore"))
    is_date = len(distinct) > 0 and all(isinstance(value, datetime.date) for value in distinct)
    return replace(merge_categories(name, codes, list(map(_to_text, distinct))), is_date=is_date)


def merge_categories(name: str, codes: np.ndarray, categories: Sequence[str]) -> RawColumn:
    """Return a column of texts from codes whose categories may repeat (1 and "1" in a column of objects)."""
    new_code: dict[str, int] = {}
    table = np.array([new_code.setdefault(text, len(new_code)) for text in categories] + [-1], np.int32)
    return RawColumn(name, codes=table[codes], categories=tuple(new_code))


def concatenate_columns(raws: Sequence[RawColumn]) -> RawColumn:
    """Return the rows of several columns one after the other: numbers if all are numbers, else texts."""
    first = raws[0]
    if len(raws) == 1:
        return first
    if all(raw.numbers is not None for raw in raws):
        numbers = np.concatenate([raw.numbers for raw in raws if raw.numbers is not None])
        return RawColumn(first.name, numbers=numbers, number_format=first.number_format)
    texts = [raw.as_text() for raw in raws]
    if any(raw.is_free_text for raw in texts):
        codes = np.concatenate([np.minimum(raw._values, 0) for raw in texts])
        return RawColumn(first.name, codes=codes, is_free_text=True)
    offsets = np.cumsum([0, *(len(raw.categories) for raw in texts)])
    shifted = [np.where(raw._values < 0, -1, raw._values + offset) for raw, offset in zip(texts, offsets, strict=False)]
    merged = merge_categories(first.name, np.concatenate(shifted), [text for raw in texts for text in raw.categories])
    return replace(merged, number_format=first.number_format)


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float | np.floating):
        return format_number(float(value))
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
