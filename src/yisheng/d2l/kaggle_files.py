"""Image files of a Kaggle competition, copied into one folder for each class."""

from __future__ import annotations

import math
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from yisheng.core.errors import DataError, UsageError
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path

SORTED_FOLDER = "train_valid_test"


def read_csv_labels(fname: str | os.PathLike[str]) -> dict[str, str]:
    """Return the labels of images by name, from a CSV file with a header and the columns name and label.

    Args:
        fname: the file.

    Raises:
        DataError: it cannot be read, or a row does not have two columns.

    Yisheng's own: ``yisheng.train(data="labels.csv")``.
    """
    path = parse_path(fname, "fname")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()[1:]
    except FileNotFoundError:
        raise DataError(
            Message("{path} does not exist (the present folder is {folder})", path=path, folder=Path.cwd()),
            Message("check the path; d2l.download_extract returns the folder that it extracted"),
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            Message("{path} cannot be read: {error}", path=path, error=error), Message("give a CSV file in UTF-8")
        ) from None
    rows = [line.rstrip().split(",") for line in lines if line.strip()]
    for number, row in enumerate(rows, start=2):
        if len(row) != 2:
            raise DataError(
                Message(
                    "{path} has {count} columns in line {number}, expected 2", path=path, count=len(row), number=number
                ),
                Message("give name and label only"),
            )
    return dict(rows)


def copyfile(filename: str | os.PathLike[str], target_dir: str | os.PathLike[str]) -> None:
    """Copy a file into a folder, which is created if necessary.

    Args:
        filename: the file.
        target_dir: the folder.

    Raises:
        DataError: the file cannot be read.
        StorageError: the folder cannot be written to.
    """
    source, folder = parse_path(filename, "filename"), parse_path(target_dir, "target_dir")
    if not source.is_file():
        raise DataError(
            Message("{source} is not a file (the present folder is {folder})", source=source, folder=Path.cwd()),
            Message("check the path"),
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder)
    except OSError as error:
        raise explain_write_error(error, folder) from None


def reorg_train_valid(data_dir: str | os.PathLike[str], labels: Mapping[str, str], valid_ratio: float) -> int:
    """Copy the images of ``train`` into class folders for training and validation.

    The images go into ``train_valid_test/train_valid``, and each also into ``valid`` or ``train``: the first ones of
    each class, in the order of their names, into ``valid``.

    Args:
        data_dir: folder with the images in ``train``.
        labels: label of each image by its name without the ending, as `read_csv_labels` returns them.
        valid_ratio: fraction of the images of the rarest class that each class gives to ``valid``; one at least.

    Returns:
        The number of images that each class gives to ``valid``.

    Raises:
        DataError: the folder is missing, or an image has no label.
        UsageError: the fraction is not between 0 and 1, or there are no labels.

    Yisheng's own: ``yisheng.train(data="labels.csv", validation=0.1)``.
    """
    if not labels or not 0 <= valid_ratio <= 1:
        raise UsageError(
            Message(
                "reorg_train_valid requires labels and a fraction from 0 to 1, got {count} labels and {valid_ratio}",
                count=len(labels),
                valid_ratio=valid_ratio,
            ),
            Message("give labels=read_csv_labels(...) and valid_ratio=0.1"),
        )
    folder = parse_path(data_dir, "data_dir")
    valid_count = max(1, math.floor(min(Counter(labels.values()).values()) * valid_ratio))
    copied: Counter[str] = Counter()
    for image in _list_images(folder / "train"):
        label = labels.get(image.name.partition(".")[0])
        if label is None:
            raise DataError(
                Message("{image} has no label", image=image), Message("give the labels of this folder's images")
            )
        part = "valid" if copied[label] < valid_count else "train"
        copied[label] += 1
        copyfile(image, folder / SORTED_FOLDER / "train_valid" / label)
        copyfile(image, folder / SORTED_FOLDER / part / label)
    return valid_count


def reorg_test(data_dir: str | os.PathLike[str]) -> None:
    """Copy the images of ``test`` into the only class folder of ``train_valid_test/test``: ``unknown``.

    Args:
        data_dir: folder with the images in ``test``.

    Raises:
        DataError: the folder is missing.
    """
    folder = parse_path(data_dir, "data_dir")
    for image in _list_images(folder / "test"):
        copyfile(image, folder / SORTED_FOLDER / "test" / "unknown")


def _list_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            Message(
                "the folder {folder} does not exist (the present folder is {present_folder})",
                folder=folder,
                present_folder=Path.cwd(),
            ),
            Message("give the folder that holds train and test; d2l.download_extract returns it"),
        )
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
