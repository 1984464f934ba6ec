"""Dates as people write them, and the numbers that a network can learn from."""

from __future__ import annotations

import contextlib
import datetime
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

PARTS: Final = ("year", "month", "day", "weekday", "day-of-year", "days", "hour")
"""What a date becomes: weekday is 0 on Monday, days are counted from 1970-01-01, hour has its minutes as a fraction."""
TREND: Final = ("year", "days")
"""Parts that only ever grow: tomorrow's were never seen in training."""
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
    r"(?: ?(?P<p>[ap])\.?m\.?)?(?: ?(?P<z>Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_ISO = re.compile(r"(?:[12]\d{3}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?\n)+", re.ASCII)
_PIECE = 1 << 14
FORMS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
    *("%Y-%m", "%b %Y", "%b-%Y"),
)
"""Ways to write a date, in Python's signs; a time of day may follow each. The first that reads all values is taken."""
DIGITS: Final = "%Y%m%d"
TWINS = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y", "%m/%d/%y": "%d/%m/%y"}
"""Ways that differ only in which comes first, the month or the day."""


def date_form(texts: Sequence[str]) -> str | None:
    """How all of these texts write dates, or None.

    Args:
        texts: different values of a column, missing ones left out.

    >>> date_form(["2004-08-19", "2004-08-20 13:30"]), date_form(["31/12/2020"]), date_form(["12-345"])
    ('%Y-%m-%d', '%d/%m/%Y', None)
    """
    for form in FORMS if texts else ():
        if not np.isnan(days_of(texts[:100], form)).any() and not np.isnan(days_of(texts, form)).any():
            return form
    return None


def days_of(texts: Sequence[str], form: str) -> np.ndarray:
    """Days since 1970-01-01 of texts, float64 ``(N,)``; NaN for what is no date of this form.

    Raises:
        ValueError: the form has no such signs.

    >>> days_of(["1970-01-03", "soon"], "%Y-%m-%d").tolist()
    [2.0, nan]
    """
    read = date_reader(form)
    days = np.full(len(texts), math.nan)
    for start in range(0, len(texts), _PIECE):
        piece = texts[start : start + _PIECE]
        if form == "%Y-%m-%d" and _ISO.fullmatch("\n".join([*piece, ""])):
            try:
                days[start : start + _PIECE] = np.array(piece, "datetime64[us]").astype(np.int64) / 86_400_000_000
                continue
            except ValueError:  # the 30th of February
                pass
        for place, text in enumerate(piece, start):
            with contextlib.suppress(ValueError):
                days[place] = read(text)
    return days


def ambiguous(form: str, texts: Sequence[str]) -> bool:
    """Whether the same texts are dates with month and day changed over, too.

    >>> ambiguous("%m/%d/%Y", ["01/02/2020"]), ambiguous("%m/%d/%Y", ["01/31/2020"])
    (True, False)
    """
    return form in TWINS and not np.isnan(days_of(texts, TWINS[form])).any()


@functools.cache
def date_reader(form: str) -> Callable[[str], float]:
    """A function from text to days since 1970-01-01 (UTC where the text tells its zone); it raises ValueError.

    >>> date_reader("%d %b %Y")("2 Jan 1970 12:00")
    1.5

    Raises:
        ValueError: the form has no such signs.
    """
    pattern = re.escape(form).replace(r"\ ", " +")
    if form == DIGITS:
        pattern = r"(?P<Y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"
    for sign, field in _FIELDS.items():
        pattern = pattern.replace(re.escape(sign), field)
    if "%" in pattern or not re.search(r"\?P<[Yy]>", pattern) or not re.search(r"\?P<[mb]>", pattern):
        raise ValueError(f"{form} is no form of a date")
    match = re.compile(pattern + _TIME, re.ASCII | re.IGNORECASE).fullmatch

    def read(text: str) -> float:
        found = match(text)
        if found is None:
            raise ValueError(text)
        said = found.groupdict()
        year = int(said["Y"]) if said.get("Y") else (int(said["y"]) + 31) % 100 + 1969  # 69 is 1969, 68 is 2068
        month = _MONTHS[said["b"].lower()] if said.get("b") else int(said["m"])
        day = datetime.date(year, month, int(said.get("d") or 1)).toordinal() - _EPOCH
        return float(day) if said["H"] is None else day + _time_of_day(said, text)

    return read


def _time_of_day(said: dict[str, str | None], text: str) -> float:
    """Fraction of a day, by the groups of `_TIME`."""
    hour, minute = int(said["H"] or 0), int(said["M"] or 0)
    second = float((said["S"] or "0").replace(",", "."))
    if said["p"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + 12 * (said["p"].lower() == "p")
    if hour > 23 or minute > 59 or second >= 61:
        raise ValueError(text)
    zone = said["z"]
    if zone and zone[0] in "+-":
        sign = -1 if zone[0] == "-" else 1
        minute -= sign * (int(zone[1:3]) * 60 + int(zone[-2:]))
    return (hour * 3600 + minute * 60 + second) / 86400


def part(days: np.ndarray, name: str) -> np.ndarray:
    """One of `PARTS` of each date.

    Args:
        days: days since 1970-01-01, float64 ``(N,)``, NaN where missing.
        name: of the part.

    Returns:
        float64 ``(N,)``, NaN where missing.

    >>> part(np.array([12649.75, np.nan]), "hour").tolist()  # 2004-08-19 18:00
    [18.0, nan]
    """
    if name == "days":
        return days
    there = ~np.isnan(days)
    whole = np.floor(days[there])
    date = whole.astype("int64").astype("datetime64[D]")
    year = date.astype("datetime64[Y]")
    found = {
        "year": lambda: year.astype("int64") + 1970,
        "month": lambda: date.astype("datetime64[M]").astype("int64") % 12 + 1,
        "day": lambda: (date - date.astype("datetime64[M]").astype("datetime64[D]")).astype("int64") + 1,
        "weekday": lambda: (whole + 3) % 7,
        "day-of-year": lambda: (date - year.astype("datetime64[D]")).astype("int64") + 1,
        "hour": lambda: np.round((days[there] - whole) * 86400) / 3600,
    }[name]()
    result = np.full(len(days), math.nan)
    result[there] = found
    return result
