"""Tables from files, by their suffix: delimited text, Parquet, NumPy's .npz; and from a DataFrame."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core.columns import Reading
from yisheng.core.errors import DataError, MissingPartError
from yisheng.core.messages import Message
from yisheng.data.tables import delimited
from yisheng.data.tables.number_form import infer_number_form, report_number_form, set_number_form
from yisheng.data.tables.raw_column import RawColumn, column_from_series
from yisheng.data.tables.reading_options import AUTO, AUTOMATIC, ReadingOptions
from yisheng.data.tables.scan import MAX_COLUMNS, MAX_VALUES
from yisheng.data.tables.sniff import IMAGE_SUFFIXES, TEXT_SUFFIXES, is_text_table
from yisheng.data.tables.table import ChooseColumns, ColumnChoices, Table, choose_nothing
from yisheng.data.tables.unicode_forms import normalize_text
from yisheng.data.tables.workbook import WORKBOOK_SUFFIXES, read_workbook

if TYPE_CHECKING:
    import pandas as pd

OTHER_SUFFIXES = (
    *(".zip", ".npy", ".h5", ".hdf5", ".mat", ".xls", ".ods", ".json", ".jsonl", ".toml", ".yaml", ".yml"),
    *(".py", ".ipynb", ".md", ".rst", ".html", ".xml", ".svg", ".pdf", ".pt", ".pth", ".pkl", ".safetensors", ".onnx"),
    *(".tar", ".tgz", ".7z", ".log", *IMAGE_SUFFIXES),
)
"""Suffixes of files that are never tables of text, however they look; one of any other suffix is if it looks so."""
COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz")
ARRAY_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5")
BINARY_SUFFIXES = (".parquet", *ARRAY_SUFFIXES, *WORKBOOK_SUFFIXES)


def is_table(path: Path) -> bool:
    """Return whether a file is a table: by its suffix, or for a .txt, .data, .dat or other by its first lines.

    >>> is_table(Path("a.csv.gz")), is_table(Path("a.png"))
    (True, False)
    """
    suffix = table_suffix(path)
    if suffix in (*TEXT_SUFFIXES, ".parquet", ".npz", *WORKBOOK_SUFFIXES):
        return True
    return suffix not in OTHER_SUFFIXES and path.is_file() and is_text_table(path)


def table_suffix(path: Path) -> str:
    """Return the suffix of a file in small letters, that before .gz of a compressed one.

    >>> table_suffix(Path("a.DATA")), table_suffix(Path("a.csv.gz"))
    ('.data', '.csv')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return suffixes[0] if len(suffixes) == 2 and suffixes[1] in COMPRESSED_SUFFIXES else path.suffix.lower()


def is_text(path: Path, options: ReadingOptions = AUTOMATIC) -> bool:
    """Return whether a table's file is read as text: every one that is not of `BINARY_SUFFIXES`."""
    return _suffix(path, options) not in BINARY_SUFFIXES


def _suffix(path: Path, options: ReadingOptions) -> str:
    """Return the suffix of a file in small letters, or that of the format that the user names."""
    return path.suffix.lower() if options.format == AUTO else f".{options.format}"


def read_table(
    path: Path,
    options: ReadingOptions = AUTOMATIC,
    *,
    known_names: Collection[str] = (),
    choose: ChooseColumns = choose_nothing,
) -> Table:
    """Read a table from a file.

    Args:
        path: a .parquet, .npz or .xlsx file; any other is read as text, compressed or not.
        options: the user's choices about text.
        known_names: names of columns, by which a header is recognized.
        choose: function from the names of the columns to the choices about them.

    Raises:
        DataError: the file is missing, damaged, too large, or not a table.
        MissingPartError: it is Parquet or a workbook, and the package that reads it is not installed.
    """
    suffix = _suffix(path, options)
    if suffix in WORKBOOK_SUFFIXES:
        frame, has_header, findings = read_workbook(path, options)
        table = table_from_frame(frame, options, choose, str(path))
        return replace(table, has_header=has_header, findings=(*findings, *table.findings))
    if suffix == ".parquet":
        return _read_parquet(path, options, choose)
    if suffix in ARRAY_SUFFIXES:
        from yisheng.data.arrays.rows import read_rows

        return read_rows(path)
    return delimited.read_delimited(path, options, known_names=known_names, choose=choose)


def table_from_frame(
    frame: pd.DataFrame,
    options: ReadingOptions = AUTOMATIC,
    choose: ChooseColumns = choose_nothing,
    source_name: str = "the table",
) -> Table:
    """Return a table from a DataFrame; its index is left out.

    Args:
        frame: the table.
        options: the user's choices, of which those about numbers and missing values apply.
        choose: function from the names of the columns to the choices about them.
        source_name: name of the source in an error or a finding.

    Raises:
        DataError: the frame has no rows, no columns, or a name twice.
    """
    names = [normalize_text(str(name)) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DataError(
            Message("the table has several columns named {names}", names=", ".join(repeated[:5])),
            Message("rename them"),
        )
    _require_size(Message("the table"), len(frame), len(names))
    chosen = choose(names)
    columns = {name: _column_of_series(name, frame.iloc[:, n], chosen, options) for n, name in enumerate(names)}
    return _finish(source_name, columns, options)


def _column_of_series(name: str, values: pd.Series, chosen: ColumnChoices, options: ReadingOptions) -> RawColumn:
    words = options.missing if name in chosen.words else None
    column = column_from_series(name, values, words, exact=name in chosen.words)
    return column.mark_missing(options.missing)


def _finish(source_name: str, columns: dict[str, RawColumn], options: ReadingOptions) -> Table:
    """Return the table of some columns, whose texts may hold numbers."""
    form = infer_number_form(columns.values(), options)
    findings = report_number_form(source_name, form)
    return Table(set_number_form(columns, form.format), findings, reading=Reading(missing=options.missing))


def dataset_name(path: Path) -> str:
    """Return a name for the data set of a file: its stem, with only characters that a folder's name may have.

    >>> dataset_name(Path("My data (2).csv.gz"))
    'My-data-2'
    """
    stem = re.sub(
        r"(\.(csv|tsv|txt|dat|data|tab|asc|parquet|npz|npy|h5|hdf5|gz|bz2|xz))+$", "", path.name, flags=re.IGNORECASE
    )
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:60] or "table"


def _require_size(source: object, rows: int, columns: int) -> None:
    if not rows or not columns:
        raise DataError(
            Message("{source} has {rows} rows and {columns} columns", source=source, rows=rows, columns=columns),
            Message("give at least a few rows"),
        )
    if columns > MAX_COLUMNS or rows * columns > MAX_VALUES:
        raise DataError(
            Message(
                "{source} has {rows} rows and {columns} columns, more than the {max_columns} columns or "
                "{max_values} values that are read",
                source=source,
                rows=f"{rows:,}",
                columns=f"{columns:,}",
                max_columns=f"{MAX_COLUMNS:,}",
                max_values=f"{MAX_VALUES:,}",
            ),
            Message("drop columns, or take a sample of its rows"),
        )


def _read_parquet(path: Path, options: ReadingOptions, choose: ChooseColumns) -> Table:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except Exception:  # absent, or built for another NumPy
        raise MissingPartError(
            Message("{path} needs pyarrow, which reads Parquet", path=path),
            Message('pip install "yisheng[parquet]", or save the table as CSV'),
        ) from None
    import pandas as pd

    exact_types = {pyarrow.int64(): pd.Int64Dtype(), pyarrow.uint64(): pd.UInt64Dtype()}  # a float rounds large ones
    try:
        with parquet.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            if len(set(names)) < len(names):
                raise DataError(Message("{path} has several columns of one name", path=path), Message("rename them"))
            _require_size(path, file.metadata.num_rows, len(names))
            columns, chosen = {}, choose(list(map(normalize_text, names)))
            for name in names:  # one at a time, to bound the memory
                frame = file.read(columns=[name]).to_pandas(ignore_metadata=True, types_mapper=exact_types.get)
                key = normalize_text(name)
                columns[key] = _column_of_series(key, frame.iloc[:, 0], chosen, options)
            return _finish(str(path), columns, options)
    except FileNotFoundError:
        raise DataError(Message("{path} does not exist", path=path), Message("check the path")) from None
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise DataError(
            Message("{path} cannot be read as Parquet: {reason}", path=path, reason=" ".join(str(error).split())[:200]),
            Message("it is damaged; write it again"),
        ) from None
