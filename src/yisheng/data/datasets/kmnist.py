"""Cursive Japanese characters, 28x28: as MNIST, and harder."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink
from yisheng.data.datasets._idx_dataset import Size, idx_set

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
"""One character of each of ten rows of the hiragana: お き す つ な は ま や れ を."""


@register
def kmnist(*, folder: Path | None = None, size: Size | None = None) -> Dataset:
    """70,000 characters of old Japanese books, grey, 28x28 in ten classes, 10,000 of them the official test part.

    A class holds the different forms (hentaigana) in which its character was written.

    Args:
        folder: where the four idx files lie, gzipped or not; without it they are fetched.
        size: rows and columns to resize the images to; 28 without it.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not KMNIST's (or that of before February 2019).

    Source: Clanuwat et al., Deep learning for classical Japanese literature, arXiv 1812.01718 (2018).
    """
    return idx_set("kmnist", folder, classes=CLASSES, target="character", ink=Ink(box=28), size=size)
