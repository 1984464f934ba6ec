"""The rows of other data as inputs of a run: images in its size and colors, columns by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.class_names import FORMS, normalize_name
from yisheng.data.fingerprint import fingerprint
from yisheng.data.images.part_names import PART_NAMES
from yisheng.data.images.resize import resize
from yisheng.data.tables.literals import is_number, spelling_key
from yisheng.data.tables.raw_column import format_number
from yisheng.experiments.other_data.matching import MatchedTargets, match_targets
from yisheng.inference.images import read_memory_image

Read = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class OtherRows:
    """Rows to evaluate a run on, in its form.

    Args:
        name: of the data.
        read: function from row numbers to inputs ``(B, *shape)`` as the run takes them.
        index: number of each row in the data ``(N,)``.
        targets: of these rows.
        sha256: fingerprint of the data.
        rows: names of the data's rows, or None.
        notes: on what was changed or left out, for people.
    """

    name: str
    read: Read
    index: np.ndarray
    targets: MatchedTargets
    sha256: str
    rows: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.index)


def adapt_dataset(dataset: Dataset, spec: Spec, *, part: str | None, forms: Sequence[str]) -> OtherRows:
    """Return the rows of a data set as a run takes them.

    Args:
        dataset: the other data.
        spec: the contract of the run.
        part: an official part (``train``, ``validation``, ``test``); None for all rows.
        forms: forms of the labels.

    Raises:
        UsageError: the data has no such part.
        DataError: inputs or targets do not fit the run.
    """
    index = select_part(dataset.name, dataset.part, len(dataset), part)
    read, notes = _adapt_inputs(dataset, spec)
    targets = match_targets(dataset, index, spec, forms)
    left_out = [finding.cause for finding in dataset.findings if finding.check in LEFT_OUT_CHECKS]
    return OtherRows(
        dataset.name, read, index, targets, fingerprint(dataset), dataset.rows, (*left_out, *notes, *targets.notes)
    )


LEFT_OUT_CHECKS = ("damaged-images", "missing-images", "images-without-class", "folders-left-out", "missing target")
"""Findings of a data set that are about rows which cannot be scored."""


def select_part(name: str, parts: np.ndarray | None, rows: int, part: str | None) -> np.ndarray:
    """Return the row numbers of an official part, or of all rows.

    Raises:
        UsageError: there is no such part.
    """
    if part is None:
        return np.arange(rows)
    if part not in PART_NAMES:
        raise UsageError(
            Message("part must be one of {PART_NAMES}, got {part}", PART_NAMES=", ".join(PART_NAMES), part=f"{part!r}"),
            Message("leave it out for all rows"),
        )
    index = np.flatnonzero(parts == PART_NAMES.index(part)) if parts is not None else np.empty(0, np.int64)
    if not len(index):
        raise UsageError(
            Message("{name} has no official {part} part", name=name, part=part),
            Message("leave part= out: then all rows are scored"),
        )
    return index


def _adapt_inputs(dataset: Dataset, spec: Spec) -> tuple[Read, Sequence[str]]:
    if spec.is_image:
        return _adapt_images(dataset, spec)
    if spec.is_row and dataset.spec.is_row:
        return _adapt_columns(dataset, spec)
    if dataset.spec.shape != spec.shape or dataset.x.dtype != _stored_type(dataset, spec):
        raise DataError(
            Message(
                "{name} has inputs of shape {shape}, the run takes {run_shape}",
                name=dataset.name,
                shape=dataset.spec.shape,
                run_shape=spec.shape,
            ),
            Message("give inputs of the same shape and type"),
        )
    return (lambda rows: np.ascontiguousarray(dataset.x[rows])), []


def _stored_type(dataset: Dataset, spec: Spec) -> Any:
    """Return the type that a run's data of this kind is stored in; float data may be stored as bytes, too."""
    return np.dtype("uint8" if spec.inputs else spec.dtype) if spec.dtype != "float32" else dataset.x.dtype


def _adapt_images(dataset: Dataset, spec: Spec) -> tuple[Read, Sequence[str]]:
    """Return the images in the size and colors of a run, changed as prediction changes an image file."""
    if not dataset.spec.is_image:
        raise DataError(
            Message(
                "the run takes images {shape}, {name} has inputs of shape {data_shape}",
                shape=spec.shape,
                name=dataset.name,
                data_shape=dataset.spec.shape,
            ),
            Message("give images"),
        )
    if dataset.spec.shape == spec.shape and spec.drawing == dataset.spec.drawing:
        return (lambda rows: np.ascontiguousarray(dataset.x[rows])), []
    channels, height, width = dataset.spec.shape
    if dataset.x.dtype != np.uint8 or channels not in (1, 3):
        raise DataError(
            Message(
                "{name} has images {shape} of {dtype}, the run takes {run_shape}",
                name=dataset.name,
                shape=dataset.spec.shape,
                dtype=dataset.x.dtype,
                run_shape=spec.shape,
            ),
            Message("resize them, or give images of bytes (uint8) in gray or RGB"),
        )

    def read(rows: np.ndarray) -> np.ndarray:
        return np.stack([_convert_image(dataset.x[row], f"{dataset.name}, row {row}", spec) for row in rows.tolist()])

    size, new_size = (_describe_size(*shape) for shape in ((channels, height, width), spec.shape))
    notes = [Message("images are changed from {before} to {after}", before=size, after=new_size)] * (size != new_size)
    if spec.drawing is not None:
        notes.append(Message("drawings are fitted and centered as in the run's data"))
    return read, notes


def _describe_size(channels: int, height: int, width: int) -> Message:
    size = f"{width}x{height}"
    if channels == 1:
        return Message("{size} gray", size=size)
    if channels == 3:
        return Message("{size} RGB", size=size)
    return Message("{size} with {channels} channels", size=size, channels=channels)


def _convert_image(pixels: np.ndarray, name: str, spec: Spec) -> np.ndarray:
    """Return an image ``(C, H, W)`` as prediction would give it to the network."""
    image = Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))
    try:
        return read_memory_image(image, name, spec)[0]
    except DataError:  # a blank image has no drawing to fit
        gray = np.asarray(image.convert("L" if spec.shape[0] == 1 else "RGB"))
        resized = resize(gray, (spec.shape[1], spec.shape[2]), spec.fit)
        return np.ascontiguousarray(resized[None] if resized.ndim == 2 else resized.transpose(2, 0, 1))


def _adapt_columns(dataset: Dataset, spec: Spec) -> tuple[Read, Sequence[str]]:
    """Return the columns of a run by name; without names on both sides, by position."""
    columns, run_columns = dataset.spec.columns, spec.columns
    if not columns or not run_columns or not _share_names(columns, run_columns):
        if dataset.spec.shape != spec.shape:
            raise DataError(
                Message(
                    "{name} has {columns} columns, the run takes {run_columns}",
                    name=dataset.name,
                    columns=dataset.spec.shape[0],
                    run_columns=spec.shape[0],
                ),
                Message("give the run's columns, in its order or with its names"),
            )
        if columns and run_columns and any(c.source for c in (*columns, *run_columns)):
            _raise_missing_columns(dataset, [column.name for column in run_columns])
        note = Message("the columns are matched by position, since they have no common names")
        notes = [note] if columns or run_columns else []
        return (lambda rows: np.ascontiguousarray(dataset.x[rows], np.float32)), notes
    number_of = {column.name: number for number, column in enumerate(columns)}
    missing = [column.name for column in run_columns if column.name not in number_of]
    if missing:
        _raise_missing_columns(dataset, missing)
    pairs = [(number_of[column.name], column) for column in run_columns]

    def read(rows: np.ndarray) -> np.ndarray:
        block = np.asarray(dataset.x[rows], np.float32)
        converted = [_convert_column(block[:, number], columns[number], column) for number, column in pairs]
        return np.stack(converted, axis=1)

    ignored = [column.name for column in columns if column.name not in {c.name for c in run_columns}]
    note = Message("the run does not take the columns {columns}", columns=", ".join(ignored[:10]))
    return read, [note] if ignored else []


def _share_names(columns: Sequence[Column], run_columns: Sequence[Column]) -> bool:
    return bool({column.name for column in columns} & {column.name for column in run_columns})


def _raise_missing_columns(dataset: Dataset, missing: Sequence[str]) -> NoReturn:
    """Raise the error about columns that the run needs, with a hint at names that differ only in form."""
    present = [column.name for column in dataset.spec.columns]
    remedy = Message("name the columns as in training")
    if any(column.source for column in dataset.spec.columns):  # what is the same in all of its rows was left out
        remedy = Message(
            "name the columns as in training, or give the file or DataFrame itself: it is read by the columns of the "
            "run"
        )
    by_form = {normalize_name(column, FORMS): column for column in present}
    similar = [
        f"{by_form[form]} -> {column}" for column in missing if (form := normalize_name(column, FORMS)) in by_form
    ]
    raise DataError(
        Message(
            "{name} lacks the columns {missing} that the run takes; it has {present}",
            name=dataset.name,
            missing=", ".join(missing[:8]) + ", ..." * (len(missing) > 8),
            present=", ".join(present[:12]) + ", ..." * (len(present) > 12),
        ),
        Message("rename {similar}", similar=", ".join(similar[:5])) if similar else remedy,
    )


def _convert_column(values: np.ndarray, column: Column, run_column: Column) -> np.ndarray:
    """Return values of a column as the run encodes them, float32 ``(N,)``.

    Args:
        values: as the data set encodes them.
        column: the data set's column.
        run_column: the run's column of this name.
    """
    if run_column.kind == "number":
        if column.kind == "number":
            return values
        numbers = [float(word) if is_number(word) else np.nan for word in column.categories]
        return _look_up(values, numbers, np.nan)
    unseen = np.nan if run_column.kind == "yes/no" else -1.0
    key = str.casefold if run_column.kind == "yes/no" else str
    number_of = {key(spelling_key(word)): float(number) for number, word in enumerate(run_column.categories)}
    if column.kind == "number":
        words = {value: format_number(float(value)) for value in np.unique(values[~np.isnan(values)])}
        table = {value: number_of.get(key(spelling_key(word)), unseen) for value, word in words.items()}
        return np.array([np.nan if np.isnan(value) else table[value] for value in values], np.float32)
    return _look_up(values, [number_of.get(key(spelling_key(word)), unseen) for word in column.categories], unseen)


def _look_up(values: np.ndarray, table: Sequence[float], unseen: float) -> np.ndarray:
    """Return ``table[value]`` for category numbers; -1 is an unseen category, NaN a missing value."""
    lookup = np.array([*table, unseen, np.nan], np.float32)
    numbers = np.where(np.isnan(values), len(table) + 1, values).astype(np.int64)
    result: np.ndarray = lookup[np.where(numbers < 0, len(table), numbers)]
    return result


def keep_known_classes(rows: OtherRows) -> OtherRows:
    """Return the rows without those of classes that the run does not have."""
    y = rows.targets.y
    if y.ndim == 2 or (y >= 0).all():
        return rows
    scored = np.flatnonzero(y >= 0)
    return replace(rows, index=rows.index[scored], targets=replace(rows.targets, y=y[scored]))
