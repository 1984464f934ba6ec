"""Images that a CSV lists with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size


def opens(path: Path) -> bool:
    """Whether a path is a CSV that lists image files; other tables are read as such."""
    from yisheng.data.tables.files import TEXT, is_table
    from yisheng.data.tables.sniff import lists_images

    return is_table(path) and path.name.lower().endswith(TEXT) and path.is_file() and lists_images(path)


@register(opens=opens)
def labels(
    *,
    path: str,
    size: Size = "auto",
    fit: Literal["crop", "squash", "pad"] = "crop",
    colour: Literal["auto", "grey", "rgb"] = "auto",
    strict: bool = False,
) -> Dataset:
    """Images listed in a CSV: file and label, or file and several labels that may hold together.

    One column of labels makes a classification. Several make a multilabel task, with a probability for each label:
    the cells of a row are the names of its labels, or each column is a label, named in the header, and holds 0 or 1.
    A column ``split`` of train, validation and test gives official parts.

    Args:
        path: the CSV; files are named as seen from its folder.
        size: height and width of the inputs, one number for both; auto keeps the size that all images have, if no
            side is longer than 96, and else takes 224, which networks trained on ImageNet want.
        fit: how an image of another ratio of sides comes to that size: the middle is cut out (crop), it is squashed,
            or filled up with black (pad). Prediction does the same.
        colour: grey or rgb; auto is grey if all images are.
        strict: a missing or damaged image is an error; else it is left out and named.

    Raises:
        DataError: the CSV is damaged or has no labels, or none of its images is there.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.images import image_dataset

    return image_dataset.listed(Path(path), image_dataset.settings(size, fit, colour), strict=strict)
