"""Handwritten letters and digits, 28x28."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.registry import register
from yisheng.core.types import Dataset, Ink, Spec

ARCHIVE, INNER = "gzip.zip", "gzip"


@register
def emnist(*, split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = "balanced") -> Dataset:
    """Handwritten letters and digits, grey images 28x28; an official test part in each of six splits.

    - balanced: 131,600 in 47 classes of the same size: digits, capitals, and the small letters that look different.
    - letters: 145,600 in 26 classes, capital and small together. digits: 280,000 in ten. mnist: 70,000 in ten.
    - byclass: 814,255 in 62 classes, of very different sizes. bymerge: the same in 47.

    Args:
        split: which of the six.

    Raises:
        DataError: the archive is missing and cannot be fetched, or is not EMNIST's.

    Source: Cohen, Afshar, Tapson and van Schaik, EMNIST: an extension of MNIST to handwritten letters, arXiv
    1702.05373 (2017).
    """
    from yisheng.data.datasets._idx_dataset import pair, stacked
    from yisheng.data.hub import catalog, files

    folder = files.unpack("emnist", ARCHIVE) / INNER
    first, classes = _classes(folder / f"emnist-{split}-mapping.txt")

    def both(part: str) -> tuple[np.ndarray, np.ndarray]:
        stem = f"emnist-{split}-{part}"
        images, labels = folder / f"{stem}-images-idx3-ubyte.gz", folder / f"{stem}-labels-idx1-ubyte.gz"
        x, y = pair(images, labels, len(classes), first=first)
        return x.swapaxes(1, 2), y  # the files hold columns where MNIST's hold rows

    x, y, part = stacked("emnist", both("train"), both("test"))
    spec = Spec("classification", x.shape[1:], classes=classes, target="character", ink=Ink(box=24))
    known = catalog.find("emnist")
    x = np.ascontiguousarray(x)
    return Dataset("emnist", spec, x, y, part, about=known.about, source=known.source, licence=known.licence)


def _classes(path: Path) -> tuple[int, tuple[str, ...]]:
    """The first label, and the character of each: a line has the label and the codes of its characters.

    Raises:
        DataError: it is not such a file.
    """
    again = "fetch the set again"
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", again) from None
    found: list[tuple[int, str]] = []
    for line in filter(str.strip, lines):
        if not re.fullmatch(r"\s*[0-9]{1,3}(\s+[0-9]{2,3})+\s*", line):
            raise DataError(f"{path}: a line must have a label and codes of characters, got {line[:80]!r}", again)
        label, code, *_ = map(int, line.split())
        found.append((label, chr(code)))
    first = found[0][0] if found else 0
    if len(found) < 2 or [label for label, _ in found] != list(range(first, first + len(found))):
        raise DataError(f"{path} does not number its {len(found)} classes one after the other", again)
    return first, tuple(character for _, character in found)
