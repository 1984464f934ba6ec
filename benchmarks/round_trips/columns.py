"""Columns with known values, and their texts in the form of a dialect."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from benchmarks.round_trips.dialects import Dialect
from benchmarks.round_trips.words import can_encode, draw_words

CURRENCIES = "€$£¥₩"
TIMED = ("minutes", "seconds")
"""Flavors of dates with a time of day."""
FULL_WIDTH = str.maketrans("0123456789.,", "０１２３４５６７８９．，")


@dataclass(frozen=True)
class TrueColumn:
    """A column whose values are known.

    Args:
        name: in the header.
        kind: number, date, category, yes/no, or code, whose values are texts of digits.
        flavor: how the values were drawn.
        values: float, int, datetime, str or bool; None where missing.
        texts: as the program writes them, without quotes.
    """

    name: str
    kind: str
    flavor: str
    values: list[Any]
    texts: list[str]


def draw_columns(dialect: Dialect, rows: int, draw: random.Random) -> list[TrueColumn]:
    """Return the columns of a table; the last one is the target."""
    kinds = [draw_numbers for _ in range(draw.randint(1, 3))]
    kinds += [draw_categories for _ in range(draw.randint(0, 2))]
    kinds += [draw_dates for _ in range(draw.randint(0, 1))]
    kinds += [draw_booleans for _ in range(draw.randint(0, 1))]
    kinds += [draw_codes] * (draw.random() < 0.25)
    draw.shuffle(kinds)
    names = _draw_names(dialect, len(kinds), draw)
    columns = [
        _add_missing(make(name, dialect, rows, draw), dialect, draw, is_alone=len(kinds) == 1)
        for make, name in zip(kinds, names, strict=False)
    ]
    target = draw_categories if draw.random() < 0.3 else draw_numbers
    return [*columns, target("y", dialect, rows, draw)]


def _draw_names(dialect: Dialect, count: int, draw: random.Random) -> list[str]:
    words = draw_words(draw.choice((dialect.script, "ascii")), min(count, 9), draw)
    names = []
    for position, word in enumerate(words):
        form = draw.choice(("{}",) * 6 + ("{} {}", "{} ({})", "{}, {}", '{} "{}"', "{}\n{}", "{}_{}"))
        names.append(form.format(word, f"n{position}"))
    return names


def _add_missing(column: TrueColumn, dialect: Dialect, draw: random.Random, *, is_alone: bool) -> TrueColumn:
    """Return a column with missing values; the last rows of a workbook do not exist if they are empty."""
    fraction = draw.choice((0, 0, 0.05, 0.3)) * (dialect.program != "xlsx" or not is_alone)
    is_missing = [draw.random() < fraction for _ in column.values]
    return TrueColumn(
        column.name,
        column.kind,
        column.flavor,
        [None if missing else value for value, missing in zip(column.values, is_missing, strict=True)],
        [dialect.missing if missing else text for text, missing in zip(column.texts, is_missing, strict=True)],
    )


def draw_numbers(name: str, dialect: Dialect, rows: int, draw: random.Random) -> TrueColumn:
    """Return a column of numbers."""
    flavors = ["decimals", "decimals", "decimals", "integers", "grouped", "large", "small", "scientific"]
    if dialect.program in ("csv", "excel"):
        flavors += ["percent", "currency", "negative"]
    if dialect.program == "csv" and can_encode("０１", dialect.encoding):
        flavors += ["full-width"]
    flavor = draw.choice(flavors)
    values = [_draw_value(flavor, draw) for _ in range(rows)]
    if flavor in ("decimals", "percent", "currency", "negative", "full-width"):
        places = draw.choice((1, 2, 2, 3)) if flavor != "currency" else 2
        values = [round(Decimal(value), places) for value in values]
        is_fixed = dialect.program in ("csv", "excel") and draw.random() < 0.5
        texts = [write_number(value if is_fixed else _trim(value), dialect) for value in values]
    elif flavor in ("integers", "grouped", "large"):
        values = list(map(Decimal, values))
        texts = [write_number(value, dialect) for value in values]
    else:
        texts = [repr(value).replace(".", dialect.decimal) for value in values]
    texts = _decorate(flavor, texts, dialect, draw)
    numbers = [int(value) if flavor in ("integers", "grouped", "large") else float(value) for value in values]
    return TrueColumn(name, "number", flavor, numbers, texts)


def _draw_value(flavor: str, draw: random.Random) -> Any:
    if flavor == "integers":
        return draw.randint(-20, 400)
    if flavor == "grouped":
        return draw.randint(1000, 9_999_999)
    if flavor == "large":
        return draw.randint(2**53, 2**62)
    if flavor in ("small", "scientific"):
        return draw.uniform(-1, 1) * 10.0 ** (draw.randint(-9, -3) if flavor == "small" else draw.randint(-30, 30))
    if flavor == "percent":
        return draw.uniform(0, 120)
    return draw.uniform(-1, 1 if flavor == "negative" else 3) * 10.0 ** draw.randint(1, 5)


def _trim(value: Decimal) -> Decimal:
    trimmed = value.normalize()
    return trimmed.quantize(Decimal(1)) if trimmed == trimmed.to_integral() else trimmed


def write_number(value: Decimal, dialect: Dialect) -> str:
    """Return a number in a dialect.

    >>> from benchmarks.round_trips.dialects import draw_dialect
    >>> dialect = draw_dialect(random.Random(0), ("polars",))
    >>> write_number(Decimal("1234.50"), dialect).replace(dialect.decimal, ".")
    '1234.50'
    """
    text = f"{value:,f}" if dialect.thousands else f"{value:f}"
    return text.replace(",", "T").replace(".", dialect.decimal).replace("T", dialect.thousands)


def _decorate(flavor: str, texts: list[str], dialect: Dialect, draw: random.Random) -> list[str]:
    """Return numbers with signs: %, a currency, or another way to write a minus."""
    if flavor == "percent":
        form = draw.choice(("{}%", "{} %"))
        return [form.format(text) for text in texts]
    if flavor == "currency":
        signs = [sign for sign in CURRENCIES if can_encode(sign, dialect.encoding)]
        form = draw.choice(("{s}{}", "{s} {}", "{} {s}", "{}{s}"))
        sign = draw.choice(signs or ["$"])
        minus = draw.choice(("-{}", "({})"))
        return [minus.format(form.format(t[1:], s=sign)) if t[0] == "-" else form.format(t, s=sign) for t in texts]
    if flavor == "negative":
        forms = [form for form in ("({})", "\u2212{}", "{}-", "- {}", "\u2013{}") if can_encode(form, dialect.encoding)]
        form = draw.choice(forms)
        return [form.format(text[1:]) if text[0] == "-" else text for text in texts]
    return [text.translate(FULL_WIDTH) for text in texts] if flavor == "full-width" else texts


def draw_dates(name: str, dialect: Dialect, rows: int, draw: random.Random) -> TrueColumn:
    """Return a column of dates, or of times of days."""
    start = datetime.datetime(draw.randint(1985, 2024), draw.randint(1, 12), 1)
    flavor = draw.choice(("days", "days", "days", "months", "minutes", "seconds"))
    step = {"days": 1, "months": 1, "minutes": 0.3, "seconds": 0.3}[flavor]
    values = [start + datetime.timedelta(days=draw.randrange(900) * step) for _ in range(rows)]
    if flavor == "days":
        values = [value.replace(hour=0, minute=0, second=0) for value in values]
    elif flavor == "months":
        values = [value.replace(day=1, hour=0, minute=0, second=0) for value in values]
    elif flavor == "minutes":
        values = [value.replace(second=0) for value in values]
    times = dict(zip(TIMED, (" %H:%M", " %H:%M:%S"), strict=True)).get(flavor, "")
    return TrueColumn(name, "date", flavor, values, [value.strftime(dialect.date_form + times) for value in values])


def draw_categories(name: str, dialect: Dialect, rows: int, draw: random.Random) -> TrueColumn:
    """Return a column of categories, perhaps with separators, quotes, line breaks and blanks in them."""
    words = draw_words(draw.choice((dialect.script, "ascii")), draw.randint(3, 8), draw)
    forms = ("{}",) * 8 + ("{}, {}", "{}; {}", '{} "{}"', "{}\n{}", " {} ", "{}'{}", "{}\t{}")
    flavor = draw.choice(forms)
    categories = [flavor.format(word, word[::-1]) for word in words]
    if draw.random() < 0.1 and dialect.program == "csv" and can_encode("Ａ", dialect.encoding):
        flavor, categories = "full-width", [f"Ａ{position}" for position in range(len(words))]
    values = [draw.choice(categories) for _ in range(rows)]
    return TrueColumn(name, "category", flavor, values, list(values))


def draw_booleans(name: str, dialect: Dialect, rows: int, draw: random.Random) -> TrueColumn:
    """Return a column of True and False."""
    values = [draw.random() < 0.5 for _ in range(rows)]
    return TrueColumn(name, "yes/no", "booleans", values, [dialect.booleans[value] for value in values])


def draw_codes(name: str, dialect: Dialect, rows: int, draw: random.Random) -> TrueColumn:  # noqa: ARG001  # a maker
    """Return a column of texts of digits: ZIP codes, telephone numbers, versions, IBANs."""
    makers: dict[str, Callable[[], str]] = {
        "zip": lambda: f"{draw.randrange(99999):05d}",
        "telephone": lambda: f"0{draw.randrange(10**9)}",
        "international": lambda: f"+49 {draw.randrange(100, 999)} {draw.randrange(100, 999)}",
        "version": lambda: f"{draw.randrange(1, 3)}.{draw.randrange(12)}.{draw.randrange(20)}",
        "iban": lambda: f"DE{draw.randrange(10, 99)} {draw.randrange(1000, 9999)} {draw.randrange(1000, 9999)}",
    }
    flavor = draw.choice(list(makers))
    categories = [makers[flavor]() for _ in range(8)]
    if flavor == "zip":
        categories[0] = f"0{draw.randrange(1000, 9999)}"
    values = [draw.choice(categories) for _ in range(rows)]
    values[: len(categories)] = categories
    return TrueColumn(name, "code", flavor, values, list(values))
