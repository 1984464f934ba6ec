"""Checks of a data set's arrays: types, shapes and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yisheng.core.errors import DataError
from yisheng.core.messages import Message

if TYPE_CHECKING:
    from yisheng.core.dataset import Dataset

INPUT_TYPES = {"float32": ("uint8", "float64", "float32"), "uint8": ("uint8",), "int64": ("int64",)}
"""Types of the stored inputs for each type that a network may receive."""
MAX_TARGET = 3.4028234663852886e38
"""The largest number of single precision."""


def check_dataset(dataset: Dataset) -> None:
    """Raise an error unless all arrays fit the contract and one another.

    Raises:
        DataError: an array has the wrong type, shape or values.
    """
    _check_arrays(dataset)
    _check_lengths(dataset)
    _check_input_type(dataset)
    if dataset.spec.task == "classification":
        _check_class_numbers(dataset)
    else:
        _check_float_targets(dataset)
    _check_row_values(dataset)


def _check_arrays(dataset: Dataset) -> None:
    for key in ("x", "y", "part", "weight", "group", "time"):
        array = getattr(dataset, key)
        if array is None and key not in "xy":
            continue
        if not (hasattr(array, "dtype") and hasattr(array, "shape")):
            raise DataError(
                Message(
                    "{name}: {key} must be a NumPy array, got {name__}",
                    name=dataset.name,
                    key=key,
                    name__=type(array).__name__,
                ),
                Message("give numpy.asarray(...)"),
            )
        if hasattr(array, "columns"):  # pandas: len() and dtypes mean something else there
            raise DataError(
                Message("{name}: {key} must be a NumPy array, got a table", name=dataset.name, key=key),
                Message("give its .to_numpy()"),
            )
        if array.ndim == 0:
            raise DataError(
                Message("{name}: {key} must hold a value for each row, got one value", name=dataset.name, key=key),
                Message("give an array"),
            )


def _check_input_type(dataset: Dataset) -> None:
    """Check that the values are of a type from which the network's inputs are made."""
    allowed = ("uint8",) if dataset.spec.inputs else INPUT_TYPES[dataset.spec.dtype]
    if dataset.x.dtype.name not in allowed:
        raise DataError(
            Message(
                "{name}: inputs must be {allowed}, got {dtype}",
                name=dataset.name,
                allowed=" or ".join(allowed),
                dtype=dataset.x.dtype,
            ),
            Message("convert them, as in x.astype('{allowed}')", allowed=allowed[-1]),
        )


def _check_lengths(dataset: Dataset) -> None:
    shape = tuple(dataset.x.shape[1:])
    if shape != dataset.spec.shape:
        raise DataError(
            Message(
                "{name}: inputs must have the spec's shape {shape}, got {shape_2}",
                name=dataset.name,
                shape=dataset.spec.shape,
                shape_2=shape,
            ),
            Message("check the file, or the spec"),
        )
    rows = len(dataset.x)
    columns = {
        "targets": dataset.y,
        "parts": dataset.part,
        "weights": dataset.weight,
        "rows": dataset.rows,
        "groups": dataset.group,
        "times": dataset.time,
    }
    for label, values in columns.items():
        if values is not None and len(values) != rows:
            raise DataError(
                Message(
                    "{name}: {rows} inputs need {rows} {label}, got {count}",
                    name=dataset.name,
                    rows=rows,
                    label=label,
                    count=len(values),
                ),
                Message("check the file"),
            )
    if rows == 0:
        raise DataError(
            Message("{name}: the data set is empty", name=dataset.name), Message("give a file with at least a few rows")
        )


def _check_class_numbers(dataset: Dataset) -> None:
    y, classes = dataset.y, len(dataset.spec.classes)
    if y.dtype.name != "int64" or y.ndim != 1:
        raise DataError(
            Message(
                "{name}: class numbers must be int64 (N,), got {dtype} {shape}",
                name=dataset.name,
                dtype=y.dtype,
                shape=y.shape,
            ),
            Message("give the number of each row's class, as in y.astype('int64').ravel()"),
        )
    outside = (y < 0) | (y >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            Message(
                "{name}: class numbers must be from 0 to {classes}, got {y} in row {row}",
                name=dataset.name,
                classes=classes - 1,
                y=y[row],
                row=row,
            ),
            Message("check the targets, or the spec's classes"),
        )


def _check_float_targets(dataset: Dataset) -> None:
    y = dataset.y
    labels = len(dataset.spec.classes) if dataset.spec.task == "multilabel" else None
    types = ("float32",) if labels else ("float32", "float64")
    if y.dtype.name not in types or y.ndim != 2 or (labels is not None and y.shape[1] != labels):
        required = f"float32 (N, {labels})" if labels else Message("float32 or float64 (N, T), (N, 1) for one target")
        raise DataError(
            Message(
                "{name}: targets must be {required}, got {dtype} {shape}",
                name=dataset.name,
                required=required,
                dtype=y.dtype,
                shape=y.shape,
            ),
            Message("convert them, as in y.astype('float32').reshape(len(y), -1)"),
        )
    wrong = ~((y == 0) | (y == 1)) if labels else ~(abs(y) <= MAX_TARGET)
    if wrong.any():
        row = int(wrong.any(1).argmax())
        required = Message("0 or 1 for each label") if labels else Message("finite numbers")
        raise DataError(
            Message(
                "{name}: targets must be {required}, got {tolist} in row {row}",
                name=dataset.name,
                required=required,
                tolist=y[row].tolist(),
                row=row,
            ),
            Message("fix or drop the row"),
        )


def _check_row_values(dataset: Dataset) -> None:
    """Check official parts, sample weights and times."""
    part, weight, time = dataset.part, dataset.weight, dataset.time
    if part is not None and not ((part >= 0) & (part <= 2)).all():
        raise DataError(
            Message(
                "{name}: official parts must be 0, 1 or 2, got {tolist}",
                name=dataset.name,
                tolist=sorted(set(part.tolist()))[:5],
            ),
            Message("use 0 for train, 1 for validation and 2 for test"),
        )
    if weight is not None and len(weight) and not weight.any():
        raise DataError(
            Message("{name}: all sample weights are 0", name=dataset.name),
            Message("give rows to learn from a weight above 0"),
        )
    if weight is not None and not ((weight >= 0) & (weight < float("inf"))).all():
        raise DataError(
            Message("{name}: sample weights must be 0 or more, and finite", name=dataset.name),
            Message("fix the weights"),
        )
    if time is not None and not (abs(time) < float("inf")).all():
        raise DataError(
            Message("{name}: the time of every row must be known", name=dataset.name),
            Message("fix or drop the rows without one"),
        )
