"""A column as it was read: numbers, or texts by number. What it means is found out later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.data.tables.literals import is_missing

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Raw:
    """One column of a table as it was read, either as numbers or as texts.

    Args:
        name: of the column.
        numbers: int64, uint64 or float64 ``(N,)``, NaN where missing; None for texts.
        codes: int32 ``(N,)``, number of each row's text in ``levels``, -1 where missing; None for numbers.
        levels: the different texts, in any order.
        ordered: the levels are in an order that means something: it is kept.
        free: so many different texts that they were not kept: ``codes`` only tells where one is missing.
    """

    name: str
    numbers: np.ndarray | None = None
    codes: np.ndarray | None = None
    levels: tuple[str, ...] = ()
    ordered: bool = False
    free: bool = False

    def __len__(self) -> int:
        return len(self._values)

    @property
    def _values(self) -> np.ndarray:
        values = self.codes if self.numbers is None else self.numbers
        assert values is not None
        return values

    @property
    def missing(self) -> np.ndarray:
        """Which rows have no value, bool ``(N,)``."""
        if self.numbers is None:
            return self._values < 0
        return np.isnan(self.numbers) if self.numbers.dtype.kind == "f" else np.zeros(len(self), bool)

    def take(self, rows: np.ndarray) -> Raw:
        """Some rows; every level is kept, whether or not it is in them."""
        if self.numbers is not None:
            return replace(self, numbers=self.numbers[rows])
        return replace(self, codes=self._values[rows])

    def texts(self) -> Raw:
        """The same column as texts: numbers as people write them, 3 rather than 3.0.

        >>> Raw("a", numbers=np.array([2.0, 1.5, np.nan])).texts().levels
        ('1.5', '2')
        """
        if self.numbers is None:
            return self
        there = ~self.missing
        found, codes = np.unique(self.numbers[there], return_inverse=True)
        every = np.full(len(self), -1, np.int32)
        every[there] = codes
        return Raw(self.name, codes=every, levels=tuple(map(written, found.tolist())))

    def tidy(self) -> Raw:
        """Texts without spaces around them; words that mean a missing value are missing, unused levels are gone."""
        if self.numbers is not None or self.free:
            return self
        used = np.zeros(len(self.levels) + 1, bool)
        used[self._values] = True  # the last one stands for -1
        place: dict[str, int] = {}
        table = np.full(len(self.levels) + 1, -1, np.int32)
        for number, level in enumerate(self.levels):
            text = level.strip()
            if used[number] and not is_missing(text):
                table[number] = place.setdefault(text, len(place))
        return replace(self, codes=table[self._values], levels=tuple(place))


def written(number: float) -> str:
    """A number as people write it.

    >>> written(3.0), written(0.5), written(10**20)
    ('3', '0.5', '100000000000000000000')
    """
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        return str(int(number))
    return str(number)


def from_series(name: str, values: pd.Series) -> Raw:
    """A column of a DataFrame, of any type: what is neither number nor text becomes text as Python writes it."""
    import pandas as pd

    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        levels = tuple(map(_text, values.cat.categories))
        codes = values.cat.codes.to_numpy().astype(np.int32)
        return Raw(name, codes=codes, levels=levels, ordered=bool(values.cat.ordered)).tidy()
    if pd.api.types.is_bool_dtype(kind) or not pd.api.types.is_numeric_dtype(kind) or kind.kind == "c":
        return _from_texts(name, values)
    if pd.api.types.is_integer_dtype(kind) and not values.isna().any():
        return Raw(name, numbers=values.to_numpy(np.uint64 if kind.kind == "u" else np.int64))
    return Raw(name, numbers=values.to_numpy(np.float64, na_value=np.nan))


def _from_texts(name: str, values: pd.Series) -> Raw:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        if getattr(values.dtype, "tz", None) is not None:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        days = values.to_numpy()
        codes, levels = pd.factorize(days)
        return Raw(name, codes=codes.astype(np.int32), levels=tuple(np.datetime_as_string(levels).tolist())).tidy()
    try:
        codes, found = pd.factorize(values)
    except TypeError:  # lists, dictionaries: they have no hash
        codes, found = pd.factorize(values.map(_text, na_action="ignore"))
    return merged(name, codes, list(map(_text, found))).tidy()


def merged(name: str, codes: np.ndarray, levels: Sequence[str]) -> Raw:
    """Texts from codes whose levels may repeat (1 and "1" in a column of objects)."""
    place: dict[str, int] = {}
    table = np.array([place.setdefault(level, len(place)) for level in levels] + [-1], np.int32)
    return Raw(name, codes=table[codes], levels=tuple(place))


def joined(raws: Sequence[Raw]) -> Raw:
    """Columns one below the other: numbers if all are, else texts."""
    first = raws[0]
    if len(raws) == 1:
        return first
    if all(raw.numbers is not None for raw in raws):
        return Raw(first.name, numbers=np.concatenate([raw.numbers for raw in raws if raw.numbers is not None]))
    texts = [raw.texts() for raw in raws]
    if any(raw.free for raw in texts):
        return Raw(first.name, codes=np.concatenate([np.minimum(raw._values, 0) for raw in texts]), free=True)
    starts = np.cumsum([0, *(len(raw.levels) for raw in texts)])
    codes = [np.where(raw._values < 0, -1, raw._values + at) for raw, at in zip(texts, starts, strict=False)]
    return merged(first.name, np.concatenate(codes), [level for raw in texts for level in raw.levels])


def _text(value: Any) -> str:
    """As people write it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float | np.floating):
        return written(float(value))
    return str(value)
