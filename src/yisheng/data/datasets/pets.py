"""Cats and dogs by breed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size

LISTS = (("trainval.txt", 0), ("test.txt", 2))
SPECIES = ("cat", "dog")


@register(mirror=True)
def pets(
    *,
    labels: Literal["breed", "species"] = "breed",
    size: Size = 224,
    fit: Literal["crop", "squash", "pad"] = "crop",
    strict: bool = False,
) -> Dataset:
    """7,349 photographs of 37 breeds of cats and dogs, 3,669 of them the official test part.

    Args:
        labels: breed, 37 classes, or species, cat or dog.
        size: height and width of the inputs, one number for both; networks trained on ImageNet want 224.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        strict: a damaged image is an error; else it is left out and named.

    Raises:
        DataError: the archives are missing and cannot be fetched, or hold something else.

    Source: Parkhi, Vedaldi, Zisserman and Jawahar, Cats and dogs (2012).
    """
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.hub import files
    from yisheng.data.images import image_dataset

    lists = files.unpack("pets", "annotations.tar.gz") / "annotations"
    rows = [(*row, part) for file, part in LISTS for row in _rows(lists / file)]
    numbers = np.array([number for _, number, _, _ in rows], np.int64)
    species = np.array([kind for _, _, kind, _ in rows], np.int64)
    breeds = {number: re.sub(r"_\d+$", "", name).replace("_", " ") for name, number, _, _ in rows}
    classes = SPECIES if labels == "species" else tuple(breeds[number] for number in sorted(breeds))
    if sorted(breeds) != list(range(len(breeds))) or len(set(classes)) != len(classes):
        raise DataError(f"{lists}: the lists do not number the breeds one after the other", "fetch the set again")
    return _image_dataset.by_list(
        "pets",
        files.unpack("pets", "images.tar.gz") / "images",
        [f"{name}.jpg" for name, *_ in rows],
        species if labels == "species" else numbers,
        classes,
        np.array([part for *_, part in rows], np.int8),
        image_dataset.settings(size, fit, "rgb"),
        strict=strict,
    )


def _rows(path: Path) -> list[tuple[str, int, int]]:
    """Name, breed and species of each image of a list, both from 0.

    Raises:
        DataError: it is not such a list.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "fetch the set again") from None
    found = []
    for line in filter(str.strip, lines):
        match = re.fullmatch(r"([\w-]{1,100}) ([1-9]\d{0,2}) ([12]) \d+\s*", line, re.ASCII)
        if not match:
            raise DataError(
                f"{path}: a line must have an image's name and three numbers, got {line[:80]!r}", "fetch the set again"
            )
        found.append((match[1], int(match[2]) - 1, int(match[3]) - 1))
    return found
