"""Imagenette in its three sizes."""

from __future__ import annotations

from typing import Literal

from yisheng.core.types import Dataset
from yisheng.data.datasets import _image_dataset
from yisheng.data.hub import files
from yisheng.data.images import image_dataset
from yisheng.data.images.image_dataset import Size

NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""WordNet's numbers, which the folders are named by."""


def imagenette_set(name: str, archive: str, size: Size, fit: Literal["crop", "squash", "pad"], strict: bool) -> Dataset:
    """One of the three, with its official validation part.

    Raises:
        DataError: the archive is missing and cannot be fetched, or holds something else.
    """
    place = files.unpack(name, archive) / archive.removesuffix(".tgz")
    how = image_dataset.settings(size, fit, "rgb")
    return _image_dataset.in_folders(name, place, how, strict=strict, called=lambda folder: NAMES.get(folder, folder))
