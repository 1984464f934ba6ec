"""Images in class folders."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from yisheng.core.dataset import Dataset
from yisheng.core.paths import parse_path
from yisheng.core.registry import register
from yisheng.core.remote.streams import Stream, find_streamed
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit


def is_image_folder(path: Path) -> bool:
    """Return whether a path is a folder that is not one of tables, or the name of a zip."""
    from yisheng.data.tables.shards import has_glob, list_shards

    if path.is_dir():
        return not list_shards(path)
    return path.suffix.lower() == ".zip" and not has_glob(path)


def names_images(names: Collection[str]) -> bool:
    """Return whether the files of a folder, by their names relative to it, are not tables."""
    from yisheng.data.tables.shards import name_shards

    return not name_shards(names)


@register(opens=is_image_folder, opens_names=names_images)
def folder(
    *,
    path: str,
    size: Size = "auto",
    fit: Fit = "crop",
    color: Literal["auto", "gray", "rgb"] = "auto",
    strict: bool = False,
    task: Literal["auto", "classification", "regression"] = "auto",
    labels: tuple[str, ...] = (),
    stream: Stream = "auto",
) -> Dataset:
    """Load images in a folder for each class, with or without folders for train, validation and test.

    The folder may be a zip, or hold ``train.zip`` and ``test.zip``. Images are decoded once, into a block in the
    cache; later runs use it as long as the files do not change.

    Args:
        path: the folder or zip.
        size: height and width of the inputs, one number for both; auto keeps the common size of all images if no
            side is longer than 96, and else is 224, the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        color: gray or rgb; auto is gray if all images are.
        strict: a damaged image is an error; by default it is left out and reported.
        task: classification by default; with regression the names of the class folders are numbers to predict.
        labels: forms of the class names, with commas between them, by which two spellings are one class: strip-dot,
            casefold, blanks, separators, unquote, nfkc; or old:new to rename one.
        stream: read the files of a folder at an address one after the other, without a copy of all of them; auto does
            so if the copy would take more than a quarter of the free disk.

    Raises:
        UsageError: stream is true, and path is not the address of a folder.
        DataError: there are no images, fewer than two classes, or the class folders are not recognizable.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.images import image_dataset
    from yisheng.data.images.label_choices import LabelChoices
    from yisheng.data.images.streamed_files import list_streamed

    choices = LabelChoices.parse({"task": task, "labels": labels})
    options = image_dataset.parse_options(size, fit, color)
    streamed = find_streamed(path, "path", stream)
    if streamed is None:
        return image_dataset.build_dataset(
            image_dataset.label_folder(parse_path(path, "path"), choices), options, strict=strict
        )
    images = image_dataset.label_listing(Path(streamed.name), list_streamed(streamed), choices)
    dataset = image_dataset.build_dataset(images, options, strict=strict)
    streamed.require_unchanged()
    return dataset
