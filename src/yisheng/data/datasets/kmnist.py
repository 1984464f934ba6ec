"""Cursive Japanese characters, 28x28: a set of MNIST's size that is harder to classify."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.dataset import Dataset
from yisheng.core.image_values import Drawing
from yisheng.core.registry import register
from yisheng.data.datasets._idx_dataset import Size, load_idx_dataset

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
"""One character of each of ten rows of the hiragana: お き す つ な は ま や れ を."""


@register
def kmnist(*, folder: Path | None = None, size: Size | None = None) -> Dataset:
    """Load 70,000 characters of old Japanese books, gray, 28x28 in ten classes, 10,000 of them the official test part.

    A class holds the different forms (hentaigana) in which its character was written.

    Args:
        folder: folder with the four idx files, compressed by gzip or not; by default they are downloaded.
        size: height and width to resize the images to; by default 28.

    Raises:
        DataError: a file cannot be downloaded, or is not KMNIST's (or is older than February 2019).

    Source: Clanuwat et al., Deep learning for classical Japanese literature, arXiv 1812.01718 (2018).
    """
    return load_idx_dataset("kmnist", folder, classes=CLASSES, target="character", drawing=Drawing(box=28), size=size)
