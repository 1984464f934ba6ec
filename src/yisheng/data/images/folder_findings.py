"""Findings about images in folders: what was left out, and classes without images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.data.images.file_listing import Listing, sanitize_name
from yisheng.data.images.part_names import PART_NAMES

MAX_EXAMPLES = 5
"""Names that a finding gives as examples."""


def make_finding(
    check: str, severity: Literal["error", "warning", "note"], names: Sequence[str], cause: Message, remedy: Message
) -> Finding:
    """Return a finding about things with names: their number, and the first of them."""
    first = [sanitize_name(name) for name in names[:MAX_EXAMPLES]]
    ellipsis = ", ..." if len(names) > MAX_EXAMPLES else ""
    evidence = {"count": len(names), "first": first}
    listed = ", ".join(first) + ellipsis
    text = Message("{count} {what}: {names}", count=len(names), what=cause, names=listed)
    return Finding(check, severity, evidence, text, remedy)


def report_left_out(
    listing: Listing, unlabeled: Iterable[tuple[tuple[str, ...], Sequence[int]]], parts: Mapping[str, int] | None
) -> Iterable[Finding]:
    """Yield findings about images without a class, folders next to the parts, other files, and links.

    Args:
        listing: the files.
        unlabeled: path of each folder without a class, and the indices of its images.
        parts: part of each folder that is one, or None if there are no parts.
    """
    extra_folders: Counter[str] = Counter()
    without_class = []
    for path, indices in unlabeled:
        if path and parts is not None and path[0] not in parts:
            extra_folders[path[0]] += len(indices)
        else:
            without_class += [listing.names[index] for index in indices]
    if without_class:
        yield make_finding(
            "images-without-class",
            "warning",
            without_class,
            Message("images are in no class folder and were left out"),
            Message("put them into the folders of their classes"),
        )
    if extra_folders:
        folders = sort_naturally(extra_folders)
        yield Finding(
            "folders-left-out",
            "warning",
            {"images": extra_folders.total(), "folders": folders},
            Message(
                "folders next to those of the parts were left out: {folders}", folders=", ".join(folders[:MAX_EXAMPLES])
            ),
            Message("move their images into the class folders of a part, if they belong to the data"),
        )
    if listing.other_files:
        yield make_finding(
            "files-left-out",
            "note",
            listing.other_files,
            Message("files without the suffix of an image were left out"),
            Message("rename them, if they are images"),
        )
    if listing.links:
        yield make_finding(
            "links-left-out",
            "note",
            listing.links,
            Message("links lead to folders that were read already"),
            Message("remove the links"),
        )


def report_name_encoding(classes: Sequence[str], encoding: str) -> Iterable[Finding]:
    """Yield a finding if folders have names that are not UTF-8.

    Args:
        classes: names of the classes, decoded.
        encoding: in which they were read; empty if all names are UTF-8.
    """
    if encoding:
        yield make_finding(
            "names-not-utf-8",
            "note",
            [name for name in classes if not name.isascii()] or list(classes),
            Message("class folders were read with names in {encoding}, since they are not UTF-8", encoding=encoding),
            Message("if that is wrong, rename the folders in UTF-8, for example with convmv"),
        )


def report_empty_classes(folders: Iterable[str], classes: Sequence[str]) -> Iterable[Finding]:
    """Yield a finding if class folders have no image.

    Args:
        folders: names of all class folders, sorted.
        classes: names of the classes with images.
    """
    empty = [name for name in folders if name not in classes]
    if empty:
        yield make_finding(
            "empty-class-folders",
            "warning",
            empty,
            Message("class folders hold no images and are not classes"),
            Message("put images into them, or remove them"),
        )


def report_unscored_classes(classes: Sequence[str], y: np.ndarray, part: np.ndarray) -> Iterable[Finding]:
    """Yield findings about classes without images in the validation or test part.

    Args:
        classes: names of the classes.
        y: class of each image ``(N,)``.
        part: part of each image ``(N,)``.
    """
    counts = np.stack([np.bincount(y[part == p], minlength=len(classes)) for p in range(len(PART_NAMES))])
    for p in (1, 2):
        missing = [name for name, count in zip(classes, counts[p], strict=True) if not count]
        if missing and counts[p].any():
            yield make_finding(
                "classes-not-scored",
                "note",
                missing,
                Message("classes have no images in the {part} part", part=PART_NAMES[p]),
                Message("add some; the scores of that part do not cover these classes"),
            )


def report_deep_folders(names: Sequence[str]) -> Iterable[Finding]:
    """Yield a finding if images are in folders within class folders.

    Args:
        names: paths of these images.
    """
    if names:
        yield make_finding(
            "deeper-folders",
            "note",
            names,
            Message("images are in folders within class folders; the upper ones are the classes"),
            Message("give a folder further down as data, if those are the classes"),
        )
