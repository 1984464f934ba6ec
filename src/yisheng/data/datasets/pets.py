"""Cats and dogs by breed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit

LISTS = (("trainval.txt", 0), ("test.txt", 2))
"""The lists of images, with the number of their part."""
SPECIES = ("cat", "dog")


@register(mirror=True)
def pets(
    *,
    labels: Literal["breed", "species"] = "breed",
    size: Size = 224,
    fit: Fit = "crop",
    strict: bool = False,
) -> Dataset:
    """Load 7,349 photographs of 37 breeds of cats and dogs, 3,669 of them the official test part.

    Args:
        labels: breed, 37 classes, or species, cat or dog.
        size: height and width of the inputs, one number for both; 224 is the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        strict: a damaged image is an error; by default it is left out and reported.

    Raises:
        DataError: the archives cannot be downloaded, or have other content.

    Source: Parkhi, Vedaldi, Zisserman and Jawahar, Cats and dogs (2012).
    """
    from yisheng.data import hub
    from yisheng.data.datasets import _image_dataset
    from yisheng.data.images import image_dataset

    lists = hub.unpack("pets", "annotations.tar.gz") / "annotations"
    parts = [(_read_list(lists / file), part) for file, part in LISTS]
    images = [image for listed, _ in parts for image in listed]
    breeds = {image.breed: re.sub(r"_\d+$", "", image.name).replace("_", " ") for image in images}
    classes = SPECIES if labels == "species" else tuple(breeds[number] for number in sorted(breeds))
    if sorted(breeds) != list(range(len(breeds))) or len(set(classes)) != len(classes):
        raise DataError(
            Message("{lists}: the lists do not number the breeds one after the other", lists=lists),
            Message("download the set again"),
        )
    return _image_dataset.load_from_list(
        "pets",
        hub.unpack("pets", "images.tar.gz") / "images",
        [f"{image.name}.jpg" for image in images],
        np.array([image.species if labels == "species" else image.breed for image in images], np.int64),
        classes,
        np.repeat(np.array([part for _, part in parts], np.int8), [len(listed) for listed, _ in parts]),
        image_dataset.parse_options(size, fit, "rgb"),
        strict=strict,
    )


class _ListedImage(NamedTuple):
    """An image's name, and the numbers of its breed and species, from 0."""

    name: str
    breed: int
    species: int


def _read_list(path: Path) -> list[_ListedImage]:
    """Read a list of images.

    Raises:
        DataError: the file has another format.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            Message("{path} cannot be read: {error}", path=path, error=error), Message("download the set again")
        ) from None
    images = []
    for line in filter(str.strip, lines):
        match = re.fullmatch(r"([\w-]{1,100}) ([1-9]\d{0,2}) ([12]) \d+\s*", line, re.ASCII)
        if not match:
            raise DataError(
                Message(
                    "{path}: a line must have an image's name and three numbers, got {line}",
                    path=path,
                    line=f"{line[:80]!r}",
                ),
                Message("download the set again"),
            )
        images.append(_ListedImage(match[1], int(match[2]) - 1, int(match[3]) - 1))
    return images
