"""Arrays of images as one block ``(N, C, H, W)``, of bytes where they hold them exactly, else of floats."""

from __future__ import annotations

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message, join_messages, plural_message

CHANNELS = (1, 3, 4)
MIN_SIDE = 2


def to_block(x: np.ndarray, name: str, row_count: int | None = None) -> tuple[np.ndarray, str]:
    """Return images as a block, and a note on how the array was understood.

    Args:
        x: ``(N, H, W)``, ``(N, H, W, C)``, ``(N, C, H, W)``, or MATLAB's ``(H, W, C, N)``; numbers.
        name: of the array, for errors.
        row_count: number of targets, by which the axis of the images is known.

    Raises:
        DataError: the array has another shape, or values that are not pixels.

    >>> block, note = to_block(np.zeros((5, 8, 9, 3), np.uint8), "x")
    >>> block.shape, note
    ((5, 3, 8, 9), 'x holds 5 images of 8 x 9 pixels with 3 channels (N, H, W, C)')
    """
    block, form = _order_axes(x, name, row_count)
    n, channels, height, width = block.shape
    if min(n, height, width) < 1 or max(height, width) < MIN_SIDE:
        raise DataError(
            Message("{name} holds no images: its shape is {shape}", name=name, shape=x.shape),
            Message("give (N, H, W) or (N, H, W, C)"),
        )
    pixels, scaled = to_pixels(block, name)
    values = {"name": name, "count": f"{n:,}", "height": height, "width": width, "channels": channels, "form": form}
    note = plural_message(
        channels,
        "{name} holds {count} images of {height} x {width} pixels with {channels} channel {form}",
        "{name} holds {count} images of {height} x {width} pixels with {channels} channels {form}",
        **values,
    )
    return pixels, join_messages([note, *scaled])


def _order_axes(x: np.ndarray, name: str, row_count: int | None) -> tuple[np.ndarray, str]:
    if x.ndim == 3:
        return x[:, None], "(N, H, W)"
    if x.ndim == 4 and row_count is not None and x.shape[3] == row_count != x.shape[0]:
        return x.transpose(3, 2, 0, 1), "(H, W, C, N)"
    if x.ndim == 4 and x.shape[3] in CHANNELS and (x.shape[1] not in CHANNELS or x.shape[1] == x.shape[2]):
        return x.transpose(0, 3, 1, 2), "(N, H, W, C)"
    if x.ndim == 4 and x.shape[1] in CHANNELS:
        return x, "(N, C, H, W)"
    if x.ndim == 4 and x.shape[3] in CHANNELS:
        return x.transpose(0, 3, 1, 2), "(N, H, W, C)"
    raise DataError(
        Message("{name} has the shape {shape}, which is not that of images", name=name, shape=x.shape),
        Message(
            "give (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels; for other inputs call "
            "yisheng.train(data=(x, y))",
        ),
    )


def to_pixels(x: np.ndarray, name: str) -> tuple[np.ndarray, list[Message]]:
    """Return a contiguous block of bytes if the values are such, or fractions of 255, else of float32; and notes.

    Raises:
        DataError: a value is not a number, or NaN or infinite.
    """
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x), []
    if x.dtype == bool:
        return np.ascontiguousarray(x).astype(np.uint8) * np.uint8(255), [Message("true is white")]
    if x.dtype.kind not in "fiu":
        raise DataError(
            Message("{name} holds {dtype}, not numbers", name=name, dtype=x.dtype),
            Message("give the values of the pixels"),
        )
    low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(
            Message("{name} contains NaN or infinite values", name=name), Message("fill them in, or drop these images")
        )
    if low >= 0 and 1 < high <= 255 and _are_whole(x):
        return np.ascontiguousarray(x).astype(np.uint8), []
    if low >= 0 and high <= 1:
        bytes_ = np.rint(np.multiply(x, 255, dtype=np.float64)).astype(np.uint8)
        if np.abs(bytes_ / 255.0 - x).max() < 1e-6:
            return np.ascontiguousarray(bytes_), [Message("1 is white")]
    note = Message("its values from {low} to {high} stay floats", low=f"{low:.4g}", high=f"{high:.4g}")
    return np.ascontiguousarray(x, np.float32), [note]


def _are_whole(x: np.ndarray) -> bool:
    return x.dtype.kind in "iu" or bool((x == np.rint(x)).all())
