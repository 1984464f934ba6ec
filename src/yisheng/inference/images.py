"""From any image file to the input that the network was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from yisheng.core.errors import DataError
from yisheng.core.files import read_bytes
from yisheng.core.types import Ink, Spec
from yisheng.data.images import decode
from yisheng.data.images.file_listing import BYTES


def read(path: Path, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """An image as the network wants it, and what was done to it.

    Args:
        path: an image file of any mode and size.
        spec: a contract for images.

    Returns:
        uint8 ``(C, H, W)`` of ``spec.shape``, and notes for the user ("inverted: ...").

    Raises:
        DataError: the file is missing, no image, damaged, or too large.
    """
    with decode.quiet():
        return unpack(_content(path), str(path), spec)


def unpack(content: bytes, name: str, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """What `read` gives, from a file's bytes; whoever calls it takes `decode.quiet` around it.

    Args:
        content: the bytes.
        name: what an error calls it.
        spec: a contract for images.

    Raises:
        DataError: it is no image, damaged, or too large.
    """
    channels, height, width = spec.shape
    if spec.ink is not None:
        return _drawing(decode.decode(content, name, colour="grey"), name, spec)
    pixels, whole = decode.decode_from(
        content, name, colour="grey" if channels == 1 else "rgb", size=(height, width), fit=spec.fit
    )
    notes = []
    if whole != (height, width):
        notes.append(f"resized from {whole[1]}x{whole[0]} to {width}x{height}")
    return _block(pixels, channels), notes


def fit_ink(ink: np.ndarray, how: Ink, height: int, width: int) -> np.ndarray:
    """Place a drawing as the training images hold theirs: scaled into a box, then centred.

    Args:
        ink: light strokes on black, uint8 ``(h, w)``, cropped to the drawing.
        how: the box's size, and what is centred (LeCun et al. 1998, "Gradient-based learning applied
            to document recognition", section III.A: 20x20 box, centre of mass).
        height: of the result.
        width: of the result.

    Returns:
        uint8 ``(height, width)``.
    """
    scale = how.box / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    small = np.asarray(
        Image.fromarray(ink).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    middle = np.array(small.shape) / 2
    if how.centre == "mass" and small.any():
        total = float(small.sum())
        middle = np.array(
            [(small.sum(1) @ (np.arange(len(small)) + 0.5)), (small.sum(0) @ (np.arange(small.shape[1]) + 0.5))]
        )
        middle = middle / total
    corner = np.round(np.array([height, width]) / 2 - middle).astype(int)
    corner = np.clip(corner, 0, np.maximum(np.array([height, width]) - small.shape, 0))
    result = np.zeros((height, width), np.uint8)
    part = small[:height, :width]
    result[corner[0] : corner[0] + part.shape[0], corner[1] : corner[1] + part.shape[1]] = part
    return result


def _content(path: Path) -> bytes:
    try:
        content = read_bytes(path, BYTES)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from None
    if content is None:
        raise DataError(f"{path} has more than {BYTES >> 20} MiB", "scale the image down first")
    return content


def _drawing(grey: np.ndarray, name: str, spec: Spec) -> tuple[np.ndarray, list[str]]:
    channels, height, width = spec.shape
    assert spec.ink is not None
    notes = []
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    floor = float(np.median(border))  # paper is never quite even: what is well below the darkest stroke is background
    dark_on_light = floor > 127
    if dark_on_light:
        grey, floor = 255 - grey, 255 - floor
        notes.append("inverted: dark on light, where the training images are light on black")
    top = float(grey.max())
    if top - floor < 16:
        raise DataError(
            f"{name} is blank: no strokes stand out from the background", "give an image with more contrast"
        )
    if grey.shape == (height, width) and not dark_on_light:
        return _block(grey, channels), notes
    stretched = np.clip((grey - floor) / (top - floor) * 255, 0, 255)
    strokes = stretched > 255 * 0.35
    rows, columns = np.flatnonzero(strokes.any(1)), np.flatnonzero(strokes.any(0))
    clean = np.where(stretched > 255 * 0.15, stretched, 0).astype(np.uint8)
    cropped = clean[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    notes.append(f"cropped to the drawing and fitted into {width}x{height}")
    return _block(fit_ink(cropped, spec.ink, height, width), channels), notes


def _block(values: np.ndarray, channels: int) -> np.ndarray:
    block = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return np.ascontiguousarray(np.repeat(block, channels, 0) if len(block) < channels else block)
