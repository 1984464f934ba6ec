"""Small photographs of ten kinds of things, 32x32."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.core.spec import Spec

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE, ARCHIVE_FOLDER = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"
FILES = (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")


@register(mirror=True)
def cifar10(*, form: Literal["binary", "jpeg"] | None = None) -> Dataset:
    """Load 60,000 color photographs of 32x32 in ten classes, 10,000 of them the official test part.

    Args:
        form: binary, the published pixels, or jpeg, copies whose pixels differ a little; by default the one that is
            in the cache, or that a mirror holds, or binary.

    Raises:
        DataError: the files cannot be downloaded, or are not CIFAR-10's.

    Source: Krizhevsky, Learning multiple layers of features from tiny images (2009), section 3.1.
    """
    from yisheng.data import hub

    files = hub.fetch("cifar10", form)
    if ARCHIVE in files:
        from yisheng.data.datasets import _cifar
        from yisheng.data.datasets._catalog_facts import add_catalog_facts

        x, y, sizes = _cifar.read(hub.unpack("cifar10", ARCHIVE) / ARCHIVE_FOLDER, FILES, (len(CLASSES),))
        part = np.repeat(np.array([0, 2], np.int8), [sizes[:-1].sum(), sizes[-1]])
        spec = Spec("classification", x.shape[1:], classes=CLASSES, target="object")
        return add_catalog_facts(Dataset("cifar10", spec, x, y.ravel(), part))

    from yisheng.data.datasets import _image_dataset
    from yisheng.data.images import image_dataset

    options = image_dataset.parse_options(32, "crop", "rgb")
    dataset = _image_dataset.load_from_folders("cifar10", files["train.zip"].parent, options)
    return replace(dataset, spec=replace(dataset.spec, target="object"))
