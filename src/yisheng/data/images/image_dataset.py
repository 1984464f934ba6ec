"""Listed and labeled images as a data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, Len

from yisheng.core.errors import DataError
from yisheng.core.types import Dataset, Finding, Spec, Task
from yisheng.data.images import cache, duplicates, folder_files, folder_labels, label_files
from yisheng.data.images.bulk_decode import DecodeOptions
from yisheng.data.images.decode import Color
from yisheng.data.images.file_listing import Listing, sanitize_name
from yisheng.data.images.folder_findings import MAX_EXAMPLES, make_finding
from yisheng.data.images.resize import Fit
from yisheng.data.part_labels import check_part_labels

Side = Annotated[int, Interval(ge=1, le=4096)]
Size = Literal["auto"] | Side | Annotated[tuple[Side, ...], Len(1, 2)]
"""``auto``, one side of a square, or height and width."""


@dataclass(frozen=True)
class LabeledImages:
    """Image files with their labels.

    Args:
        name: name of the data set.
        listing: the files.
        file_indices: index of each image in the listing, int64 ``(N,)``.
        y: class numbers int64 ``(N,)``, or labels float32 ``(N, L)``.
        classes: names of classes or labels.
        part: official part of each, or None.
        findings: what was left out or is unusual.
        about: description of the data set.
        forms: forms of the class names; see `yisheng.data.class_names`.
    """

    name: str
    listing: Listing
    file_indices: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    part: np.ndarray | None
    findings: tuple[Finding, ...]
    about: str
    forms: tuple[str, ...] = ()


def parse_options(size: Size, fit: Fit, color: Color) -> DecodeOptions:
    """Return the options of an image data set in one form."""
    if size == "auto":
        return DecodeOptions("auto", fit, color)
    sides = (size,) if isinstance(size, int) else tuple(size)
    return DecodeOptions((sides[0], sides[-1]), fit, color)


def dataset_name(path: Path) -> str:
    """Return a data set's name from a path, safe for a folder's name.

    >>> dataset_name(Path("/data/My photos.zip"))
    'My-photos'
    """
    stem = path.stem if path.is_file() or path.suffix else path.name
    return re.sub(r"[^\w.-]+", "-", sanitize_name(stem)).strip("-.")[:60] or "images"


def build_dataset(labeled: LabeledImages, options: DecodeOptions, *, strict: bool) -> Dataset:
    """Return the data set of labeled images, decoded or from the cache.

    Args:
        labeled: the images.
        options: their size and colors.
        strict: raise an error for a damaged image instead of leaving it out.

    Raises:
        DataError: no image can be decoded, or ``strict`` and one cannot.
        StorageError: the cache cannot be written to.
    """
    block = cache.load_block(labeled.listing, labeled.file_indices.tolist(), options, labeled.name)
    findings = [*labeled.findings]
    if block.damaged:
        findings.append(report_damaged(block.damaged, len(labeled.file_indices), strict=strict))
    y = labeled.y[block.file_positions]
    part = None if labeled.part is None else labeled.part[block.file_positions]
    indices = labeled.file_indices[block.file_positions].tolist()
    rows = tuple(sanitize_name(labeled.listing.names[index]) for index in indices)
    findings += duplicates.report_duplicates(block.duplicates, rows, y, part)
    task: Task = "classification" if y.ndim == 1 else "multilabel"
    target = "class" if y.ndim == 1 else "labels"
    spec = Spec(
        task,
        block.pixels.shape[1:],
        classes=labeled.classes,
        target=target,
        fit=options.fit,
        label_forms=labeled.forms,
    )
    return Dataset(
        labeled.name,
        spec,
        block.pixels,
        y,
        part,
        rows=rows,
        group=None if part is not None else _number_groups(block.duplicates, len(rows)),
        findings=tuple(findings),
        about=labeled.about,
        source=str(labeled.listing.path),
    )


def label_folder(root: Path, *, forms: tuple[str, ...] = (), known_classes: Sequence[str] = ()) -> LabeledImages:
    """Return the images in class folders with their labels.

    Args:
        root: the folder or zip.
        forms: forms of the class names; see `yisheng.data.class_names`.
        known_classes: further classes, of a model that is evaluated on the images.

    Raises:
        DataError: there are no images, or the class folders are not recognizable.
    """
    if not root.exists():
        raise DataError(f"{root} does not exist", "check the path")
    listing = folder_labels.list_images(root)
    files = folder_labels.find_classes(listing, forms=forms, known_classes=known_classes)
    about = f"Images in class folders: {root.name}."
    name = dataset_name(root)
    return LabeledImages(
        name, listing, files.file_indices, files.y, files.classes, files.part, files.findings, about, forms
    )


def label_listed(
    path: Path, *, strict: bool = False, forms: tuple[str, ...] = (), known_classes: Sequence[str] = ()
) -> LabeledImages:
    """Return the images that a CSV lists, with their labels.

    Args:
        path: the CSV.
        strict: raise an error for a missing image instead of leaving it out.
        forms: forms of the labels; see `yisheng.data.class_names`.
        known_classes: further classes, of a model that is evaluated on the images.

    Raises:
        DataError: the CSV cannot be read, or none of its images exists; or no label of the test or validation rows is
            one of the training rows.
    """
    table = label_files.read_labels(path, forms=forms, known_classes=known_classes)
    listing = folder_files.list_named_files(path.parent, table.files)
    exists = np.array(listing.sizes) != folder_files.ABSENT
    has_label = table.y != label_files.NO_CLASS if table.y.ndim == 1 else np.ones(len(exists), bool)
    missing = [name for name, file_exists in zip(table.files, exists, strict=True) if not file_exists]
    unlabeled = [name for name, labeled in zip(table.files, has_label, strict=True) if not labeled]
    if len(missing) == len(exists) or (strict and missing):
        first = ", ".join(map(sanitize_name, missing[:MAX_EXAMPLES]))
        raise DataError(
            f"{len(missing)} of {len(exists)} images listed in {path} do not exist: {first}",
            f"write their paths relative to {path.parent}",
        )
    findings = []
    if missing:
        remedy = "correct the list; strict=true makes it an error"
        findings.append(make_finding("missing-images", "warning", missing, "listed images do not exist", remedy))
    if unlabeled:
        cause = "listed images have no label and were left out"
        findings.append(make_finding("images-without-class", "warning", unlabeled, cause, "give each a label"))
    indices = np.flatnonzero(exists & has_label)
    y, classes = table.y[indices], table.classes
    if y.ndim == 1 and len(classes) < 2:
        raise DataError(f"{path} lists images of one class only: {', '.join(classes)}", "list some of another class")
    part = None if table.part is None else table.part[indices]
    findings += check_part_labels(str(path), classes, y, part, has_forms=table.has_words)
    about = f"Images listed in {path.name}."
    return LabeledImages(dataset_name(path), listing, indices, y, classes, part, tuple(findings), about, forms)


def report_damaged(reasons: Sequence[str], image_count: int, *, strict: bool) -> Finding:
    """Return the finding about images that cannot be decoded.

    Args:
        reasons: why, for each of them.
        image_count: number of all images.
        strict: raise an error instead.

    Raises:
        DataError: ``strict``.
    """
    first = "; ".join(reasons[:MAX_EXAMPLES]) + ("; ..." if len(reasons) > MAX_EXAMPLES else "")
    if strict:
        raise DataError(
            f"{len(reasons)} of {image_count} images are damaged: {first}",
            "replace or remove them; strict=false leaves them out",
        )
    return Finding(
        "damaged-images",
        "warning",
        {"count": len(reasons), "of": image_count, "first": list(reasons[:MAX_EXAMPLES])},
        f"{len(reasons)} of {image_count} images are damaged and were left out: {first}",
        "replace or remove them; strict=true makes them an error",
    )


def _number_groups(groups: Iterable[Sequence[int]], count: int) -> np.ndarray | None:
    """Return the same number for equal images, so that no split separates them; None if all differ."""
    numbers = np.arange(count)
    for rows in groups:
        numbers[list(rows)] = rows[0]
    return None if len(np.unique(numbers)) == count else numbers
