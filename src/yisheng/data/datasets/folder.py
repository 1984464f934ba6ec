"""Images in class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size


def opens(path: Path) -> bool:
    """Whether a path is a folder, or a zip by its name."""
    return path.is_dir() or path.suffix.lower() == ".zip"


@register(opens=opens)
def folder(
    *,
    path: str,
    size: Size = "auto",
    fit: Literal["crop", "squash", "pad"] = "crop",
    colour: Literal["auto", "grey", "rgb"] = "auto",
    strict: bool = False,
) -> Dataset:
    """Images in a folder for each class, with or without folders for train, validation and test.

    The folder may be a zip, or hold ``train.zip`` and ``test.zip``. Images are decoded once, into a block in the
    cache; later runs take it from there as long as the files stay as they are.

    Args:
        path: the folder or zip.
        size: height and width of the inputs, one number for both; auto keeps the size that all images have, if no
            side is longer than 96, and else takes 224, which networks trained on ImageNet want.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        colour: grey or rgb; auto is grey if all images are.
        strict: a damaged image is an error; else it is left out and named.

    Raises:
        DataError: there are no images, less than two classes, or it is not clear which folders are classes.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.images import folder_labels, image_dataset

    place = Path(path)
    if not place.exists():
        raise DataError(f"{path} does not exist", "check the path")
    listing = folder_labels.listing(place)
    found = folder_labels.discover(listing)
    about = f"Images in class folders: {place.name}."
    labelled = image_dataset.Labelled(
        image_dataset.name_of(place), listing, found.numbers, found.y, found.classes, found.part, found.findings, about
    )
    return image_dataset.dataset(labelled, image_dataset.settings(size, fit, colour), strict=strict)
