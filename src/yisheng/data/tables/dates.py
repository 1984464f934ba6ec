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
from yisheng.data.tables.literals import normalize_digits

DATE_PARTS: Final = ("year", "month", "day", "weekday", "day-of-year", "days", "hour")
"""The numbers of a date: weekday is 0 on Monday, days are counted from 1970-01-01, hours have decimals."""
_PANDAS_NAMES = {"weekday": "day_of_week", "day-of-year": "day_of_year"}
TREND_PARTS: Final = ("year", "days")
"""Parts that never repeat: the training part cannot hold the values of the future."""
_NAMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_MONTHS = {
    **{name.lower(): number for number, name in enumerate(_NAMES, start=1)},
    **{name[:3].lower(): number for number, name in enumerate(_NAMES, start=1)},
    "sept": 9,
}
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_FIELDS = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%m": r"(?P<m>\d{1,2})",
    "%d": r"(?P<d>\d{1,2})",
    "%b": rf"(?P<b>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?",
}
_TIME = (
    r"(?:(?:T|,? +)(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2}(?:[.,]\d{1,9})?))?"
    r"(?: ?(?P<p>[ap])\.?m\.?)?(?: ?(?P<z>Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?))?)?"
)
_ZONE = re.compile(r":\d{2}(?:[.,]\d+)? ?(?:[ap]\.?m\.?)? ?(?:Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?)$", re.I)
_LOOKS_LIKE_DATE = re.compile(r"(?=.*\d).{6,45}", re.ASCII)
_ISO = re.compile(r"(?:[12]\d{3}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?\n)+", re.ASCII)
_CHUNK_TEXTS = 1 << 14
_FIRST_TEXTS, _PROPOSED_TEXTS = 100, 400
"""Texts that are tried before all of them are, and texts by which several formats are chosen."""
FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
    *("%Y年%m月%d日", "%Y-%m", "%Y/%m", "%b %Y", "%b-%Y", "%Y年%m月"),
)
"""Formats in the codes of ``strptime``; a time of day may follow each. The first that reads all values is taken."""
ALTERNATIVES: Final = "|"
"""Between the formats of a column that has several."""
MAX_FORMATS = 4
"""Formats that a column may have."""
ISO_FORMAT: Final = "%Y-%m-%d"
COMPACT_FORMAT: Final = "%Y%m%d"
SWAPPED_FORMATS = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y", "%m/%d/%y": "%d/%m/%y"}
"""Formats with the month first, and the same with the day first."""


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
        if _reads_all(texts, format):
            return format
    several = (form for form in propose_date_formats(texts) if ALTERNATIVES in form)
    return next((form for form in several if _reads_all(texts, form)), None)


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
    first = parse_dates(texts[:_FIRST_TEXTS], format)
    return not np.isnan(first).any() and not np.isnan(parse_dates(texts, format)).any()


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


def is_ambiguous(format: str, texts: Sequence[str]) -> bool:
    """Return whether the texts are valid dates with month and day swapped, too.

    >>> is_ambiguous("%m/%d/%Y", ["01/02/2020"]), is_ambiguous("%m/%d/%Y", ["01/31/2020"])
    (True, False)
    """
    return format in SWAPPED_FORMATS and not np.isnan(parse_dates(texts, SWAPPED_FORMATS[format])).any()


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
    pattern = re.escape(format).replace(r"\ ", " +")
    if format == COMPACT_FORMAT:
        pattern = r"(?P<Y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"
    for code, field in _FIELDS.items():
        pattern = pattern.replace(re.escape(code), field)
    if "%" in pattern or not re.search(r"\?P<[Yy]>", pattern) or not re.search(r"\?P<[mb]>", pattern):
        raise ValueError(Message("{format} is not a date format", format=format))
    fullmatch = re.compile(pattern + _TIME, re.ASCII | re.IGNORECASE).fullmatch

    def parse(text: str) -> float:
        match = fullmatch(text)
        if match is None:
            raise ValueError(text)
        fields = match.groupdict()
        year = int(fields["Y"]) if fields.get("Y") else (int(fields["y"]) + 31) % 100 + 1969  # 69 is 1969, 68 is 2068
        month = _MONTHS[fields["b"].lower()] if fields.get("b") else int(fields["m"])
        day = datetime.date(year, month, int(fields.get("d") or 1)).toordinal() - _EPOCH
        return float(day) if fields["H"] is None else day + _time_of_day(fields, text)

    return parse


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
    second = float((fields["S"] or "0").replace(",", "."))
    if fields["p"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + 12 * (fields["p"].lower() == "p")
    if hour > 23 or minute > 59 or second >= 61:
        raise ValueError(text)
    zone = (fields["z"] or "").upper().removeprefix("UTC").removeprefix("GMT")
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
