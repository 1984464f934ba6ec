"""The values of an opened image as its file holds them: 16 and 32 bits, signed, floats, with their transparency.

Pillow reads 16-bit gray and 32-bit images as they are, but keeps only the upper byte of 16-bit colors. Such a file is
decoded twice, the second time with the bytes of each value swapped, so that the lower byte is kept.
"""

from __future__ import annotations

import io
import sys
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from yisheng.core.image_values import PixelType
from yisheng.data.images import bands

_SAMPLE_FORMAT, _BITS_PER_SAMPLE, _PHOTOMETRIC = 339, 258, 262
"""Tags of TIFF."""
_SIGNED, _WHITE_IS_ZERO = 2, 0
_SWAPPED = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_GRAY_ALPHA_16 = "LA;16B"
_COLOR_16 = ("RGB;", "RGBA;", "RGBX;", "CMYK;")
"""Pillow's raw modes of colors that are decoded twice; premultiplied alpha is read in 8 bits."""


@dataclass(frozen=True)
class RawImage:
    """An image's values as its file holds them.

    Args:
        values: ``(H, W)`` or ``(H, W, 3)``.
        dtype: type of the values in the file.
        alpha: opacity from 0 to 1, float32 ``(H, W)``; None if all is opaque.
    """

    values: np.ndarray
    dtype: PixelType
    alpha: np.ndarray | None = None


def find_value_type(image: Image.Image) -> PixelType:
    """Return the type of an image's values, by its header.

    Args:
        image: opened, not yet loaded.

    >>> find_value_type(Image.new("L", (1, 1))), find_value_type(Image.new("F", (1, 1)))
    ('uint8', 'float32')
    """
    if image.mode == "F":
        return "float32"
    if image.mode.startswith("I;16"):
        return "uint16"
    if image.mode == "I":
        if image.format == "PPM":  # Pillow scales any largest value to 65,535
            return "uint16"
        bits, is_signed = _read_tag(image, _BITS_PER_SAMPLE, 32), _read_tag(image, _SAMPLE_FORMAT, _SIGNED) == _SIGNED
        return ("int16" if bits == 16 else "int32") if is_signed else ("uint16" if bits == 16 else "uint32")
    if image.mode == "L" and image.format == "TIFF" and _read_tag(image, _SAMPLE_FORMAT, 1) == _SIGNED:
        return "int8"
    rawmode = _get_rawmode(image)
    if rawmode == _GRAY_ALPHA_16 or (rawmode.startswith(_COLOR_16) and rawmode[-3:] in _SWAPPED):
        return "uint16"
    return "uint16" if image.format == "PPM" and image.mode == "RGB" and _get_max_value(image) > 255 else "uint8"


def read_raw(image: Image.Image, dtype: PixelType, content: bytes | None) -> RawImage:
    """Return the values of an image of more than 8 bits, or of signed ones.

    Args:
        image: opened, not yet loaded.
        dtype: from `find_value_type`, not ``uint8``.
        content: the file's bytes; None for an image in memory.

    Raises:
        ValueError: the values cannot be read exactly.
    """
    rawmode = _get_rawmode(image)
    if content is not None and rawmode == _GRAY_ALPHA_16:
        return _read_gray_alpha(content)
    if content is not None and image.mode in ("RGB", "RGBA", "CMYK"):
        return _read_color(image, content)
    transparent = image.info.get("transparency")
    photometric = _read_tag(image, _PHOTOMETRIC, 1)
    values = np.asarray(image)
    values = values.view(np.int8) if dtype == "int8" else values.view(np.uint32) if dtype == "uint32" else values
    if image.mode.startswith("I;16") and values.dtype.byteorder == ">":
        values = values.astype(np.uint16)
    if photometric == _WHITE_IS_ZERO and image.format == "TIFF":
        if dtype != "uint16":
            raise ValueError(f"its values are {dtype} with white as 0")
        values = np.uint16(65535) - values
    alpha = None if not isinstance(transparent, int) else (values != transparent).astype(np.float32)
    return RawImage(values, dtype, alpha)


def _read_tag(image: Image.Image, tag: int, default: int) -> int:
    """Return the first value of a TIFF tag."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _get_rawmode(image: Image.Image) -> str:
    """Return the layout in which a file holds pixels; empty for an image that is loaded."""
    tile = getattr(image, "tile", None)
    if not tile:
        return ""
    args = tile[0][3]
    rawmode = args[0] if isinstance(args, tuple) and args else args
    return rawmode if isinstance(rawmode, str) else ""


def _get_max_value(image: Image.Image) -> int:
    """Return the largest value of a binary image in Netpbm's formats, from its header."""
    tile = getattr(image, "tile", None)
    args = tile[0][3] if tile and tile[0][0] == "ppm" else ()
    return int(args[1]) if isinstance(args, tuple) and len(args) > 1 else 255


def _read_color(image: Image.Image, content: bytes) -> RawImage:
    """Return 16-bit colors, of CMYK as RGB."""
    if image.format == "PPM":
        return _read_color_map(image, content)
    key = image.info.get("transparency")
    with Image.open(io.BytesIO(content), formats=[str(image.format)]) as lower:
        lower.tile = list(map(_swap_bytes, getattr(lower, "tile", [])))
        values = _join_bytes(np.asarray(image), np.asarray(lower))
    if image.mode == "CMYK":
        fractions = 1 - values.astype(np.float32) / 65535
        return RawImage(np.rint(fractions[..., :3] * fractions[..., 3:] * 65535).astype(np.uint16), "uint16")
    if image.mode == "RGBA":
        return RawImage(values[..., :3], "uint16", values[..., 3].astype(np.float32) / 65535)
    is_key = (values == np.array(key)).all(2) if isinstance(key, tuple) and len(key) == 3 else None
    return RawImage(values, "uint16", None if is_key is None else (~is_key).astype(np.float32))


def _join_bytes(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Return 16-bit values from their upper and lower bytes."""
    return bands.map_rows(high, lambda rows: high[rows].astype(np.uint16) << np.uint16(8) | low[rows])


def _swap_bytes(tile: Any) -> Any:
    """Return Pillow's plan for a part of a file with the bytes of each value swapped."""
    codec, extents, offset, args = tile
    rawmode, parameters = (args[0], args[1:]) if isinstance(args, tuple) else (args, None)
    swapped = rawmode[:-3] + _SWAPPED[rawmode[-3:]]
    args = swapped if parameters is None else (swapped, *parameters)
    return tile._replace(args=args) if hasattr(tile, "_replace") else (codec, extents, offset, args)


def _read_gray_alpha(content: bytes) -> RawImage:
    """Return a PNG of 16-bit gray and alpha, whose four bytes a pixel are read as RGBA of 8 bits."""
    header = content[12:24] + bytes([8, 6]) + content[26:29]  # name, size; bits, color type; the rest
    patched = content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]
    with Image.open(io.BytesIO(patched), formats=["PNG"]) as image:
        parts = np.asarray(image).astype(np.uint16)
    return RawImage(
        parts[..., 0] << np.uint16(8) | parts[..., 1],
        "uint16",
        (parts[..., 2].astype(np.float32) * 256 + parts[..., 3]) / 65535,
    )


def _read_color_map(image: Image.Image, content: bytes) -> RawImage:
    """Return a PPM file of two bytes a value, scaled to 65,535 as Pillow scales PGM files."""
    max_value, ((_, _, offset, _),) = _get_max_value(image), getattr(image, "tile", [])
    count = image.width * image.height * 3
    if len(content) < offset + 2 * count:
        raise ValueError("it ends too early")
    values = np.frombuffer(content, ">u2", count, offset).reshape(image.height, image.width, 3)
    scaled = np.minimum(values, max_value).astype(np.float32) * np.float32(65535 / max_value)
    return RawImage(np.rint(scaled).astype(np.uint16), "uint16")
