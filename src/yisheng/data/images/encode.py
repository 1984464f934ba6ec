"""Images as new files without metadata, with the values of the old ones."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from yisheng.core.errors import DataError
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message
from yisheng.data.images import image_values
from yisheng.data.images.image_values import DEFAULT_BACKGROUND
from yisheng.data.images.raw_values import RawImage

_INT32_MAX = 2**31 - 1


def encode_pixels(pixels: np.ndarray, max_side: int) -> bytes:
    """Return pixels of 8 bits as a PNG file, scaled down to at most ``max_side`` pixels a side."""
    return _save(_shrink(Image.fromarray(pixels), max_side), "PNG")


def encode_raw(raw: RawImage, values: ImageValues, name: str, max_side: int) -> bytes:
    """Return a gray image of more than 8 bits as a PNG of 16 bits, or as a TIFF of 32-bit floats or whole numbers.

    Args:
        raw: the image, upright.
        values: of its set, for what lies behind transparent parts.
        name: of the image in an error.
        max_side: longest side of the result, in pixels; larger images are scaled down.

    Raises:
        DataError: it has colors, or its values do not fit its set or the format.

    >>> ramp = np.arange(6, dtype=np.uint16).reshape(2, 3) * 800
    >>> content = encode_raw(RawImage(ramp, "uint16"), ImageValues(), "ramp.png", 100)
    >>> with Image.open(io.BytesIO(content)) as image:
    ...     np.asarray(image).tolist()
    [[0, 800, 1600], [2400, 3200, 4000]]
    """
    if raw.values.ndim == 3:
        raise DataError(
            Message("{name} has colors of more than 8 bits, which are not kept", name=name),
            Message("send it with 8 bits, or in gray"),
        )
    pixels = _fill_transparent(raw, values, name)
    if max(pixels.shape) > max_side:
        shrunk = _shrink(Image.fromarray(pixels.astype(np.float32)), max_side)
        pixels = np.asarray(shrunk).astype(np.float64)
    if raw.dtype == "float32":
        return _save(Image.fromarray(pixels.astype(np.float32)), "TIFF")
    rounded = np.rint(pixels)
    if raw.dtype == "uint16":
        return _save(Image.fromarray(rounded.astype(np.uint16)), "PNG")
    if rounded.max() > _INT32_MAX:
        raise DataError(
            Message("{name} has values above {limit}, which are not kept", name=name, limit=f"{_INT32_MAX:,}"),
            Message("save it in another unit"),
        )
    return _save(Image.fromarray(rounded.astype(np.int32)), "TIFF")


def _fill_transparent(raw: RawImage, values: ImageValues, name: str) -> np.ndarray:
    """Return values as float64, with the set's background behind transparent parts."""
    pixels = raw.values.astype(np.float64)
    if raw.alpha is None:
        return pixels
    limits, _ = image_values.find_range(image_values.measure_values(raw), values, name)
    level = DEFAULT_BACKGROUND if values.background is None else values.background
    background = limits.low + level / 255 * (limits.high - limits.low)
    return pixels * raw.alpha + background * (1 - raw.alpha)


def _shrink(image: Image.Image, max_side: int) -> Image.Image:
    image.thumbnail((max_side, max_side))
    return image


def _save(image: Image.Image, file_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()
