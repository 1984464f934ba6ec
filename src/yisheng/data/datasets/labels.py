"""Images that a CSV lists with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.paths import parse_path
from yisheng.core.registry import register
from yisheng.core.types import Dataset
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit


def is_label_file(path: Path) -> bool:
    """Return whether a path is a CSV that lists image files; other tables are read by `table`."""
    from yisheng.data.tables.files import is_table, is_text
    from yisheng.data.tables.sniff import lists_images

    return path.is_file() and is_text(path) and is_table(path) and lists_images(path)


@register(opens=is_label_file)
def labels(
    *,
    path: str,
    size: Size = "auto",
    fit: Fit = "crop",
    color: Literal["auto", "gray", "rgb"] = "auto",
    strict: bool = False,
    labels: tuple[str, ...] = (),
) -> Dataset:
    """Load images listed in a CSV: file and label, or file and several labels that are not exclusive.

    With one column of labels the task is classification; with several it is multilabel, with a probability for each
    label: the cells of a row are the names of its labels, or each column is a label, named in the header, and holds 0
    or 1. A column ``split`` of train, validation and test gives official parts.

    Args:
        path: the CSV; its file names are relative to its folder.
        size: height and width of the inputs, one number for both; auto keeps the common size of all images if no
            side is longer than 96, and else is 224, the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        color: gray or rgb; auto is gray if all images are.
        strict: a missing or damaged image is an error; by default it is left out and reported.
        labels: forms of the class names, with commas between them, by which two spellings are one class: strip-dot,
            casefold, blanks, separators, unquote, nfkc; or old:new to rename one.

    Raises:
        DataError: the CSV is damaged or has no labels, or none of its images exists.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.class_names import parse_forms
    from yisheng.data.images import image_dataset

    options = image_dataset.parse_options(size, fit, color)
    images = image_dataset.label_listed(parse_path(path, "path"), strict=strict, forms=parse_forms(labels))
    return image_dataset.build_dataset(images, options, strict=strict)
