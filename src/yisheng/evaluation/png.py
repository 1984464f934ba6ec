"""Images as base64 text, for a report that is a single file."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def encode_png(image: np.ndarray) -> str:
    """Encode an image as the base64 text of a PNG file, without loss.

    Args:
        image: uint8 ``(C, H, W)``: gray (C = 1), RGB (3) or RGBA (4); with any other number of channels the first
            one is encoded.

    >>> encode_png(np.zeros((1, 2, 2), np.uint8))[:12]
    'iVBORw0KGgoA'
    """
    pixels = image.transpose(1, 2, 0) if len(image) in (3, 4) else image[0]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
