"""Flowers of Britain."""

from __future__ import annotations

from typing import Literal

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size

CLASSES = 102
PARTS = ("trnid", "valid", "tstid")


@register(mirror=True)
def flowers_102(*, size: Size = 224, fit: Literal["crop", "squash", "pad"] = "crop", strict: bool = False) -> Dataset:
    """8,189 photographs of 102 kinds of flowers; official parts: 1,020 train, 1,020 validation, 6,149 test.

    The classes are the numbers 1 to 102: the set's files do not name them.

    Args:
        size: height and width of the inputs, one number for both; networks trained on ImageNet want 224.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        strict: a damaged image is an error; else it is left out and named.

    Raises:
        DataError: a file is missing and cannot be fetched, or holds something else.

    Source: Nilsback and Zisserman, Automated flower classification over a large number of classes (2008).
    """
    from yisheng.data import mat
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.hub import files
    from yisheng.data.images import image_dataset

    labels = mat.read(files.path("flowers-102", "imagelabels.mat")).get("labels", np.empty(0)).ravel()
    ids = mat.read(files.path("flowers-102", "setid.mat"))
    numbers = [ids.get(key, np.empty(0)).ravel() for key in PARTS]
    of_part = np.concatenate(numbers)
    whole = len(labels) > 0 and np.isin(labels, np.arange(1, CLASSES + 1)).all()
    if not (whole and np.array_equal(np.sort(of_part), np.arange(1, len(labels) + 1))):
        raise DataError("flowers-102: setid.mat does not part the images of imagelabels.mat", "fetch the set again")
    order = np.sort(of_part).astype(np.int64)
    part = np.repeat(np.arange(3, dtype=np.int8), [len(rows) for rows in numbers])[np.argsort(of_part)]
    return _image_dataset.by_list(
        "flowers-102",
        files.unpack("flowers-102", "102flowers.tgz") / "jpg",
        [f"image_{number:05d}.jpg" for number in order],
        labels.astype(np.int64) - 1,
        tuple(str(number) for number in range(1, CLASSES + 1)),
        part,
        image_dataset.settings(size, fit, "rgb"),
        strict=strict,
    )
