"""How the columns of a training table are read, and a test table that waits until their kinds are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core.columns import Reading
from yisheng.data.tables import files
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.later_tables import TestTable
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.sniff import sniff_layout
from yisheng.data.tables.table import ChooseColumns, ColumnChoices, Table, choose_nothing
from yisheng.data.tables.unicode_forms import normalize_text

if TYPE_CHECKING:
    import pandas as pd


def choose_columns(roles: Roles, test: TestTable | None = None, *, target_required: bool = True) -> ChooseColumns:
    """Return how the columns of a training table are read: the kinds that the user gives are kept as written.

    Args:
        roles: the user's choices.
        test: the test table, or None.
        target_required: whether there must be a target.
    """

    def choose(names: Sequence[str]) -> ColumnChoices:
        test_names = None if test is None else test.names
        resolved = roles.resolve(names, test_names, target_required=target_required)
        targets = resolved.target
        as_written = {name for name, kind in resolved.kinds.items() if kind != "number"}
        keep = {*targets, roles.time, roles.group, *resolved.kinds}
        labels = targets if roles.task == "classification" else ()
        return ColumnChoices({roles.id, *as_written} - {"", *targets}, keep, targets, labels)

    return choose


def open_file(path: Path, training: Path, options: ReadingOptions, roles: Roles) -> TestTable:
    """Return a test table in a file.

    Args:
        path: the file.
        training: the file of the training table.
        options: how the training table is read.
        roles: the user's choices.

    Raises:
        DataError: one of the files cannot be read.
    """
    known_names = set(roles.mentioned_columns)
    if files.is_text(training, options):
        layout = sniff_layout(training, options, known_names=known_names)
        known_names |= set(layout.names) if layout.has_header else set()
        options = replace(options, header=layout.has_header, prior_encoding=layout.encoding)

    def read(choose: ChooseColumns, reading: Reading) -> Table:
        later = replace(options, prior_encoding=reading.encoding, is_later=True)
        return files.read_table(path, later, known_names=known_names, choose=choose)

    if files.is_text(path, options):
        return TestTable(sniff_layout(path, options, known_names=known_names).names, read)
    return TestTable(tuple(read(choose_nothing, Reading()).columns), read)


def open_frame(frame: pd.DataFrame, options: ReadingOptions) -> TestTable:
    """Return a test table in a DataFrame."""
    names = tuple(normalize_text(str(name)) for name in frame.columns)
    later = replace(options, is_later=True)
    return TestTable(names, lambda choose, _: files.table_from_frame(frame, later, choose))
