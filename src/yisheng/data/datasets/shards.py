"""Rows of a table in many files of the user."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.remote.streams import Stream, find_streamed


def has_shards(path: Path) -> bool:
    """Return whether a path is a folder of tables and nothing else, or a pattern for such files."""
    from yisheng.data.tables.shards import list_shards

    return bool(list_shards(path))


def names_tables(names: Collection[str]) -> bool:
    """Return whether the files of a folder, by their names relative to it, are tables and nothing else."""
    from yisheng.data.tables.shards import name_shards

    return bool(name_shards(names))


@register(opens=has_shards, opens_names=names_tables)
def shards(
    *,
    path: str = "",
    target: tuple[str, ...] | str | int | None = None,
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
    stream: Stream = "auto",
) -> Dataset:
    """Load rows of a table in many files, .csv, .tsv or .parquet: a folder, or a pattern as rows/part-*.parquet.

    The files may be larger than the memory together, but not one of them. Their rows are written to a block in the
    cache folder. Above 200,000 rows, a sample of them decides what the columns are.

    Args:
        path: the folder or pattern; ``data=rows/`` is short for it.
        target: the column to predict (several, with commas, for several): a name, a number from 1, or last.
        drop: columns to leave out, with commas between them.
        kinds: kinds of columns, if the detected ones are wrong, as in Year:category,Zip:identifier.
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
        stream: copy the files of a folder at an address one after the other and remove each after use; auto does so if
            a copy of all of them would take more than a quarter of the free disk.

    Raises:
        UsageError: no folder is named, a column does not exist, or stream is true and path is not the address of a
            folder.
        DataError: a file cannot be read, or there is nothing to learn in them.
        MissingPartError: .parquet without pyarrow.
    """
    from yisheng.core.paths import parse_path
    from yisheng.data.tables.column_roles import Roles
    from yisheng.data.tables.reading_options import ReadingOptions
    from yisheng.data.tables.shards import list_shards, name_shards, read_shards

    if not path:
        raise UsageError(
            Message("the data set shards needs a folder of tables"), Message("use data=rows/, or path=rows")
        )
    roles = Roles.parse(
        target,
        time=time,
        group=group,
        drop=drop,
        kinds=kinds,
        task=None if task == "auto" else task,
        labels=labels,
    )
    reading: dict[str, Any] = {"header": header, "separator": separator, "encoding": encoding, "decimal": decimal}
    reading |= {"thousands": thousands, "skip": skip, "names": names, "missing": missing}
    parsed = ReadingOptions.parse(reading)
    streamed = find_streamed(path, "path", stream)
    if streamed is not None:
        names_at_address = name_shards(streamed.versions)
        if not names_at_address:
            raise _explain_no_tables(streamed.address)
        with streamed.open_files(names_at_address) as streamed_paths:
            return read_shards(streamed.name, streamed_paths, roles, parsed)
    folder = parse_path(path, "path")
    paths = list_shards(folder)
    if not paths:
        raise _explain_no_tables(str(folder))
    name = folder.name if folder.is_dir() else folder.parent.name or folder.stem
    return read_shards(name, paths, roles, parsed)


def _explain_no_tables(place: str) -> DataError:
    return DataError(
        Message("{path} is not a folder of tables (.csv, .tsv or .parquet) and nothing else", path=place),
        Message("use a pattern for the files: data='rows/*.parquet'"),
    )
