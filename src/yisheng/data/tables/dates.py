"""Dates as people write them, and the numbers that a network can learn from.

``pandas.to_datetime`` takes one exact format for all values, or guesses one for each value, which may swap month and
day within a column. Here one format must read the whole column, or a few that cannot be confused, while a time of day
and a time zone are optional in each value.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from yisheng.core.messages import Message
from yisheng.data.tables.calendar_words import MONTHS, WEEKDAYS, with_capitals
from yisheng.data.tables.literals import normalize_digits

DATE_PARTS: Final = ("year", "month", "day", "weekday", "day-of-year", "days", "hour")
"""The numbers of a date: weekday is 0 on Monday, days are counted from 1970-01-01, hours have decimals."""
_PANDAS_NAMES = {"weekday": "day_of_week", "day-of-year": "day_of_year"}
TREND_PARTS: Final = ("year", "days")
"""Parts that never repeat: the training part cannot hold the values of the future."""
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_FIELDS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})(?:st|nd|rd|th|er)?",
    "%b": rf"(?P<b>{'|'.join(sorted(with_capitals(MONTHS), key=len, reverse=True))})\.?",
    "%q": r"(?P<q>[1-4])",
    "%V": r"(?P<V>\d{1,2})",
    "%H": r"(?P<H>\d{2})",
    "%M": r"(?P<M>\d{2})",
    "%S": r"(?P<S>\d{2})",
}
_WEEKDAY = rf"(?:(?:{'|'.join(sorted(with_capitals(WEEKDAYS), key=len, reverse=True))})(?:\.|,|\.,)? +)?"
_WEEKDAY_BEHIND = r"(?: ?\(?(?:星期|周|礼拜)[一二三四五六日天]\)?)?"
_TIME = (
    r"(?:(?:T|,? +|:(?=\d{2}:\d{2}:))(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2}(?:[.,]\d{1,9})?))?"
    r"(?: ?(?P<p>[ap])\.?m\.?)?(?: ?(?P<z>Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?))?)?"
)
_ZONE = re.compile(r":\d{2}(?:[.,]\d+)? ?(?:[ap]\.?m\.?)? ?(?:Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?)$", re.I)
_LOOKS_LIKE_DATE = re.compile(r"(?=.*\d).{6,45}", re.ASCII)
_ISO = re.compile(r"(?:[12]\d{3}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?\n)+", re.ASCII)
_CHUNK_TEXTS = 1 << 14
_MIN_YEAR, _MAX_YEAR, _MAX_SHORT_YEAR = 1800, 2200, 28
"""Years of months such as 05/2024, and the number from which a last one is rather a day than a year, 2029 to 2031."""
_FIRST_TEXTS, _PROPOSED_TEXTS = 100, 400
"""Texts that are tried before all of them are, and texts by which several formats are chosen."""
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
    *("%y/%m/%d", "%y.%m.%d", "%d%b%Y", "%Y%m%dT%H%M%SZ", "%b %d %H:%M:%S %Y", "%b %d %H:%M:%S +0000 %Y"),
    *("%Y年%m月%d日", "%d. %b %Y", "%d de %b de %Y", "%d %b %Y г.", "%d/%b/%Y"),
    *(
        "%Y-%m",
        "%Y/%m",
        "%b %Y",
        "%b-%Y",
        "%b, %Y",
        "%b de %Y",
        "%Y年%m月",
        "%m/%Y",
        "%m-%Y",
        "%b-%y",
        "%b/%y",
        "%Y-%b",
    ),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%Y年%q季度", "%Y年第%q季度"),
    *("%Y-W%V", "%YM%m", "%Y年第%V周"),
)
"""Formats in the codes of ``strptime``, and %q for a quarter; a weekday may precede each, a time of day may follow. The
first that reads all values is taken."""
ALTERNATIVES: Final = "|"
"""Between the formats of a column that has several."""
MAX_FORMATS = 4
"""Formats that a column may have."""
ISO_FORMAT: Final = "%Y-%m-%d"
COMPACT_FORMAT: Final = "%Y%m%d"
COMPACT_FORMATS: Final = (COMPACT_FORMAT, "%Y%m", "%Y%m%d%H%M%S", "%Y%m%d%H%M")
"""Formats of digits alone that are not read in another way, if the name of a column says that it has dates."""
PACKED_FORMATS: Final = (*COMPACT_FORMATS, "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y")
"""Formats of digits alone."""
SWAPPED_FORMATS = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y", "%m/%d/%y": "%d/%m/%y"}
"""Formats with the month first, and the same with the day first."""
YEAR_FIRST_FORMATS = {"%d/%m/%y": "%y/%m/%d", "%m/%d/%y": "%y/%m/%d", "%d.%m.%y": "%y.%m.%d"}
"""Formats with a year of two digits last, and the same with the year first."""


def infer_date_format(texts: Sequence[str]) -> str | None:
    """Return the first of `FORMATS` that reads all texts, or several that do together, joined by |; else None.

    Args:
        texts: the distinct values of a column, missing values left out.

    >>> infer_date_format(["2004-08-19", "2004-08-20 13:30"]), infer_date_format(["31/12/2020"])
    ('%Y-%m-%d', '%d/%m/%Y')
    >>> infer_date_format(["12-345"]) is None, infer_date_format(["2004-08-19", "19.08.2004"])
    (True, '%Y-%m-%d|%d.%m.%Y')
    """
    for format in FORMATS if texts else ():
        if _reads_all(texts, format) and _is_plausible(texts, format):
            return _order_year(texts, format)
    several = (form for form in propose_date_formats(texts) if ALTERNATIVES in form)
    return next((form for form in several if _reads_all(texts, form)), None)


def _is_plausible(texts: Sequence[str], format: str) -> bool:
    """Return whether texts that a format without days reads are months: SET-10 and 1/1000 are codes and fractions."""
    if format == "%YM%m":
        return all(_MIN_YEAR <= int(text[:4]) <= _MAX_YEAR for text in map(normalize_digits, texts))
    if format not in ("%m/%Y", "%m-%Y", "%b-%y", "%b/%y"):
        return True
    if "%b" in format:
        return len(texts) == 1 or len({text[:3].lower() for text in texts}) > 1
    return all(_MIN_YEAR <= int(text[-4:]) <= _MAX_YEAR for text in map(normalize_digits, texts))


def _order_year(texts: Sequence[str], format: str) -> str:
    """Return a format, or that with the year first if the last numbers are clearly the days: 24/05/13, 24/06/30."""
    year_first = YEAR_FIRST_FORMATS.get(format, format)
    if "/" not in format or not _may_begin_with_year(texts, format):
        return format
    first, last = (_split_fields(texts, position) for position in (0, 2))
    return year_first if max(map(int, last)) > _MAX_SHORT_YEAR and len(last) > 2 * len(first) else format


def _may_begin_with_year(texts: Sequence[str], format: str) -> bool:
    """Return whether dates with a year of two digits may have it first: first numbers vary less than the last."""
    year_first = YEAR_FIRST_FORMATS.get(format)
    if year_first is None or not _reads_all(texts, year_first):
        return False
    return len(_split_fields(texts, 0)) < len(_split_fields(texts, 2))


def _split_fields(texts: Sequence[str], position: int) -> set[str]:
    """Return the different numbers at one position of dates."""
    return {re.findall(r"\d+", normalize_digits(text))[position].zfill(2) for text in texts}


def propose_date_formats(texts: Sequence[str]) -> list[str]:
    """Return formats that read most of the first texts: the best alone, and joined with others that read the rest.

    Of formats that differ in the order of month and day only, one is taken: the one that reads more.

    >>> propose_date_formats(["2004-08-19", "2004-08-20", "19.08.2004", "soon"])
    ['%Y-%m-%d|%d.%m.%Y', '%Y-%m-%d']
    """
    sample = texts[:: max(1, len(texts) // _PROPOSED_TEXTS)] if texts else []
    if sum(_LOOKS_LIKE_DATE.fullmatch(text) is not None for text in sample[:_FIRST_TEXTS]) * 2 < min(
        len(sample), _FIRST_TEXTS
    ):
        return []
    read = {format: ~np.isnan(parse_dates(sample, format)) for format in FORMATS}
    chosen: list[str] = []
    covered = np.zeros(len(sample), bool)
    while len(chosen) < MAX_FORMATS:
        open_formats = {format: mask for format, mask in read.items() if not _conflicts(format, chosen)}
        gains = {format: int((mask & ~covered).sum()) for format, mask in open_formats.items()}
        best = max(gains, key=lambda format: gains[format], default="")
        if not best or not gains[best]:
            break
        chosen.append(best)
        covered |= read[best]
    if not chosen or covered.sum() * 2 < len(sample):
        return []
    return list(dict.fromkeys([ALTERNATIVES.join(chosen), chosen[0]]))


def _reads_all(texts: Sequence[str], format: str) -> bool:
    return not any(np.isnan(parse_dates(texts[:count], format)).any() for count in (1, _FIRST_TEXTS, len(texts)))


def _conflicts(format: str, chosen: Sequence[str]) -> bool:
    """Return whether a format reads the texts of a chosen one as other dates."""
    shape = re.sub(r"%[md]", "%#", format)
    return any(re.sub(r"%[md]", "%#", candidate) == shape for candidate in chosen)


def parse_dates(texts: Sequence[str], format: str) -> np.ndarray:
    """Return the days since 1970-01-01, float64 ``(N,)``; NaN for a text that is not a date of this format.

    Raises:
        ValueError: the format has unknown codes, or no year or month.

    >>> parse_dates(["1970-01-03", "soon"], "%Y-%m-%d").tolist()
    [2.0, nan]
    """
    parse = make_date_parser(format)
    texts = [text if text.isascii() else normalize_digits(text) for text in texts]
    days = np.full(len(texts), math.nan)
    for start in range(0, len(texts), _CHUNK_TEXTS):
        chunk = texts[start : start + _CHUNK_TEXTS]
        if format == ISO_FORMAT and _ISO.fullmatch("\n".join([*chunk, ""])):
            try:
                days[start : start + _CHUNK_TEXTS] = np.array(chunk, "datetime64[us]").astype(np.int64) / 86_400_000_000
                continue
            except ValueError:  # the 30th of February: the loop below finds out which text it is
                pass
        for index, text in enumerate(chunk, start):
            with contextlib.suppress(ValueError):
                days[index] = parse(text)
    return days


def may_be_iso(format: str) -> bool:
    """Return whether a date in ISO 8601 cannot be confused with one of a format.

    >>> may_be_iso("%d.%m.%Y"), may_be_iso("%Y-%d-%m")
    (True, False)
    """
    return not _conflicts(ISO_FORMAT, format.split(ALTERNATIVES))


def find_ambiguity(format: str, texts: Sequence[str]) -> str:
    """Return a format that reads the texts as other dates: month and day swapped, or the year first or last; or empty.

    >>> find_ambiguity("%m/%d/%Y", ["01/02/2020"]), find_ambiguity("%m/%d/%Y", ["01/31/2020"])
    ('%d/%m/%Y', '')
    """
    swapped = SWAPPED_FORMATS.get(format, "")
    if swapped and not np.isnan(parse_dates(texts, swapped)).any():
        return swapped
    if _may_begin_with_year(texts, format):
        return YEAR_FIRST_FORMATS[format]
    last = next((last for last, first in YEAR_FIRST_FORMATS.items() if first == format), "")
    return last if last and not np.isnan(parse_dates(texts, last)).any() else ""


@functools.cache
def make_date_parser(format: str) -> Callable[[str], float]:
    """Return the function from text to days since 1970-01-01, in UTC if the text has a time zone.

    It raises ValueError for a text that is not a date of this format.

    Raises:
        ValueError: the format has unknown codes, or no year or month.

    >>> make_date_parser("%d %b %Y")("2 Jan 1970 12:00"), make_date_parser("%Y-%m-%d|%d.%m.%Y")("02.01.1970")
    (1.5, 1.0)
    """
    if ALTERNATIVES in format:
        return _join_parsers([make_date_parser(alternative) for alternative in format.split(ALTERNATIVES)])
    fullmatch = _compile_format(format).fullmatch

    def parse(text: str) -> float:
        match = fullmatch(text)
        if match is None:
            raise ValueError(text)
        fields = match.groupdict()
        year = int(fields["Y"]) if fields.get("Y") else (int(fields["y"]) + 31) % 100 + 1969  # 69 is 1969, 68 is 2068
        day = _find_day(year, fields) - _EPOCH
        return float(day) if fields.get("H") is None else day + _time_of_day(fields, text)

    return parse


def _compile_format(format: str) -> re.Pattern[str]:
    """Return the pattern of the dates of one format.

    Raises:
        ValueError: the format has unknown codes, one twice, or no year or month.
    """
    pattern = re.escape(format).replace(r"\ ", " +")
    is_compact = re.search("%[YymdHMS]%", format) is not None
    for code, field in _FIELDS.items():
        pattern = pattern.replace(re.escape(code), field.replace("{1,2}", "{2}") if is_compact else field)
    if "%" in pattern or not re.search(r"\?P<[Yy]>", pattern) or not re.search(r"\?P<[mbqV]>", pattern):
        raise ValueError(Message("{format} is not a date format", format=format))
    time = "" if "%H" in format else _TIME
    try:
        return re.compile(_WEEKDAY + pattern + _WEEKDAY_BEHIND + time, re.ASCII | re.IGNORECASE)
    except re.error:  # a code twice
        raise ValueError(Message("{format} is not a date format", format=format)) from None


def _find_day(year: int, fields: dict[str, str | None]) -> int:
    """Return the ordinal of a date: the first day of its month, quarter or week if it names no day."""
    if fields.get("V"):
        return datetime.date.fromisocalendar(year, int(fields["V"] or 0), 1).toordinal()
    month = int(fields.get("m") or 0)
    if fields.get("b"):
        month = MONTHS[(fields["b"] or "").lower()]
    elif fields.get("q"):
        month = 3 * int(fields["q"] or 0) - 2
    return datetime.date(year, month, int(fields.get("d") or 1)).toordinal()


def select_parts(format: str) -> tuple[str, ...]:
    """Return those of `DATE_PARTS` that dates of a format tell: no weekday if they are months or quarters.

    >>> select_parts("%b %Y"), "weekday" in select_parts("%d %b %Y")
    (('year', 'month', 'days'), True)
    """
    names_days = any(code in format for code in ("%d", "%V"))
    return DATE_PARTS if names_days else ("year", "month", "days")


def _join_parsers(parsers: Sequence[Callable[[str], float]]) -> Callable[[str], float]:
    """Return the function that parses a date by the first of several formats that reads it."""

    def parse(text: str) -> float:
        for parser in parsers:
            with contextlib.suppress(ValueError):
                return parser(text)
        raise ValueError(text)

    return parse


def has_time(text: str) -> bool:
    """Return whether a date has a time of day.

    >>> has_time("2004-08-19 13:30"), has_time("2004-08-19")
    (True, False)
    """
    return ":" in text


def has_zone(text: str) -> bool:
    """Return whether a date has a time zone.

    >>> has_zone("2004-08-19T13:30Z"), has_zone("2004-08-19 13:30")
    (True, False)
    """
    return _ZONE.search(text) is not None


def _time_of_day(fields: dict[str, str | None], text: str) -> float:
    """Return the time as a fraction of a day, from the groups of `_TIME`."""
    hour, minute = int(fields["H"] or 0), int(fields["M"] or 0)
    second = float((fields.get("S") or "0").replace(",", "."))
    if fields.get("p"):
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + 12 * ((fields["p"] or "").lower() == "p")
    if hour > 23 or minute > 59 or second >= 61:
        raise ValueError(text)
    zone = (fields.get("z") or "").upper().removeprefix("UTC").removeprefix("GMT")
    if zone and zone[0] in "+-":
        hours, _, minutes = zone[1:].partition(":") if ":" in zone else (zone[1:3], "", zone[3:])
        sign = -1 if zone[0] == "-" else 1
        minute -= sign * (int(hours) * 60 + int(minutes or 0))
    return (hour * 3600 + minute * 60 + second) / 86400


def extract_date_part(days: np.ndarray, name: str) -> np.ndarray:
    """Return one of `DATE_PARTS` of each date.

    Args:
        days: days since 1970-01-01, float64 ``(N,)``, NaN where missing.
        name: name of the part.

    Returns:
        float64 ``(N,)``, NaN where missing.

    >>> extract_date_part(np.array([12649.75, np.nan]), "hour").tolist()  # 2004-08-19 18:00
    [18.0, nan]
    """
    import pandas as pd

    if name == "days":
        return days
    present = ~np.isnan(days)
    midnight = np.floor(days[present])
    result = np.full(len(days), math.nan)
    if name == "hour":
        result[present] = np.round((days[present] - midnight) * 86400) / 3600
    else:
        dates = pd.DatetimeIndex(midnight.astype(np.int64).astype("datetime64[D]").astype("datetime64[s]"))
        result[present] = getattr(dates, _PANDAS_NAMES.get(name, name))
    return result
