"""Sets of the hub that are image files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset
from yisheng.data.hub import catalog
from yisheng.data.images import folder_files, folder_labels, image_dataset
from yisheng.data.images.block import Settings


def in_folders(
    name: str,
    place: Path,
    how: Settings,
    *,
    strict: bool = False,
    called: Callable[[str], str] = str,
    without: Sequence[str] = (),
) -> Dataset:
    """A set whose images lie in class folders.

    Args:
        name: the registered name, and the hub's.
        place: the folder or zip.
        how: how the images shall come out.
        strict: a damaged image is an error.
        called: the name of a class by that of its folder.
        without: names of files that are no images of the set.

    Raises:
        DataError: there are no images, or not as they should be.
    """
    listing = folder_labels.listing(place)
    found = folder_labels.discover(listing)
    kept = np.array([listing.names[n].rpartition("/")[2] not in without for n in found.numbers])
    part = None if found.part is None else found.part[kept]
    classes = tuple(map(called, found.classes))
    labelled = image_dataset.Labelled(
        name, listing, found.numbers[kept], found.y[kept], classes, part, found.findings, about=""
    )
    return _known(image_dataset.dataset(labelled, how, strict=strict))


def by_list(
    name: str,
    root: Path,
    files: Sequence[str],
    y: np.ndarray,
    classes: tuple[str, ...],
    part: np.ndarray,
    how: Settings,
    *,
    strict: bool = False,
) -> Dataset:
    """A set that lists its images, which lie in one folder.

    Args:
        name: the registered name, and the hub's.
        root: the folder.
        files: names of the images.
        y: class numbers ``(N,)``.
        classes: their names.
        part: official parts ``(N,)``.
        how: how the images shall come out.
        strict: a damaged image is an error.

    Raises:
        DataError: an image is missing, or none can be decoded.
    """
    listing = folder_files.listed(root, files)
    missing = [file for file, size in zip(files, listing.sizes, strict=True) if size < 0]
    if missing:
        raise DataError(f"{root} lacks {len(missing)} images of {name}: {missing[0]}", "fetch the set again")
    labelled = image_dataset.Labelled(name, listing, np.arange(len(files)), y, classes, part, findings=(), about="")
    return _known(image_dataset.dataset(labelled, how, strict=strict))


def _known(dataset: Dataset) -> Dataset:
    """With what the catalogue tells of the set."""
    known = catalog.find(dataset.name)
    return replace(dataset, about=known.about, source=known.source, licence=known.licence)
