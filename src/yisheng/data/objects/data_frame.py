"""DataFrames, read as the same table from a file would be."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.registry import register
from yisheng.data import tables
from yisheng.data.objects import _arrays, hugging_face
from yisheng.data.objects._parts import read_parts
from yisheng.data.objects._values import Options
from yisheng.data.tables import files
from yisheng.data.tables.frame_columns import flatten_columns, name_target
from yisheng.data.tables.raw_column import RawColumn, column_from_series

ROW = "row-number-of-yisheng"
"""A column that is added to know which rows are left, and removed again."""


def is_frame(value: Any) -> bool:
    """Return whether a value is a DataFrame, of pandas or of a library whose frames become one."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return True
    if isinstance(value, dict | list | tuple | str):
        return False
    if hasattr(value, "columns") and (hasattr(value, "to_pandas") or hasattr(value, "__dataframe__")):
        return True
    return hugging_face.is_dataset(value) and hugging_face.is_table(value)


@register(takes=is_frame, makes="dataset")
def data_frame(frame: Any, validation: Any, test: Any, options: Options) -> Dataset:
    """Read a DataFrame with a target column, by the rules for tables: kinds of columns, categories, missing values.

    Args:
        frame: the rows to train on, and to split if no other parts are weight_source.
        validation: a DataFrame or a file of rows to validate on, or None.
        test: likewise, to test on.
        options: the user's choices.

    Raises:
        DataError: the target cannot be learned, or no column is left to learn it from.
        UsageError: an option names a column that does not exist, or does not fit a table.
    """
    frame = to_pandas(frame)
    findings = _report_unused_index(frame.index)
    options = replace(options, target=name_target(options.target, frame.columns))
    frame = _select_columns(flatten_columns(frame), options)
    arguments = _list_arguments(options)
    held_out_parts = [(n, _read_part(part, name)) for n, part, name in _named(validation, test) if part is not None]
    frame, held_out_parts = _split_frame(frame, options, held_out_parts)
    frame, weights = _pop_weights(frame, options)
    if not held_out_parts and weights is None:
        data = tables.from_frame(frame, **arguments, id=options.id)
        return replace(data, findings=(*data.findings, *findings))
    held_out = _concatenate([part for _, part in held_out_parts]) if held_out_parts else None
    numbers = np.concatenate([np.zeros(len(frame)), *(np.full(len(part), n) for n, part in held_out_parts)]).astype(
        np.int8
    )
    _require_targets(held_out, options)
    data = _build_with_row_numbers(frame, held_out, arguments, options)
    rows = np.array([int(row) for row in data.rows or ()])
    weight = None if weights is None else np.append(weights, np.ones(len(numbers) - len(weights), np.float32))[rows]
    return replace(
        data,
        part=numbers[rows] if held_out_parts else None,
        weight=weight,
        rows=_name_rows(frame, held_out, options, rows),
        findings=(*map(_without_row_column, data.findings), *findings),
    )


def to_pandas(frame: Any) -> Any:
    """Return a frame of another library, or a table of Hugging Face, as a DataFrame of pandas."""
    pandas: Any = importlib.import_module("pandas")
    if isinstance(frame, pandas.DataFrame):
        return frame
    if hugging_face.is_dataset(frame):
        return hugging_face.to_frame(frame)
    if hasattr(frame, "to_pandas"):
        try:
            return frame.to_pandas()
        except ImportError as error:
            raise DataError(
                Message("the frame cannot become one of pandas: {error}", error=error),
                Message("give frame.to_pandas()"),
            ) from None
    interchange: Any = importlib.import_module("pandas.api.interchange")
    return interchange.from_dataframe(frame)


def _report_unused_index(index: Any) -> tuple[Finding, ...]:
    """Return a note about an index that says more than the numbers of the rows: its values are no column."""
    is_numbering = index.nlevels == 1 and index.name is None and index.dtype.kind in "iu"
    if is_numbering or not len(index):
        return ()
    names = [f"index {level}" if name is None else str(name) for level, name in enumerate(index.names)]
    names = ["index"] if names == ["index 0"] else names
    cause = Message("the index of the DataFrame is not used: {names}", names=", ".join(names))
    remedy = Message("to learn from it, or to split by it (time=, group=), make it a column: data.reset_index()")
    return (Finding("unused index", "note", {"index": names}, cause, remedy),)


def _named(validation: Any, test: Any) -> tuple[tuple[int, Any, str], ...]:
    return (1, validation, "validation"), (2, test, "test")


def _list_arguments(options: Options) -> dict[str, Any]:
    """Return the options that tables have too."""
    for name in ("classes", "items"):
        if getattr(options, name):
            raise UsageError(
                Message("{name}= is not for DataFrames", name=name),
                Message("rename the values or columns of the DataFrame"),
            )
    for name in ("group", "time"):
        value = getattr(options, name)
        if value is not None and not isinstance(value, str):
            raise UsageError(
                Message("{name}= must name a column of the DataFrame", name=name),
                Message("add it as a column, then {name}=NAME", name=name),
            )
    return {
        "target": options.target,
        "task": options.task,
        "time": options.time or "",
        "group": options.group or "",
        "drop": options.drop,
        "kinds": options.kinds or (),
    }


def _select_columns(frame: Any, options: Options) -> Any:
    """Return the frame with the columns of ``columns=`` and those that have a role."""
    if not options.columns:
        return frame
    names = [str(name) for name in frame.columns]
    missing = [name for name in options.columns if name not in names]
    if missing:
        raise UsageError(
            Message("columns={name}: there is no such column", name=missing[0]), suggest(missing[0], names)
        )
    roles = (options.id, options.group, options.time, options.sample_weight, options.part)
    selected = {*options.columns, *options.target, *(role for role in roles if isinstance(role, str))}
    return frame[[name for name in frame.columns if str(name) in selected]]


def _split_frame(
    frame: Any, options: Options, held_out_parts: list[tuple[int, Any]]
) -> tuple[Any, list[tuple[int, Any]]]:
    """Return the training rows and the rows of the other parts, if ``part=`` tells them."""
    if options.part is None:
        return frame, held_out_parts
    if held_out_parts:
        raise UsageError(
            Message("part= and validation= or test= contradict: both say which rows are in a part"), Message("give one")
        )
    values: Any = options.part
    if isinstance(values, str):
        _require_column(frame, values, "part")
        values, frame = frame[values].to_numpy(), frame.drop(columns=[values])
    numbers = read_parts(values, len(frame))
    return frame[numbers == 0], [(n, frame[numbers == n]) for n in (1, 2) if (numbers == n).any()]


def _read_part(value: Any, name: str) -> Any:
    """Return the rows of another part as a DataFrame."""
    if isinstance(value, str | os.PathLike):
        return _to_frame(files.read_table(parse_path(os.fspath(value), name)).columns)
    if not is_frame(value):
        raise UsageError(
            Message(
                "{name}= must be a DataFrame or a file, as the data is a table, got {type_name}",
                name=name,
                type_name=type(value).__name__,
            ),
            Message("give {name}=DataFrame, or {name}=FILE.csv", name=name),
        )
    return flatten_columns(to_pandas(value))


def _to_frame(columns: dict[str, RawColumn]) -> Any:
    """Return the columns of a file as a DataFrame."""
    pandas: Any = importlib.import_module("pandas")

    def values(raw: RawColumn) -> Any:
        if raw.numbers is not None:
            return raw.numbers
        texts = np.array([*raw.categories, None], object)
        return texts[raw.codes] if raw.categories else np.full(len(raw), None, object)

    return pandas.DataFrame({name: values(raw) for name, raw in columns.items()})


def _concatenate(frames: Sequence[Any]) -> Any:
    pandas: Any = importlib.import_module("pandas")
    return pandas.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _require_targets(held_out: Any, options: Options) -> None:
    missing = [] if held_out is None else [name for name in options.target if name not in map(str, held_out.columns)]
    if missing:
        raise DataError(
            Message("the rows of validation= or test= lack the target {missing}", missing=", ".join(missing)),
            Message("add this column"),
        )


def _pop_weights(frame: Any, options: Options) -> tuple[Any, np.ndarray | None]:
    """Return the frame without its column of weights, and the weights."""
    weight_source = options.sample_weight
    if weight_source is None:
        return frame, None
    if isinstance(weight_source, str):
        _require_column(frame, weight_source, "sample_weight")
        return frame.drop(columns=[weight_source]), frame[weight_source].to_numpy(np.float32)
    weights = np.asarray(_arrays.to_array(weight_source, "sample_weight"), np.float32).reshape(-1)
    if len(weights) != len(frame):
        raise DataError(
            Message("sample_weight has {values} values for {rows} training rows", values=len(weights), rows=len(frame)),
            Message("give one for each"),
        )
    return frame, weights


def _require_column(frame: Any, name: str, option: str) -> None:
    names = [str(column) for column in frame.columns]
    if name not in names:
        raise UsageError(
            Message("{option}={name}: there is no such column", option=option, name=name), suggest(name, names)
        )


def _build_with_row_numbers(frame: Any, held_out: Any, arguments: dict[str, Any], options: Options) -> Dataset:
    """Return the data set with the rows' numbers as their names: rows without a target are left out."""
    names = np.arange(len(frame)).astype(str)
    numbered = frame.assign(**{ROW: names})
    test = None
    if held_out is not None:
        test = held_out.assign(**{ROW: np.arange(len(frame), len(frame) + len(held_out)).astype(str)})
    dropped = [*arguments["drop"], *([options.id] if options.id else [])]
    return tables.from_frame(numbered, **{**arguments, "drop": dropped}, test=test, id=ROW)


def _name_rows(frame: Any, held_out: Any, options: Options, rows: np.ndarray) -> tuple[str, ...] | None:
    """Return the names of the rows in the column ``id``."""
    if not options.id:
        return None
    names: list[str] = []
    for part in (frame, held_out):
        if part is not None and options.id in part.columns:
            texts = column_from_series(options.id, part[options.id], exact=True).as_text()
            names += [texts.categories[code] if code >= 0 else "" for code in texts.codes.tolist()]  # type: ignore[union-attr]  # texts
        elif part is not None:
            names += [str(row + 1) for row in range(len(part))]
    return tuple(names[row] for row in rows)


def _without_row_column(finding: Finding) -> Finding:
    columns = finding.evidence.get("columns")
    if finding.check != "columns" or not isinstance(columns, list):
        return finding
    described = [column for column in columns if column.get("column") != ROW]
    return replace(finding, evidence={**finding.evidence, "columns": described})
