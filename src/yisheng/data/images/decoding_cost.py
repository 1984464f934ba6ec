"""What decoding an image file costs, and the error for a file that costs too much."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PIXELS = 64_000_000
"""Largest image that is decoded (8,000 x 8,000): larger ones may be decompression bombs."""
BYTES_PER_PIXEL = 10
"""Memory of decoding, per pixel: the decoder's own copy and the result, or the result while it is resized."""
BYTES_PER_RGBA_PIXEL = 20
"""The same for WebP and AVIF, whose decoders keep several copies of four bytes."""
BYTES_PER_DEEP_PIXEL = {1: 10, 2: 22, 3: 20, 4: 32}
"""The same for 16 bits by the number of channels; colors are decoded twice, see `raw_values`."""
BYTES_PER_FLOAT_PIXEL = 12
"""The same for one channel of 32 bits."""
MAX_SIDE = 65_535
"""Longest side of an image, in pixels: the longest of a JPEG."""


@dataclass(frozen=True)
class DecodingCost:
    """An estimate from above of what decoding takes.

    Args:
        pixels: of the image.
        seconds: on a core of an ordinary machine of 2020.
        nbytes: of memory at the peak.
    """

    pixels: int = 0
    seconds: float = 0.0
    nbytes: int = 0


class ExcessiveFileError(ValueError):
    """Decoding a file would take too much; the text continues the sentence that begins with the file's name."""
