"""Parts and classes of images, from the names of the folders that they lie in."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Finding
from yisheng.data.images import folder_files, zip_files
from yisheng.data.images.file_listing import Listing, joined, readable

PARTS = ("train", "validation", "test")
ALIASES = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validate": 1,
    "validation": 1,
    "dev": 1,
    "development": 1,
    "test": 2,
    "testing": 2,
}
"""Names of folders that mean a part, in lower case; ``_set``, ``-data`` and the like after them are let go."""
NAMED = 5
"""Names that a finding gives as examples."""


@dataclass(frozen=True)
class Found:
    """Images with their classes, in the order of parts, classes and names.

    Args:
        numbers: which of the listing's files, int64 ``(N,)``.
        y: class of each, int64 ``(N,)``.
        part: official part of each, int8 ``(N,)``, or None.
        classes: names of the classes.
        findings: what was left out, or is odd.
    """

    numbers: np.ndarray
    y: np.ndarray
    part: np.ndarray | None
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]


def natural(name: str) -> tuple[object, ...]:
    """What to sort names by so that 10 comes after 9.

    >>> sorted(["class 10", "class 9", "Class 1"], key=natural)
    ['Class 1', 'class 9', 'class 10']
    """
    pieces = re.split(r"([0-9]+)", name)
    return tuple(int(piece) if n % 2 else piece.casefold() for n, piece in enumerate(pieces)), name


def listing(path: Path) -> Listing:
    """The image files of a folder or a zip; zips of parts in a folder (``train.zip``) count as its folders.

    Raises:
        DataError: it cannot be read, or is not safe.
    """
    if path.is_file():
        return zip_files.listing(path)
    found = folder_files.listing(path)
    packed = [name for name in found.others if name.lower().endswith(".zip") and part_of(Path(name).stem) is not None]
    packed = [name for name in packed if "/" not in name and Path(name).stem not in found.folders]
    if not packed:
        return found
    found.others = [name for name in found.others if name not in packed]
    inner = [(Path(name).stem, _unwrapped(zip_files.listing(path / name))) for name in packed]
    return joined(path, [("", found), *inner])


def part_of(folder: str) -> int | None:
    """The part that a folder's name means: 0 train, 1 validation, 2 test, or None.

    >>> part_of("Training_Set"), part_of("dev"), part_of("cats")
    (0, 1, None)
    """
    return ALIASES.get(re.sub(r"[-_ ]?(set|data|images|split)$", "", folder.lower()))


def discover(listing: Listing) -> Found:
    """Parts and classes of a place's images.

    Class folders may lie directly in it, or in folders of parts; a lone folder around all of them does not
    count. Images that lie deeper belong to the class folder above them.

    Raises:
        DataError: there are no images, no class folders or less than two, or it is not clear what is meant.
    """
    if not listing.names:
        there = f"; there are {len(listing.others)} other files" if listing.others else ""
        raise DataError(f"{listing.path} holds no images{there}", "put the images of each class into a folder")
    inside: dict[str, list[int]] = defaultdict(list)  # few folders, many images: what can be is done by folder
    for n, name in enumerate(listing.names):
        inside[name.rpartition("/")[0]].append(n)
    skip = _wrapper(listing)
    paths = {folder: tuple(readable(folder).split("/")[skip:]) if folder else () for folder in inside}
    parts = _parts(listing, set(paths.values()))
    head = 0 if parts is None else 1
    labelled = {f: path for f, path in paths.items() if len(path) > head and (parts is None or path[0] in parts)}
    classes = sorted({path[head] for path in labelled.values()}, key=natural)
    if len(classes) < 2:
        raise _too_few(listing, classes)
    number_of = {name: number for number, name in enumerate(classes)}
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for folder, path in labelled.items():
        rows[0 if parts is None else parts[path[0]], number_of[path[head]]] += inside[folder]
    keys = sorted(rows)
    part, y = (np.repeat(np.array(column), [len(rows[key]) for key in keys]) for column in zip(*keys, strict=True))
    others = [(path, inside[folder]) for folder, path in paths.items() if folder not in labelled]
    findings = [
        *_left_out(listing, others, parts),
        *_empty(listing, skip, head, parts, classes),
        *_one_sided(classes, y, part),
        *_deeper([listing.names[n] for f, path in labelled.items() if len(path) > head + 1 for n in inside[f]]),
    ]
    numbers = [n for key in keys for n in sorted(rows[key], key=listing.names.__getitem__)]
    return Found(
        np.array(numbers, np.int64),
        y.astype(np.int64),
        part.astype(np.int8) if part.any() else None,
        tuple(classes),
        tuple(findings),
    )


def _unwrapped(listing: Listing) -> Listing:
    """The listing without a lone folder around everything."""
    for _ in range(_wrapper(listing)):
        cut = listing.names[0].index("/") + 1
        listing.names[:] = [name[cut:] for name in listing.names]
        listing.folders = {name[cut:] for name in listing.folders if len(name) > cut}
    return listing


def _wrapper(listing: Listing) -> int:
    """How many folders lie around all images, class folders not counted."""
    first = listing.names[0].split("/") if listing.names else []
    depth = max((name.count("/") for name in listing.names), default=0)
    count = 0
    while count + 2 <= depth and count + 1 < len(first):
        prefix = "/".join(first[: count + 1]) + "/"
        siblings = {f.split("/")[count] for f in listing.folders if f.count("/") == count}
        if len(siblings) > 1 or not all(name.startswith(prefix) for name in listing.names):
            break
        count += 1
    return count


def _parts(listing: Listing, paths: Iterable[tuple[str, ...]]) -> Mapping[str, int] | None:
    """The folders that are parts, or None where the upper folders are classes."""
    upper = sorted({path[0] for path in paths if path})
    named = {folder: part for folder in upper if (part := part_of(folder)) is not None}
    nested = [folder for folder in named if any(len(path) > 1 and path[0] == folder for path in paths)]
    others = [folder for folder in upper if folder not in named]
    if not nested and not others and len(named) > 1:
        raise DataError(
            f"the images in {listing.path} lie in {', '.join(named)} without class folders",
            "put the images of each class into a folder, or list files and labels in a CSV and give that as data",
        )
    if not nested:
        return None
    if others and len(named) == 1:
        raise DataError(
            f"{listing.path} holds {nested[0]}/ with folders in it, and {others[0]}/: are these parts or classes?",
            f"give the folder {nested[0]} itself as data, or put every class into train/ and test/",
        )
    for part, name in enumerate(PARTS):
        same = [folder for folder, number in named.items() if number == part]
        if len(same) > 1:
            raise DataError(
                f"{listing.path} holds {' and '.join(same)}, which both mean the {name} part", "keep one of them"
            )
    if 0 not in named.values():
        raise DataError(f"{listing.path} holds {', '.join(named)}, but no folder of training images", "name it train")
    return named


def _too_few(listing: Listing, classes: Sequence[str]) -> DataError:
    remedy = "put the images of each class into a folder, or list files and labels in a CSV and give that as data"
    if not classes:
        return DataError(f"{listing.path} holds {len(listing.names)} images, but no class folders", remedy)
    return DataError(f"{listing.path} holds images of one class only: {classes[0]}", remedy)


def _left_out(
    listing: Listing, paths: Iterable[tuple[tuple[str, ...], Sequence[int]]], parts: Mapping[str, int] | None
) -> Iterable[Finding]:
    """What was not taken: images without a class, folders beside the parts, other files, links."""
    beside: Counter[str] = Counter()
    loose = []
    for path, numbers in paths:
        if path and parts is not None and path[0] not in parts:
            beside[path[0]] += len(numbers)
        else:
            loose += [listing.names[n] for n in numbers]
    if loose:
        yield finding(
            "images-without-class",
            "warning",
            loose,
            "images lie in no class folder and were left out",
            "put them into the folders of their classes",
        )
    if beside:
        yield Finding(
            "folders-left-out",
            "warning",
            {"images": beside.total(), "folders": sorted(beside)},
            f"folders lie beside those of the parts and were left out: {', '.join(sorted(beside)[:NAMED])}",
            "move their images into the class folders of a part, if they belong to the data",
        )
    if listing.others:
        yield finding(
            "files-left-out",
            "note",
            listing.others,
            "files are no images by their names and were left out",
            "rename them, if they are images",
        )
    if listing.links:
        yield finding(
            "links-left-out",
            "note",
            listing.links,
            "links lead to folders that were read already",
            "remove the links",
        )


def _empty(
    listing: Listing, skip: int, head: int, parts: Mapping[str, int] | None, classes: Sequence[str]
) -> Iterable[Finding]:
    """Class folders without an image."""
    inside = (readable(folder).split("/")[skip:] for folder in listing.folders)
    named = {path[head] for path in inside if len(path) == head + 1 and (parts is None or path[0] in parts)}
    empty = sorted(named - set(classes), key=natural)
    if empty:
        yield finding(
            "empty-class-folders",
            "warning",
            empty,
            "class folders hold no images and are no classes",
            "put images into them, or remove them",
        )


def _one_sided(classes: Sequence[str], y: np.ndarray, part: np.ndarray) -> Iterable[Finding]:
    """Classes that the training part lacks, or that only it has."""
    counts = np.stack([np.bincount(y[part == p], minlength=len(classes)) for p in range(3)])
    unseen = [name for name, n in zip(classes, counts[0], strict=True) if not n]
    if unseen:
        yield finding(
            "classes-not-in-training",
            "warning",
            unseen,
            "classes have no training images, so none can be learned",
            "give training images of them, or remove their folders; is a folder's name misspelt?",
        )
    for p in (1, 2):
        missing = [name for name, n in zip(classes, counts[p], strict=True) if not n]
        if missing and counts[p].any():
            yield finding(
                "classes-not-scored",
                "note",
                missing,
                f"classes have no images in the {PARTS[p]} part",
                "the scores say nothing about them",
            )


def _deeper(deep: Sequence[str]) -> Iterable[Finding]:
    if deep:
        yield finding(
            "deeper-folders",
            "note",
            deep,
            "images lie in folders within class folders; the upper ones are classes",
            "give a folder further down as data, if those are the classes",
        )


def finding(check: str, severity: str, names: Sequence[str], cause: str, remedy: str) -> Finding:
    """A finding about things with names: their number, and the first of them."""
    first = [readable(name) for name in names[:NAMED]]
    more = ", ..." if len(names) > NAMED else ""
    return Finding(
        check,
        severity,  # type: ignore[arg-type]  # one of the three words
        {"count": len(names), "first": first},
        f"{len(names)} {cause}: {', '.join(first)}{more}",
        remedy,
    )
