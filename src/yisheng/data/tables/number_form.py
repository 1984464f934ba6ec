"""How a file writes numbers: which of point and comma is the decimal mark, decided by all its columns together.

``1.250`` alone may be 1250 or 1.25. A column with ``0,375`` or ``12,5`` shows that the file writes decimal commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, join_messages
from yisheng.data.tables.literals import find_decimal_marks, has_thousands, infer_number_format, is_code
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.reading_options import ReadingOptions


class NumberForm(NamedTuple):
    """The form of a file's numbers.

    Args:
        format: as in `yisheng.data.tables.literals.infer_number_format`: empty if the file groups no digits and has
            decimal points.
        ambiguous: the columns that are numbers in either form, and an example of each.
        is_certain: whether other columns, or the user, decide between the two.
    """

    format: str
    ambiguous: Mapping[str, str]
    is_certain: bool


def infer_number_form(columns: Iterable[RawColumn], options: ReadingOptions) -> NumberForm:
    """Return the form of a file's numbers.

    Args:
        columns: its columns; only those of texts tell the form.
        options: the user's choices; in a later table the columns have the formats of training.
    """
    if options.number_format or options.is_later:
        return NumberForm(options.number_format, {}, True)
    votes: set[str] = set()
    ambiguous: dict[str, str] = {}
    is_grouped = False
    for raw in columns:
        if raw.numbers is not None or raw.is_free_text or any(map(is_code, raw.categories)):
            continue
        if infer_number_format(raw.categories) is None:
            continue
        marks = find_decimal_marks(raw.categories)
        if len(marks) == 2:
            ambiguous[raw.name] = next(text for text in raw.categories if "." in text or "," in text)
        elif marks:
            votes.add(marks)
            is_grouped |= any(has_thousands(text, marks) for text in raw.categories)
    if len(votes) != 1:
        return NumberForm("", ambiguous, False)
    (mark,) = votes
    return NumberForm("," if mark == "," else "." * is_grouped, ambiguous, True)


def set_number_form(columns: Mapping[str, RawColumn], format: str) -> dict[str, RawColumn]:
    """Return the columns with the format of the file for those whose texts leave it open."""
    return {name: replace(raw, number_format=format) if format else raw for name, raw in columns.items()}


def report_number_form(source_name: str, form: NumberForm) -> tuple[Finding, ...]:
    """Return a finding about the columns whose numbers can be read in two ways.

    Args:
        source_name: the file.
        form: its form.
    """
    if not form.ambiguous:
        return ()
    readings = [_describe_readings(text, form.format) for text in form.ambiguous.values()]
    pairs = zip(form.ambiguous, readings[:5], strict=False)
    texts = [Message("{column}: {reading}", column=column, reading=reading) for column, reading in pairs]
    listed = join_messages([*texts, *["..."] * (len(readings) > 5)])
    evidence = {"columns": dict(form.ambiguous), "format": form.format}
    if form.is_certain:
        cause = Message(
            "{source_name}: numbers that could be read in two ways are read as in its other columns ({listed})",
            source_name=source_name,
            listed=listed,
        )
        remedy = Message("if that is wrong, use decimal=point or decimal=comma")
        return (Finding("number form", "note", evidence, cause, remedy),)
    return (
        Finding(
            "number form",
            "warning",
            evidence,
            Message(
                "{source_name} holds numbers that can be read in two ways ({listed})",
                source_name=source_name,
                listed=listed,
            ),
            Message("name the decimal mark with decimal=point or decimal=comma"),
        ),
    )


def _describe_readings(text: str, format: str) -> Message:
    """Return a number with the way in which it is read, for people."""
    mark = format[:1] or ("." if "," in text and "." not in text else "")
    decimal = "." if mark == "" else mark
    digits = "".join("." if char == decimal else char for char in text if char.isdigit() or char in (decimal, "-"))
    return Message("{text} is read as {number}", text=f"{text!r}", number=digits)
