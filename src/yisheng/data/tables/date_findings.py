"""Findings about a column of dates: texts that are none, several forms, swapped months and days, time zones."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages
from yisheng.data.tables import dates
from yisheng.data.tables.number_findings import describe_missing_code
from yisheng.data.tables.raw_column import RawColumn

PLACEHOLDER_DATES: Final = (
    *("0001-01-01", "1753-01-01", "1800-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01", "1970-01-01"),
    *("2099-12-31", "2999-12-31", "3000-01-01", "3000-12-31", "9999-01-01", "9999-12-31"),
)
"""Dates that programs write for a missing value."""
_MIN_PLACEHOLDERS, _MIN_PLACEHOLDER_FRACTION, _MIN_PLACEHOLDER_GAP = 3, 0.005, 3653.0
"""Rows with such a date, their fraction of all rows, and days to all other dates, from which it is reported."""
_MAX_FUTURE_DAYS = 3653
"""Days from today up to which a year of two digits may be meant: contracts and best-before dates end later."""
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def check_dates(raw: RawColumn, date_format: str, stray_texts: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings about a column of dates.

    Args:
        raw: the column of texts.
        date_format: its format, or several joined by |.
        stray_texts: texts that are no dates, which count as missing.
    """
    assert raw.codes is not None
    findings = [_report_stray(raw, date_format, stray_texts)] if stray_texts else []
    texts = [text for text in raw.categories if text not in stray_texts]
    formats = date_format.split(dates.ALTERNATIVES)
    if len(formats) > 1:
        findings.append(_report_forms(raw.name, texts, formats))
    for form in formats:
        alternative = dates.find_ambiguity(form, _texts_of_format(texts, formats, form))
        if alternative:
            findings.append(_report_ambiguous(raw.name, form, alternative))
            break
    days = np.append(dates.parse_dates(raw.categories, date_format), np.nan)[raw.codes]
    days = days[~np.isnan(days)]
    findings += [*_check_centuries(raw.name, days, formats), *_check_placeholders(raw.name, days)]
    timed = [text for text in texts if dates.has_time(text)]
    with_zone = sum(map(dates.has_zone, timed))
    if 0 < with_zone < len(timed):
        findings.append(_report_zones(raw.name, with_zone, timed))
    return tuple(findings)


def _check_centuries(name: str, days: np.ndarray, formats: Sequence[str]) -> list[Finding]:
    """Return a warning if years of two digits are read as years that are far in the future."""
    today = datetime.date.today().toordinal() - _EPOCH
    future = days > today + _MAX_FUTURE_DAYS
    if not any("%y" in form for form in formats) or not future.any():
        return []
    last = np.datetime64(int(days.max()), "D")
    return [
        Finding(
            "centuries",
            "warning",
            {"column": name, "rows": int(future.sum()), "last": str(last)},
            Message(
                "column {name} has years of two digits: {count} rows are read as dates in the future, up to {last}",
                name=name,
                count=f"{int(future.sum()):,}",
                last=str(last),
            ),
            Message("write years with four digits: 69 to 99 are read as 1969 to 1999, 00 to 68 as 2000 to 2068"),
        )
    ]


def _check_placeholders(name: str, days: np.ndarray) -> list[Finding]:
    """Return a warning if a date that programs write for a missing value is repeated and far from all others."""
    for extreme in (days.min(), days.max()) if len(days) else ():
        placeholder = str(np.datetime64(int(np.floor(extreme)), "D"))
        remaining = days[np.floor(days) != np.floor(extreme)]
        count = len(days) - len(remaining)
        if placeholder not in PLACEHOLDER_DATES or count < max(
            _MIN_PLACEHOLDERS, _MIN_PLACEHOLDER_FRACTION * len(days)
        ):
            continue
        gap = np.abs(remaining - extreme).min() if len(remaining) else 0.0
        if gap > max(_MIN_PLACEHOLDER_GAP, 0.5 * np.ptp(remaining) if len(remaining) else 0.0):
            return [_report_placeholder(name, placeholder, count, remaining)]
    return []


def _report_placeholder(name: str, placeholder: str, count: int, remaining: np.ndarray) -> Finding:
    low, high = (str(np.datetime64(int(day), "D")) for day in (np.floor(remaining.min()), np.floor(remaining.max())))
    cause = describe_missing_code(name, placeholder, count, low, high)
    remedy = Message("if it means a missing value, empty these cells, or name the text with missing=")
    return Finding("missing codes", "warning", {"column": name, "code": placeholder, "rows": count}, cause, remedy)


def _texts_of_format(texts: Sequence[str], formats: Sequence[str], form: str) -> list[str]:
    """Return the texts that a format reads, and no earlier one."""
    earlier = [dates.make_date_parser(candidate) for candidate in formats[: formats.index(form)]]
    parse = dates.make_date_parser(form)
    return [
        text
        for text in texts
        if _reads(parse, text) and not any(_reads(earlier_parse, text) for earlier_parse in earlier)
    ]


def _reads(parse: Callable[[str], float], text: str) -> bool:

    try:
        parse(text)
    except ValueError:
        return False
    return True


def _report_stray(raw: RawColumn, date_format: str, stray_texts: Sequence[str]) -> Finding:
    assert raw.codes is not None
    codes = [raw.categories.index(text) for text in stray_texts]
    rows = {text: int((raw.codes == code).argmax()) + 1 for text, code in zip(stray_texts, codes, strict=True)}
    texts = [Message("{text} (row {row})", text=f"{text[:30]!r}", row=row) for text, row in list(rows.items())[:5]]
    listed = join_messages([*texts, *["..."] * (len(rows) > 5)])
    return Finding(
        "odd dates",
        "warning",
        {"column": raw.name, "rows": rows, "format": date_format},
        Message("column {name} holds texts among its dates that are none: {texts}", name=raw.name, texts=listed),
        Message("they count as missing; correct them, or leave the cells empty"),
    )


def _report_forms(name: str, texts: Sequence[str], formats: Sequence[str]) -> Finding:
    counts = {form: len(_texts_of_format(texts, formats, form)) for form in formats}
    listed = ", ".join(f"{form} ({count:,})" for form, count in counts.items())
    return Finding(
        "date forms",
        "warning",
        {"column": name, "formats": counts},
        Message("column {name} holds dates in {count} forms: {listed}", name=name, count=len(formats), listed=listed),
        Message(
            "check that each is read as it is meant; to use one only, give kinds={name}:date:{format}",
            name=name,
            format=formats[0],
        ),
    )


def _report_ambiguous(name: str, form: str, alternative: str) -> Finding:
    cause = Message("column {name}: month and day could be swapped; it was read as {form}", name=name, form=form)
    remedy = Message("if the day comes first, use kinds={name}:date:{swapped}", name=name, swapped=alternative)
    if alternative != dates.SWAPPED_FORMATS.get(form):
        cause = Message(
            "column {name}: the year could be the first or the last number; it was read as {form}", name=name, form=form
        )
        remedy = Message("if that is wrong, use kinds={name}:date:{swapped}", name=name, swapped=alternative)
    return Finding("ambiguous dates", "warning", {"column": name, "format": form}, cause, remedy)


def _report_zones(name: str, with_zone: int, timed: Sequence[str]) -> Finding:
    example = next(text for text in timed if not dates.has_zone(text))
    return Finding(
        "time zones",
        "warning",
        {"column": name, "with zone": with_zone, "without": len(timed) - with_zone},
        Message(
            "column {name}: {with_zone} times have a time zone, {without_zone} have none, such as {example}",
            name=name,
            with_zone=f"{with_zone:,}",
            without_zone=f"{len(timed) - with_zone:,}",
            example=f"{example!r}",
        ),
        Message("those without one are taken as UTC; write the zone of each, as in 2024-05-01 12:00+02:00"),
    )
