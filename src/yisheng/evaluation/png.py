"""Images as text, for a report that is one file."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png_base64(image: np.ndarray) -> str:
    """An image as base64 of a PNG file, without loss.

    Args:
        image: uint8 ``(C, H, W)``: grey (C = 1), RGB (3) or RGBA (4); of any other number of channels the
            first is shown.

    >>> png_base64(np.zeros((1, 2, 2), np.uint8))[:12]
    'iVBORw0KGgoA'
    """
    pixels = image.transpose(1, 2, 0) if len(image) in (3, 4) else image[0]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
