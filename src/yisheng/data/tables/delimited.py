"""CSV and its relatives, chunk by chunk: numbers stay numbers, and each different text is kept once."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Finding
from yisheng.data.tables import dates, decoded_text
from yisheng.data.tables.literals import MISSING, number_form
from yisheng.data.tables.raw_column import Raw, merged
from yisheng.data.tables.scan import scan
from yisheng.data.tables.sniff import Look, look

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 2_000_000
"""Values parsed at a time."""
LEVELS = 100_000
"""Different texts that a column may have before it is looked at whether they are worth their memory."""


@dataclass(frozen=True)
class Table:
    """Columns as they were read, by name, and what was noticed while reading.

    Args:
        columns: in the order of the file.
        findings: what was noticed.
        header: whether the file names its columns.
    """

    columns: dict[str, Raw]
    findings: tuple[Finding, ...] = ()
    header: bool = True

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def read(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known: Collection[str] = (),
    as_text: Collection[str] = (),
    keep: Collection[str] = (),
) -> Table:
    """Read a delimited text file.

    Args:
        path: the file, perhaps compressed.
        header: whether its first row names the columns.
        separator: between values: one character, ``tab``, or ``auto``.
        encoding: of the text, or ``auto``.
        known: names that some column has (they tell a header).
        as_text: columns to read as they are written, 007 and not 7.
        keep: columns whose texts are wanted however many there are.

    Raises:
        DataError: the file is missing, damaged or no table; see `yisheng.data.tables.scan`.
        UsageError: separator or encoding is not one.
    """
    found = look(path, header=header, separator=separator, encoding=encoding, known=known)
    seen = scan(path, found.separator, len(found.names), encoding)
    if encoding == decoded_text.AUTO and seen.encoding != "utf-8":
        found = look(path, header=header, separator=found.separator, encoding=seen.encoding, known=known)
    if not seen.rows - found.header:
        raise DataError(f"{path} has no rows below its header", "give at least a few rows")
    texts = {n for n, name in enumerate(found.names) if name in as_text} | set(seen.codes)
    growing = [_Growing(name, keep=name in keep or name in as_text) for name in found.names]
    rows = _parse(path, found, seen.encoding, growing, sorted(texts), range(len(growing)))
    again = [n for n, column in enumerate(growing) if column.mixed]
    if again:
        for n in again:
            growing[n] = _Growing(found.names[n], keep=growing[n].keep)
        _parse(path, found, seen.encoding, growing, again, again)
    counted = seen.rows - found.header
    if len(found.names) > 1 and rows != counted:
        raise DataError(
            f"{path} cannot be read as a table: its quotes can be read in two ways ({rows} or {counted} rows)",
            'write every " inside a value as "", and put the value in quotes',
        )
    columns = {}
    for n, name in enumerate(found.names):
        columns[name] = growing[n].finished()
        growing[n] = _Growing(name)  # free its chunks
    return Table(columns, noticed(path, found, seen.encoding if seen.guessed else ""), found.header)


def _parse(
    path: Path, found: Look, encoding: str, growing: list[_Growing], texts: Collection[int], wanted: Collection[int]
) -> int:
    """Parse the file into some of the columns; the number of rows."""
    rows = 0
    for chunk in chunks(path, found, encoding, texts, wanted):
        rows += len(chunk)
        for n in wanted:
            growing[n].add(chunk[n])
    return rows


def chunks(
    path: Path,
    found: Look,
    encoding: str,
    texts: Collection[int],
    wanted: Collection[int],
    size: int = 0,
) -> Iterator[pd.DataFrame]:
    """The rows of a file, some at a time, its columns by their numbers.

    Args:
        path: the file.
        found: what its beginning told.
        encoding: of the text.
        texts: columns to read as they are written.
        wanted: columns to read at all.
        size: rows at a time; as many as make `CHUNK` values without it.

    Raises:
        DataError: it cannot be read.
    """
    import pandas as pd

    size = size or max(1, CHUNK // len(found.names))
    options: dict[str, Any] = {"dtype": dict.fromkeys(texts, str), "chunksize": size}
    try:
        with pd.read_csv(
            io.BufferedReader(_Stream(decoded_text.pieces(path, encoding)), decoded_text.PIECE),
            sep=found.separator,
            header=0 if found.header else None,
            names=list(range(len(found.names))),
            usecols=list(wanted),
            index_col=False,
            skipinitialspace=found.separator != " ",
            keep_default_na=False,
            na_values=list(MISSING),
            low_memory=False,
            encoding="utf-8",
            **options,
        ) as reader:
            yield from reader
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{path} cannot be read as a table: {' '.join(str(error).split())}", "mend the file") from None


def noticed(path: Path, found: Look, guessed: str) -> tuple[Finding, ...]:
    """What is worth telling of a file: a guessed encoding, columns that were renamed, no header."""
    findings = []
    if guessed:
        findings.append(
            Finding(
                "encoding",
                "warning",
                {"encoding": guessed},
                f"{path.name} is not in UTF-8: it was read as {guessed}",
                "if letters look wrong, say encoding= (gb18030, shift-jis, ...)",
            )
        )
    if found.renamed:
        shown = ", ".join(found.renamed[:5]) + " ..." * (len(found.renamed) > 5)
        findings.append(
            Finding(
                "header",
                "warning",
                {"columns": list(found.renamed)},
                f"{path.name} names columns twice or not at all: {shown}; they were renamed",
                "give every column a name of its own",
            )
        )
    if not found.header:
        findings.append(
            Finding(
                "header",
                "note",
                {"columns": len(found.names)},
                f"{path.name} has no header: its columns are called column-1 to column-{len(found.names)}",
                "if its first row is a header, say header=true",
            )
        )
    return tuple(findings)


@dataclass
class _Growing:
    """A column while it is read."""

    name: str
    keep: bool = False
    mixed: bool = False
    free: bool = False
    rows: int = 0
    numbers: list[np.ndarray] = field(default_factory=list)
    codes: list[np.ndarray] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)

    def add(self, values: pd.Series) -> None:
        """Take the next chunk; ``mixed`` tells that the column must be read again, as text."""
        before, self.rows = self.rows, self.rows + len(values)
        if self.mixed:
            return
        if values.dtype.kind in "iuf":
            if not self.codes:
                self.numbers.append(values.to_numpy())
                return
            if values.isna().all():
                self.codes.append(np.full(len(values), -1, np.int32))
                return
            self._clear()
            return
        if self.numbers:
            if not all(part.dtype.kind == "f" and np.isnan(part).all() for part in self.numbers):
                self._clear()
                return
            self.numbers, self.codes = [], [np.full(before, -1, np.int32)]
        self._add_texts(values)

    def _clear(self) -> None:
        self.mixed = True
        self.numbers, self.codes, self.levels = [], [], {}

    def _add_texts(self, values: pd.Series) -> None:
        import pandas as pd

        codes, found = pd.factorize(values)
        if self.free:
            self.codes.append(np.where(codes < 0, -1, 0).astype(np.int32))
            return
        table = np.array([self.levels.setdefault(str(text), len(self.levels)) for text in found] + [-1], np.int32)
        self.codes.append(table[codes])
        if not self.keep and len(self.levels) > LEVELS and len(self.levels) * 2 > self.rows:
            some = list(self.levels)[:: len(self.levels) // 100 or 1]
            if dates.date_form(some) is None and number_form(some) is None:
                self.free = True
                self.codes = [np.where(part < 0, -1, 0).astype(np.int32) for part in self.codes]
                self.levels = {}

    def finished(self) -> Raw:
        """The whole column."""
        if self.numbers:
            return Raw(self.name, numbers=np.concatenate(self.numbers))
        codes = np.concatenate(self.codes)
        if self.free:
            return Raw(self.name, codes=codes, free=True)
        return merged(self.name, codes, list(self.levels)).tidy()


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, into: Any) -> int:
        """The next bytes."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        size = min(len(into), len(self._held))
        into[:size], self._held = self._held[:size], self._held[size:]
        return size
