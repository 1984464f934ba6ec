"""Images that are given one by one: paths, PIL images, encoded bytes, open files, arrays."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.spec import Spec
from yisheng.data.images import decode
from yisheng.data.images.file_listing import MAX_IMAGE_BYTES, sanitize_name
from yisheng.data.images.file_names import NameDecoder
from yisheng.inference import images
from yisheng.inference.inputs.block import COLOR_CHANNELS, InputBlock, describe, refuse
from yisheng.inference.inputs.image_arrays import read_image_array

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def is_image_item(value: Any) -> bool:
    """Return whether a value is an image that is not an array: a path, a PIL image, bytes, or an open file."""
    return (
        isinstance(value, str | os.PathLike | bytes | bytearray | memoryview) or is_pil_image(value) or is_file(value)
    )


def is_pil_image(value: Any) -> bool:
    """Return whether a value is a PIL image, without importing PIL."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(value, pil.Image)


def is_file(value: Any) -> bool:
    """Return whether a value is an open file."""
    return callable(getattr(value, "read", None))


def read_image_items(items: Sequence[Any], spec: Spec, white: float | None = 255.0) -> InputBlock:
    """Return images of any kinds, each read by the rules for files.

    Args:
        items: paths, PIL images, encoded bytes, open files, and arrays of one image each.
        spec: a contract for images.
        white: value of white in training, see `read_image_array`.

    Raises:
        DataError: an item is not an image, damaged or too large.
    """
    decoder = NameDecoder.from_names(str(item) for item in items if isinstance(item, str | os.PathLike))
    blocks, names, notes = [], [], []
    with decode.silence_pillow():
        for number, item in enumerate(items):
            block = _read_item(item, number, spec, white, decoder)
            blocks.append(block.x)
            names.append(block.names[0])
            notes.append(block.notes[0])
    if len({block.dtype for block in blocks}) > 1:  # some are bytes, others as in training
        blocks = [np.asarray(block, np.float32) for block in blocks]
    return InputBlock(np.concatenate(blocks), names, notes)


def read_content(file: Any, name: str, *, text: bool = False) -> bytes:
    """Return the rest of an open file, or of bytes.

    Args:
        file: the open file, or the bytes.
        name: of the file in an error.
        text: whether it may be open as text.

    Raises:
        DataError: it cannot be read, is text although that is not allowed, or has more than `MAX_IMAGE_BYTES`.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        content = bytes(file)
    else:
        try:
            content = file.read(MAX_IMAGE_BYTES + 1)
        except (OSError, ValueError) as error:  # a closed file raises ValueError
            raise DataError(
                Message("{name} cannot be read: {error}", name=name, error=error),
                Message("open it again, with mode 'rb'"),
            ) from None
    if isinstance(content, str) and text:
        content = content.encode()
    if isinstance(content, str):
        raise DataError(Message("{name} was opened as text", name=name), Message("open it with mode 'rb'"))
    if len(content) > MAX_IMAGE_BYTES:
        raise DataError(
            Message("{name} is larger than {MAX_IMAGE_BYTES} MiB", name=name, MAX_IMAGE_BYTES=MAX_IMAGE_BYTES >> 20),
            Message("give its path, or a smaller file"),
        )
    return content


def name_of(item: Any, number: int, decoder: NameDecoder | None = None) -> str:
    """Return the name of an input in predictions: that of its file, or its number.

    Args:
        item: the input.
        number: its number.
        decoder: of names that are not UTF-8; by default their bytes become escapes.

    >>> import io
    >>> name_of(io.BytesIO(b""), 3)
    '3'
    """
    if isinstance(item, str | os.PathLike):
        return (decoder or NameDecoder()).decode(str(item))
    name = getattr(item, "filename", "") if is_pil_image(item) else getattr(item, "name", "")
    return sanitize_name(name) if isinstance(name, str) and name else str(number)


def _read_item(item: Any, number: int, spec: Spec, white: float | None, decoder: NameDecoder) -> InputBlock:
    name = name_of(item, number, decoder)
    label = name if name != str(number) else f"input {number}"
    if isinstance(item, np.ndarray):
        block = read_image_array(item, spec, white)
        if len(block.x) != 1:
            raise DataError(
                Message(
                    "{label} of the list is {item}: {count} images",
                    label=label,
                    item=describe(item),
                    count=len(block.x),
                ),
                Message("give one image for each item"),
            )
        return InputBlock(block.x, [name], block.notes)
    if not is_image_item(item) or spec.shape[0] not in COLOR_CHANNELS:
        refuse(describe(item), spec)
    if is_pil_image(item):
        x, notes = images.read_memory_image(item, label, spec)
    elif isinstance(item, str | os.PathLike):
        x, notes = images.decode_input(images.read_image_bytes(_parse_image_path(item, spec)), name, spec)
    else:
        x, notes = images.decode_input(read_content(item, label), label, spec)
    return InputBlock(x[None], [name], [tuple(notes)])


def _parse_image_path(path: str | os.PathLike[str], spec: Spec) -> Path:
    file = parse_path(path, "an input")
    if file.suffix.lower() in TABLE_SUFFIXES:
        raise DataError(
            Message("the model takes images of shape {shape}, {file} is a table", shape=spec.shape, file=file),
            Message("give image files"),
        )
    return file
