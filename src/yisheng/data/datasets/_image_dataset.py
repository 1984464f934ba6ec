"""Sets of the hub that are image files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.datasets._catalog_facts import add_catalog_facts
from yisheng.data.images import folder_files, folder_labels, image_dataset
from yisheng.data.images.bulk_decode import DecodeOptions


def load_from_folders(
    name: str,
    root: Path,
    options: DecodeOptions,
    *,
    strict: bool = False,
    class_name_of: Callable[[str], str] = str,
    excluded_files: Sequence[str] = (),
) -> Dataset:
    """Load a set whose images are in class folders.

    Args:
        name: the registered name, and that in the hub.
        root: the folder or zip.
        options: size and color of the decoded images.
        strict: a damaged image is an error.
        class_name_of: from the name of a folder to that of its class.
        excluded_files: names of files that are not images of the set.

    Raises:
        DataError: there are no images, or their folders are not as expected.
    """
    listing = folder_labels.list_images(root)
    files = folder_labels.find_classes(listing)
    is_kept = np.array([listing.names[n].rpartition("/")[2] not in excluded_files for n in files.file_indices])
    part = None if files.part is None else files.part[is_kept]
    classes = tuple(map(class_name_of, files.classes))
    images = image_dataset.LabeledImages(
        name, listing, files.file_indices[is_kept], files.y[is_kept], classes, part, files.findings, about=""
    )
    return add_catalog_facts(image_dataset.build_dataset(images, options, strict=strict))


def load_from_list(
    name: str,
    root: Path,
    files: Sequence[str],
    y: np.ndarray,
    classes: tuple[str, ...],
    part: np.ndarray,
    options: DecodeOptions,
    *,
    strict: bool = False,
) -> Dataset:
    """Load a set that lists its images, which are in one folder.

    Args:
        name: the registered name, and that in the hub.
        root: the folder.
        files: names of the images.
        y: class numbers ``(N,)``.
        classes: names of the classes.
        part: official parts ``(N,)``.
        options: size and color of the decoded images.
        strict: a damaged image is an error.

    Raises:
        DataError: an image is missing, or none can be decoded.
    """
    listing = folder_files.list_named_files(root, files)
    missing = [file for file, size in zip(files, listing.sizes, strict=True) if size < 0]
    if missing:
        raise DataError(
            Message(
                "{root} lacks {count} images of {name}: {first}",
                root=root,
                count=len(missing),
                name=name,
                first=missing[0],
            ),
            Message("download the set again"),
        )
    indices = np.arange(len(files))
    images = image_dataset.LabeledImages(name, listing, indices, y, classes, part, findings=(), about="")
    return add_catalog_facts(image_dataset.build_dataset(images, options, strict=strict))
