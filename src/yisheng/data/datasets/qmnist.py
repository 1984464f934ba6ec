"""MNIST's digits with all of the test images that were lost, and a name for every image."""

from __future__ import annotations

from pathlib import Path

from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink, Spec

FILES = ("qmnist-{part}-images-idx3-ubyte.gz", "qmnist-{part}-labels-idx2-int.gz")


@register
def qmnist(*, folder: Path | None = None) -> Dataset:
    """120,000 handwritten digits, grey images 28x28 in ten classes, 60,000 of them the official test part.

    The training part is MNIST's. The first 10,000 of the test part are MNIST's test part; the other 50,000 were never
    published before, so nobody has tuned a network on them.

    Args:
        folder: where the four idx files lie; without it they are fetched.

    Raises:
        DataError: a file is missing and cannot be fetched, or is not QMNIST's.

    Source: Yadav and Bottou, Cold case: the lost MNIST digits, arXiv 1905.10498 (2019).
    """
    from yisheng.data.datasets._idx_dataset import pair, stacked
    from yisheng.data.hub import catalog, files

    def both(part: str) -> tuple[Path, Path]:
        images, labels = (files.path("qmnist", file.format(part=part), folder) for file in FILES)
        return images, labels

    # The other seven columns tell of the writer and of the place in NIST's own files.
    train, test = (pair(*both(part), 10, column=0) for part in ("train", "test"))
    x, y, part = stacked("qmnist", train, test)
    ink = Ink(box=20, centre="mass")
    spec = Spec("classification", x.shape[1:], classes=tuple("0123456789"), target="digit", ink=ink)
    known = catalog.find("qmnist")
    return Dataset("qmnist", spec, x, y, part, about=known.about, source=known.source, licence=known.licence)
