"""Large images in bands of rows, so that steps in between do not need memory for the complete image."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

BAND_VALUES = 1 << 20
"""Values of a band: its arrays fit into a processor's cache."""


def split_rows(height: int, row_values: int) -> Iterator[slice]:
    """Yield the rows of each band of an image.

    Args:
        height: rows of the image.
        row_values: values of a row.

    >>> list(split_rows(5, BAND_VALUES // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, BAND_VALUES // max(1, row_values))
    for start in range(0, height, rows):
        yield slice(start, min(height, start + rows))


def map_rows(values: np.ndarray, function: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Return what a function computes for the bands of an array, as one array.

    Args:
        values: ``(H, W, ...)``.
        function: from the rows of a band to its result ``(rows, ...)``, of the same type and shape for each.

    >>> values = np.ones((3, 2))
    >>> map_rows(values, lambda rows: 2 * values[rows]).sum()
    np.float64(12.0)
    """
    result: np.ndarray | None = None
    for rows in split_rows(len(values), int(np.prod(values.shape[1:]))):
        band = function(rows)
        if len(band) == len(values):
            return band
        if result is None:
            result = np.empty((len(values), *band.shape[1:]), band.dtype)
        result[rows] = band
    return function(slice(0, 0)) if result is None else result


def convert_image(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Return the pixels of a loaded image after a conversion that treats each pixel for itself.

    Args:
        image: of any mode.
        convert: the conversion of a band, to a mode of bytes.

    >>> convert_image(Image.new("RGB", (2, 3), "white"), lambda band: band.convert("L")).tolist()
    [[255, 255], [255, 255], [255, 255]]
    """
    width, height = image.size
    result: np.ndarray | None = None
    for rows in split_rows(height, 4 * width):
        if rows == slice(0, height):
            return np.asarray(convert(image))
        band = np.asarray(convert(image.crop((0, rows.start, width, rows.stop))))
        if result is None:
            result = np.empty((height, *band.shape[1:]), band.dtype)
        result[rows] = band
    assert result is not None  # an image has rows
    return result
