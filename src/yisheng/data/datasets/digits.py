"""Handwritten digits, 8x8: small enough to ship inside scikit-learn."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink, Spec


@register
def digits() -> Dataset:
    """1,797 handwritten digits, grey images 8x8 in ten classes (inside scikit-learn: no download).

    The 17 levels 0 to 16, counts of ink pixels in cells of 4x4, become the bytes 0 to 255. The digits are
    stretched to the full height of 8 pixels, and their bounding box is in the middle.

    >>> data = digits()
    >>> data.x.shape, data.x.dtype, int(data.x.max())
    ((1797, 1, 8, 8), dtype('uint8'), 255)

    Source: Alpaydin and Kaynak, Cascading classifiers, Kybernetika 34 (1998); the test part of the UCI set.
    """
    rows = _rows()
    x = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    spec = Spec("classification", (1, 8, 8), classes=tuple("0123456789"), target="digit", ink=Ink(box=8, centre="box"))
    return Dataset(
        "digits",
        spec,
        x,
        rows[:, -1].astype(np.int64),
        about="Digits written by 13 people, counted down from 32x32 bitmaps to 8x8 grey images.",
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998)",
        licence="CC BY 4.0",
    )


def _rows() -> np.ndarray:
    """The counts of each digit's cells, then the digit ``(1797, 65)``.

    Straight from the file where it lies as it has always lain: importing scikit-learn takes longer than a training.
    """
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return np.column_stack([loaded.data, loaded.target])
