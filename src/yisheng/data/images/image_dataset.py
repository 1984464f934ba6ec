"""Listed and labeled images as a data set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval, Len

from yisheng.core.columns import Column, Reading
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.image_values import Drawing
from yisheng.core.messages import Message
from yisheng.core.spec import Spec, Task
from yisheng.data.images import cache, duplicates, folder_files, folder_labels, label_files
from yisheng.data.images.bulk_decode import DecodeOptions
from yisheng.data.images.file_listing import Listing, sanitize_name
from yisheng.data.images.file_names import NameDecoder
from yisheng.data.images.flatten import Color
from yisheng.data.images.folder_findings import MAX_EXAMPLES, make_finding
from yisheng.data.images.label_choices import DEFAULT_CHOICES, LabelChoices
from yisheng.data.images.resize import Fit
from yisheng.data.images.value_findings import report_values
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
        y: class numbers int64 ``(N,)``, labels float32 ``(N, L)``, or numbers float64 ``(N, T)``.
        classes: names of classes or labels.
        part: official part of each, or None.
        findings: what was left out or is unusual.
        about: description of the data set.
        forms: forms of the class names; see `yisheng.data.class_names`.
        task: what is learned.
        columns: the columns of numbers, and how they are written; empty for classes and labels.
        reading: how the list of the images was read.
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
    task: Task = "classification"
    columns: tuple[Column, ...] = ()
    reading: Reading = field(default_factory=Reading)

    def make_spec(self, shape: tuple[int, ...], *, fit: Fit = "crop", drawing: Drawing | None = None) -> Spec:
        """Return the contract for images of this shape ``(C, H, W)``."""
        target = {"classification": "class", "multilabel": "labels"}.get(self.task)
        return Spec(
            self.task,
            shape,
            classes=self.classes,
            target=target or ", ".join(column.name for column in self.columns),
            outputs=len(self.columns),
            drawing=drawing,
            fit=fit,
            target_columns=self.columns,
            label_forms=self.forms,
            reading=self.reading,
        )


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
    training = None if labeled.part is None else labeled.part == 0
    block = cache.load_block(labeled.listing, labeled.file_indices.tolist(), options, labeled.name, training)
    findings = [*labeled.findings]
    if block.damaged:
        findings.append(report_damaged(block.damaged, len(labeled.file_indices), strict=strict))
    y = labeled.y[block.file_positions]
    part = None if labeled.part is None else labeled.part[block.file_positions]
    indices = labeled.file_indices[block.file_positions].tolist()
    decoder = NameDecoder.from_names(labeled.listing.names)
    rows = tuple(decoder.decode(labeled.listing.names[index]) for index in indices)
    notes = [(sanitize_name(labeled.listing.names[labeled.file_indices[n]]), note) for n, note in block.notes]
    findings += report_values(block.values, block.types, notes)
    findings += duplicates.report_duplicates(block.duplicates, rows, y, part)
    return Dataset(
        labeled.name,
        replace(labeled.make_spec(block.pixels.shape[1:], fit=options.fit), image_values=block.values),
        block.pixels,
        y,
        part,
        rows=rows,
        group=None if part is not None else _number_groups(block.duplicates, len(rows)),
        findings=tuple(findings),
        about=labeled.about,
        source=str(labeled.listing.path),
    )


def label_folder(root: Path, choices: LabelChoices = DEFAULT_CHOICES) -> LabeledImages:
    """Return the images in class folders with their labels, or with the numbers that are the names of the folders.

    Args:
        root: the folder or zip.
        choices: the user's choices about the labels; the folders are classes unless the task is a regression.

    Raises:
        DataError: there are no images, the class folders are not recognizable, or a regression needs numbers as names.
    """
    if not root.exists():
        raise DataError(Message("{root} does not exist", root=root), Message("check the path"))
    return label_listing(root, folder_labels.list_images(root), choices)


def label_listing(root: Path, listing: Listing, choices: LabelChoices = DEFAULT_CHOICES) -> LabeledImages:
    """Return listed images in class folders; see `label_folder`.

    Args:
        root: the folder or zip, for its name.
        listing: its files.
        choices: see `label_folder`.

    Raises:
        DataError: see `label_folder`.
    """
    files, columns = folder_labels.find_targets(listing, choices)
    about = f"Images in class folders: {root.name}."
    task: Task = "regression" if columns else "classification"
    return LabeledImages(
        dataset_name(root),
        listing,
        files.file_indices,
        files.y,
        files.classes,
        files.part,
        files.findings,
        about,
        () if columns else choices.forms,
        task,
        columns,
    )


def label_listed(path: Path, choices: LabelChoices = DEFAULT_CHOICES, *, strict: bool = False) -> LabeledImages:
    """Return the images that a CSV lists, with their labels or numbers.

    Args:
        path: the CSV.
        choices: the user's choices about the labels.
        strict: raise an error for a missing image instead of leaving it out.

    Raises:
        DataError: the CSV cannot be read, or none of its images exists; or no label of the test or validation rows is
            one of the training rows.
    """
    table = label_files.read_labels(path, choices)
    targets = table.targets
    listing = folder_files.list_named_files(path.parent, table.files)
    exists = np.array(listing.sizes) != folder_files.ABSENT
    missing = [name for name, file_exists in zip(table.files, exists, strict=True) if not file_exists]
    unlabeled = [name for name, labeled in zip(table.files, targets.is_labeled, strict=True) if not labeled]
    if len(missing) == len(exists) or (strict and missing):
        first = ", ".join(map(sanitize_name, missing[:MAX_EXAMPLES]))
        raise DataError(
            Message(
                "{count} of {image_count} images listed in {path} do not exist: {first}",
                count=len(missing),
                image_count=len(exists),
                path=path,
                first=first,
            ),
            Message("write their paths relative to {parent}", parent=path.parent),
        )
    findings = [*targets.findings]
    if missing:
        remedy = Message("correct the list; strict=true makes it an error")
        findings.append(
            make_finding("missing-images", "warning", missing, Message("listed images do not exist"), remedy)
        )
    if unlabeled:
        cause = Message("listed images have no label and were left out")
        findings.append(make_finding("images-without-class", "warning", unlabeled, cause, Message("give each a label")))
    indices = np.flatnonzero(exists & targets.is_labeled)
    if not len(indices):
        raise DataError(Message("{path}: no image that exists has a label", path=path), Message("correct the list"))
    y, classes = targets.y[indices], targets.classes
    part = None if table.part is None else table.part[indices]
    if targets.task != "regression":
        findings += check_part_labels(str(path), classes, y, part, has_forms=targets.has_words)
    return LabeledImages(
        dataset_name(path),
        listing,
        indices,
        y,
        classes,
        part,
        tuple(findings),
        f"Images listed in {path.name}.",
        choices.forms,
        targets.task,
        targets.columns,
        targets.reading,
    )


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
            Message(
                "{count} of {image_count} images are damaged: {first}",
                count=len(reasons),
                image_count=image_count,
                first=first,
            ),
            Message("replace or remove them; strict=false leaves them out"),
        )
    return Finding(
        "damaged-images",
        "warning",
        {"count": len(reasons), "of": image_count, "first": list(reasons[:MAX_EXAMPLES])},
        Message(
            "{count} of {total} images are damaged and were left out: {first}",
            count=len(reasons),
            total=image_count,
            first=first,
        ),
        Message("replace or remove them; strict=true makes them an error"),
    )


def _number_groups(groups: Iterable[Sequence[int]], count: int) -> np.ndarray | None:
    """Return the same number for equal images, so that no split separates them; None if all differ."""
    numbers = np.arange(count)
    for rows in groups:
        numbers[list(rows)] = rows[0]
    return None if len(np.unique(numbers)) == count else numbers
