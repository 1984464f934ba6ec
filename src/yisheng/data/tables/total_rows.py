"""Rows that are no examples but totals of others, as reports and spreadsheets have them below a table or within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.data.tables.inferred_column import InferredColumn
from yisheng.data.tables.literals import make_number_parser
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.unicode_forms import normalize_text

_TOTAL_TEXT = (
    "total totals subtotal subtotals sub-total sum summe gesamt gesamtsumme insgesamt zwischensumme somme "
    "totaux sous-total suma totales totale totaal итого всего сумма 合计 合計 总计 總計 小计 小計 总和 总数 "
    "共计 計 합계 총계 소계 toplam razem łącznie celkem összesen yhteensä"
)
TOTAL_WORDS: Final = frozenset(_TOTAL_TEXT.split()) | {
    *("grand total", "sub total", "total general", "total général", "sous total", "sum total"),
}
"""Words for a total in the form of `str.casefold`; a row that has one in a column of its own is one."""
_STATISTIC_TEXT = (
    "average mean avg count std stdev sd variance min max minimum maximum median range durchschnitt "
    "mittelwert mittel moyenne media promedio média среднее 平均 平均值 均值 평균"
)
STATISTIC_WORDS: Final = frozenset(_STATISTIC_TEXT.split())
"""Words for statistics in the form of `str.casefold`: in one of the last rows, and only there, they are of all rows."""
_MIN_ROWS, _MAX_LAST_ROWS, _TOLERANCE = 8, 3, 1e-6
"""Rows from which the last ones are compared with the sums of those above, and how many; and the relative deviation."""
_MAX_TEXTS, _MAX_WORD_LENGTH = 50_000, 24
"""Different texts of a column up to which their numbers are summed, and characters of a word for a total."""
_MIN_SUMMANDS, _MAX_STATISTICS = 5, 10
"""Different summands of a total, and last rows among which there may be a mean, a minimum and other statistics."""


def check_total_rows(raws: Mapping[str, RawColumn], columns: Sequence[InferredColumn]) -> list[Finding]:
    """Return a warning if some rows are totals of others: by a word, or since the last row is the sum of the others.

    Args:
        raws: the columns of a table by name.
        columns: what has been inferred about them.
    """
    rows = len(next(iter(raws.values()))) if raws else 0
    if rows < _MIN_ROWS:
        return []
    words_by_row: dict[int, str] = {}
    for raw in raws.values():
        for row, text in _find_words(raw):
            words_by_row.setdefault(row, text)
    is_example = np.ones(rows, bool)
    is_example[list(words_by_row)] = False
    for column in columns:
        numbers = _to_numbers(raws[column.name], column) if column.kind == "number" else None
        for row in () if numbers is None else _find_sums(numbers, is_example):
            words_by_row.setdefault(row, "")
    return [_report(words_by_row, rows)] if words_by_row else []


def _fold(text: str) -> str:
    return normalize_text(text).casefold().strip(" :*-=")


def _find_words(raw: RawColumn) -> list[tuple[int, str]]:
    """Return the rows of a column of texts that hold a word for a total, and the words."""
    if raw.codes is None or raw.is_free_text:
        return []
    codes = [
        code for code, text in enumerate(raw.categories) if len(text) <= _MAX_WORD_LENGTH and _fold(text) in TOTAL_WORDS
    ]
    rows = np.flatnonzero(np.isin(raw.codes, codes)) if codes else np.empty(0, np.int64)
    if len(rows) * 2 > len(raw):
        rows = rows[:0]
    last = raw.codes[-_MAX_STATISTICS:]
    statistics = [
        len(raw) - len(last) + n
        for n, code in enumerate(last.tolist())
        if code >= 0 and _fold(raw.categories[code]) in STATISTIC_WORDS and (raw.codes == code).sum() == 1
    ]
    rows = np.union1d(rows, np.array(statistics, np.int64))
    return [(row, raw.categories[raw.codes[row]]) for row in rows.tolist()]


def _to_numbers(raw: RawColumn, column: InferredColumn) -> np.ndarray | None:
    """Return a column of numbers ``(N,)``; None for one of very many different texts."""
    if raw.numbers is not None:
        return raw.numbers
    if not column.features or column.features[0].date_part:
        return None
    if len(raw.categories) > _MAX_TEXTS:
        return None
    return raw.parse_numbers(make_number_parser(column.features[0].format))[0]


def _find_sums(values: np.ndarray, is_example: np.ndarray) -> list[int]:
    """Return the last rows, and the first, with a number that is the sum of all above or below, leaving out totals."""
    rows = len(values)
    last = [row for row in range(rows - _MAX_LAST_ROWS, rows) if is_example[row]]
    middle = values[1 : rows - _MAX_LAST_ROWS]
    low, high = np.fmin.reduce(middle), np.fmax.reduce(middle)
    sums = [
        row for row in last if not low <= values[row] <= high and _is_sum(values[:row][is_example[:row]], values[row])
    ]
    if is_example[0] and not low <= values[0] <= high and _is_sum(values[1:][is_example[1:]], values[0]):
        sums.append(0)
    return sums


def _is_sum(above: np.ndarray, value: float) -> bool:
    """Return whether a number is the sum of those above, which are not all equal, and is not one like them."""
    if not np.isfinite(value) or value == 0:
        return False
    above = above.astype(np.float64, copy=False)
    summands = above[np.isfinite(above) & (above != 0)]
    if len(summands) < _MIN_SUMMANDS or len(np.unique(summands)) < _MIN_SUMMANDS:
        return False
    total = float(summands.sum())
    is_outside = not summands.min() <= value <= summands.max()
    rounding = 0.5 if value == np.floor(value) and (summands != np.floor(summands)).any() else 0.0
    return is_outside and abs(total - value) <= max(rounding, _TOLERANCE * float(np.abs(summands).sum()))


def _report(words_by_row: Mapping[int, str], rows: int) -> Finding:
    first = min(words_by_row)
    word = words_by_row[first]
    listed = ", ".join(str(row + 1) for row in sorted(words_by_row)[:5]) + ", ..." * (len(words_by_row) > 5)
    evidence = {"rows": [row + 1 for row in sorted(words_by_row)[:100]], "count": len(words_by_row), "word": word}
    cause = plural_message(
        len(words_by_row),
        "{count} of {total} rows seems to be a total of others, not an example: row {listed}",
        "{count} of {total} rows seem to be totals of others, not examples: rows {listed}",
        count=len(words_by_row),
        total=f"{rows:,}",
        listed=listed,
    )
    if word:
        cause = Message("{cause} ({word})", cause=cause, word=f"{word[:40]!r}")
    return Finding("total rows", "warning", evidence, cause, Message("remove these rows from the table"))
