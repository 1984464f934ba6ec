"""Turn any image file into the input that the network was trained on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from yisheng.core.errors import DataError
from yisheng.core.files import read_bytes
from yisheng.core.image_values import Drawing
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.spec import Spec
from yisheng.data.images import decode
from yisheng.data.images.decode import DecodedImage
from yisheng.data.images.file_listing import MAX_IMAGE_BYTES
from yisheng.data.images.raw_values import RawImage

MIN_CONTRAST = 16
"""Difference in brightness, of 255, below which an image counts as blank."""
STROKE_LEVEL, BACKGROUND_LEVEL = 0.35, 0.15
"""Brightness, after stretching to [0, 1], above which a pixel is a stroke, and below which it is background."""


def read_image(path: Path, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """Return an image as the network takes it, and notes on how it was changed.

    Args:
        path: an image file of any mode and size.
        spec: a contract for images.

    Returns:
        pixels from 0 to 255, in the type of training (uint8 or float32) ``(C, H, W)`` of ``spec.shape``, and notes for
        the user ("inverted: ...").

    Raises:
        DataError: the file is missing, not an image, damaged, or too large; or its values are not those of training.
    """
    with decode.silence_pillow():
        return decode_input(read_image_bytes(path), str(path), spec)


def decode_input(content: bytes, name: str, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """Return what `read_image` does, from a file's bytes; callers wrap it in `decode.silence_pillow`.

    Args:
        content: the bytes.
        name: of the image in an error.
        spec: a contract for images.

    Raises:
        DataError: the content is not an image, damaged, or too large; or its values are not those of training.
    """
    return _to_input(functools.partial(decode.decode_with_facts, content), name, spec)


def read_memory_image(image: Image.Image | RawImage, name: str, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """Return an image in memory as the network takes it, as `read_image` does for a file.

    Args:
        image: of any mode and size, or its values as a file would hold them.
        name: of the image in an error.
        spec: a contract for images.

    Raises:
        DataError: the image is too large, or blank where a drawing is expected; or its values are not those of
            training.
    """
    return _to_input(functools.partial(decode.convert_image, image), name, spec)


def fit_drawing(drawing: np.ndarray, layout: Drawing, height: int, width: int) -> np.ndarray:
    """Scale a drawing into a box and center it, as in the training images.

    Args:
        drawing: light strokes on black, uint8 ``(h, w)``, cropped to the strokes.
        layout: the size of the box, and which point is centered (LeCun et al. 1998, "Gradient-based learning applied
            to document recognition", section III.A: 20x20 box, center of mass).
        height: of the result.
        width: of the result.

    Returns:
        uint8 ``(height, width)``.
    """
    scale = layout.box / max(drawing.shape)
    size = (max(1, round(drawing.shape[1] * scale)), max(1, round(drawing.shape[0] * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    scaled = np.asarray(Image.fromarray(drawing).resize(size, method))
    center = np.array(scaled.shape) / 2
    if layout.center == "mass" and scaled.any():
        total = float(scaled.sum())
        y, x = (np.arange(length) + 0.5 for length in scaled.shape)
        center = np.array([scaled.sum(1) @ y, scaled.sum(0) @ x]) / total
    corner = np.round(np.array([height, width]) / 2 - center).astype(int)
    corner = np.clip(corner, 0, np.maximum(np.array([height, width]) - scaled.shape, 0))
    result = np.zeros((height, width), np.uint8)
    visible = scaled[:height, :width]
    result[corner[0] : corner[0] + visible.shape[0], corner[1] : corner[1] + visible.shape[1]] = visible
    return result


def read_image_bytes(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DataError: the file is missing, unreadable or too large.
    """
    try:
        content = read_bytes(path, MAX_IMAGE_BYTES)
    except FileNotFoundError:
        raise DataError(Message("{path} does not exist", path=path), Message("check the path")) from None
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("check the path and its permissions"),
        ) from None
    if content is None:
        raise DataError(
            Message("{path} has more than {MAX_IMAGE_BYTES} MiB", path=path, MAX_IMAGE_BYTES=MAX_IMAGE_BYTES >> 20),
            Message("scale the image down first"),
        )
    return content


def _to_input(read: Callable[..., DecodedImage], name: str, spec: Spec) -> tuple[np.ndarray, list[str]]:
    """Return what a decoder reads as the network takes it, and notes."""
    channels, height, width = spec.shape
    if spec.drawing is not None:
        decoded = read(name, color="gray", values=None, best_background=True)  # only its shape counts
        return _normalize_drawing(decoded.pixels, name, spec.drawing, spec.shape)
    color = "gray" if channels == 1 else "rgb"
    decoded = read(name, color=color, size=(height, width), fit=spec.fit, values=spec.image_values)
    notes = [*decoded.notes, *_describe_resizing(decoded.original_size, (height, width))]
    return _channels_first(decoded.pixels, channels), notes


def _describe_resizing(original: tuple[int, int], size: tuple[int, int]) -> list[str]:
    if original == size:
        return []
    sizes = {"width": original[1], "height": original[0], "new_width": size[1], "new_height": size[0]}
    return [Message("resized from {width}x{height} to {new_width}x{new_height}", **sizes)]


def _normalize_drawing(
    gray: np.ndarray, name: str, layout: Drawing, shape: tuple[int, ...]
) -> tuple[np.ndarray, list[str]]:
    """Make a photographed or drawn figure look like the training images: light strokes on black, fitted into a box."""
    channels, height, width = shape
    notes: list[str] = []
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    border.sort()  # paper is uneven: the median, not the extreme, is the background
    background = (float(border[(len(border) - 1) // 2]) + float(border[len(border) // 2])) / 2
    is_dark_on_light = background > 127
    if is_dark_on_light:
        gray, background = 255 - gray, 255 - background
        notes.append(Message("inverted: dark on light, but the training images are light on black"))
    brightest = float(gray.max())
    if brightest - background < MIN_CONTRAST:
        raise DataError(
            Message("{name} is blank: no strokes stand out from the background", name=name),
            Message("give an image with more contrast"),
        )
    if gray.shape == (height, width) and not is_dark_on_light:
        return _channels_first(gray, channels), notes
    # Each level is computed once, not each pixel: a photograph has millions of them.
    stretched = np.clip((np.arange(256) - background) / (brightest - background) * 255, 0, 255)
    strokes = gray >= np.argmax(stretched > 255 * STROKE_LEVEL)
    rows, columns = np.flatnonzero(strokes.any(1)), np.flatnonzero(strokes.any(0))
    cleaned = np.where(stretched > 255 * BACKGROUND_LEVEL, stretched, 0).astype(np.uint8)
    cropped = cleaned[gray[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]]
    notes.append(Message("cropped to the drawing and fitted into {width}x{height}", width=width, height=height))
    return _channels_first(fit_drawing(cropped, layout, height, width), channels), notes


def _channels_first(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return ``(C, H, W)``; a gray image is repeated for each channel."""
    block = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(np.repeat(block, channels, 0) if len(block) < channels else block)
