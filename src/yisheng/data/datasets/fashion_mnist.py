"""Clothes, 28x28: as large as MNIST and harder."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink
from yisheng.data.datasets._idx_dataset import Size, idx_set

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@register(mirror=True)
def fashion_mnist(*, folder: Path | None = None, size: Size | None = None) -> Dataset:
    """70,000 images of clothes, grey, 28x28 in ten classes, 10,000 of them the official test part.

    Args:
        folder: where the four idx files lie, gzipped or not; without it they are fetched.
        size: rows and columns to resize the images to, as the textbook does for AlexNet (224); 28 without it.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not Fashion-MNIST's.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv 1708.07747 (2017).
    """
    return idx_set("fashion-mnist", folder, classes=CLASSES, target="article", ink=Ink(box=28), size=size)
