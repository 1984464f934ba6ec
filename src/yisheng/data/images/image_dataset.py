"""Listed and labelled images as a data set."""

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
from yisheng.data.images import cache, duplicates, folder_files, label_files
from yisheng.data.images.block import Settings
from yisheng.data.images.file_listing import Listing, readable
from yisheng.data.images.folder_labels import NAMED, finding

Side = Annotated[int, Interval(ge=1, le=4096)]
Size = Literal["auto"] | Side | Annotated[tuple[Side, ...], Len(1, 2)]
"""``auto``, one side of a square, or height and width."""


@dataclass(frozen=True)
class Labelled:
    """Images with what is known of each.

    Args:
        name: of the data set.
        listing: where the files lie.
        numbers: which of them, int64 ``(N,)``.
        y: class numbers int64 ``(N,)``, or labels float32 ``(N, L)``.
        classes: names of classes or labels.
        part: official part of each, or None.
        findings: what is known to be odd.
        about: what the data set is.
    """

    name: str
    listing: Listing
    numbers: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    part: np.ndarray | None
    findings: tuple[Finding, ...]
    about: str


def settings(size: Size, fit: Literal["crop", "squash", "pad"], colour: Literal["auto", "grey", "rgb"]) -> Settings:
    """The options of a data set of images, in one form."""
    if size == "auto":
        return Settings("auto", fit, colour)
    sides = (size,) if isinstance(size, int) else tuple(size)
    return Settings((sides[0], sides[-1]), fit, colour)


def name_of(path: Path) -> str:
    """A data set's name from a path, safe for a folder's name.

    >>> name_of(Path("/data/My photos.zip"))
    'My-photos'
    """
    stem = path.stem if path.is_file() or path.suffix else path.name
    return re.sub(r"[^\w.-]+", "-", readable(stem)).strip("-.")[:60] or "images"


def dataset(found: Labelled, how: Settings, *, strict: bool) -> Dataset:
    """Decode what was found, or take it from the cache.

    Args:
        found: the images.
        how: how they shall come out.
        strict: a damaged image is an error rather than left out.

    Raises:
        DataError: no image can be decoded, or ``strict`` and one cannot.
        StorageError: the cache cannot be written to.
    """
    block = cache.decoded(found.listing, found.numbers.tolist(), how, found.name)
    findings = [*found.findings]
    if block.damaged:
        findings.append(damaged(block.damaged, len(found.numbers), strict=strict))
    y = found.y[block.kept]
    part = None if found.part is None else found.part[block.kept]
    numbers = found.numbers[block.kept].tolist()
    rows = tuple(readable(found.listing.names[n]) for n in numbers)
    findings += duplicates.findings(block.twins, rows, y, part)
    task: Task = "classification" if y.ndim == 1 else "multilabel"
    target = "class" if y.ndim == 1 else "labels"
    spec = Spec(task, block.pixels.shape[1:], classes=found.classes, target=target, fit=how.fit)
    return Dataset(
        found.name,
        spec,
        block.pixels,
        y,
        part,
        rows=rows,
        group=None if part is not None else _groups(block.twins, len(rows)),
        findings=tuple(findings),
        about=found.about,
        source=str(found.listing.path),
    )


def listed(path: Path, how: Settings, *, strict: bool) -> Dataset:
    """The data set of a CSV that lists images.

    Args:
        path: the CSV.
        how: how the images shall come out.
        strict: a missing or damaged image is an error rather than left out.

    Raises:
        DataError: the CSV or its images are not as they should be.
        StorageError: the cache cannot be written to.
    """
    rows = label_files.read(path)
    files = folder_files.listed(path.parent, rows.files)
    there = np.array(files.sizes) >= 0
    named = rows.y >= 0 if rows.y.ndim == 1 else np.ones(len(there), bool)
    missing = [name for name, is_there in zip(rows.files, there, strict=True) if not is_there]
    nameless = [name for name, is_named in zip(rows.files, named, strict=True) if not is_named]
    if len(missing) == len(there) or (strict and missing):
        first = ", ".join(map(readable, missing[:NAMED]))
        raise DataError(
            f"{len(missing)} of {len(there)} images listed in {path} are not there: {first}",
            f"name them as seen from {path.parent}",
        )
    findings = []
    if missing:
        remedy = "mend the list; strict=true makes it an error"
        findings.append(finding("missing-images", "warning", missing, "listed images are not there", remedy))
    if nameless:
        what = "listed images have no label and were left out"
        findings.append(finding("images-without-class", "warning", nameless, what, "give each a label"))
    numbers = np.flatnonzero(there & named)
    y, classes = rows.y[numbers], rows.classes
    if y.ndim == 1 and len(classes) < 2:
        raise DataError(f"{path} lists images of one class only: {', '.join(classes)}", "list some of another class")
    part = None if rows.part is None else rows.part[numbers]
    about = f"Images listed in {path.name}."
    labelled = Labelled(name_of(path), files, numbers, y, classes, part, tuple(findings), about)
    return dataset(labelled, how, strict=strict)


def damaged(reasons: Sequence[str], of: int, *, strict: bool) -> Finding:
    """The finding about images that cannot be decoded.

    Raises:
        DataError: ``strict``.
    """
    first = "; ".join(reasons[:NAMED]) + ("; ..." if len(reasons) > NAMED else "")
    if strict:
        raise DataError(
            f"{len(reasons)} of {of} images are damaged: {first}",
            "mend or remove them; strict=false leaves them out",
        )
    return Finding(
        "damaged-images",
        "warning",
        {"count": len(reasons), "of": of, "first": list(reasons[:NAMED])},
        f"{len(reasons)} of {of} images are damaged and were left out: {first}",
        "mend or remove them; strict=true makes them an error",
    )


def _groups(same: Iterable[Sequence[int]], count: int) -> np.ndarray | None:
    """The same number for equal images, so that no split parts them; None where all differ."""
    numbers = np.arange(count)
    for rows in same:
        numbers[list(rows)] = rows[0]
    return None if len(np.unique(numbers)) == count else numbers
