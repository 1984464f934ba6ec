"""Tables from files, by the ends of their names: delimited text, Parquet, NumPy's .npz; and from a DataFrame."""

from __future__ import annotations

import importlib
import re
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from yisheng.core.errors import DataError, MissingPartError
from yisheng.data.tables import decoded_text, delimited
from yisheng.data.tables.delimited import Table
from yisheng.data.tables.raw_column import Raw, from_series
from yisheng.data.tables.scan import COLUMNS, VALUES

if TYPE_CHECKING:
    import pandas as pd

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
OTHERS = (".parquet", ".npz")
_DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, SyntaxError, TypeError, MemoryError, OverflowError, RuntimeError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged .npz raises."""


def is_table(path: Path) -> bool:
    """Whether a file's name ends like that of a table.

    >>> is_table(Path("a.csv.gz")), is_table(Path("a.png"))
    (True, False)
    """
    return path.name.lower().endswith((*TEXT, *OTHERS))


def read(
    path: Path,
    *,
    header: bool | Literal["auto"] = "auto",
    separator: str = decoded_text.AUTO,
    encoding: str = decoded_text.AUTO,
    known: Collection[str] = (),
    as_text: Collection[str] = (),
    keep: Collection[str] = (),
) -> Table:
    """A table from a file.

    Args:
        path: a file of text (anything that is not .parquet or .npz), perhaps compressed.
        header: see `yisheng.data.tables.delimited.read`; for text alone, as are the next two.
        separator: between values.
        encoding: of the text.
        known: names that some column has.
        as_text: columns to read as they are written, 007 and not 7.
        keep: columns whose texts are wanted however many there are.

    Raises:
        DataError: the file is missing, damaged, too large, or no table.
        MissingPartError: it is Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".npz":
        return _npz(path)
    if suffix == ".tsv" or path.name.lower().endswith(".tsv.gz"):
        separator = "\t" if separator == decoded_text.AUTO else separator
    return delimited.read(
        path, header=header, separator=separator, encoding=encoding, known=known, as_text=as_text, keep=keep
    )


def from_frame(frame: pd.DataFrame) -> Table:
    """A table from a DataFrame; its index is left out.

    Raises:
        DataError: it has no rows or no columns, or a name twice.
    """
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise DataError(f"the table has several columns named {', '.join(twice[:5])}", "rename them")
    _require_size("the table", len(frame), len(names))
    return Table({name: from_series(name, frame.iloc[:, n]) for n, name in enumerate(names)})


def name_of(path: Path) -> str:
    """A data set's name from its file's: the stem, without what a folder's name cannot hold.

    >>> name_of(Path("My data (2).csv.gz"))
    'My-data-2'
    """
    stem = re.sub(r"(\.(csv|tsv|txt|dat|data|parquet|npz|gz|bz2|xz))+$", "", path.name, flags=re.IGNORECASE)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:60] or "table"


def _require_size(what: object, rows: int, columns: int) -> None:
    if not rows or not columns:
        raise DataError(f"{what} has {rows} rows and {columns} columns", "give at least a few rows")
    if columns > COLUMNS or rows * columns > VALUES:
        raise DataError(
            f"{what} has {rows:,} rows and {columns:,} columns, more than the {COLUMNS:,} columns or "
            f"{VALUES:,} values that are read",
            "drop columns, or take a sample of its rows",
        )


def _parquet(path: Path) -> Table:
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
            for name in names:
                one = file.read(columns=[name]).to_pandas(ignore_metadata=True)
                columns[name] = from_series(name, one.iloc[:, 0])
            return Table(columns)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}", "it is damaged; write it again"
        ) from None


def _npz(path: Path) -> Table:
    """``x`` (N, D) and ``y`` (N,) or (N, T), or one array of rows whose columns are numbered."""
    arrays = _arrays(path)
    given = {name.lower(): value for name, value in arrays.items()}
    x, y = given.get("x"), given.get("y")
    if x is None and len(arrays) == 1:
        x = next(iter(arrays.values()))
    if x is None or (y is None and len(arrays) > 1):
        raise DataError(
            f"{path} holds the arrays {', '.join(map(repr, arrays)) or 'none'}; x (N, D) and y (N,) are wanted",
            "save it with numpy.savez(path, x=..., y=...)",
        )
    columns = _columns(path, "x", x, "column-")
    if y is not None:
        targets = _columns(path, "y", y, "y-")
        if len(y) != len(x):
            raise DataError(f"{path}: x has {len(x)} rows, y has {len(y)}", "save them from the same rows")
        columns |= {"y": Raw("y", **_kept(next(iter(targets.values()))))} if len(targets) == 1 else targets
    return Table(columns, header=False)


def _kept(raw: Raw) -> dict[str, Any]:
    return {"numbers": raw.numbers, "codes": raw.codes, "levels": raw.levels}


def _columns(path: Path, what: str, block: np.ndarray, prefix: str) -> dict[str, Raw]:
    import pandas as pd

    if block.ndim not in (1, 2):
        raise DataError(
            f"{path}: {what} must hold rows (N, D), got an array of shape {block.shape}",
            "for images give a folder of class folders",
        )
    table = block.reshape(len(block), -1) if len(block) else block.reshape(0, 1)
    _require_size(f"{path}: {what}", *table.shape)
    if table.dtype.kind not in "fiubUS":
        raise DataError(f"{path}: {what} must hold numbers or text, got {table.dtype}", "convert it before saving")
    if table.dtype.kind == "f":
        table = table.astype(np.float64)
    names = [f"{prefix}{n + 1}" for n in range(table.shape[1])]
    return {name: from_series(name, pd.Series(np.ascontiguousarray(table[:, n]))) for n, name in enumerate(names)}


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > VALUES * 8:
            raise DataError(f"{path} unfolds to {size >> 30} GiB, more than is read", "take a sample of its rows")
        with np.load(path, allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except _DAMAGED as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as .npz: {reason}", "write it again with numpy.savez") from None
