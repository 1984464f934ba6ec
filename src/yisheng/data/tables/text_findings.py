"""Findings about columns of texts that look like something else: numbers and words, unknown dates, units, codes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.data.tables.calendar_words import MONTHS, with_capitals
from yisheng.data.tables.literals import infer_number_format, is_code, normalize_digits
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.written_quantities import check_quantities

MIN_NUMBER_FRACTION, MIN_DISTINCT_NUMBERS, MAX_WORDS = 0.5, 3, 20
"""Fraction of the rows that hold numbers, and different numbers, from which a column of texts may be numbers; and
different words among them up to which it is, unless nearly all rows hold numbers."""
MIN_LIKE_FRACTION, MIN_DISTINCT_WITH_UNIT = 0.9, 10
"""Fraction of the rows that look like dates, and different numbers with a unit, from which a column is reported."""
_MAX_TEXTS = 1000
"""Different texts that are tried."""
_DATE_LIKE = re.compile(
    r"(?:\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2\d{4}|\d{1,2}([-/])\d{1,2}\3\d\d)(?!\d).*|(?:19|20)\d\d[wWhH]\d{1,2}"
)
_DATE_WITH_WORDS = re.compile(
    rf"(?=.{{8,45}}$)(?=.*\b\d{{1,4}}\b)(?=.*(?<![^\W\d_])(?:{'|'.join(with_capitals(MONTHS))})(?![^\W\d_]))(?=.*\d{{4}}).+"
    r"|.{0,6}\d+年\d+月\d+日.*",
    re.IGNORECASE,
)
_WITH_UNIT = re.compile(
    r"((?:[^\W\d_]{1,5} |[^\W\d_]{0,2}[.$] ?|[^\w\s.,+-]{1,3} ?)?)[+-]?\d[\d.,' ]*([^\W\d_]{0,6}[²³]?|°[CF])"
)


def check_texts(raw: RawColumn, kind: str) -> tuple[Finding, ...]:
    """Return a warning about a column of texts that may be numbers or dates, or nothing.

    Args:
        raw: a column of texts that no format of numbers or dates reads.
        kind: the kind that it was given.
    """
    assert raw.codes is not None
    step = -(-len(raw.categories) // _MAX_TEXTS)
    texts = [normalize_digits(text) for text in raw.categories[::step]]
    rows = np.bincount(raw.codes[raw.codes >= 0], minlength=len(raw.categories))[::step]
    for check in (_check_numbers, _check_shapes, check_quantities):
        finding = check(raw.name, texts, rows, kind)
        if finding is not None:
            return (finding,)
    return ()


def check_number_pair(name: str, texts: Sequence[str]) -> tuple[Finding, ...]:
    """Return a warning if the two texts of a column are numbers with different decimal marks, such as 1,5 and 2.5.

    >>> [finding.check for finding in check_number_pair("a", ["1,5", "2.5"])], check_number_pair("a", ["1", "2.5"])
    (['numbers and texts'], ())
    """
    texts = [normalize_digits(text) for text in texts]
    are_numbers = all(infer_number_format([text]) is not None and not is_code(text) for text in texts)
    if not are_numbers or infer_number_format(texts) is not None:
        return ()
    return (_report_numbers(name, "yes/no", texts, 1.0, Message("different forms")),)


def _check_numbers(name: str, texts: Sequence[str], rows: np.ndarray, kind: str) -> Finding | None:
    """Return a finding about numbers with few words or codes among them, or in several forms."""
    are_numbers = np.array([infer_number_format([text]) is not None for text in texts])
    are_codes = np.array([is_code(text) for text in texts])
    fraction = float(rows[are_numbers].sum() / rows.sum())
    if fraction < MIN_NUMBER_FRACTION or are_numbers.sum() < MIN_DISTINCT_NUMBERS:
        return None
    if fraction == 1:
        codes_fraction = float(rows[are_codes].sum() / rows.sum())
        if codes_fraction > 1 - MIN_LIKE_FRACTION:  # telephone numbers, ZIP codes
            return None
        examples = [text for text, is_other in zip(texts, are_codes, strict=True) if is_other] or texts[:5]
        reason = Message("different forms")
        if codes_fraction:
            reason = Message("codes, whose zeros a number would lose")
    else:
        examples = [text for text, is_number in zip(texts, are_numbers, strict=True) if not is_number]
        if len(examples) > MAX_WORDS and fraction < MIN_LIKE_FRACTION:
            return None
        reason = Message("words")
    return _report_numbers(name, kind, examples, fraction, reason)


def _report_numbers(name: str, kind: str, examples: Sequence[str], fraction: float, reason: Message) -> Finding:
    """Return the warning about a column of texts that hold numbers in several forms, or numbers and words."""
    listed = ", ".join(repr(text[:30]) for text in examples[:5]) + ", ..." * (len(examples) > 5)
    remedy = Message(
        "correct them, or name those that mean a missing value with missing=; or use kinds={name}:{kind}",
        name=name,
        kind=kind,
    )
    return Finding(
        "numbers and texts",
        "warning",
        {"column": name, "numbers": round(fraction, 3), "examples": list(examples[:20])},
        Message(
            "column {name} is {kind}: {fraction} of its rows are numbers, but it holds {reason}: {listed}",
            name=name,
            kind=kind,
            fraction=f"{fraction:.0%}",
            reason=reason,
            listed=listed,
        ),
        remedy,
    )


def _check_shapes(name: str, texts: Sequence[str], rows: np.ndarray, kind: str) -> Finding | None:
    """Return a finding about dates in an unknown form, or numbers with a unit."""
    forms = (_DATE_LIKE, _DATE_WITH_WORDS)
    are_dates = np.array([any(form.fullmatch(text) for form in forms) for text in texts])
    if rows[are_dates].sum() > MIN_LIKE_FRACTION * rows.sum():
        return Finding(
            "unknown dates",
            "warning",
            {"column": name, "examples": list(texts[:5])},
            Message(
                "column {name} is {kind}: it looks like dates, but no form reads {text} and the others",
                name=name,
                kind=kind,
                text=f"{texts[0][:40]!r}",
            ),
            Message(
                "give their form, as in kinds={name}:date:%d-%m-%y; if they are none, use kinds={name}:{kind}",
                name=name,
                kind=kind,
            ),
        )
    units = [match[1].strip() or match[2] if (match := _WITH_UNIT.fullmatch(text)) else "" for text in texts]
    if len(set(units)) == 1 and units[0] and len(texts) >= MIN_DISTINCT_WITH_UNIT:
        return Finding(
            "units",
            "warning",
            {"column": name, "unit": units[0]},
            Message(
                "column {name} is {kind}: its numbers have the unit {unit}", name=name, kind=kind, unit=f"{units[0]!r}"
            ),
            Message(
                "remove the unit from the values; if they are no numbers, use kinds={name}:{kind}", name=name, kind=kind
            ),
        )
    return None
