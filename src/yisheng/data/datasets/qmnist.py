"""MNIST's digits with all of the test images that were lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.image_values import Drawing
from yisheng.core.registry import register
from yisheng.core.spec import Spec

FILES = ("qmnist-{part}-images-idx3-ubyte.gz", "qmnist-{part}-labels-idx2-int.gz")
CLASS_COLUMN = 0
"""Of the labels' eight columns; the others are about the writer and the place in NIST's own files."""


@register
def qmnist(*, folder: Path | None = None) -> Dataset:
    """Load 120,000 handwritten digits, gray images 28x28 in ten classes, 60,000 of them the official test part.

    The training part is MNIST's. The first 10,000 of the test part are MNIST's test part; the other 50,000 were never
    published before, so nobody has tuned a network on them.

    Args:
        folder: folder with the four idx files; by default they are downloaded.

    Raises:
        DataError: a file cannot be downloaded, or is not QMNIST's.

    Source: Yadav and Bottou, Cold case: the lost MNIST digits, arXiv 1905.10498 (2019).
    """
    from yisheng.data import hub
    from yisheng.data.datasets._catalog_facts import add_catalog_facts
    from yisheng.data.datasets._idx_dataset import read_pair, stack_parts

    def read_part(part: str) -> tuple[np.ndarray, np.ndarray]:
        images, labels = (hub.fetch_file("qmnist", file.format(part=part), folder) for file in FILES)
        return read_pair(images, labels, 10, column=CLASS_COLUMN)

    x, y, part = stack_parts("qmnist", read_part("train"), read_part("test"))
    drawing = Drawing(box=20, center="mass")
    spec = Spec("classification", x.shape[1:], classes=tuple("0123456789"), target="digit", drawing=drawing)
    return add_catalog_facts(Dataset("qmnist", spec, x, y, part))
