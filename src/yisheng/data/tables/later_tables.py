"""Tables that are read as the training table was: a test table, rows to predict, rows to evaluate.

What a column is was decided once, from the training table. A later table has no say in it: a column that was read as it
is written is read so again (``1.10`` stays ``1.10``), and numbers are parsed in the column's own format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from yisheng.core.columns import Column, Reading
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.tables.clock_times import CLOCK_FORMATS
from yisheng.data.tables.headers import numbers_columns
from yisheng.data.tables.literals import MISSING_WORDS
from yisheng.data.tables.raw_column import RawColumn
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.sniff import sniff_layout
from yisheng.data.tables.table import ChooseColumns, ColumnChoices, Table

_NUMBERED = re.compile(r"column-\d+")


@dataclass(frozen=True)
class TestTable:
    """A test table that is read once the kinds of the training table's columns are known.

    Args:
        names: names of its columns.
        read: function from the choices about its columns, and from how the training table was read, to the table.
    """

    names: tuple[str, ...]
    read: Callable[[ChooseColumns, Reading], Table]


def name_columns(spec: Spec) -> Spec:
    """Return the contract of a model with the columns of a file that it takes.

    One that was not trained on a table takes the columns that are called as its features are, or their numbers.

    >>> name_columns(Spec("regression", (2,))).columns[1].source
    'column-2'
    """
    if any(column.source for column in spec.columns):
        return spec
    if spec.columns:
        return replace(spec, columns=tuple(replace(column, source=column.name) for column in spec.columns))
    names = tuple(f"column-{number + 1}" for number in range(spec.shape[0]))
    columns = tuple(Column(name, source=name) for name in names)
    return replace(spec, columns=columns, reading=replace(spec.reading, names=names))


def text_sources(columns: Iterable[Column]) -> set[str]:
    """Return the columns of a file that are read as they are written: all but numbers as programs write them.

    >>> sorted(text_sources([Column("a", source="a"), Column("b", source="b", format=","), Column("c", "category")]))
    ['', 'b']
    """
    return {
        column.source
        for column in columns
        if column.kind != "number" or column.date_part or column.text_part or column.format
    }


def choose_later(
    columns: Sequence[Column], *, text: Collection[str] = (), words: Collection[str] = ()
) -> ChooseColumns:
    """Return how the columns of a later table are read.

    Args:
        columns: the features, and the targets if the table may have some.
        text: further columns to read as they are written.
        words: the targets, where the usual words for a missing value may be classes.
    """
    sources = {*text_sources(columns), *text} - {""}

    def choose(names: Sequence[str]) -> ColumnChoices:  # noqa: ARG001  # a `ChooseColumns`
        return ColumnChoices(sources, sources, words)

    return choose


def apply_number_format(columns: Sequence[Column], options: ReadingOptions) -> tuple[Column, ...]:
    """Return the features with the form of numbers that the user gives for this table, if any."""
    form = options.number_format
    if not form:
        return tuple(columns)
    return tuple(
        replace(column, format=form + "".join(char for char in column.format[1:] if char not in ".,' _"))
        if column.kind == "number" and not (column.date_part or column.text_part or column.format in CLOCK_FORMATS)
        else column
        for column in columns
    )


def drop_missing_words(raw: RawColumn, classes: Collection[str]) -> RawColumn:
    """Return a target of a later table, in which words such as NA are missing unless they are classes."""
    return raw.normalize({*MISSING_WORDS} - {*classes})


def match_header(path: Path, spec: Spec, options: ReadingOptions, targets: Collection[str] = ()) -> ReadingOptions:
    """Return the options with names for the columns of a file without a header, those of training.

    Args:
        path: a file of text.
        spec: the contract of the run.
        options: the user's choices about this file.
        targets: names of the targets that the file may have.

    Raises:
        DataError: the file cannot be read, or has another number of columns than training.
    """
    sources = source_names(spec)
    if not sources:  # of a built-in dataset or arrays: the file names its own columns
        return options
    layout = sniff_layout(path, options, known_names={*sources, *targets})
    matching = set(sources) & set(layout.names)
    is_numbered = all(_NUMBERED.fullmatch(name) for name in sources)
    if options.names or (layout.has_header and (matching or not is_numbered)):
        return options
    if is_numbered and not spec.reading.names:
        names_nothing = layout.has_header and len(layout.names) == len(sources) and numbers_columns(layout.names)
        return replace(options, header=True, names=tuple(sources)) if names_nothing else replace(options, header=False)
    if is_numbered and len(spec.reading.names) == len(layout.names):
        return replace(options, names=spec.reading.names)  # of rows without names, which may have a header
    for names in (spec.reading.names, (*sources, *targets), sources):
        if len(names) == len(layout.names):
            return replace(options, header=False, names=tuple(names))
    raise DataError(
        Message(
            "{path}: row 1 has {values} values, the model takes {columns}",
            path=path,
            values=len(layout.names),
            columns=len(sources),
        ),
        Message(
            "name the columns in a header row; the model was trained on {columns}", columns=", ".join(sources[:10])
        ),
    )


def source_names(spec: Spec) -> list[str]:
    """Return the raw columns of the training table; empty for a model that was not trained on one."""
    return list(dict.fromkeys(column.source for column in spec.columns if column.source))


def explain_missing_columns(error: DataError, table: Table) -> DataError:
    """Return the error about missing columns with the doubt about the file's encoding, if there is one."""
    if not table.is_guessed_encoding:
        return error
    encoding = table.reading.encoding or "utf-8"
    return DataError(
        Message(
            "{problem}; the file was read as {encoding}, which is a guess: it has {columns}",
            problem=error.problem,
            encoding=encoding,
            columns=", ".join(list(table.columns)[:8]),
        ),
        Message(
            "name the encoding with encoding= (gb18030, big5, shift-jis, euc-kr, ...), or name the "
            "columns as in training",
        ),
    )
