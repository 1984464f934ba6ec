"""Clothes, 28x28: a set of MNIST's size that is harder to classify."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.image_values import Drawing
from yisheng.core.registry import register
from yisheng.data.datasets._idx_dataset import Size, load_idx_dataset

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
    """Load 70,000 images of clothes, gray, 28x28 in ten classes, 10,000 of them the official test part.

    Args:
        folder: folder with the four idx files, compressed by gzip or not; by default they are downloaded.
        size: height and width to resize the images to, as the textbook does for AlexNet (224); by default 28.

    Raises:
        DataError: a file cannot be downloaded, or is not Fashion-MNIST's.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, arXiv 1708.07747 (2017).
    """
    return load_idx_dataset(
        "fashion-mnist", folder, classes=CLASSES, target="article", drawing=Drawing(box=28), size=size
    )
