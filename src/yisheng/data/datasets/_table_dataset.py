"""Sets of the hub that are one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.spec import Task
from yisheng.data import hub
from yisheng.data.datasets._catalog_facts import add_catalog_facts
from yisheng.data.tables import files, table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.later_tables import choose_later
from yisheng.data.tables.reading_options import ReadingOptions


def load_table_dataset(
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
    """Load a set from the user's folder if one is named, else through the hub.

    Args:
        name: the registered name, and that in the hub.
        file: the file's name in the catalog.
        folder: the user's folder, or None.
        target: the column to predict.
        task: what to learn.
        id: the column that names the rows.
        columns: names of the columns of a file without a header.
        unit: of a regression target.

    Raises:
        DataError: the file cannot be downloaded, or has other content.
    """
    options = ReadingOptions(header=not columns, names=tuple(columns))
    choose = choose_later((), text=[id] if id else ())
    table = files.read_table(hub.fetch_file(name, file, folder), options, choose=choose)
    dataset = table_dataset.build_dataset(name, table, Roles((target,), id=id, task=task))
    findings = tuple(finding for finding in dataset.findings if finding.check != "header")
    return add_catalog_facts(replace(dataset, spec=replace(dataset.spec, unit=unit), findings=findings))
