"""Findings about a column of numbers that may be something else: codes of missing values, dates, codes of things."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.tables import dates
from yisheng.data.tables.literals import MAX_EXACT

_NINES = [9, 99, 999, 9999, 99999, 999999, 9999999, 99.9, 999.9, 9999.9, 99.99, 999.99, 9999.99]
MISSING_CODES: Final = (
    *(-1, *(-value for value in _NINES), *_NINES),
    *(-88, -888, -8888, 88, 888, 8888, -32768, 32767, -2147483648, 2147483647, 65535, 1e20, -1e20, 1e30, -1e30),
)
"""Numbers that programs and questionnaires write for a missing value."""
_MIN_CODE_COUNT, _MIN_CODE_FRACTION, _MIN_VALUES = 3, 0.005, 20
"""Rows with such a number, their fraction of all rows, and different other numbers, from which it is reported."""
_MIN_GAP, _MIN_OTHER_GAP, _MIN_SINGLE_GAP = 0.5, 2.0, 5.0
"""Distance from all others, as a fraction of their range, from which such a number, and any, is unlike them; and from
which a single row with such a number is reported."""
_MIN_SINGLE_CODE = 99
"""Least magnitude of a number of which a single row is reported."""
_MAX_NEXT = 0.85
"""Largest other value, as a fraction of a number of nines, up to which that is unlike them: ages to 80, and 99."""
MIN_DIFFERENT_DATES = 12
"""Different numbers that are all dates from which a column is reported: of random ones at most one in eight is."""
_MIN_CLOCK_TIMES = 30
"""Different numbers without minutes above 59 from which a column is reported: of random ones six in ten have none."""
_DAY_SECONDS, _MAX_MINUTES = 86_400, 60
"""Seconds above which times are no times of day, and the number before a colon up to which it may be minutes."""
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
_MIN_CODE_DIGITS = 10
_FIRST_VALUES = 1000
"""Values that are looked at before all of a column are."""
_EPOCHS = ((10, 1.0e9), (13, 1.0e12), (16, 1.0e15), (19, 1.0e18))
"""Digits and least value of the seconds, milliseconds, microseconds and nanoseconds since 1970; up to twice of it."""


def check_values(name: str, values: np.ndarray) -> list[Finding]:
    """Return warnings about a column of numbers whose values may be something else.

    Args:
        name: name of the column.
        values: its finite values, float64 ``(N,)``.
    """
    if len(values) < _MIN_VALUES:
        return []
    code = find_missing_code(values)
    findings = [_report_missing_code(name, values, code)] if code is not None else []
    form = find_packed_dates(values)
    if form:
        findings.append(_report_dates(name, values, form))
    elif are_clock_times(values):
        findings.append(_report_times(name, values))
    elif _are_codes(values):
        findings.append(_report_codes(name, values))
    return findings


def find_missing_code(values: np.ndarray) -> float | None:
    """Return a number that is repeated, the largest or smallest, and far from all others, or None.

    It is one of `MISSING_CODES`, or farther away from the others than they are from each other. A single row is
    enough for a code that is very far from them.

    >>> find_missing_code(np.array([-999.0] * 5 + list(range(40)))), find_missing_code(np.arange(-20.0, 40))
    (-999.0, None)
    """
    for extreme in (float(values.min()), float(values.max())):
        count = int((values == extreme).sum())
        is_rare = count < max(_MIN_CODE_COUNT, _MIN_CODE_FRACTION * len(values))
        if is_rare and (extreme not in MISSING_CODES or abs(extreme) < _MIN_SINGLE_CODE):
            continue
        is_code = values == extreme
        if extreme in _NINES or -extreme in _NINES:  # -99, -98 and -97 are codes for different reasons
            companions = [extreme - np.sign(extreme) * step for step in (1, 2, 3, 11, 22)]
            is_code = is_code | np.isin(values, companions)
        remaining = values[~is_code]
        if not len(remaining) or not _are_various(remaining):
            continue
        low, high = float(remaining.min()), float(remaining.max())
        is_near = is_rare and low - _MIN_SINGLE_GAP * (high - low) < extreme < high + _MIN_SINGLE_GAP * (high - low)
        if not is_near and _is_unlike(extreme, low, high):
            return extreme
    return None


def _is_unlike(code: float, low: float, high: float) -> bool:
    """Return whether a number lies far outside the range of the others."""
    gap = low - code if code < low else code - high
    if code not in MISSING_CODES:
        return gap > _MIN_OTHER_GAP * (high - low)
    if code == -1 or (code < 0 <= low and code in (-9, -99)):
        return low >= 0
    return gap > _MIN_GAP * (high - low) or (code in _NINES and code > 9 and low >= 0 and high <= _MAX_NEXT * code)


def _are_various(values: np.ndarray) -> bool:
    return len(np.unique(values[: 50 * _MIN_VALUES])) >= _MIN_VALUES


def _report_missing_code(name: str, values: np.ndarray, code: float) -> Finding:
    remaining = values[values != code]
    text = f"{code:g}" if abs(code) >= 1e15 else f"{code:.15g}"
    cause = describe_missing_code(
        name, text, len(values) - len(remaining), f"{remaining.min():.6g}", f"{remaining.max():.6g}"
    )
    remedy = Message(
        "use missing={code} if it means a missing value in every column, else empty these cells", code=f"{code:.15g}"
    )
    evidence = {"column": name, "code": code, "rows": len(values) - len(remaining)}
    return Finding("missing codes", "warning", evidence, cause, remedy)


def describe_missing_code(name: str, code: str, count: int, low: str, high: str) -> Message:
    """Return the question whether a value that is far from all others means a missing one.

    Args:
        name: name of the column.
        code: the value, as text.
        count: rows that have it.
        low: the smallest of the other values, as text.
        high: the largest one.
    """
    return Message(
        "column {name} is {code} in {count} rows, and {low} to {high} in all others: is it a missing value?",
        name=name,
        code=code,
        count=f"{count:,}",
        low=low,
        high=high,
    )


def find_packed_dates(values: np.ndarray) -> str:
    """Return the form of a column of whole numbers whose digits are dates, such as 20240531 or 202405; else empty.

    ``2024.05`` is %Y.%m, and ``5.2024`` is %m.%Y.

    >>> find_packed_dates(np.arange(20240501.0, 20240531)), find_packed_dates(np.arange(20240501.0, 20240571))
    ('%Y%m%d', '')
    """
    low, high = float(values.min()), float(values.max())
    forms = [form for form, (floor, ceiling) in _PACKED.items() if floor <= low and high <= ceiling]
    for part in (values[:_FIRST_VALUES], values):  # of most columns the first values tell
        if not forms:
            return ""
        distinct = np.unique(part)
        if (distinct != np.floor(distinct)).any():
            forms = [form for form in forms if "." in form and form == _find_decimal_months(distinct)]
        else:
            forms = [form for form in forms if "." not in form and _are_dates(distinct, form)]
    return forms[0] if forms and len(distinct) >= MIN_DIFFERENT_DATES else ""


_PACKED: dict[str, tuple[float, float]] = {
    "%Y.%m": (1900, 2101),
    "%m.%Y": (1, 13),
    "%Y%m": (190001, 210012),
    "%y%m%d": (101, 991231),
    "%Y%m%d": (1900_01_01, 2100_12_31),
    "%d%m%Y": (1_01_1900, 31_12_2100),
    "%m%d%Y": (1_01_1900, 12_31_2100),
    "%Y%m%d%H%M": (1900_01_01_0000, 2100_12_31_2359),
    "%Y%m%d%H%M%S": (1900_01_01_000000, 2100_12_31_235959),
}
"""Smallest and largest number of each form of dates of digits alone."""
_DIGITS = {"%Y%m": 6, "%y%m%d": 6, "%Y%m%d": 8, "%d%m%Y": 8, "%m%d%Y": 8, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}


def _are_dates(distinct: np.ndarray, form: str) -> bool:
    """Return whether all numbers are dates of one form, and not all of one month."""
    parse: Callable[[str], float] = dates.make_date_parser(form)
    low, high = (datetime.date(year, 1, 1).toordinal() - 719_163 for year in (_FIRST_YEAR, _LAST_YEAR + 1))
    months = set[float]()
    try:
        for value in distinct.tolist():
            days = parse(f"{int(value):0{_DIGITS[form]}d}")
            if not low <= days < high:
                return False
            months.add(days // 28)
    except ValueError:
        return False
    return len(months) > 1 or form == dates.COMPACT_FORMAT


def _find_decimal_months(distinct: np.ndarray) -> str:
    """Return the form of months that were read as decimals: 2024.05, or 5.2024."""
    integers, decimals = np.floor(distinct), distinct % 1
    month = decimals * 100
    if integers.min() >= _FIRST_YEAR and integers.max() <= _LAST_YEAR:
        is_month = np.abs(month - np.round(month)) < 1e-6
        return "%Y.%m" if is_month.all() and month.min() > 0.5 and month.max() < 12.5 else ""
    year = decimals * 10_000
    if integers.min() >= 1 and integers.max() <= 12 and np.abs(year - np.round(year)).max() < 1e-6:
        return "%m.%Y" if year.min() >= _FIRST_YEAR - 0.5 and year.max() <= _LAST_YEAR else ""
    return ""


def are_clock_times(values: np.ndarray) -> bool:
    """Return whether all numbers may be times of day: 9.45, where no decimals exceed 59, or 945.

    >>> times = np.array([hour + minute / 100 for hour in range(8, 18) for minute in range(0, 60, 5)])
    >>> are_clock_times(times), are_clock_times(100 * times), are_clock_times(times + 0.45)
    (True, True, False)
    """
    low, high = float(values.min()), float(values.max())
    if low < 0 or high >= 2400 or 24 <= high < 1000:
        return False
    is_first = len(values) <= _FIRST_VALUES or are_clock_times(values[:_FIRST_VALUES])
    distinct = np.unique(values) if is_first else values[:0]
    times = distinct * 100 if high < 24 else distinct
    minutes = times % 100
    if len(distinct) < _MIN_CLOCK_TIMES or np.abs(times - np.round(times)).max() > 1e-6:
        return False
    has_minutes = 45 <= np.round(minutes).max() <= 59 and len(np.unique(np.round(minutes))) > 1
    return bool(has_minutes and np.floor(times / 100 + 1e-9).max() >= 12)


def _report_times(name: str, values: np.ndarray) -> Finding:
    return Finding(
        "packed times",
        "warning",
        {"column": name, "example": f"{values[0]:.15g}"},
        Message(
            "column {name} is read as numbers, but all of them may be times of day, hours and minutes: {low} to {high}",
            name=name,
            low=f"{values.min():.15g}",
            high=f"{values.max():.15g}",
        ),
        Message("if they are, write them as in 9:45; else nothing is to be done"),
    )


def check_durations(name: str, seconds: np.ndarray, number_format: str) -> list[Finding]:
    """Return a warning about times such as 39:44 that are read as hours and minutes, but may be minutes and seconds.

    Args:
        name: name of the column.
        seconds: its finite values ``(N,)``.
        number_format: how they are written.

    >>> [finding.check for finding in check_durations("t", np.array([143_040.0, 300.0]), "h:m:s")]
    ['durations']
    >>> check_durations("t", np.array([79_200.0, 300.0]), "h:m:s")
    []
    """
    if number_format != "h:m:s" or not len(seconds):
        return []
    low, high = float(seconds.min()), float(seconds.max())
    if low < 0 or not _DAY_SECONDS < high < _MAX_MINUTES * 3600:
        return []
    cause = Message(
        "column {name} is read as hours and minutes, up to {high}, but may hold minutes and seconds",
        name=name,
        high=f"{int(high // 3600)}:{int(high // 60 % 60):02d}",
    )
    remedy = Message("if it does, write the hours as well, as in 0:39:44; a later file is read in the same way")
    return [Finding("durations", "warning", {"column": name, "seconds": high}, cause, remedy)]


def _report_dates(name: str, values: np.ndarray, form: str) -> Finding:
    example = f"{values[0]:.15g}"
    remedy = Message("if they are, use kinds={name}:date:{form}; else nothing is to be done", name=name, form=form)
    if "." in form:
        remedy = Message("if they are, write them as in 2024-05; else nothing is to be done")
    return Finding(
        "packed dates",
        "warning",
        {"column": name, "format": form, "example": example},
        Message(
            "column {name} is read as numbers, but all of them may be dates like {form}: {example}",
            name=name,
            form=form,
            example=example,
        ),
        remedy,
    )


def _are_codes(values: np.ndarray) -> bool:
    """Return whether whole numbers are codes of things: different ones of the same, large number of digits."""
    low, high = float(values.min()), float(values.max())
    if low < 10 ** (_MIN_CODE_DIGITS - 1) or (values != np.floor(values)).any():
        return False
    digits = math.floor(math.log10(low)) + 1
    if high >= 10**digits and high < MAX_EXACT:
        return False
    if any(digits == count and floor <= low and high <= 2 * floor for count, floor in _EPOCHS):
        return False
    return len(np.unique(values)) > 0.9 * len(values)


def _report_codes(name: str, values: np.ndarray) -> Finding:
    return Finding(
        "codes",
        "warning",
        {"column": name, "low": float(values.min()), "high": float(values.max())},
        Message(
            "column {name} is read as numbers, but may be codes of things, such as telephone or card numbers: "
            "{low} to {high}",
            name=name,
            low=f"{values.min():.0f}",
            high=f"{values.max():.0f}",
        ),
        Message("if they are, leave it out with drop={name}, or use kinds={name}:identifier", name=name),
    )


_MAX_VERSION = 40
"""Largest number after a point of a version; that of a measurement, 1.75, may be larger."""
_CODE_LIKE = re.compile(r"\d{2,}E\d{1,3}", re.ASCII | re.IGNORECASE)


def check_spellings(name: str, texts: Sequence[str]) -> list[Finding]:
    """Return a warning if numbers are written as codes are: 12E3, or 1.1 and 1.10, which are versions.

    Args:
        name: name of a column that is read as numbers.
        texts: some of its different texts.

    >>> [finding.check for finding in check_spellings("a", ["1.1", "1.10"])], check_spellings("a", ["1.0", "1.25"])
    (['codes'], [])
    """
    codes = [text for text in texts if _CODE_LIKE.fullmatch(text)]
    parts = [text.partition(".")[::2] for text in texts]
    if all(head.isdigit() and int(decimals or 0) <= _MAX_VERSION for head, decimals in parts if decimals.isdigit()):
        spellings: dict[float, str] = {}
        for text, (head, decimals) in zip(texts, parts, strict=True):
            if head.isdigit() and decimals.isdigit() and decimals.strip("0"):
                earlier = spellings.setdefault(float(text), text)
                codes += [earlier, text] if earlier != text else []
    if not codes:
        return []
    listed = ", ".join(repr(text) for text in dict.fromkeys(codes[:4]))
    return [
        Finding(
            "codes",
            "warning",
            {"column": name, "examples": codes[:20]},
            Message(
                "column {name} is read as numbers, but holds values that are written like codes or versions: {listed}",
                name=name,
                listed=listed,
            ),
            Message("if they are, use kinds={name}:category, which keeps them as they are written", name=name),
        )
    ]
