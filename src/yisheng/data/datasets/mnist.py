"""Handwritten digits, 28x28."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.image_values import Drawing
from yisheng.core.registry import register
from yisheng.data.datasets._idx_dataset import Size, load_idx_dataset


@register
def mnist(*, folder: Path | None = None, size: Size | None = None) -> Dataset:
    """Load 70,000 handwritten digits, gray images 28x28 in ten classes, 10,000 of them the official test part.

    A digit is scaled to 20x20 pixels, and its center of mass is in the center of the image.

    Args:
        folder: folder with the four idx files, compressed by gzip or not; by default they are downloaded.
        size: height and width to resize the images to, as the textbook does for AlexNet (224); by default 28.

    Raises:
        DataError: a file cannot be downloaded, or is not MNIST's.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86 (1998).
    """
    return load_idx_dataset(
        "mnist", folder, classes=tuple("0123456789"), target="digit", drawing=Drawing(box=20, center="mass"), size=size
    )
