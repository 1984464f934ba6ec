"""Sets whose file is a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset, Task
from yisheng.data.hub import catalog
from yisheng.data.hub import files as hub
from yisheng.data.tables import files, table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.delimited import Table


def table_set(
    name: str,
    file: str,
    folder: Path | None,
    *,
    target: str,
    task: Task,
    id: str = "",
    columns: Sequence[str] = (),
    unit: str = "",
) -> Dataset:
    """The set from the user's folder if one is named, else through the hub.

    Args:
        name: the registered name, and the hub's.
        file: the file's name in the catalogue.
        folder: of the user's, or None.
        target: the column to predict.
        task: what to learn.
        id: the column that names the rows.
        columns: names of the columns of a file without a header.
        unit: of a regression target.

    Raises:
        DataError: the file is missing and cannot be fetched, or is not what it should be.
    """
    table = files.read(hub.path(name, file, folder), header=not columns, as_text=[id] if id else ())
    if columns:
        table = _named(table, columns, file)
    data = table_dataset.dataset(name, table, Roles((target,), id=id, task=task))
    known = catalog.find(name)
    return replace(
        data,
        spec=replace(data.spec, unit=unit),
        about=known.about,
        source=known.source,
        licence=known.licence,
        findings=tuple(found for found in data.findings if found.check != "header"),
    )


def _named(table: Table, columns: Sequence[str], file: str) -> Table:
    """A table without a header, its columns named."""
    if len(table.columns) != len(columns):
        raise DataError(
            f"{file} has {len(table.columns)} columns, {len(columns)} are wanted", "take the set's own file"
        )
    raws = zip(columns, table.columns.values(), strict=True)
    return Table({name: replace(raw, name=name) for name, raw in raws}, table.findings)
