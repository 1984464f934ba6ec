"""Rows of a table in a file of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.errors import UsageError
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.tables.files import is_table


def _is_plain_table(path: Path) -> bool:
    from yisheng.data.tables.sniff import lists_images

    return is_table(path) and path.is_file() and (path.suffix in (".parquet", ".npz") or not lists_images(path))


@register(opens=_is_plain_table)
def table(
    *,
    path: str = "",
    target: tuple[str, ...] | str | int | None = None,
    test: str | None = None,
    id: str | None = None,
    drop: tuple[str, ...] = (),
    kinds: dict[str, str] | tuple[str, ...] = (),
    task: Literal["auto", "classification", "multilabel", "regression"] = "auto",
    time: str | None = None,
    group: str | None = None,
    header: bool | Literal["auto"] = "auto",
    separator: str = "auto",
    encoding: str = "auto",
) -> Dataset:
    """Load rows of a table in a file of yours: .csv, .tsv (perhaps .gz), .parquet or .npz.

    Args:
        path: the file; ``data=train.csv`` is short for it.
        target: the column to predict (several, with commas, for several): a name, a number from 1, or last.
        test: a second table with the same columns: the official test part if it has the target, else only checked.
        id: a column that names the rows, for the submission file; it is not a feature.
        drop: columns to leave out, with commas between them.
        kinds: kinds of columns, if the detected ones are wrong, as in Year:category,Zip:identifier; the
            kinds are number, category, yes/no, date (date:%d/%m/%Y), text, identifier and constant.
        task: what to learn; auto depends on the target: texts and few different integers are classes.
        time: a column of dates or numbers: the data is split in the order of time, never shuffled.
        group: a column whose equal values must stay in the same part and fold; it is not a feature.
        header: whether the first line names the columns; without a header they are column-1, column-2, ...
        separator: between the values: one character, or tab.
        encoding: of a text file; auto tries its byte order mark, then UTF-8, then the Western encodings.

    Raises:
        UsageError: no file is named, a column does not exist, or the target is not obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: .parquet without pyarrow.
    """
    from yisheng.data.tables import from_file

    if not path:
        raise UsageError("the data set table needs a file", "use data=train.csv, or path=train.csv")
    return from_file(
        path,
        target=(target if isinstance(target, str) else str(target) if isinstance(target, int) else target) or (),
        test=test,
        id=id or "",
        drop=drop,
        kinds=kinds,
        task=None if task == "auto" else task,
        time=time or "",
        group=group or "",
        header=header,
        separator=separator,
        encoding=encoding,
    )
