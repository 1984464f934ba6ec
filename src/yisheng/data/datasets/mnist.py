"""Handwritten digits, 28x28."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink
from yisheng.data.datasets._idx_dataset import Size, idx_set


@register
def mnist(*, folder: Path | None = None, size: Size | None = None) -> Dataset:
    """70,000 handwritten digits, grey images 28x28 in ten classes, 10,000 of them the official test part.

    A digit is fitted into 20x20 pixels, and its centre of mass is in the middle.

    Args:
        folder: where the four idx files lie, gzipped or not; without it they are fetched.
        size: rows and columns to resize the images to, as the textbook does for AlexNet (224); 28 without it.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not MNIST's.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86 (1998).
    """
    return idx_set(
        "mnist", folder, classes=tuple("0123456789"), target="digit", ink=Ink(box=20, centre="mass"), size=size
    )
