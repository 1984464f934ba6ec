"""Flowers of Britain."""

from __future__ import annotations

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit

N_CLASSES = 102
PART_KEYS = ("trnid", "valid", "tstid")


@register(mirror=True)
def flowers_102(*, size: Size = 224, fit: Fit = "crop", strict: bool = False) -> Dataset:
    """Load 8,189 photographs of 102 kinds of flowers; official parts: 1,020 train, 1,020 validation, 6,149 test.

    The classes are the numbers 1 to 102: the set's files do not name them.

    Args:
        size: height and width of the inputs, one number for both; 224 is the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        strict: a damaged image is an error; by default it is left out and reported.

    Raises:
        DataError: a file cannot be downloaded, or has other content.

    Source: Nilsback and Zisserman, Automated flower classification over a large number of classes (2008).
    """
    from yisheng.data import hub, mat
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.images import image_dataset

    labels = mat.read(hub.fetch_file("flowers-102", "imagelabels.mat")).get("labels", np.empty(0)).ravel()
    ids = mat.read(hub.fetch_file("flowers-102", "setid.mat"))
    images_of_parts = [ids.get(key, np.empty(0)).ravel() for key in PART_KEYS]
    images = np.concatenate(images_of_parts)
    has_labels = len(labels) > 0 and np.isin(labels, np.arange(1, N_CLASSES + 1)).all()
    if not (has_labels and np.array_equal(np.sort(images), np.arange(1, len(labels) + 1))):
        raise DataError(
            Message("flowers-102: setid.mat does not split the images of imagelabels.mat into parts"),
            Message("download the set again"),
        )
    part = np.repeat(np.arange(3, dtype=np.int8), [len(rows) for rows in images_of_parts])[np.argsort(images)]
    return _image_dataset.load_from_list(
        "flowers-102",
        hub.unpack("flowers-102", "102flowers.tgz") / "jpg",
        [f"image_{number:05d}.jpg" for number in np.sort(images).astype(np.int64)],
        labels.astype(np.int64) - 1,
        tuple(str(number) for number in range(1, N_CLASSES + 1)),
        part,
        image_dataset.parse_options(size, fit, "rgb"),
        strict=strict,
    )
