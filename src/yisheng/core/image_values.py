"""How image files become pixels: types and ranges of their values, size and position of drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PixelType = Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32"]
"""Type of the values in an image file."""


@dataclass(frozen=True)
class Drawing:
    """Size and position of the drawing in the images of a data set with light strokes on black.

    Before prediction, a photograph of a dark drawing on light paper is inverted, and scaled and centered accordingly.

    Args:
        box: longest side of the drawing, in pixels of the data set's images (20 of 28 for MNIST).
        center: which point of the drawing is at the center of the image: its center of ``mass`` (MNIST), or the center
            of its bounding ``box``.

    >>> Drawing(20, "mass")
    Drawing(box=20, center='mass')
    """

    box: int
    center: Literal["mass", "box"] = "box"


@dataclass(frozen=True)
class ValueRange:
    """The values of image files of one type, from black to white.

    Args:
        dtype: type of the values; 1 to 8 bits are ``uint8``.
        low: value of black.
        high: value of white.
    """

    dtype: PixelType = "uint8"
    low: float = 0.0
    high: float = 255.0


@dataclass(frozen=True)
class ImageValues:
    """How the values of image files become pixels from 0 to 255, decided once on the training files.

    Args:
        ranges: one for each type of values among the training files, that of most files first.
        stored: type of the pixels: ``uint8``, or ``float32`` where 8 bits would make different values equal.
        background: gray level behind transparent parts; None if no training image has any (white is used then).

    >>> ImageValues().is_plain, ImageValues((ValueRange("float32", 0.0, 1.0),), "float32").is_plain
    (True, False)
    """

    ranges: tuple[ValueRange, ...] = (ValueRange(),)
    stored: Literal["uint8", "float32"] = "uint8"
    background: int | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether all images had 8 bits, so that a pixel is the value in the file."""
        return len(self.ranges) == 1 and self.ranges[0].dtype == "uint8"
