"""How a program writes a table: encoding, separator, forms of numbers and dates, quotes, missing values."""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.round_trips.words import ANSI, ENCODINGS, SCRIPTS, can_encode

PROGRAMS = ("csv", "csv", "csv", "csv", "pandas", "pandas", "polars", "excel", "excel", "xlsx")
"""Programs, the frequent ones several times; ``csv`` is any other program."""
SEPARATORS = (",", ";", "\t")
NUMBER_FORMS = ((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (",", "\u00a0"), (".", "'"), (",", "\u202f"))
"""Decimal and thousands marks."""
DATE_FORMS = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d")
MISSING_WORDS = ("", "", "", "NA", "NaN", "null", "NULL", "N/A", "#N/A", "None", "?")
BOOLEANS = (("False", "True"), ("false", "true"), ("FALSE", "TRUE"), ("no", "yes"), ("N", "Y"), ("0", "1"))
LOCALES = (
    (",", ".", ",", "%m/%d/%Y", ("FALSE", "TRUE"), ("ascii",)),
    (",", ".", ",", "%Y/%m/%d", ("FALSE", "TRUE"), ("simplified", "traditional", "japanese")),
    (",", ".", ",", "%Y-%m-%d", ("FALSE", "TRUE"), ("korean",)),
    (";", ",", ".", "%d.%m.%Y", ("FALSCH", "WAHR"), ("western",)),
    (";", ",", "\u202f", "%d/%m/%Y", ("FAUX", "VRAI"), ("western",)),
    (";", ".", "’", "%d.%m.%Y", ("FALSCH", "WAHR"), ("western",)),
    (";", ",", "\u00a0", "%d.%m.%Y", ("ЛОЖЬ", "ИСТИНА"), ("cyrillic",)),
    (";", ",", "\u00a0", "%d.%m.%Y", ("FAŁSZ", "PRAWDA"), ("central",)),
    (";", ",", ".", "%d/%m/%Y", ("ΨΕΥΔΕΣ", "ΑΛΗΘΕΣ"), ("greek",)),
    (";", ",", ".", "%d.%m.%Y", ("YANLIŞ", "DOĞRU"), ("turkish",)),
)
"""Excel's list separator, decimal mark, thousands mark, dates and booleans, and the scripts of their readers."""


@dataclass(frozen=True)
class Dialect:
    """How a program writes a table.

    Args:
        program: csv, pandas, polars, excel or xlsx.
        script: of the words.
        encoding: of the bytes.
        separator: between values.
        decimal: mark before decimals.
        thousands: mark between groups of three digits; empty for none.
        date_form: in the codes of ``strftime``.
        line_end: between rows.
        quoting: minimal, all, or strings.
        missing: word for a missing value.
        booleans: words for False and True.
        suffix: of the file.
        first_lines: lines above the table.
    """

    program: str
    script: str
    encoding: str
    separator: str
    decimal: str
    thousands: str
    date_form: str
    line_end: str
    quoting: str
    missing: str
    booleans: tuple[str, str]
    suffix: str
    first_lines: tuple[str, ...] = ()


def draw_dialect(draw: random.Random, programs: tuple[str, ...] = PROGRAMS, script: str = "") -> Dialect:
    """Return a random dialect.

    Args:
        draw: the generator.
        programs: the programs to choose from.
        script: of the words; any by default.
    """
    program = draw.choice(programs)
    if program == "excel":
        return _draw_excel(draw, script)
    script, encoding = _draw_encoding(draw, script)
    decimal, thousands = draw.choice([form for form in NUMBER_FORMS if can_encode(form[1], encoding)])
    dialect = {
        "script": script,
        "encoding": encoding,
        "separator": draw.choice(SEPARATORS),
        "date_form": draw.choice(DATE_FORMS),
        "line_end": draw.choice(("\n", "\r\n")),
        "quoting": draw.choice(("minimal", "minimal", "all", "strings")),
        "missing": draw.choice(MISSING_WORDS),
    }
    suffixes = (".csv", ".tsv", ".txt") if dialect["separator"] == "\t" else (".csv", ".csv", ".txt")
    dialect["suffix"] = draw.choice(suffixes)
    if program == "pandas":
        return Dialect(program, **dialect, decimal=decimal, thousands="", booleans=("False", "True"))
    if program == "polars":
        return Dialect(program, **dialect, decimal=decimal, thousands="", booleans=("false", "true"))
    if program == "xlsx":
        dialect |= {"encoding": "utf-8", "missing": "", "suffix": ".xlsx", "date_form": "%Y-%m-%d"}
        return Dialect(program, **dialect, decimal=".", thousands="", booleans=("FALSE", "TRUE"))
    dialect["line_end"] = draw.choice(("\n", "\n", "\r\n", "\r"))
    first_lines = _draw_first_lines(draw, dialect["separator"])
    return Dialect(
        program,
        **dialect,
        decimal=decimal,
        thousands=thousands,
        booleans=draw.choice(BOOLEANS),
        first_lines=first_lines,
    )


def _draw_encoding(draw: random.Random, script: str) -> tuple[str, str]:
    encoding = draw.choice([name for name, scripts in ENCODINGS.items() if not script or script in scripts])
    return script or draw.choice(ENCODINGS[encoding]), encoding


def _draw_first_lines(draw: random.Random, separator: str) -> tuple[str, ...]:
    kind = draw.randrange(20)
    if kind == 0:
        return (f"sep={separator}",)
    if kind == 1:
        return ("# written by a program", "# version 1.2")
    return ("Report", "") if kind == 2 else ()


def _draw_excel(draw: random.Random, script: str) -> Dialect:
    """Return a dialect of Excel's "CSV", "CSV UTF-8" or "Unicode text"."""
    locales = [locale for locale in LOCALES if not script or script in locale[-1]] or list(LOCALES[:1])
    separator, decimal, thousands, date_form, booleans, scripts = draw.choice(locales)
    script = draw.choice(scripts)
    form = draw.choice(("csv", "csv utf-8", "text"))
    encoding = {"csv": ANSI[script], "csv utf-8": "utf-8-sig", "text": "utf-16"}[form]
    if not can_encode(thousands, encoding):
        thousands = "\u00a0" if can_encode("\u00a0", encoding) else " "
    return Dialect(
        "excel",
        script,
        encoding,
        "\t" if form == "text" else separator,
        decimal,
        thousands,
        date_form,
        "\r\n",
        "minimal",
        draw.choice(("", "", "#N/A")),
        booleans,
        ".txt" if form == "text" else ".csv",
    )


__all__ = ["DATE_FORMS", "NUMBER_FORMS", "SCRIPTS", "Dialect", "draw_dialect"]
