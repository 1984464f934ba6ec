"""Small photographs of a hundred kinds of things, 32x32."""

from __future__ import annotations

from typing import Literal

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.core.spec import Spec

ARCHIVE, ARCHIVE_FOLDER = "cifar-100-binary.tar.gz", "cifar-100-binary"
N_CLASSES = {"coarse": 20, "fine": 100}
"""Number of classes of the two labels, in the order of a record."""


@register(mirror=True)
def cifar100(*, labels: Literal["fine", "coarse"] = "fine") -> Dataset:
    """Load 60,000 color photographs of 32x32 in a hundred classes, 10,000 of them the official test part.

    Args:
        labels: fine, a hundred classes of 600 images, or coarse, twenty groups of five of these classes.

    Raises:
        DataError: the files cannot be downloaded, or are not CIFAR-100's.

    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009), section 3.1.
    """
    from yisheng.data import hub
    from yisheng.data.datasets import _cifar
    from yisheng.data.datasets._catalog_facts import add_catalog_facts

    folder = hub.unpack("cifar100", ARCHIVE) / ARCHIVE_FOLDER
    classes = _cifar.read_class_names(folder / f"{labels}_label_names.txt", N_CLASSES[labels])
    x, y, sizes = _cifar.read(folder, ("train.bin", "test.bin"), tuple(N_CLASSES.values()))
    spec = Spec("classification", x.shape[1:], classes=classes, target="object")
    part = np.repeat(np.array([0, 2], np.int8), sizes)
    y = np.ascontiguousarray(y[:, list(N_CLASSES).index(labels)])
    return add_catalog_facts(Dataset("cifar100", spec, x, y, part))
