"""Samples that a person corrected, kept for the next training: class folders of images, or a table."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.types import Spec
from yisheng.data.images import decode
from yisheng.serving import json_rows

FOLDER, TABLE = "corrections", "rows.csv"
SIDE = 1024
"""Longest side of an image that is kept, in pixels."""
TEXT = 1000
"""Most characters of a value that is kept."""


class Kept(NamedTuple):
    """Where a correction is, and how many there are with it."""

    path: Path
    total: int


class Corrections:
    """The corrections of a run, in ``RUN/corrections``; ``yisheng train data=RUN/corrections`` learns from images.

    Args:
        folder: the run.
        spec: its contract.
        most: samples that are kept.
    """

    def __init__(self, folder: Path, spec: Spec, most: int) -> None:
        self.folder = folder / FOLDER
        self.spec = spec
        self.most = most
        self.lock = threading.Lock()
        self.folders = class_folders(spec.classes)
        self.count = self._counted()

    def image(self, content: bytes, label: Any) -> Kept:
        """Keep an image, written anew as PNG; whoever calls it takes `decode.quiet` around it.

        Args:
            content: an image file's bytes.
            label: its class.

        Returns:
            Where it is, and how many there are: one image is kept once, and the last word on it counts.

        Raises:
            DataError: it is no image.
            UsageError: there is no such class, or too much is kept already.
            StorageError: it cannot be written.
        """
        if not self.spec.is_image:
            raise UsageError("the model takes rows, got an image", "send the row")
        name = self._label(label)
        image = Image.fromarray(decode.decode(content, "the image"))
        image.thumbnail((SIDE, SIDE))
        written = io.BytesIO()
        image.save(written, "PNG")
        png = written.getvalue()
        file = hashlib.sha256(png).hexdigest()[:32] + ".png"
        with self.lock:
            old = [path for one in self.folders.values() if (path := self.folder / one / file).exists()]
            if not old:
                self._require_kind()
            path = self.folder / self.folders[name] / file
            _make(path.parent)
            files.write(path, png)
            for other in old:
                if other != path:
                    other.unlink(missing_ok=True)
            self.count += not old
            return Kept(path, self.count)

    def row(self, row: Any, label: Any) -> Kept:
        """Keep a row in a table with the columns of training and the target's.

        Args:
            row: as `json_rows.read` takes them.
            label: its class, or the right value.

        Raises:
            DataError: the row does not fit the columns.
            UsageError: there is no such class, the value is no number, or too much is kept already.
            StorageError: it cannot be written.
        """
        if self.spec.is_image:
            raise UsageError("the model takes images, got a row", "send the image")
        target = self._label(label)
        json_rows.read([row], self.spec)
        texts = json_rows.texts(row, self.spec)
        bad = [text for text in texts if len(text) > TEXT or not text.isprintable()]
        if bad:
            raise DataError(f"{bad[0][:40]!r} cannot be kept in a table", "send short text in one line")
        path = self.folder / TABLE
        with self.lock:
            self._require_kind()
            _make(path.parent)
            names = json_rows.names(self.spec) or [f"x{n + 1}" for n in range(len(texts))]
            _append(path, [*names, self.spec.target], [*texts, target])
            self.count += 1
            return Kept(path, self.count)

    def _label(self, label: Any) -> str:
        """The class as it is called, or the value as text."""
        if self.spec.task == "classification":
            if not isinstance(label, str) or label not in self.spec.classes:
                raise UsageError(f"there is no class {str(label)[:60]!r}", closest(str(label)[:60], self.spec.classes))
            return label
        if self.spec.task == "multilabel" or self.spec.outputs > 1 or self.spec.is_image:
            raise UsageError(
                f"corrections are kept for one class, or one number of a row; this model gives {self.spec.task}",
                "keep the sample in a file of your own",
            )
        if isinstance(label, bool) or not isinstance(label, int | float) or not abs(label) < 1e300:
            raise UsageError("the right value must be a finite number", 'send {"label": 1.5}')
        return json_rows.text(label)

    def _require_kind(self) -> None:
        if self.count >= self.most:
            raise UsageError(f"{self.most:,} corrections are kept already", f"train on them, and empty {self.folder}")

    def _counted(self) -> int:
        images = sum(1 for _ in self.folder.glob("*/*.png"))
        try:
            with (self.folder / TABLE).open("rb") as table:
                return images + sum(1 for _ in table) - 1
        except FileNotFoundError:
            return images
        except OSError as error:
            raise files.storage_error(error, self.folder) from None


def class_folders(classes: Sequence[str]) -> dict[str, str]:
    """A folder's name for each class: what no folder may be called is replaced, and no two are alike.

    >>> class_folders(["T-shirt/top", "..", "a", "A"])
    {'T-shirt/top': 'T-shirt-top', '..': 'class', 'a': 'a', 'A': 'A 2'}
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in classes:
        plain = re.sub(r"[^\w ()+,.&'=-]+", "-", name)[:80].strip(" .") or "class"
        if re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain, re.IGNORECASE):
            plain = f"{plain}-"
        folder, number = plain, 1
        while folder.casefold() in taken:
            number += 1
            folder = f"{plain} {number}"
        taken.add(folder.casefold())
        found[name] = folder
    return found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.storage_error(error, folder) from None


def _append(path: Path, header: Sequence[str], line: Sequence[str]) -> None:
    """Add a line to a table, or leave it as it was; a new one begins with the header."""
    try:
        old = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise files.storage_error(error, path) from None
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([line] if old else [header, line])
    files.write(path, old + text.getvalue().encode())
