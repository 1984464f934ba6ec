"""Rows of a table in a file of the user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge

from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.tables.files import is_table, is_text


def _is_plain_table(path: Path) -> bool:
    from yisheng.data.datasets.arrays import is_array_file
    from yisheng.data.tables.sniff import lists_images

    if not (path.is_file() and is_table(path)):
        return False
    return not lists_images(path) if is_text(path) else not is_array_file(path)


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
    labels: tuple[str, ...] = (),
    header: bool | Literal["auto"] = "auto",
    separator: str = "auto",
    encoding: str = "auto",
    decimal: str = "auto",
    thousands: str = "auto",
    skip: Annotated[int, Ge(0)] | Literal["auto"] = "auto",
    names: tuple[str, ...] = (),
    missing: tuple[str, ...] = (),
    format: Literal["auto", "csv", "parquet", "npz"] = "auto",
) -> Dataset:
    """Load rows of a table in a file of yours: .csv, .tsv, .data, .dat, .txt (perhaps .gz), .xlsx, .parquet or .npz.

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
        labels: forms of the class names, with commas between them, by which two spellings are one class: strip-dot,
            casefold, blanks, separators, unquote, nfkc; or old:new to rename one.
        header: whether the first line names the columns; without a header they are column-1, column-2, ...
        separator: between the values: one character, tab, or blanks for any number of them.
        encoding: of a text file; auto goes by its byte order mark, then tries UTF-8, then the likeliest by its letters.
        decimal: the mark before decimals, point or comma; auto decides by all columns together.
        thousands: the mark between groups of three digits: point, comma, space, apostrophe or none.
        skip: number of lines above the table; auto skips titles, comments that begin with # and sep=;.
        names: names of the columns of a file without a header, with commas between them.
        missing: words that mean a missing value, in addition to the usual ones, and in the target too.
        format: csv, parquet or npz, for a file whose suffix does not say it.

    Raises:
        UsageError: no file is named, a column does not exist, or the target is not obvious.
        DataError: the file cannot be read, or there is nothing to learn in it.
        MissingPartError: .parquet without pyarrow.
    """
    from yisheng.data.tables import from_file

    if not path:
        raise UsageError(Message("the data set table needs a file"), Message("use data=train.csv, or path=train.csv"))
    return from_file(
        path,
        target=target,
        test=test,
        id=id or "",
        drop=drop,
        kinds=kinds,
        task=None if task == "auto" else task,
        time=time or "",
        group=group or "",
        labels=labels,
        header=header,
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        thousands=thousands,
        skip=skip,
        names=names,
        missing=missing,
        format=format,
    )
