"""Small photographs of a hundred kinds of things, 32x32."""

from __future__ import annotations

from typing import Literal

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Spec

ARCHIVE, INNER = "cifar-100-binary.tar.gz", "cifar-100-binary"
COUNTS = {"coarse": 20, "fine": 100}
"""Classes of the two labels, in the order of a record."""


@register(mirror=True)
def cifar100(*, labels: Literal["fine", "coarse"] = "fine") -> Dataset:
    """60,000 colour photographs of 32x32 in a hundred classes, 10,000 of them the official test part.

    Args:
        labels: fine, a hundred classes of 600 images, or coarse, the twenty groups of five that they form.

    Raises:
        DataError: the files are missing and cannot be fetched, or are not CIFAR-100's.

    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009), section 3.1.
    """
    from yisheng.data.datasets import _cifar
    from yisheng.data.hub import catalog, files

    folder = files.unpack("cifar100", ARCHIVE) / INNER
    classes = _cifar.names_in(folder / f"{labels}_label_names.txt", COUNTS[labels])
    x, y, sizes = _cifar.read(folder, ("train.bin", "test.bin"), tuple(COUNTS.values()))
    spec = Spec("classification", x.shape[1:], classes=classes, target="object")
    part = np.repeat(np.array([0, 2], np.int8), sizes)
    known = catalog.find("cifar100")
    y = np.ascontiguousarray(y[:, list(COUNTS).index(labels)])
    return Dataset("cifar100", spec, x, y, part, about=known.about, source=known.source, licence=known.licence)
