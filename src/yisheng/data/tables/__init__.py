"""Tables: from a CSV, Parquet or .npz file, or a DataFrame, to a data set of rows.

    tables.from_frame(frame, target="SalePrice")     a data set from a DataFrame
    tables.from_file("train.csv", target="last")     the same from a file
    tables.describe("train.csv")                     the kind of each column, and what becomes of it
    tables.outline("train.csv")                      the same, and the columns that may be the target

The steps, file by file:

- ``reading_options``: the user's choices; ``encodings``, ``decoded_text``: the text in UTF-8.
- ``separators``, ``headers``, ``sniff``: lines above the table, separator and header, from the first lines.
- ``scan``: check of all rows.
- ``delimited``, ``column_builder``, ``mapped_memory``: parsing of text; ``workbook``, ``sheet_marks``: Excel;
  ``files``: other formats.
- ``number_form``: decimal points or commas, decided by all columns together.
- ``column_kinds``, ``literals``, ``dates``, ``calendar_words``, ``clock_times``: the kind of each column;
  ``inferred_column``: the features of each kind; ``text_findings``, ``written_quantities``: texts that may be numbers
  or dates; ``number_findings``, ``category_findings``, ``total_rows``: values and rows that may be something else;
  ``text_proposals``, ``text_parts``: the words of texts and the parts of codes.
- ``column_roles``, ``targets``: the target, row names, time and groups.
- ``training_tables``, ``later_tables``: how the columns of the training table, and of all later ones, are read.
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

    from yisheng.core.dataset import Dataset
    from yisheng.core.spec import Task


def from_frame(
    frame: pd.DataFrame,
    *,
    target: str | int | Sequence[str | int] | None = None,
    test: pd.DataFrame | None = None,
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    task: Task | None = None,
    time: str = "",
    group: str = "",
    labels: str | Sequence[str] = (),
    missing: Sequence[str] = (),
    name: str = "table",
) -> Dataset:
    """Return a data set from a DataFrame.

    Args:
        frame: the table; its index is left out.
        target: the column to predict, or several: names, numbers from 1, or ``last``; a column called target, label,
            class or y is the default.
        test: a table with the same columns for the official test part.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name (number, category, yes/no, date, text, identifier, constant), where the
            inferred one is wrong.
        task: classification, multilabel or regression; inferred from the target by default.
        time: a column of dates or numbers: the data is split in the order of time.
        group: a column whose equal values must stay in the same part.
        labels: forms of the class names, as in ``strip-dot``; see `yisheng.data.class_names`.
        missing: words that mean a missing value, in addition to the usual ones, and in the target too.
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
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import ReadingOptions
    from yisheng.data.tables.training_tables import choose_columns, open_frame

    options = ReadingOptions(missing=tuple(missing))
    roles = Roles.parse(target, id=id, time=time, group=group, drop=drop, kinds=kinds, task=task, labels=labels)
    test_table = None if test is None else open_frame(test, options)
    table = files.table_from_frame(frame, options, choose_columns(roles, test_table))
    return table_dataset.build_dataset(name, table, roles, test_table)


def from_file(
    path: str | Path,
    *,
    target: str | int | Sequence[str | int] | None = None,
    test: str | Path | None = None,
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    task: Task | None = None,
    time: str = "",
    group: str = "",
    labels: str | Sequence[str] = (),
    name: str = "",
    **reading: Any,
) -> Dataset:
    """Return a data set from a file.

    Args:
        path: .csv or .tsv (compressed or not), .xlsx, .parquet or .npz.
        target: the column to predict, or several: names, numbers from 1, or ``last``.
        test: a second file with the same columns: with the target it is the official test part; without it, it is
            only checked whether the model can read it.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        task: classification, multilabel or regression.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        labels: forms of the class names, as in ``strip-dot``.
        name: name of the data set; the file's name by default.
        **reading: ``header``, ``separator``, ``encoding``, ``decimal``, ``thousands``, ``skip``, ``names`` and
            ``missing``; see `yisheng.data.tables.reading_options`.

    Raises:
        UsageError: a column does not exist, or no target is obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: a format needs a package that is not installed.
    """
    from yisheng.core.paths import parse_path
    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import ReadingOptions
    from yisheng.data.tables.training_tables import choose_columns, open_file

    path = parse_path(path, "path")
    roles = Roles.parse(target, id=id, time=time, group=group, drop=drop, kinds=kinds, task=task, labels=labels)
    options = ReadingOptions.parse(reading)
    test_table = None
    if test is not None:
        test_path = resolve_test_path(path, parse_path(test, "test"))
        test_table = open_file(test_path, path, options, roles)
    table = files.read_table(
        path, options, known_names=roles.mentioned_columns, choose=choose_columns(roles, test_table)
    )
    return table_dataset.build_dataset(name or files.dataset_name(path), table, roles, test_table)


def describe(
    table: str | Path | pd.DataFrame,
    *,
    target: str | int | Sequence[str | int] | None = None,
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
        **reading: as of `from_file`.

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
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import ReadingOptions
    from yisheng.data.tables.training_tables import choose_columns

    roles = Roles.parse(target, id=id, time=time, group=group, drop=drop, kinds=kinds)
    options = ReadingOptions.parse(reading)
    choose = choose_columns(roles, target_required=bool(roles.target))
    if isinstance(table, str | Path):
        path = parse_path(table, "data")
        read = files.read_table(path, options, known_names=roles.mentioned_columns, choose=choose)
    else:
        read = files.table_from_frame(table, options, choose)
    return table_dataset.describe_columns(read, roles)


def outline(
    path: str | Path,
    *,
    id: str = "",
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | Sequence[str] = (),
    time: str = "",
    group: str = "",
    **reading: Any,
) -> dict[str, Any]:
    """Return facts about a table whose target is not known yet: its columns, and those that may be the target.

    Args:
        path: the file.
        id: the column with the row names.
        drop: columns to leave out.
        kinds: the kind of a column by name.
        time: a column of dates or numbers.
        group: a column whose equal values must stay in the same part.
        **reading: as of `from_file`.

    Raises:
        UsageError: a column does not exist.
        DataError: the file cannot be read.
    """
    from yisheng.core.paths import parse_path
    from yisheng.data.tables import files, table_dataset
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import ReadingOptions
    from yisheng.data.tables.training_tables import choose_columns

    path = parse_path(path, "path")
    roles = Roles.parse(id=id, time=time, group=group, drop=drop, kinds=kinds)
    choose = choose_columns(roles, target_required=False)
    options = ReadingOptions.parse(reading)
    table = files.read_table(path, options, known_names=roles.mentioned_columns, choose=choose)
    return table_dataset.outline_table(files.dataset_name(path), table, roles)


def has_target(path: str | Path, **options: Any) -> bool:
    """Return whether the target of a table is known: named, or obvious by the names of the columns.

    Args:
        path: the file.
        **options: those of the data set `table`.

    Raises:
        DataError: the file cannot be read.
    """
    from yisheng.core.errors import UsageError
    from yisheng.core.paths import parse_path
    from yisheng.data.tables import files
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import READING_KEYS, ReadingOptions
    from yisheng.data.tables.sniff import sniff_layout

    path = parse_path(path, "path")
    if options.get("target") or options.get("test"):
        return True
    reading = ReadingOptions.parse({key: value for key, value in options.items() if key in READING_KEYS})
    if files.is_text(path, reading):
        names = sniff_layout(path, reading).names
    else:
        names = tuple(files.read_table(path, reading).columns)
    try:
        Roles.parse(id=options.get("id"), drop=options.get("drop")).resolve(names)
    except UsageError:
        return False
    return True


def resolve_test_path(path: Path, test: Path) -> Path:
    """Return the path of a test file: as given if it exists, else relative to the folder of the other file."""
    return path.parent / test if not test.exists() and (path.parent / test).exists() else test
