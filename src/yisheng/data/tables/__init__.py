"""Tables: from a CSV, Parquet or .npz file, or a DataFrame, to a data set of rows.

    tables.from_frame(frame, target="SalePrice")     a data set from a DataFrame
    tables.from_file("train.csv", target="last")     the same from a file
    tables.describe("train.csv")                     what each column is, and what would become of it

What happens on the way, file by file: ``source`` gives the text in UTF-8, ``sniff`` looks at its beginning, ``scan``
checks its rows, ``delimited`` parses it (``files``: the other formats), ``kinds`` finds out what each column means
(with ``words`` and ``dates``), ``roles`` which is the target, ``targets`` reads it, ``encode`` makes the block of
numbers that a network's transform takes, and ``build`` puts it all together. Prediction reads its tables with the same
``encode``, by the columns that are saved in the run.
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
    """A data set from a DataFrame.

    Args:
        frame: the table; its index is left out.
        target: the column to predict, or several; a column called target, label, class or y need not be said.
        test: a table with the same columns for the official test part.
        id: a column that names the rows.
        drop: columns to leave out.
        kinds: the kind of a column by name (number, category, yes/no, date, text, identifier, constant), where
            another one is found than is meant.
        task: classification, multilabel or regression; found out from the target if it is not said.
        time: a column of dates or numbers: the data is split in the order of time.
        group: a column whose equal values must stay in the same part.
        name: of the data set.

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

    roles = Roles(_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds), task)
    second = None if test is None else files.from_frame(test)
    return table_dataset.dataset(name, files.from_frame(frame), roles, second)


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
    """A data set from a file; see `from_frame` for what the other arguments mean.

    Args:
        path: .csv, .tsv (perhaps .gz), .parquet or .npz.
        target: the column to predict, or several: names, numbers from 1, or ``last``.
        test: a second file with the same columns: with the target it is the official test part, without it nothing
            but a table to be answered later, and is only checked.
        id: a column that names the rows.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        task: classification, multilabel or regression.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        name: of the data set; the file's name without it.
        **reading: ``header``, ``separator`` and ``encoding`` of a file of text.

    Raises:
        UsageError: a column does not exist, or no target is obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: a format needs a package that is not installed.
    """
    from pathlib import Path

    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles, parse_kinds

    path = Path(path).expanduser()
    roles = Roles(_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds), task)
    table = _read(path, roles, reading)
    second = None if test is None else _read(beside(path, Path(test)), roles, {**reading, "header": table.header})
    return table_dataset.dataset(name or files.name_of(path), table, roles, second)


def describe(
    what: str | Path | pd.DataFrame,
    *,
    target: str | Sequence[str] = (),
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    time: str = "",
    group: str = "",
    **reading: Any,
) -> list[dict[str, Any]]:
    """What each column of a table is and what would become of it, a row each; no target need be known.

    Args:
        what: a file or a DataFrame.
        target: see `from_frame`, as for the next ones.
        id: a column that names the rows.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        **reading: ``header``, ``separator`` and ``encoding`` of a file of text.

    Returns:
        Rows with the keys ``column``, ``kind``, ``missing`` (rows without a value), ``values`` (range or levels) and
        ``becomes``.

    Raises:
        UsageError: a column does not exist.
        DataError: the file cannot be read, or a column is not of the kind that ``kinds`` says.

    >>> import pandas as pd
    >>> for row in describe(pd.DataFrame({"a": [1.5, None, 3], "b": ["yes", "no", "no"]})):
    ...     print(list(row.values()))
    ['a', 'number', 1, '1.5 to 3', 'a number']
    ['b', 'yes/no', 0, 'no or yes', '0 for no, 1 for yes']
    """
    from pathlib import Path

    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles, parse_kinds

    roles = Roles(_tuple(target), id, time, group, tuple(drop), parse_kinds(kinds))
    if isinstance(what, str | Path):
        return table_dataset.describe(_read(Path(what).expanduser(), roles, reading), roles)
    return table_dataset.describe(files.from_frame(what), roles)


def _tuple(target: str | Sequence[str]) -> tuple[str, ...]:
    return (target,) if isinstance(target, str) and target else tuple(target)


def _read(path: Path, roles: Roles, reading: Mapping[str, Any]) -> Table:
    from yisheng.data.tables import files

    as_text = {roles.id} - {""}
    keep = {*roles.target, roles.time, roles.group, *roles.kinds}
    return files.read(path, known=roles.named, as_text=as_text, keep=keep, **reading)


def beside(path: Path, test: Path) -> Path:
    """The test file as it is named, or else beside the other one."""
    test = test.expanduser()
    return path.parent / test if not test.exists() and (path.parent / test).exists() else test
