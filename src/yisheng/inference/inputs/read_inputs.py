"""Read whatever a user gives to ``predict``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.spec import Spec
from yisheng.data.tables.later_tables import source_names
from yisheng.inference.dataframes import is_dataframe, is_series
from yisheng.inference.inputs.array_files import read_array_files
from yisheng.inference.inputs.block import InputBlock, describe, place_on_first, refuse
from yisheng.inference.inputs.brightness import find_white, match_training
from yisheng.inference.inputs.image_arrays import read_image_array
from yisheng.inference.inputs.image_items import is_file, is_image_item, is_pil_image, read_image_items
from yisheng.inference.inputs.python_rows import read_frame, read_mapping
from yisheng.inference.inputs.python_rows import read_rows as read_python_rows
from yisheng.inference.inputs.table_files import read_table_content, read_table_files
from yisheng.inference.inputs.tensor_inputs import convert_values, from_tensor, read_several, read_tensor


def read_inputs(inputs: Any, spec: Spec, scale: Any) -> InputBlock:
    """Return inputs of a network from files, images, arrays, tensors, tables or rows, one or several.

    Images are read by the rules for files: resized, inverted if they are dark drawings on light paper, and brought to
    the values of training. Arrays of the form of training are taken as they are.

    Args:
        inputs: see docs/python.md.
        spec: the contract of the data.
        scale: the fitted input transform, which shows whether images were bytes in training.

    Raises:
        DataError: an input cannot be read, or has the wrong shape or values; the remedy lists the accepted forms.
        UsageError: there are no inputs.
    """
    inputs = _normalize(inputs)
    if isinstance(inputs, list | tuple | Mapping) and not len(inputs):
        raise UsageError(
            Message("predict needs at least one input"), Message("name an image, a CSV file, or rows=1.5,2.0")
        )
    if not (spec.is_image or spec.is_row):
        inputs = read_array_files(inputs, spec)
    if spec.inputs:
        block = read_several(inputs, spec)
    elif spec.is_image:
        white = find_white(scale, spec)
        block = _read_images(inputs, spec, white)
        x, notes = match_training(block.x, white)
        first_notes = place_on_first(notes, len(x))
        block = InputBlock(x, block.names, [a + b for a, b in zip(first_notes, block.notes, strict=True)])
    elif spec.is_row:
        block = _read_rows(inputs, spec)
    else:
        block = read_tensor(inputs, spec)
    return InputBlock(_check_values(block.x, spec), block.names, block.notes)


def _normalize(inputs: Any) -> Any:
    """Return tensors as arrays, iterators as lists, and a single file or image as a list of one."""
    inputs = from_tensor(inputs)
    if is_image_item(inputs):
        return [inputs]
    if isinstance(inputs, Iterator):
        inputs = list(inputs)
    if isinstance(inputs, list | tuple):
        return type(inputs)(map(from_tensor, inputs)) if type(inputs) in (list, tuple) else list(inputs)
    if isinstance(inputs, np.ndarray) or is_dataframe(inputs) or is_series(inputs) or isinstance(inputs, Mapping):
        return inputs
    if isinstance(inputs, Sequence):
        return list(inputs)
    return np.asarray(inputs) if hasattr(inputs, "__array__") else inputs


def _read_images(inputs: Any, spec: Spec, white: float | None) -> InputBlock:
    if is_dataframe(inputs):  # a row of pixels for each image, as a CSV file of images holds them
        return _read_images(inputs.to_numpy(), spec, white)
    if isinstance(inputs, np.ndarray):
        return read_image_array(_require_numbers(inputs, spec), spec, white)
    if not isinstance(inputs, list | tuple):
        refuse(describe(inputs), spec)
    if any(is_image_item(item) for item in inputs):
        return read_image_items(inputs, spec, white)
    if all(isinstance(item, np.ndarray) for item in inputs) and len({item.shape for item in inputs}) > 1:
        return read_image_items(inputs, spec, white)
    try:
        return _read_images(np.asarray(inputs), spec, white)
    except ValueError:  # nested lists of different lengths
        raise DataError(
            Message("the lists of the input have different lengths"), Message("give a list for each row of pixels")
        ) from None


def _read_rows(inputs: Any, spec: Spec) -> InputBlock:
    if is_dataframe(inputs):
        return read_frame(inputs, spec)
    if is_series(inputs):
        has_names = not all(isinstance(label, int) for label in inputs.index)
        return (
            read_frame(inputs.to_frame().T.infer_objects(), spec) if has_names else _read_rows(inputs.to_numpy(), spec)
        )
    if isinstance(inputs, Mapping):
        return read_mapping(inputs, spec)
    if isinstance(inputs, np.ndarray):
        return _read_row_array(inputs, spec)
    if not isinstance(inputs, list | tuple):
        refuse(describe(inputs), spec)
    if all(isinstance(item, str | os.PathLike) for item in inputs) and not _are_values(inputs, spec):
        return read_table_files([parse_path(item, "an input") for item in inputs], spec)
    if len(inputs) == 1 and (is_file(inputs[0]) or isinstance(inputs[0], bytes | bytearray | memoryview)):
        return read_table_content(inputs[0], spec)
    if any(is_pil_image(item) or is_file(item) or isinstance(item, bytes) for item in inputs):
        refuse(describe(inputs), spec)
    return read_python_rows(inputs, spec)


def _read_row_array(x: np.ndarray, spec: Spec) -> InputBlock:
    """Return the rows of an array: the network's own inputs, or the raw columns of a table."""
    if x.dtype.kind in "fiub" and x.ndim in (1, 2) and x.shape[-1:] == spec.shape and x.size:
        return InputBlock.from_array(np.atleast_2d(x))
    if x.ndim in (1, 2) and x.size and (x.dtype.kind in "OUS" or x.shape[-1] == len(source_names(spec))):
        return read_python_rows(x.tolist(), spec)
    _require_numbers(x, spec)
    raise DataError(
        Message(
            "inputs must have the shape (N, {expected}), got {shape}",
            expected=", ".join(map(str, spec.shape)),
            shape=x.shape,
        ),
        Message("give a row for each input, with the columns of training"),
    )


def _are_values(inputs: Sequence[Any], spec: Spec) -> bool:
    """Return whether texts are the values of a row rather than paths: one for each column, without a suffix."""
    texts = all(isinstance(item, str) for item in inputs)
    return texts and 1 < len(inputs) == len(source_names(spec)) and not any(Path(item).suffix for item in inputs)


def _require_numbers(x: np.ndarray, spec: Spec) -> np.ndarray:
    if x.dtype.kind not in "fiubOUS":
        raise DataError(
            Message("inputs must be numbers, got an array of {dtype}", dtype=x.dtype),
            Message("convert them, as in x.astype('float32')"),
        )
    if x.dtype.kind not in "fiub":
        refuse(f"{describe(x)} of {x.dtype}", spec)
    return x


def _check_values(x: np.ndarray, spec: Spec) -> np.ndarray:
    """Return the block with the network's type; the values of a table's columns may be missing."""
    if spec.columns and x.dtype == np.float32 and any(column.source for column in spec.columns):
        return np.require(x, requirements=["C", "W"])
    return convert_values(x, "uint8" if spec.inputs else spec.dtype)
