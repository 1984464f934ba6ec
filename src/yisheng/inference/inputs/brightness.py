"""Which number means white: images come as bytes from 0 to 255 or as fractions from 0 to 1, in training and later."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import torch

from yisheng.core.errors import DataError
from yisheng.core.image_values import PixelType
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.images.raw_values import RawImage
from yisheng.transforms.none import none

MIN_BYTE_FACTOR, MAX_BYTE_FACTOR = 0.002, 0.1
"""Bytes have a range of 255, and a standard deviation above 10 in nearly all data sets: that bounds how much their
scaled values differ per unit. Those of 16 bits differ by less."""
MIN_FRACTION_FACTOR = 0.9
"""Values from 0 to 1 have a range of at most 1, so their scaled values differ by about 1 or more per unit."""
BYTE_NOTE = Message("values from 0 to 1 were multiplied by 255, as in the bytes of training")
PIXEL_NOTE = Message("the array was read as pixels from 0 to 255, not as the values of the training files")
FRACTION_NOTE = Message("bytes were divided by 255, as the network was trained on values from 0 to 1")


def find_white(scale: Any, spec: Spec) -> float | None:
    """Return the value of white in the images of training, 255 or 1; None if it is another one, or unknown.

    The fitted transform brings the inputs to a size of about 1, so the factor by which it scales them shows their size.

    Args:
        scale: the fitted input transform.
        spec: a contract for images.

    >>> from yisheng.transforms.unit import unit
    >>> spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    >>> find_white(unit((0.0,), (255.0,)), spec), find_white(unit((0.0,), (1.0,)), spec)
    (255.0, 1.0)
    """
    if spec.dtype == "uint8":
        return 255.0
    if not spec.image_values.is_plain:  # images are read by these values, to pixels as in training
        return None
    if isinstance(scale, none):  # nothing was fitted, so nothing is known
        return None
    black = torch.zeros(1, spec.shape[0], 1, 1)
    factor = float((scale.apply(black + 255) - scale.apply(black)).abs().mean()) / 255
    return 255.0 if MIN_BYTE_FACTOR <= factor <= MAX_BYTE_FACTOR else 1.0 if factor >= MIN_FRACTION_FACTOR else None


def is_pixels(x: np.ndarray, spec: Spec) -> bool:
    """Return whether an array holds pixels from 0 to 255, as a network trained on other files takes them.

    Args:
        x: floats of the form of training.
        spec: a contract for images from files of more than 8 bits.

    >>> from yisheng.core.image_values import ImageValues, ValueRange
    >>> spec = Spec("regression", (1, 1, 2), image_values=ImageValues((ValueRange("float32", 0, 1),), "float32"))
    >>> is_pixels(np.array([[[0.5, 200.0]]]), spec), is_pixels(np.array([[[0.5, 1.0]]]), spec)
    (True, False)
    """
    if x.dtype.kind != "f" or spec.image_values.stored != "float32":
        return False
    trained = spec.image_values.ranges[0]
    low, high = float(x.min()), float(x.max())
    fits_files = trained.dtype == "float32" and trained.low <= low and high <= trained.high
    return not fits_files and low >= 0 and high <= 255


def to_raw_image(values: np.ndarray, name: str) -> RawImage:
    """Return an array ``(H, W)`` or ``(H, W, c)`` as an image file would hold it; a fourth channel is opacity.

    Raises:
        DataError: its type is none that an image file can have.
    """
    dtype = {"f": "float32", "i": "int32", "u": "uint32"}.get(values.dtype.kind, "")
    if values.dtype.name in get_args(PixelType):
        dtype = values.dtype.name
    if not dtype:
        raise DataError(
            Message("{name} holds {dtype}, not numbers", name=name, dtype=values.dtype),
            Message("convert it, as in x.astype('uint8')"),
        )
    alpha = None
    if values.ndim == 3 and values.shape[2] == 4:
        white = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
        values, alpha = values[..., :3], np.clip(values[..., 3] / np.float32(white), 0, 1)
    return RawImage(values, dtype, alpha)  # type: ignore[arg-type]  # one of PixelType


def to_bytes(pixels: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return an image's values as bytes, and notes.

    Args:
        pixels: booleans, whole numbers from 0 to 255, or floats from 0 to 1 or to 255.
        name: of the image in an error.

    Raises:
        DataError: the values are not numbers, or outside these ranges.

    >>> to_bytes(np.array([[0.0, 1.0]]), "x")[0].tolist(), to_bytes(np.array([[0, 255]]), "x")[0].tolist()
    ([[0, 255]], [[0, 255]])
    """
    if pixels.dtype == np.uint8:
        return pixels, ()
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255), ()
    if pixels.dtype.kind not in "iuf":
        raise DataError(
            Message("{name} holds {dtype}, not numbers", name=name, dtype=pixels.dtype),
            Message("convert it, as in x.astype('uint8')"),
        )
    if not np.isfinite(pixels).all():
        raise DataError(Message("{name} contains NaN or infinite values", name=name), Message("remove or replace them"))
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 255:
        raise DataError(
            Message(
                "the values of {name} are from {low} to {high}, those of an image from 0 to 1 or from 0 to 255",
                name=name,
                low=f"{low:g}",
                high=f"{high:g}",
            ),
            Message("scale them first: x = (x - x.min()) / (x.max() - x.min())"),
        )
    if pixels.dtype.kind == "f" and high <= 1:
        return np.rint(pixels * 255).astype(np.uint8), (BYTE_NOTE,)
    return np.rint(pixels).astype(np.uint8), ()


def match_training(x: np.ndarray, white: float | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return images ``(N, C, H, W)`` in the values of training, and notes.

    Args:
        x: bytes or floats.
        white: from `find_white`.

    >>> x, notes = match_training(np.full((1, 1, 2, 2), 0.5, np.float32), 255.0)
    >>> float(x.max()), notes[0][:23]
    (127.5, 'values from 0 to 1 were')
    """
    if white == 255.0 and x.dtype == bool:
        return x.astype(np.uint8) * np.uint8(255), ()
    if white == 1.0 and x.dtype.kind in "iu":
        return x.astype(np.float32) / np.float32(255), (FRACTION_NOTE,)
    if white == 255.0 and x.dtype.kind == "f" and len(x) and x.min() >= 0 and 0 < x.max() <= 1:
        return x * np.float32(255), (BYTE_NOTE,)
    return x, ()
