"""Tables: from a CSV, Parquet or .npz file, or a DataFrame, to a data set of rows.

    tables.from_frame(frame, target="SalePrice")     a data set from a DataFrame
    tables.from_file("train.csv", target="last")     the same from a file
    tables.describe("train.csv")                     the kind of each column, and what becomes of it

The steps, file by file:

- ``decoded_text``: the text in UTF-8.
- ``sniff``: separator and header, from the first lines.
- ``scan``: check of all rows.
- ``delimited``, ``column_builder``: parsing of text; ``files``: the other formats.
- ``column_kinds``, ``literals``, ``dates``: the kind of each column; ``inferred_column``: the features of each kind.
- ``column_roles``, ``targets``: the target, row names, time and groups.
- ``encode``: the block of numbers that a network's transform takes. Prediction calls it with the columns that are saved
  in the run.
- ``table_dataset``: all of it together, as a data set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from yisheng.core.types import Dataset, Task
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.delimited import Table


def from_frame(
    frame: pd.DataFrame,
    *,
    target: str | Sequence[str] = (),
    test: pd.DataFrame | None = None,
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    task: Task | None = None,
    time: str = "",
    group: str = "",
    name: str = "table",
) -> Dataset:
    """Return a data set from a DataFrame.

    Args:
        frame: the table; its index is left out.
        target: the column to predict, or several; a column called target, label, class or y is the default.
        test: a table with the same columns for the official test part.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name (number, category, yes/no, date, text, identifier, constant), where the
            inferred one is wrong.
        task: classification, multilabel or regression; inferred from the target by default.
        time: a column of dates or numbers: the data is split in the order of time.
        group: a column whose equal values must stay in the same part.
        name: name of the data set.

    Raises:
        UsageError: a column does not exist, or no target is obvious.
        DataError: the target cannot be learned, or no column is left to learn it from.

    >>> import pandas as pd
    >>> data = from_frame(pd.DataFrame({"size": [50.0, 80, 120], "town": ["a", "b", "a"], "price": [1.5, 2, 4]}),
    ...     target="price")
    >>> data.spec.task, [(column.name, column.kind) for column in data.spec.columns]
    ('regression', [('size', 'number'), ('town', 'yes/no')])
    """
    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles, parse_kinds

    roles = Roles(_to_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds), task)
    test_table = None if test is None else files.table_from_frame(test)
    return table_dataset.build_dataset(name, files.table_from_frame(frame), roles, test_table)


def from_file(
    path: str | Path,
    *,
    target: str | Sequence[str] = (),
    test: str | Path | None = None,
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    task: Task | None = None,
    time: str = "",
    group: str = "",
    name: str = "",
    **reading: Any,
) -> Dataset:
    """Return a data set from a file.

    Args:
        path: .csv or .tsv (compressed or not), .parquet or .npz.
        target: the column to predict, or several: names, numbers from 1, or ``last``.
        test: a second file with the same columns: with the target it is the official test part; without it, it is
            only checked whether the model can read it.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        task: classification, multilabel or regression.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        name: name of the data set; the file's name by default.
        **reading: ``header``, ``separator`` and ``encoding`` of a file of text.

    Raises:
        UsageError: a column does not exist, or no target is obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: a format needs a package that is not installed.
    """
    from yisheng.core.paths import parse_path
    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles, parse_kinds

    path = parse_path(path, "path")
    roles = Roles(_to_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds), task)
    table = _read(path, roles, reading)
    test_table = None
    if test is not None:
        test_path = resolve_test_path(path, parse_path(test, "test"))
        test_table = _read(test_path, roles, {**reading, "header": table.has_header})
    return table_dataset.build_dataset(name or files.dataset_name(path), table, roles, test_table)


def describe(
    table: str | Path | pd.DataFrame,
    *,
    target: str | Sequence[str] = (),
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    time: str = "",
    group: str = "",
    **reading: Any,
) -> list[dict[str, Any]]:
    """Return the kind of each column of a table and what becomes of it, a row each; no target is required.

    Args:
        table: a file or a DataFrame.
        target: the column to predict, or several.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        **reading: ``header``, ``separator`` and ``encoding`` of a file of text.

    Returns:
        Rows with the keys ``column``, ``kind``, ``missing`` (number of rows without a value), ``values`` (range or
        categories) and ``becomes``.

    Raises:
        UsageError: a column does not exist.
        DataError: the file cannot be read, or a column is not of the kind in ``kinds``.

    >>> import pandas as pd
    >>> for row in describe(pd.DataFrame({"a": [1.5, None, 3], "b": ["yes", "no", "no"]})):
    ...     print(list(row.values()))
    ['a', 'number', 1, '1.5 to 3', 'a number']
    ['b', 'yes/no', 0, 'no or yes', '0 for no, 1 for yes']
    """
    from pathlib import Path

    from yisheng.core.paths import parse_path
    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles, parse_kinds

    roles = Roles(_to_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds))
    if isinstance(table, str | Path):
        return table_dataset.describe_columns(_read(parse_path(table, "data"), roles, reading), roles)
    return table_dataset.describe_columns(files.table_from_frame(table), roles)


def _to_tuple(target: str | Sequence[str]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) and target else tuple(target)


def _read(path: Path, roles: Roles, reading: Mapping[str, Any]) -> Table:
    from yisheng.data.tables import files

    text_columns = {roles.id} - {""}
    keep = {*roles.target, roles.time, roles.group, *roles.kinds}
    return files.read_table(path, known_names=roles.mentioned_columns, text_columns=text_columns, keep=keep, **reading)


def resolve_test_path(path: Path, test: Path) -> Path:
    """Return the path of a test file: as given if it exists, else relative to the folder of the other file."""
    return path.parent / test if not test.exists() and (path.parent / test).exists() else test
