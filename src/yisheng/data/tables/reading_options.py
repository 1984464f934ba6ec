"""How a table's file is read: the user's choices, and what the run knows of its training table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.data.tables.literals import THOUSANDS_MARKS

if TYPE_CHECKING:
    from yisheng.core.spec import Spec

AUTO: Literal["auto"] = "auto"
NONE = "none"
READING_KEYS = ("header", "separator", "encoding", "decimal", "thousands", "skip", "names", "missing", "format")
TEXT_KEYS = ("separator", "encoding", "decimal", "thousands", "skip", "missing", "format")
"""Options of a training table that hold for its test table as well: those that are not about its columns."""
FORMATS = ("csv", "parquet", "npz")
_WORDS_OF_MARKS = {"comma": ",", "point": ".", "dot": ".", "space": " ", "blank": " ", "apostrophe": "'"}


@dataclass(frozen=True)
class ReadingOptions:
    """The choices about a file of text; each is detected by default.

    Args:
        header: whether the first record names the columns.
        separator: the character between values, ``tab``, ``blanks`` or ``auto``.
        encoding: of the text, or ``auto``.
        decimal: the mark before decimals, ``.`` or ``,``, or ``auto``.
        thousands: the mark between groups of three digits, ``none``, or ``auto``.
        skip: number of lines above the table, or ``auto``.
        names: names of the columns of a file without a header.
        missing: words that mean a missing value, in addition to the usual ones, and in the target too.
        format: ``csv`` for text, ``parquet`` or ``npz``, whatever the suffix of the file is; or ``auto``.
        prior_encoding: the encoding of the training table; empty while training.
        prior_separator: the separator that the user gave in training; empty for none.
        is_later: whether another table decided how columns and numbers are read.

    Raises:
        UsageError: a value is not allowed.
    """

    header: bool | Literal["auto"] = AUTO
    separator: str = AUTO
    encoding: str = AUTO
    decimal: str = AUTO
    thousands: str = AUTO
    skip: int | Literal["auto"] = AUTO
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    format: Literal["auto", "csv", "parquet", "npz"] = AUTO
    prior_encoding: str = ""
    prior_separator: str = ""
    is_later: bool = False

    def __post_init__(self) -> None:
        for key in ("decimal", "thousands"):
            object.__setattr__(self, key, _WORDS_OF_MARKS.get(getattr(self, key), getattr(self, key)))
        if self.decimal not in (AUTO, ".", ","):
            raise UsageError(
                Message("decimal must be . or ,, got {decimal}", decimal=f"{self.decimal!r}"),
                Message("use decimal=point or decimal=comma"),
            )
        if self.thousands not in (AUTO, NONE, *THOUSANDS_MARKS):
            marks = "none, point, comma, space, apostrophe"
            raise UsageError(
                Message(
                    "thousands must be one of {marks}, got {thousands}", marks=marks, thousands=f"{self.thousands!r}"
                ),
                Message("use thousands=point, ..."),
            )
        if self.thousands == self.decimal != AUTO:
            raise UsageError(
                Message(
                    "decimal={decimal} and thousands={thousands} are the same mark",
                    decimal=self.decimal,
                    thousands=self.thousands,
                ),
                Message("give different marks"),
            )
        if self.format not in (AUTO, *FORMATS):
            problem = Message(
                "format must be one of {formats}, got {format}", formats=", ".join(FORMATS), format=f"{self.format!r}"
            )
            raise UsageError(problem, suggest(self.format, FORMATS))
        if isinstance(self.skip, int) and self.skip < 0:
            raise UsageError(
                Message("skip must be a number of lines, got {skip}", skip=self.skip),
                Message("use skip=3, for example"),
            )
        if len(set(self.names)) < len(self.names):
            raise UsageError(
                Message("names= has a name twice: {names}", names=", ".join(self.names)),
                Message("give every column another name"),
            )

    @staticmethod
    def parse(values: Mapping[str, Any]) -> ReadingOptions:
        """Return the options in a mapping of texts, as a command line gives them.

        Raises:
            UsageError: a key is unknown, or a value is not allowed.

        >>> ReadingOptions.parse({"names": "a,b", "skip": "2", "decimal": "comma"}).names
        ('a', 'b')
        """
        keys = {field.name for field in fields(ReadingOptions) if not field.name.startswith(("prior", "is_"))}
        unknown = sorted(set(values) - keys)
        if unknown:
            raise UsageError(
                Message("a table is not read with {option}=", option=unknown[0]),
                Message("use one of {keys}", keys=", ".join(sorted(keys))),
            )
        parsed = {key: value for key, value in values.items() if value is not None}
        for key in {"names", "missing"} & set(parsed):
            if isinstance(parsed[key], str):
                parsed[key] = tuple(word.strip() for word in parsed[key].split(","))
            parsed[key] = tuple(parsed[key])
        if isinstance(parsed.get("header"), str) and parsed["header"] != AUTO:
            parsed["header"] = _parse_flag(parsed["header"])
        if isinstance(parsed.get("skip"), str) and parsed["skip"] != AUTO:
            if not parsed["skip"].isdecimal():
                raise UsageError(
                    Message("skip must be a number of lines, got {skip}", skip=f"{parsed['skip']!r}"),
                    Message("use skip=3, for example"),
                )
            parsed["skip"] = int(parsed["skip"])
        return ReadingOptions(**parsed)

    def with_training(self, spec: Spec) -> ReadingOptions:
        """Return the options for a later table, with what the run knows of its training table."""
        reading = spec.reading
        return replace(self, prior_encoding=reading.encoding, prior_separator=reading.separator, is_later=True)

    @property
    def number_format(self) -> str:
        """Return the form of numbers that the user gives, as in `Column.format`; empty for none."""
        if self.decimal == AUTO and self.thousands == AUTO:
            return ""
        thousands = "" if self.thousands == AUTO else self.thousands
        decimal = self.decimal if self.decimal != AUTO else "," if thousands == "." else "."
        return decimal + ("_" if thousands == NONE else thousands)


def _parse_flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UsageError(
            Message("header must be true or false, got {text}", text=f"{text!r}"),
            Message("use header=true or header=false"),
        )
    return text.lower() == "true"


AUTOMATIC = ReadingOptions()
"""Everything is detected."""
