"""Findings about a column of dates: texts that are none, several forms, swapped months and days, time zones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages
from yisheng.data.tables import dates
from yisheng.data.tables.raw_column import RawColumn


def check_dates(raw: RawColumn, date_format: str, stray_texts: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings about a column of dates.

    Args:
        raw: the column of texts.
        date_format: its format, or several joined by |.
        stray_texts: texts that are no dates, which count as missing.
    """
    findings = [_report_stray(raw, date_format, stray_texts)] if stray_texts else []
    texts = [text for text in raw.categories if text not in stray_texts]
    formats = date_format.split(dates.ALTERNATIVES)
    if len(formats) > 1:
        findings.append(_report_forms(raw.name, texts, formats))
    swappable = [form for form in formats if dates.is_ambiguous(form, _texts_of_format(texts, formats, form))]
    if swappable:
        findings.append(_report_ambiguous(raw.name, swappable[0], dates.SWAPPED_FORMATS[swappable[0]]))
    timed = [text for text in texts if dates.has_time(text)]
    with_zone = sum(map(dates.has_zone, timed))
    if 0 < with_zone < len(timed):
        findings.append(_report_zones(raw.name, with_zone, timed))
    return tuple(findings)


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


def _report_ambiguous(name: str, form: str, swapped: str) -> Finding:
    return Finding(
        "ambiguous dates",
        "warning",
        {"column": name, "format": form},
        Message("column {name}: month and day could be swapped; it was read as {form}", name=name, form=form),
        Message("if the day comes first, use kinds={name}:date:{swapped}", name=name, swapped=swapped),
    )


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
