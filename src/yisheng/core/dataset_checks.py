"""Checks of a data set's arrays: types, shapes and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yisheng.core.errors import DataError

if TYPE_CHECKING:
    from yisheng.core.types import Dataset

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
                f"{dataset.name}: {key} must be a NumPy array, got {type(array).__name__}", "give numpy.asarray(...)"
            )
        if hasattr(array, "columns"):  # pandas: len() and dtypes mean something else there
            raise DataError(f"{dataset.name}: {key} must be a NumPy array, got a table", "give its .to_numpy()")
        if array.ndim == 0:
            raise DataError(f"{dataset.name}: {key} must hold a value for each row, got one value", "give an array")


def _check_input_type(dataset: Dataset) -> None:
    """Check that the values are of a type from which the network's inputs are made."""
    allowed = ("uint8",) if dataset.spec.inputs else INPUT_TYPES[dataset.spec.dtype]
    if dataset.x.dtype.name not in allowed:
        raise DataError(
            f"{dataset.name}: inputs must be {' or '.join(allowed)}, got {dataset.x.dtype}",
            f"convert them, as in x.astype('{allowed[-1]}')",
        )


def _check_lengths(dataset: Dataset) -> None:
    shape = tuple(dataset.x.shape[1:])
    if shape != dataset.spec.shape:
        raise DataError(
            f"{dataset.name}: inputs must have the spec's shape {dataset.spec.shape}, got {shape}",
            "check the file, or the spec",
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
            raise DataError(f"{dataset.name}: {rows} inputs need {rows} {label}, got {len(values)}", "check the file")
    if rows == 0:
        raise DataError(f"{dataset.name}: the data set is empty", "give a file with at least a few rows")


def _check_class_numbers(dataset: Dataset) -> None:
    y, classes = dataset.y, len(dataset.spec.classes)
    if y.dtype.name != "int64" or y.ndim != 1:
        raise DataError(
            f"{dataset.name}: class numbers must be int64 (N,), got {y.dtype} {y.shape}",
            "give the number of each row's class, as in y.astype('int64').ravel()",
        )
    outside = (y < 0) | (y >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise DataError(
            f"{dataset.name}: class numbers must be from 0 to {classes - 1}, got {y[row]} in row {row}",
            "check the targets, or the spec's classes",
        )


def _check_float_targets(dataset: Dataset) -> None:
    y = dataset.y
    labels = len(dataset.spec.classes) if dataset.spec.task == "multilabel" else None
    types = ("float32",) if labels else ("float32", "float64")
    if y.dtype.name not in types or y.ndim != 2 or (labels is not None and y.shape[1] != labels):
        required = f"float32 (N, {labels})" if labels else "float32 or float64 (N, T), (N, 1) for one target"
        raise DataError(
            f"{dataset.name}: targets must be {required}, got {y.dtype} {y.shape}",
            "convert them, as in y.astype('float32').reshape(len(y), -1)",
        )
    wrong = ~((y == 0) | (y == 1)) if labels else ~(abs(y) <= MAX_TARGET)
    if wrong.any():
        row = int(wrong.any(1).argmax())
        required = "0 or 1 for each label" if labels else "finite numbers"
        raise DataError(
            f"{dataset.name}: targets must be {required}, got {y[row].tolist()} in row {row}", "fix or drop the row"
        )


def _check_row_values(dataset: Dataset) -> None:
    """Check official parts, sample weights and times."""
    part, weight, time = dataset.part, dataset.weight, dataset.time
    if part is not None and not ((part >= 0) & (part <= 2)).all():
        raise DataError(
            f"{dataset.name}: official parts must be 0, 1 or 2, got {sorted(set(part.tolist()))[:5]}",
            "use 0 for train, 1 for validation and 2 for test",
        )
    if weight is not None and not ((weight >= 0) & (weight < float("inf"))).all():
        raise DataError(f"{dataset.name}: sample weights must be 0 or more, and finite", "fix the weights")
    if time is not None and not (abs(time) < float("inf")).all():
        raise DataError(f"{dataset.name}: the time of every row must be known", "fix or drop the rows without one")
