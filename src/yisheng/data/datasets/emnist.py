"""Handwritten letters and digits, 28x28."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.image_values import Drawing
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec

ARCHIVE, ARCHIVE_FOLDER = "gzip.zip", "gzip"


@register
def emnist(*, split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = "balanced") -> Dataset:
    """Load handwritten letters and digits, gray images 28x28; each of six splits has an official test part.

    - balanced: 131,600 in 47 classes of the same size: digits, capitals, and the small letters that look different.
    - letters: 145,600 in 26 classes, capital and small together. digits: 280,000 in ten. mnist: 70,000 in ten.
    - byclass: 814,255 in 62 classes, of very different sizes. bymerge: the same in 47.

    Args:
        split: which of the six.

    Raises:
        DataError: the archive cannot be downloaded, or is not EMNIST's.

    Source: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters, arXiv
    1702.05373 (2017).
    """
    from yisheng.data import hub
    from yisheng.data.datasets._catalog_facts import add_catalog_facts
    from yisheng.data.datasets._idx_dataset import read_pair, stack_parts

    folder = hub.unpack("emnist", ARCHIVE) / ARCHIVE_FOLDER
    first_label, classes = _read_classes(folder / f"emnist-{split}-mapping.txt")

    def read_part(part: str) -> tuple[np.ndarray, np.ndarray]:
        stem = f"emnist-{split}-{part}"
        images, labels = folder / f"{stem}-images-idx3-ubyte.gz", folder / f"{stem}-labels-idx1-ubyte.gz"
        x, y = read_pair(images, labels, len(classes), first_label=first_label)
        return x.swapaxes(1, 2), y  # the images are stored column by column, unlike MNIST's

    x, y, part = stack_parts("emnist", read_part("train"), read_part("test"))
    spec = Spec("classification", x.shape[1:], classes=classes, target="character", drawing=Drawing(box=24))
    return add_catalog_facts(Dataset("emnist", spec, np.ascontiguousarray(x), y, part))


def _read_classes(path: Path) -> tuple[int, tuple[str, ...]]:
    """Return the first label, and the character of each label.

    A line of the file has a label and the codes of its characters.

    Raises:
        DataError: the file has another format.
    """
    remedy = Message("download the set again")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(Message("{path} cannot be read: {error}", path=path, error=error), remedy) from None
    labels, characters = [], []
    for line in filter(str.strip, lines):
        if not re.fullmatch(r"\s*[0-9]{1,3}(\s+[0-9]{2,3})+\s*", line):
            raise DataError(
                Message(
                    "{path}: a line must have a label and codes of characters, got {line}",
                    path=path,
                    line=f"{line[:80]!r}",
                ),
                remedy,
            )
        label, code, *_ = map(int, line.split())
        labels.append(label)
        characters.append(chr(code))
    if len(labels) < 2 or labels != list(range(labels[0], labels[0] + len(labels))):
        raise DataError(
            Message("{path} does not number its {count} classes one after the other", path=path, count=len(labels)),
            remedy,
        )
    return labels[0], tuple(characters)
