"""Images as base64 text, for a report that is a single file."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from yisheng.core.spec import Spec


def has_pixels(spec: Spec, dtype: object) -> bool:
    """Return whether inputs are pixels from 0 to 255: bytes, or floats that were read from image files.

    Args:
        spec: the contract.
        dtype: type of the inputs, of NumPy or torch.

    >>> has_pixels(Spec("regression", (1, 2, 2)), np.dtype("uint8")), has_pixels(Spec("regression", (3,)), "float32")
    (True, False)
    """
    return spec.is_image and (str(dtype).endswith("uint8") or spec.image_values.stored == "float32")


def encode_png(image: np.ndarray) -> str:
    """Encode an image as the base64 text of a PNG file, without loss.

    Args:
        image: pixels from 0 to 255, uint8 or float32 ``(C, H, W)``: gray (C = 1), RGB (3) or RGBA (4); with any other
            number of channels the first one is encoded. Floats are rounded.

    >>> encode_png(np.zeros((1, 2, 2), np.uint8))[:12]
    'iVBORw0KGgoA'
    """
    if image.dtype != np.uint8:
        image = np.rint(np.clip(image, 0, 255)).astype(np.uint8)
    pixels = image.transpose(1, 2, 0) if len(image) in (3, 4) else image[0]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
