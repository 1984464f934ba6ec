"""Values of any kind as NumPy arrays, in the types that a data set stores."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.input_spec import InputType
from yisheng.core.messages import Message
from yisheng.data.objects._values import Arrays, make_note

MAX_LISTED_SHAPES = 3
MAX_ROUNDING = 1e-3
"""Rounding error of float32 as a fraction of the standard deviation, above which a note says so."""
MAX_COMPARED_BYTES = 1 << 28


def to_array(value: Any, name: str) -> np.ndarray:
    """Return a tensor, array, image, series or (nested) list as an array, without a copy where possible.

    Args:
        value: the value.
        name: of the value, for messages.

    Raises:
        DataError: it cannot be one array: it is sparse, ragged, or something else.

    >>> to_array([[1, 2], [3, 4]], "x").shape
    (2, 2)
    """
    if isinstance(value, np.ndarray):
        return _require_regular(np.asarray(value), name)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _from_tensor(value, name)
    if is_pil_image(value):
        return image_to_array(value)
    if isinstance(value, list | tuple) and value and (is_tensor(value[0]) or is_pil_image(value[0])):
        return _stack([to_array(item, name) for item in value], name)
    if hasattr(value, "toarray"):
        raise DataError(
            Message("{name} is a sparse matrix", name=name),
            Message("give {name}.toarray(), or fewer columns", name=name),
        )
    if isinstance(value, Mapping | str | bytes) or value is None or callable(getattr(value, "__next__", None)):
        raise DataError(
            Message("{name} must hold numbers, got {type_name}", name=name, type_name=type(value).__name__),
            Message("give an array, a tensor or a list"),
        )
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError:
        raise _ragged(value, name) from None
    except (TypeError, RuntimeError) as error:
        raise DataError(
            Message("{name} cannot be read as an array: {error}", name=name, error=error),
            Message("give an array, a tensor or a list"),
        ) from None
    return _require_regular(array, name)


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_pil_image(value: Any) -> bool:
    """Return whether a value is an image of Pillow, without importing it."""
    image = sys.modules.get("PIL.Image")
    return image is not None and isinstance(value, image.Image)


def image_to_array(image: Any) -> np.ndarray:
    """Return an image of Pillow as bytes ``(C, H, W)``: gray if it is, else red, green and blue."""
    is_gray = image.mode in ("1", "L", "LA", "I;16", "I", "F")
    if image.mode in ("I;16", "I", "F"):
        raise DataError(
            Message("an image has the mode {mode}, not bytes", mode=image.mode),
            Message("convert it, as in image.convert('L')"),
        )
    pixels = np.asarray(image.convert("L" if is_gray else "RGB"))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def store(array: np.ndarray, name: str, *, ids: bool | None = None) -> tuple[np.ndarray, InputType, list[Finding]]:
    """Return inputs in a type that a data set stores, the type that a network receives, and notes.

    Floats become float32. Whole numbers of at most one axis per row are ids (of tokens, of a category), unless one is
    negative; other whole numbers become float32, except bytes, which stay.

    Args:
        array: inputs ``(N, ...)``.
        name: of the inputs, for messages.
        ids: whether whole numbers are ids; None for the rule above.

    Raises:
        DataError: the values are no numbers, or NaN or infinite.
    """
    kind = array.dtype.kind
    if kind not in "fiub" or array.dtype.itemsize > 8:
        raise DataError(
            Message("{name} must hold numbers, got {kind}", name=name, kind=_describe_type(array)),
            Message(
                "give a DataFrame with target= for a table of texts and categories, or convert the values to numbers",
            ),
        )
    if kind == "f":
        return _store_floats(array, name)
    if kind in "iu" and array.dtype != np.uint8:
        is_ids = ids if ids is not None else array.ndim <= 2 and (not array.size or int(array.min()) >= 0)
        if is_ids:
            return _store_ids(array, name, chosen=ids is True)
    elif ids is True and kind == "u":
        return _store_ids(array, name, chosen=True)
    if array.dtype == np.uint8:
        return array, "float32", []
    values = array.astype(np.float32)
    return values, "float32", _note_lost_digits(array, values, name)


def stored_type(array: np.ndarray, dtype: InputType, name: str) -> np.ndarray:
    """Return further inputs in the type of the first ones: ids as int64, bytes as they are, other numbers as float32.

    Args:
        array: inputs ``(N, ...)``.
        dtype: type that the network receives.
        name: of the inputs, for messages.

    Raises:
        DataError: they are not of that kind, or NaN or infinite.
    """
    if dtype == "int64":
        if array.dtype.kind not in "iu":
            raise DataError(
                Message("{name} must hold whole numbers, got {dtype}", name=name, dtype=array.dtype),
                Message("give ids, as in the training part"),
            )
        return array.astype(np.int64, copy=False)
    return store(array, name, ids=False)[0]


def _store_ids(array: np.ndarray, name: str, *, chosen: bool) -> tuple[np.ndarray, InputType, list[Finding]]:
    ids = array.astype(np.int64, copy=False)
    if chosen or not ids.size:
        return ids, "int64", []
    note = make_note(
        Message(
            "{name} holds whole numbers from {lowest} to {highest}: they reach the network as ids (int64), unscaled",
            name=name,
            lowest=ids.min(),
            highest=ids.max(),
        ),
        Message("use ids=false if they are quantities"),
    )
    return ids, "int64", [note]


def _store_floats(array: np.ndarray, name: str) -> tuple[np.ndarray, InputType, list[Finding]]:
    with np.errstate(over="ignore"):
        values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).reshape(len(values), -1).any(1).argmax())
        raise DataError(
            Message("{name} contains NaN, infinite or too large values, first in row {row}", name=name, row=row),
            Message("fill them in or drop the rows; in a DataFrame with target= missing values are filled in"),
        )
    return values, "float32", _note_lost_digits(array, values, name)


def _note_lost_digits(array: np.ndarray, values: np.ndarray, name: str) -> list[Finding]:
    """Return a note if float32 is too coarse for the differences between the values of a column."""
    if array.dtype.itemsize < 4 or array.dtype == np.float32 or array.nbytes > MAX_COMPARED_BYTES:
        return []
    columns = array.reshape(-1, array.shape[-1] if array.ndim == 2 else 1).astype(np.float64)
    error = np.abs(values.reshape(columns.shape) - columns).max(0, initial=0)
    coarse = (
        np.flatnonzero((error > MAX_ROUNDING * columns.std(0)) & (columns.std(0) > 0))
        if len(columns)
        else np.empty(0, np.int64)
    )
    if not len(coarse):
        return []
    facts = {"name": name, "error": f"{error[coarse[0]]:.2g}"}
    note = Message("float32 rounds {name} by up to {error}, much compared with its standard deviation", **facts)
    if array.ndim == 2:
        note = Message(
            "float32 rounds {name} in column {column} by up to {error}, much compared with its standard deviation",
            column=coarse[0],
            **facts,
        )
    return [make_note(note, Message("subtract a constant first, as in x - x.mean(0)"))]


def require_rows(arrays: Arrays, y: np.ndarray, name: str) -> None:
    """Check that all inputs and the targets have the same number of rows, and at least one.

    Raises:
        DataError: they do not.
    """
    items = list_arrays(arrays)
    for array in (*items, y):
        if array.ndim == 0:
            raise DataError(
                Message("{name}: a batch axis is missing: got a single value", name=name),
                Message("give one row per sample"),
            )
    lengths = [len(array) for array in items]
    if any(length != len(y) for length in lengths):
        got = ", ".join(map(str, lengths))
        shapes = ", ".join(str(array.shape) for array in items)
        raise DataError(
            Message(
                "{name}: x has {x_rows} rows (shape {x_shape}) and y has {y_rows} (shape {y_shape})",
                name=name,
                x_rows=got,
                x_shape=shapes,
                y_rows=len(y),
                y_shape=y.shape,
            ),
            Message("give one target for each row; the first axis of both is the sample"),
        )
    if not len(y):
        raise DataError(Message("{name} has no rows", name=name), Message("give at least a few"))


def list_arrays(arrays: Arrays) -> list[np.ndarray]:
    """Return the arrays of some inputs, in order."""
    return [arrays] if isinstance(arrays, np.ndarray) else list(arrays.values() if isinstance(arrays, dict) else arrays)


def name_arrays(arrays: Arrays, name: str) -> list[str]:
    """Return names of the arrays of some inputs, for messages."""
    if isinstance(arrays, np.ndarray):
        return [name]
    return [f"{name}[{key!r}]" for key in (arrays if isinstance(arrays, dict) else range(len(arrays)))]


def rebuild(arrays: Arrays, values: Sequence[np.ndarray]) -> Arrays:
    """Return arrays in the form of others."""
    if isinstance(arrays, np.ndarray):
        return values[0]
    return dict(zip(arrays, values, strict=True)) if isinstance(arrays, dict) else tuple(values)


def _from_tensor(value: Any, name: str) -> np.ndarray:
    import torch

    if value.layout is not torch.strided or value.is_quantized:
        raise DataError(
            Message("{name} is a sparse or quantized tensor", name=name), Message("give {name}.to_dense()", name=name)
        )
    value = value.detach().cpu()
    array: np.ndarray = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    return array


def _stack(arrays: Sequence[np.ndarray], name: str) -> np.ndarray:
    shapes = list(dict.fromkeys(array.shape for array in arrays))
    if len(shapes) > 1:
        raise _different_shapes(shapes, name)
    return np.stack(arrays)


def _require_regular(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype != object:
        return array
    items = [np.shape(item) for item in array.reshape(-1)[:1000]]
    if any(items) and len(set(items)) > 1:
        raise _different_shapes(list(dict.fromkeys(items)), name)
    if any(items):
        return _stack([np.asarray(item) for item in array.reshape(-1)], name).reshape(*array.shape, *items[0])
    return array


def _ragged(value: Any, name: str) -> DataError:
    try:
        shapes = list(dict.fromkeys(np.shape(item) for item in value))
    except ValueError:
        shapes = []
    return _different_shapes(shapes, name)


def _different_shapes(shapes: Sequence[tuple[int, ...]], name: str) -> DataError:
    listed = ", ".join(map(str, shapes[:MAX_LISTED_SHAPES])) + ", ..." * (len(shapes) > MAX_LISTED_SHAPES)
    problem = Message("the rows of {name} have different shapes", name=name)
    return DataError(
        Message("{problem}: {shapes}", problem=problem, shapes=listed) if shapes else problem,
        Message("bring all rows to one shape: pad or cut sequences, resize images"),
    )


def _describe_type(array: np.ndarray) -> str:
    if array.dtype.kind in "US":
        return Message("text")
    if array.dtype == object and array.size:
        return Message("objects such as {value}", value=f"{array.reshape(-1)[0]!r:.40}")
    return str(array.dtype)
