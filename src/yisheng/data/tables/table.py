"""A table as it was read, and how its columns are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from yisheng.core.columns import Reading
from yisheng.core.findings import Finding
from yisheng.data.tables.raw_column import RawColumn


@dataclass(frozen=True)
class Table:
    """Columns as they were read, by name.

    Args:
        columns: the columns in the order of the file.
        findings: what was noticed while reading.
        has_header: whether the file names its columns.
        reading: what a later file should be read by.
        is_guessed_encoding: whether the encoding of the text is a guess.
    """

    columns: dict[str, RawColumn]
    findings: tuple[Finding, ...] = ()
    has_header: bool = True
    reading: Reading = field(default_factory=Reading)
    is_guessed_encoding: bool = False

    @property
    def row_count(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


@dataclass(frozen=True)
class ColumnChoices:
    """Columns that are read in another way than by their looks.

    Args:
        text: columns to read as they are written, 007 and not 7.
        keep: columns whose texts are kept, however many there are.
        words: columns where the usual words for a missing value are ordinary words: a target of classes.
        labels: columns whose decimals are names, 1.10 and not 1.1.
    """

    text: Collection[str] = ()
    keep: Collection[str] = ()
    words: Collection[str] = ()
    labels: Collection[str] = ()


ChooseColumns = Callable[[Sequence[str]], ColumnChoices]
"""From the names of a file's columns to the choices about them."""


def choose_nothing(names: Sequence[str]) -> ColumnChoices:  # noqa: ARG001  # a `ChooseColumns`
    """Return no choices: every column is read by its looks."""
    return ColumnChoices()
