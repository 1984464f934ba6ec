"""Rows of a table in a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.errors import UsageError
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.tables.files import is_table


def _opens(path: Path) -> bool:
    from yisheng.data.tables.sniff import lists_images

    return is_table(path) and path.is_file() and (path.suffix in (".parquet", ".npz") or not lists_images(path))


@register(opens=_opens)
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
    """Rows of a table in a file of yours: .csv, .tsv (perhaps .gz), .parquet or .npz.

    Args:
        path: the file; ``data=train.csv`` says the same.
        target: the column to predict (several, with commas, for several): a name, a number from 1, or last.
        test: a second table with the same columns: the official test part if it has the target, else only checked.
        id: a column that names the rows, for the answer file; it is no feature.
        drop: columns to leave out, with commas between them.
        kinds: what a column is, where another kind is found than is meant, as in Year:category,Zip:identifier; the
            kinds are number, category, yes/no, date (date:%d/%m/%Y), text, identifier and constant.
        task: what to learn; auto goes by the target: texts and few whole numbers are classes.
        time: a column of dates or numbers: the data is split in the order of time, never shuffled.
        group: a column whose equal values must stay in the same part and fold; it is no feature.
        header: whether the first line names the columns; without a header they are column-1, column-2, ...
        separator: between the values: one character, or tab.
        encoding: of a file of text; auto goes by its mark, then UTF-8, then the Western alphabets.

    Raises:
        UsageError: no file is named, a column does not exist, or no target is obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: .parquet without pyarrow.
    """
    from yisheng.data.tables import from_file

    if not path:
        raise UsageError("the data set table needs a file", "say data=train.csv, or path=train.csv")
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
