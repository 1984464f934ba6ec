"""Parts and classes of images, from the names of their folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.data.class_names import normalize_name
from yisheng.data.images import folder_files, zip_files
from yisheng.data.images.file_listing import Listing, join_listings
from yisheng.data.images.file_names import NameDecoder, refuse_equal_names
from yisheng.data.images.folder_findings import (
    report_deep_folders,
    report_empty_classes,
    report_left_out,
    report_name_encoding,
    report_unscored_classes,
)
from yisheng.data.images.label_choices import LabelChoices
from yisheng.data.images.label_targets import read_folder_numbers
from yisheng.data.images.part_names import PART_NAMES, part_from_name
from yisheng.data.part_labels import check_part_labels
from yisheng.data.tables.literals import is_code, is_number

_USE_CLASS_FOLDERS = Message(
    "put the images of each class into a folder, or list files and labels in a CSV and give that as data"
)


@dataclass(frozen=True)
class LabeledFiles:
    """Image files with their classes, in the order of parts, classes and names.

    Args:
        file_indices: index of each file in the listing, int64 ``(N,)``.
        y: class of each, int64 ``(N,)``, or its number, float64 ``(N, 1)``.
        part: official part of each, int8 ``(N,)``, or None.
        classes: names of the classes; empty for numbers.
        findings: what was left out or is unusual.
    """

    file_indices: np.ndarray
    y: np.ndarray
    part: np.ndarray | None
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_images(path: Path) -> Listing:
    """List the image files of a folder or a zip; zips of parts in a folder (``train.zip``) count as folders.

    Raises:
        DataError: it cannot be read, or is not safe.
    """
    if path.is_file():
        return zip_files.list_zip(path)
    listing = folder_files.list_folder(path)
    zips = [name for name in listing.other_files if name.lower().endswith(".zip") and "/" not in name]
    zips = [name for name in zips if part_from_name(Path(name).stem) is not None]
    zips = [name for name in zips if Path(name).stem not in listing.folders]
    if not zips:
        return listing
    listing.other_files = [name for name in listing.other_files if name not in zips]
    zip_listings = [(Path(name).stem, _remove_wrappers(zip_files.list_zip(path / name))) for name in zips]
    return join_listings(path, [("", listing), *zip_listings])


def find_targets(listing: Listing, choices: LabelChoices) -> tuple[LabeledFiles, tuple[Column, ...]]:
    """Return images with the classes or the numbers that their folders name, and the column of the numbers, if any.

    Args:
        listing: the files.
        choices: the user's choices about the labels.

    Raises:
        DataError: as `find_classes`; or the folders of a regression are not named by numbers.
    """
    task = choices.task if choices.run is None else choices.run.task
    if task != "regression":
        known_classes = () if choices.run is None else choices.run.classes
        files = find_classes(listing, forms=choices.forms, known_classes=known_classes)
        return replace(files, findings=(*_report_classes(files.classes), *files.findings)), ()
    files = find_classes(listing, are_numbers=True)
    is_training = np.ones(len(files.y), bool) if files.part is None else files.part == 0
    targets = read_folder_numbers(str(listing.path), files.classes, files.y, is_training, choices)
    findings = (*targets.findings, *files.findings)
    return replace(files, y=targets.y, classes=(), findings=findings), targets.columns


def _report_classes(classes: Sequence[str]) -> tuple[Finding, ...]:
    """Return a note if all classes are numbers."""
    if not all(map(is_number, classes)) or any(map(is_code, classes)):
        return ()
    values = np.unique(np.array([float(name) for name in classes]))
    if not np.isfinite(values).all():
        return ()
    return (
        Finding(
            "task",
            "note",
            {"task": "classification", "values": len(values), "low": float(values[0]), "high": float(values[-1])},
            Message(
                "task=classification: the names of the class folders are {count} different numbers, "
                "{lowest} to {highest}; each is a class",
                count=f"{len(values):,}",
                lowest=f"{values[0]:g}",
                highest=f"{values[-1]:g}",
            ),
            Message("to predict them as numbers, use task=regression"),
        ),
    )


def find_classes(
    listing: Listing, *, forms: Sequence[str] = (), known_classes: Sequence[str] = (), are_numbers: bool = False
) -> LabeledFiles:
    """Find the parts and classes of images.

    Class folders may be at the top, or in folders of parts; a single folder around all of them is ignored. Images
    further down belong to the class folder above them.

    Args:
        listing: the files.
        forms: forms of the class names; see `yisheng.data.class_names`.
        known_classes: further classes, of a model that is evaluated on the images; without them two or more are needed.
        are_numbers: whether the names of the folders are numbers, so that there may be one only, and parts may differ.

    Raises:
        DataError: there are no images, no class folders, only one, or their meaning is ambiguous; or no class of a
            test or validation folder is one of the training folder.
    """
    if not listing.names:
        problem = Message("{path} holds no images", path=listing.path)
        if listing.other_files:
            count = len(listing.other_files)
            problem = Message("{path} holds no images; there are {count} other files", path=listing.path, count=count)
        raise DataError(
            problem,
            Message("put the images of each class into a folder"),
        )
    images: dict[str, list[int]] = defaultdict(list)  # by folder: there are far fewer folders than images
    for index, name in enumerate(listing.names):
        images[name.rpartition("/")[0]].append(index)
    wrappers = _count_wrappers(listing)
    decoder = NameDecoder.from_names(listing.folders)
    refuse_equal_names(str(listing.path), listing.folders, decoder)
    paths = {folder: tuple(decoder.decode(folder).split("/")[wrappers:]) if folder else () for folder in images}
    parts = _find_parts(listing, set(paths.values()))
    level = 0 if parts is None else 1  # depth of the class folders
    labeled = {f: path for f, path in paths.items() if len(path) > level and (parts is None or path[0] in parts)}
    class_of = {folder: normalize_name(path[level], forms) for folder, path in labeled.items()}
    classes = sorted({*class_of.values(), *known_classes}, key=natural_key)
    if len(classes) < 1 + (not are_numbers):
        _raise_too_few(listing, classes)
    number_of = {name: number for number, name in enumerate(classes)}
    files: dict[tuple[int, int], list[int]] = defaultdict(list)
    for folder, path in labeled.items():
        files[0 if parts is None else parts[path[0]], number_of[class_of[folder]]] += images[folder]
    keys = sorted(files)
    part, y = (np.repeat(np.array(column), [len(files[key]) for key in keys]) for column in zip(*keys, strict=True))
    unlabeled = [(path, images[folder]) for folder, path in paths.items() if folder not in labeled]
    deep = [listing.names[i] for f, path in labeled.items() if len(path) > level + 1 for i in images[f]]
    findings = [
        *report_name_encoding(classes, decoder.encoding),
        *report_left_out(listing, unlabeled, parts),
        *report_empty_classes(_list_class_folders(listing, wrappers, level, parts, forms), classes),
        *(() if are_numbers else check_part_labels(str(listing.path), classes, y, part if part.any() else None)),
        *(() if are_numbers else report_unscored_classes(classes, y, part)),
        *report_deep_folders(deep),
    ]
    indices = [index for key in keys for index in sorted(files[key], key=listing.names.__getitem__)]
    return LabeledFiles(
        np.array(indices, np.int64),
        y.astype(np.int64),
        part.astype(np.int8) if part.any() else None,
        tuple(classes),
        tuple(findings),
    )


def _remove_wrappers(listing: Listing) -> Listing:
    """Return the listing without the single folders around everything."""
    for _ in range(_count_wrappers(listing)):
        cut = listing.names[0].index("/") + 1
        listing.names[:] = [name[cut:] for name in listing.names]
        listing.folders = {name[cut:] for name in listing.folders if len(name) > cut}
    return listing


def _count_wrappers(listing: Listing) -> int:
    """Return the number of nested folders around all images, class folders not counted."""
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


def _find_parts(listing: Listing, paths: Iterable[tuple[str, ...]]) -> Mapping[str, int] | None:
    """Return the part of each folder that is one, or None if the upper folders are classes."""
    upper = sorted({path[0] for path in paths if path})
    parts = {folder: part for folder in upper if (part := part_from_name(folder)) is not None}
    nested = [folder for folder in parts if any(len(path) > 1 and path[0] == folder for path in paths)]
    class_folders = [folder for folder in upper if folder not in parts]
    if not nested and not class_folders and len(parts) > 1:
        raise DataError(
            Message(
                "the images in {path} are in {parts} without class folders", path=listing.path, parts=", ".join(parts)
            ),
            _USE_CLASS_FOLDERS,
        )
    if not nested:
        return None
    if class_folders and len(parts) == 1:
        raise DataError(
            Message(
                "{path} holds {part_folder}/ with folders in it, and {class_folder}/: are these parts or classes?",
                path=listing.path,
                part_folder=nested[0],
                class_folder=class_folders[0],
            ),
            Message(
                "give the folder {part_folder} itself as data, or put every class into train/ and test/",
                part_folder=nested[0],
            ),
        )
    for part, name in enumerate(PART_NAMES):
        folders = [folder for folder, number in parts.items() if number == part]
        if len(folders) > 1:
            raise DataError(
                Message(
                    "{path} holds {folders}, which both mean the {part} part",
                    path=listing.path,
                    folders=" and ".join(folders),
                    part=name,
                ),
                Message("keep one of them"),
            )
    if 0 not in parts.values():
        raise DataError(
            Message(
                "{path} holds {parts}, but no folder of training images", path=listing.path, parts=", ".join(parts)
            ),
            Message("name it train"),
        )
    return parts


def _raise_too_few(listing: Listing, classes: Sequence[str]) -> NoReturn:
    if classes:
        raise DataError(
            Message("{path} holds images of one class only: {class_name}", path=listing.path, class_name=classes[0]),
            _USE_CLASS_FOLDERS,
        )
    raise DataError(
        Message("{path} holds {count} images, but no class folders", path=listing.path, count=len(listing.names)),
        _USE_CLASS_FOLDERS,
    )


def _list_class_folders(
    listing: Listing, wrappers: int, level: int, parts: Mapping[str, int] | None, forms: Sequence[str]
) -> list[str]:
    """Return the names of all class folders, with images or without, sorted."""
    decoder = NameDecoder.from_names(listing.folders)
    paths = (decoder.decode(folder).split("/")[wrappers:] for folder in listing.folders)
    names = {
        normalize_name(path[level], forms)
        for path in paths
        if len(path) == level + 1 and (parts is None or path[0] in parts)
    }
    return sorted(names, key=natural_key)
