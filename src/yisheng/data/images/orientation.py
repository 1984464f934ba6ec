"""EXIF's orientation: how the pixels of a file are rotated and mirrored to be shown."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
"""EXIF's code for an image that is stored as it is shown; the codes above 4 swap width and height."""


def read_jpeg_orientation(content: bytes) -> int:
    """Return the EXIF orientation of a JPEG; a file without the words for it is not parsed."""
    if b"Exif\0" not in content and b"tiff:Orientation" not in content:
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            return read_orientation(image)
    except Exception:  # Pillow's decoders raise nearly everything on damaged files
        return UPRIGHT


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged metadata is not a reason to refuse an image."""
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # Pillow's decoders raise nearly everything on damaged files
        return UPRIGHT
    return orientation if orientation in range(1, 9) else UPRIGHT


def rotate_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels upright: ``PIL.ImageOps.exif_transpose`` for arrays, which simplejpeg returns."""
    if orientation == UPRIGHT:
        return pixels
    if orientation in (5, 7):
        pixels = pixels.swapaxes(0, 1)
    return {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1],
        8: np.rot90(pixels),
    }.get(orientation, pixels)
