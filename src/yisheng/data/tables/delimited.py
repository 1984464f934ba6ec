"""CSV and its relatives, read in chunks: numbers stay numbers, and each distinct text is kept once."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from yisheng.core.errors import DataError
from yisheng.core.types import Finding
from yisheng.data.tables import decoded_text
from yisheng.data.tables.column_builder import ColumnBuilder
from yisheng.data.tables.literals import MISSING_WORDS
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.scan import scan_file
from yisheng.data.tables.sniff import Layout, sniff_layout

if TYPE_CHECKING:
    import pandas as pd

CHUNK_VALUES = 2_000_000
"""Values that are parsed at a time."""


@dataclass(frozen=True)
class Table:
    """Columns as they were read, by name.

    Args:
        columns: the columns in the order of the file.
        findings: what was noticed while reading.
        has_header: whether the file names its columns.
    """

    columns: dict[str, RawColumn]
    findings: tuple[Finding, ...] = ()
    has_header: bool = True

    @property
    def row_count(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def read_delimited(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known_names: Collection[str] = (),
    text_columns: Collection[str] = (),
    keep: Collection[str] = (),
) -> Table:
    """Read a delimited text file.

    Args:
        path: the file, compressed or not.
        header: whether its first row names the columns.
        separator: character between values, ``tab``, or ``auto``.
        encoding: encoding of the text, or ``auto``.
        known_names: names of columns, by which a header is recognized.
        text_columns: columns to read as they are written, 007 and not 7.
        keep: columns whose texts are kept, however many there are.

    Raises:
        DataError: the file is missing, damaged or not a table; see `yisheng.data.tables.scan`.
        UsageError: the separator is not one character, or the encoding is unknown.
    """
    layout = sniff_layout(path, header=header, separator=separator, encoding=encoding, known_names=known_names)
    scan = scan_file(path, layout.separator, len(layout.names), encoding)
    if encoding == decoded_text.AUTO and scan.encoding != "utf-8":
        layout = sniff_layout(
            path, header=header, separator=layout.separator, encoding=scan.encoding, known_names=known_names
        )
    if not scan.row_count - layout.has_header:
        raise DataError(f"{path} has no rows below its header", "give at least a few rows")
    texts = {n for n, name in enumerate(layout.names) if name in text_columns} | set(scan.code_columns)
    builders = [ColumnBuilder(name, keep=name in keep or name in text_columns) for name in layout.names]
    rows = _parse(path, layout, scan.encoding, builders, sorted(texts), range(len(builders)))
    mixed = [n for n, builder in enumerate(builders) if builder.is_mixed]
    if mixed:  # numbers first and texts later: read them again, as they are written
        for n in mixed:
            builders[n] = ColumnBuilder(layout.names[n], keep=builders[n].keep)
        _parse(path, layout, scan.encoding, builders, mixed, mixed)
    counted = scan.row_count - layout.has_header
    if len(layout.names) > 1 and rows != counted:
        raise DataError(
            f"{path} cannot be read as a table: its quotes can be read in two ways ({rows} or {counted} rows)",
            'write every " inside a value as "", and put the value in quotes',
        )
    columns = {}
    for n, name in enumerate(layout.names):
        columns[name] = builders[n].build()
        builders[n] = ColumnBuilder(name)  # frees the chunks of the old one
    return Table(columns, report_layout(path, layout, scan.encoding if scan.is_guess else ""), layout.has_header)


def _parse(
    path: Path,
    layout: Layout,
    encoding: str,
    builders: list[ColumnBuilder],
    text_columns: Collection[int],
    columns: Collection[int],
) -> int:
    """Parse the file into some of the columns, and return the number of rows."""
    rows = 0
    for chunk in read_chunks(path, layout, encoding, text_columns, columns):
        rows += len(chunk)
        for n in columns:
            builders[n].add(chunk[n])
    return rows


def read_chunks(
    path: Path,
    layout: Layout,
    encoding: str,
    text_columns: Collection[int],
    columns: Collection[int],
    chunk_rows: int = 0,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file in chunks, with positions as column names.

    Args:
        path: the file.
        layout: layout of the file.
        encoding: encoding of the text.
        text_columns: positions of the columns to read as they are written.
        columns: positions of the columns to read.
        chunk_rows: rows at a time; 0 stands for as many as have `CHUNK_VALUES` values.

    Raises:
        DataError: the file cannot be read.
    """
    import pandas as pd

    chunk_rows = chunk_rows or max(1, CHUNK_VALUES // len(layout.names))
    options: dict[str, Any] = {"dtype": dict.fromkeys(text_columns, str), "chunksize": chunk_rows}
    try:
        with pd.read_csv(
            io.BufferedReader(_ChunkStream(decoded_text.read_utf8_chunks(path, encoding)), decoded_text.CHUNK_BYTES),
            sep=layout.separator,
            header=0 if layout.has_header else None,
            names=list(range(len(layout.names))),
            usecols=list(columns),
            index_col=False,
            skipinitialspace=layout.separator != " ",
            keep_default_na=False,
            na_values=list(MISSING_WORDS),
            low_memory=False,
            encoding="utf-8",
            **options,
        ) as reader:
            yield from reader
    except (ValueError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(
            f"{path} cannot be read as a table: {' '.join(str(error).split())}", "correct the file as the message says"
        ) from None


def report_layout(path: Path, layout: Layout, guessed_encoding: str) -> tuple[Finding, ...]:
    """Return the findings about a file: a guessed encoding, renamed columns, no header.

    Args:
        path: the file.
        layout: layout of the file.
        guessed_encoding: its encoding if that is a guess, else empty.
    """
    findings = []
    if guessed_encoding:
        findings.append(
            Finding(
                "encoding",
                "warning",
                {"encoding": guessed_encoding},
                f"{path.name} is not in UTF-8: it was read as {guessed_encoding}",
                "if letters look wrong, name the encoding: encoding=gb18030, shift-jis, ...",
            )
        )
    if layout.renamed:
        names = ", ".join(layout.renamed[:5]) + " ..." * (len(layout.renamed) > 5)
        findings.append(
            Finding(
                "header",
                "warning",
                {"columns": list(layout.renamed)},
                f"{path.name} names columns twice or not at all: {names}; they were renamed",
                "give every column a distinct name",
            )
        )
    if not layout.has_header:
        findings.append(
            Finding(
                "header",
                "note",
                {"columns": len(layout.names)},
                f"{path.name} has no header: its columns are called column-1 to column-{len(layout.names)}",
                "if its first row is a header, use header=true",
            )
        )
    return tuple(findings)


class _ChunkStream(io.RawIOBase):
    """Chunks of bytes as a file that `pandas.read_csv` can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._held = chunks, memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes into the buffer, and return their number."""
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._held = memoryview(chunk)
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size
