"""Handwritten digits, 8x8, a part of scikit-learn."""

from __future__ import annotations

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.image_values import Drawing
from yisheng.core.registry import register
from yisheng.core.spec import Spec


@register
def digits() -> Dataset:
    """Load 1,797 handwritten digits, gray images 8x8 in ten classes (part of scikit-learn: no download).

    The values 0 to 16, counts of black pixels in cells of 4x4, are scaled to the bytes 0 to 255. The digits are
    stretched to the full height of 8 pixels, and their bounding box is centered.

    >>> data = digits()
    >>> data.x.shape, data.x.dtype, int(data.x.max())
    ((1797, 1, 8, 8), dtype('uint8'), 255)

    Source: Alpaydin and Kaynak, Cascading classifiers, Kybernetika 34 (1998); the test part of the UCI set.
    """
    from yisheng.data.datasets._sklearn import read_rows

    rows = read_rows("digits.csv.gz")
    x = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    spec = Spec(
        "classification", (1, 8, 8), classes=tuple("0123456789"), target="digit", drawing=Drawing(box=8, center="box")
    )
    return Dataset(
        "digits",
        spec,
        x,
        rows[:, -1].astype(np.int64),
        about="Digits written by 13 people, reduced from 32x32 bitmaps to 8x8 gray images.",
        source="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998)",
        license="CC BY 4.0",
    )
