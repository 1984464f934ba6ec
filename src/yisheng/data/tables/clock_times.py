"""Times of day and durations as numbers: ``13:45``, ``1:02:30``, ``9:15 PM``, ``2 days 03:00:00``, ``1h 30m``.

A column of them is a column of numbers whose format is one of `CLOCK_FORMATS`, so that later tables are read alike.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Final

from yisheng.data.tables.unicode_forms import normalize_text

CLOCK_FORMATS: Final = ("h:m:s", "m:s", "h:m p", "d h:m:s", "h m s", "PTHMS", "hh:mm:ss")
"""Formats of times, in the order in which they are tried: hours and minutes, and seconds if there are any; minutes and
seconds, with hours in front if there are any; hours and minutes of half a day; days and a time; numbers with units;
ISO 8601; hours, minutes and seconds in each, where a later ``1:30`` may be either."""
_MINUTES, _SECONDS = r"(?P<m>[0-5]\d)", r"(?P<s>[0-5]\d(?:[.,]\d{1,9})?)"
_SIGN = r"(?P<sign>[+-]?)"
_PATTERNS = {
    "h:m:s": rf"{_SIGN}(?P<h>\d{{1,4}}):{_MINUTES}(?::{_SECONDS})?(?: ?(?:Uhr|hrs?|h|Z|UTC))?",
    "hh:mm:ss": rf"{_SIGN}(?P<h>\d{{1,4}}):{_MINUTES}:{_SECONDS}(?: ?(?:Uhr|hrs?|h|Z|UTC))?",
    "m:s": rf"{_SIGN}(?:(?:(?P<h>\d{{1,3}}):{_MINUTES})|(?P<only>\d{{1,3}})):{_SECONDS}",
    "h:m p": (
        rf"(?:(?P<half>上午|下午|午前|午後|오전|오후) ?)?(?P<h>0?[1-9]|1[0-2])(?::{_MINUTES}(?::{_SECONDS})?)?"
        r"(?(half)| ?(?P<p>[ap])\.?m\.?)"
    ),
    "d h:m:s": rf"{_SIGN}(?:(?P<d>\d{{1,6}}) ?(?:days?,?|d|天) )?\+?(?P<h>\d{{1,2}}):{_MINUTES}:{_SECONDS}",
    "h m s": (
        r"(?P<hour>\d{1,3}) ?[h点點](?P<minute>[0-5]\d)|"
        r"(?=.*\d)(?:(?P<d>\d+) ?(?:days?|d|天|日),? ?(?:and )?)?"
        r"(?:(?P<h>\d+) ?(?:hours?|hrs?|h|小时|时|時間?|点|點),? ?(?:and )?)?"
        r"(?:(?P<m>\d+) ?(?:minutes?|mins?|m|分钟?|分),? ?(?:and )?)?"
        r"(?:(?P<s>\d+(?:[.,]\d+)?) ?(?:seconds?|secs?|s|秒))?"
    ),
    "PTHMS": (
        rf"{_SIGN}P(?=.*\d)(?:(?P<d>\d+(?:[.,]\d+)?)D)?"
        r"(?:T(?:(?P<h>\d+(?:[.,]\d+)?)H)?(?:(?P<m>\d+(?:[.,]\d+)?)M)?(?:(?P<s>\d+(?:[.,]\d+)?)S)?)?"
    ),
}
_UNIT_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "only": 60, "hour": 3600, "minute": 60}
_FIRST_TEXTS = 100
_MIN_TIMES = 3
"""Different times from which a column of texts is one of times."""


def infer_clock_format(texts: Sequence[str]) -> str | None:
    """Return the one of `CLOCK_FORMATS` that reads all texts, or None.

    ``1:30`` next to ``1:02:30`` is minutes and seconds; next to ``09:02:30`` it cannot be told, so that the column is
    not one of times. Numbers of a single unit, such as ``5 m``, may be metres.

    Args:
        texts: the distinct values of a column, missing values left out.

    >>> infer_clock_format(["08:15", "23:45", "12:00"]), infer_clock_format(["9:15 PM", "1 am", "2:30 pm"])
    ('h:m:s', 'h:m p')
    >>> infer_clock_format(["1h 30m", "45 min", "2 h"]), infer_clock_format(["4:5", "3:2", "1:1"])
    ('h m s', None)
    >>> infer_clock_format(["0:08:15", "1:45:00", "0:12:30"])
    'hh:mm:ss'
    """
    if len(texts) < _MIN_TIMES:
        return None
    for format in CLOCK_FORMATS:
        parse = make_clock_parser(format)
        if _reads_all(parse, texts[:_FIRST_TEXTS]) and _reads_all(parse, texts):
            return _resolve_fields(texts, format)
    return None


def _resolve_fields(texts: Sequence[str], format: str) -> str | None:
    """Return the format of times whose fields differ from text to text, or None if they can be read in two ways."""
    if format == "h m s":
        units = {unit[0] for text in texts for unit in re.findall(r"[^\W\d_]+", text.casefold())}
        are_hours = any(re.search(r"[h点點]\d", text.casefold()) for text in texts)
        return format if len(units) > 1 or are_hours else None
    if format != "h:m:s":
        return format
    counts = {text.count(":") for text in texts}
    if counts == {1, 2}:
        shorter, longer = ([text for text in texts if text.count(":") == count] for count in (1, 2))
        if all(text.endswith(":00") for text in longer):
            return format
        is_minutes = not any(text.lstrip("+-").startswith("0") and not text.startswith("0:") for text in texts)
        are_below_hour = all(int(text.lstrip("+-").partition(":")[0]) < 60 for text in shorter)
        return "m:s" if is_minutes and are_below_hour else None
    return "hh:mm:ss" if counts == {2} else format


def _reads_all(parse: Callable[[str], float], texts: Sequence[str]) -> bool:
    try:
        for text in texts:
            parse(text)
    except ValueError:
        return False
    return True


@functools.cache
def make_clock_parser(format: str) -> Callable[[str], float]:
    """Return the function from text to seconds for one of `CLOCK_FORMATS`.

    It raises ValueError for a text that is not a time of this format.

    >>> make_clock_parser("h:m:s")("1:30"), make_clock_parser("m:s")("1:30"), make_clock_parser("h:m p")("12:15 am")
    (5400.0, 90.0, 900.0)
    >>> make_clock_parser("PTHMS")("PT1H30M"), make_clock_parser("d h:m:s")("-1 days 23:00:00")
    (5400.0, -3600.0)
    """
    fullmatch = re.compile(_PATTERNS[format], re.ASCII | re.IGNORECASE).fullmatch

    def parse(text: str) -> float:
        text = normalize_text(text)
        match = fullmatch(text)
        if match is None:
            raise ValueError(text)
        fields = match.groupdict()
        parts = {
            name: float(fields[name].replace(",", ".")) * seconds
            for name, seconds in _UNIT_SECONDS.items()
            if fields.get(name)
        }
        half = fields.get("p") or fields.get("half")
        if half:
            parts["h"] = parts["h"] % 43_200 + 43_200 * (half.lower() in ("p", "下午", "午後", "오후"))
        if fields.get("sign") != "-":
            return sum(parts.values())
        if "d" in parts:  # Python writes minus one hour as -1 day, 23:00:00
            return sum(parts.values()) - 2 * parts["d"]
        return -sum(parts.values())

    return parse
