"""Tables from files, by their suffix: delimited text, Parquet, NumPy's .npz; and from a DataFrame."""

from __future__ import annotations

import importlib
import re
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from yisheng.core.errors import DataError, MissingPartError
from yisheng.data.tables import decoded_text, delimited
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.raw_column import RawColumn, column_from_series
from yisheng.data.tables.scan import MAX_COLUMNS, MAX_VALUES

if TYPE_CHECKING:
    import pandas as pd

TEXT_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
BINARY_SUFFIXES = (".parquet", ".npz")
_NPZ_ERRORS = (
    *(OSError, EOFError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, OverflowError, RuntimeError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged .npz raises."""


def is_table(path: Path) -> bool:
    """Return whether a file has the suffix of a table.

    >>> is_table(Path("a.csv.gz")), is_table(Path("a.png"))
    (True, False)
    """
    return path.name.lower().endswith((*TEXT_SUFFIXES, *BINARY_SUFFIXES))


def read_table(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known_names: Collection[str] = (),
    text_columns: Collection[str] = (),
    keep: Collection[str] = (),
) -> Table:
    """Read a table from a file.

    Args:
        path: a .parquet or .npz file; any other is read as text, compressed or not.
        header: whether the first row names the columns; for text only, as are the next two.
        separator: character between values.
        encoding: encoding of the text.
        known_names: names of columns, by which a header is recognized.
        text_columns: columns to read as they are written, 007 and not 7.
        keep: columns whose texts are kept, however many there are.

    Raises:
        DataError: the file is missing, damaged, too large, or not a table.
        MissingPartError: it is Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".tsv" or path.name.lower().endswith(".tsv.gz"):
        separator = "\t" if separator == decoded_text.AUTO else separator
    return delimited.read_delimited(
        path,
        header=header,
        separator=separator,
        encoding=encoding,
        known_names=known_names,
        text_columns=text_columns,
        keep=keep,
    )


def table_from_frame(frame: pd.DataFrame) -> Table:
    """Return a table from a DataFrame; its index is left out.

    Raises:
        DataError: the frame has no rows, no columns, or a name twice.
    """
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise DataError(f"the table has several columns named {', '.join(repeated[:5])}", "rename them")
    _require_size("the table", len(frame), len(names))
    return Table({name: column_from_series(name, frame.iloc[:, n]) for n, name in enumerate(names)})


def dataset_name(path: Path) -> str:
    """Return a name for the data set of a file: its stem, with only characters that a folder's name may have.

    >>> dataset_name(Path("My data (2).csv.gz"))
    'My-data-2'
    """
    stem = re.sub(r"(\.(csv|tsv|txt|dat|data|parquet|npz|gz|bz2|xz))+$", "", path.name, flags=re.IGNORECASE)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:60] or "table"


def _require_size(source: object, rows: int, columns: int) -> None:
    if not rows or not columns:
        raise DataError(f"{source} has {rows} rows and {columns} columns", "give at least a few rows")
    if columns > MAX_COLUMNS or rows * columns > MAX_VALUES:
        raise DataError(
            f"{source} has {rows:,} rows and {columns:,} columns, more than the {MAX_COLUMNS:,} columns or "
            f"{MAX_VALUES:,} values that are read",
            "drop columns, or take a sample of its rows",
        )


def _read_parquet(path: Path) -> Table:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except Exception:  # absent, or built for another NumPy
        raise MissingPartError(
            f"{path} needs pyarrow, which reads Parquet", 'pip install "yisheng[parquet]", or save the table as CSV'
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            names = [str(name) for name in file.schema_arrow.names]
            if len(set(names)) < len(names):
                raise DataError(f"{path} has several columns of one name", "rename them")
            _require_size(path, file.metadata.num_rows, len(names))
            columns = {}
            for name in names:  # one at a time, to bound the memory
                frame = file.read(columns=[name]).to_pandas(ignore_metadata=True)
                columns[name] = column_from_series(name, frame.iloc[:, 0])
            return Table(columns)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}", "it is damaged; write it again"
        ) from None


def _read_npz(path: Path) -> Table:
    """Read ``x`` (N, D) and ``y`` (N,) or (N, T), or a single array of rows, whose columns are numbered."""
    arrays = _load_arrays(path)
    lowercase = {name.lower(): array for name, array in arrays.items()}
    x, y = lowercase.get("x"), lowercase.get("y")
    if x is None and len(arrays) == 1:
        x = next(iter(arrays.values()))
    if x is None or (y is None and len(arrays) > 1):
        raise DataError(
            f"{path} holds the arrays {', '.join(map(repr, arrays)) or 'none'}, not x (N, D) and y (N,)",
            "save it with numpy.savez(path, x=..., y=...)",
        )
    columns = _columns_of_array(path, "x", x, "column-")
    if y is not None:
        targets = _columns_of_array(path, "y", y, "y-")
        if len(y) != len(x):
            raise DataError(f"{path}: x has {len(x)} rows, y has {len(y)}", "save them from the same rows")
        columns |= {"y": replace(targets["y-1"], name="y")} if len(targets) == 1 else targets
    return Table(columns, has_header=False)


def _columns_of_array(path: Path, array_name: str, array: np.ndarray, prefix: str) -> dict[str, RawColumn]:
    import pandas as pd

    if array.ndim not in (1, 2):
        raise DataError(
            f"{path}: {array_name} must hold rows (N, D), got an array of shape {array.shape}",
            "for images give a folder of class folders",
        )
    rows = array.reshape(len(array), -1) if len(array) else array.reshape(0, 1)
    _require_size(f"{path}: {array_name}", *rows.shape)
    if rows.dtype.kind not in "fiubUS":
        raise DataError(f"{path}: {array_name} must hold numbers or text, got {rows.dtype}", "convert it before saving")
    if rows.dtype.kind == "f":
        rows = rows.astype(np.float64)
    names = [f"{prefix}{n + 1}" for n in range(rows.shape[1])]
    return {name: column_from_series(name, pd.Series(np.ascontiguousarray(rows[:, n]))) for n, name in enumerate(names)}


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_VALUES * 8:
            raise DataError(f"{path} decompresses to {size >> 30} GiB, more than is read", "take a sample of its rows")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except _NPZ_ERRORS as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as .npz: {reason}", "write it again with numpy.savez") from None
