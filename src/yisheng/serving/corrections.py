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
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.types import Spec
from yisheng.data.images import decode
from yisheng.serving.json_rows import column_names, format_row, format_value, parse_json_rows
from yisheng.serving.json_tensors import takes_tensors

FOLDER, TABLE = "corrections", "rows.csv"
MAX_IMAGE_SIDE = 1024
"""Longest side of an image that is kept, in pixels; larger images are scaled down."""
MAX_VALUE_LENGTH = 1000
"""Characters of a value in a row that is kept."""
MAX_LABEL_MAGNITUDE = 1e300
MAX_QUOTED_CHARACTERS = 60
MAX_FOLDER_NAME_LENGTH = 80
WINDOWS_DEVICE_NAMES = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"


class SavedCorrection(NamedTuple):
    """Where a correction was written, and the number of corrections with it."""

    path: Path
    total: int


class Corrections:
    """The corrections of a run, in ``RUN/corrections``; ``yisheng train data=RUN/corrections`` trains on images.

    Args:
        folder: the run.
        spec: its contract.
        limit: number of samples that are kept.
        max_bytes: of all samples together.
    """

    def __init__(self, folder: Path, spec: Spec, limit: int, max_bytes: int) -> None:
        self.folder = folder / FOLDER
        self._spec = spec
        self._limit, self._max_bytes = limit, max_bytes
        self._lock = threading.Lock()
        self._class_folders = make_class_folders(spec.classes)
        self._count, self._bytes = self._count_samples()

    def save_image(self, content: bytes, label: Any) -> SavedCorrection:
        """Keep an image, encoded as a new PNG; callers wrap it in `decode.silence_pillow`.

        An image is kept once, and its last label counts.

        Args:
            content: an image file's bytes.
            label: its class.

        Raises:
            DataError: the content is not an image.
            UsageError: there is no such class, or the limit is reached.
            StorageError: the file cannot be written.
        """
        if not self._spec.is_image:
            raise UsageError("the model takes rows, got an image", "send the row")
        class_name = self._check_label(label)
        png = _encode_png(decode.decode_image(content, "the image"))
        filename = hashlib.sha256(png).hexdigest()[:32] + ".png"
        with self._lock:
            candidates = [self.folder / folder / filename for folder in self._class_folders.values()]
            earlier = [path for path in candidates if path.exists()]
            if not earlier:
                self._check_limits(1, len(png))
            path = self.folder / self._class_folders[class_name] / filename
            _create_folder(path.parent)
            files.write_file(path, png)
            for duplicate in earlier:
                if duplicate != path:
                    duplicate.unlink(missing_ok=True)
            if not earlier:
                self._count, self._bytes = self._count + 1, self._bytes + len(png)
            return SavedCorrection(path, self._count)

    def save_row(self, row: Any, label: Any) -> SavedCorrection:
        """Keep a row in a table with the columns of training and the target's.

        A row is kept once, and its last label counts.

        Args:
            row: as `parse_json_rows` accepts it.
            label: its class, or the right value.

        Raises:
            DataError: the row does not fit the columns.
            UsageError: there is no such class, the value is not a number, or the limit is reached.
            StorageError: the table cannot be written.
        """
        if self._spec.is_image:
            raise UsageError("the model takes images, got a row", "send the image")
        if takes_tensors(self._spec):
            raise UsageError(
                f"corrections are kept for images and rows; the model takes {self._spec.description}",
                "keep the sample in a file of your own",
            )
        target = self._check_label(label)
        parse_json_rows([row], self._spec)
        texts = format_row(row, self._spec)
        unsuitable = [text for text in texts if len(text) > MAX_VALUE_LENGTH or not text.isprintable()]
        if unsuitable:
            raise DataError(f"{unsuitable[0][:40]!r} cannot be kept in a table", "send short text in one line")
        path = self.folder / TABLE
        names = column_names(self._spec) or [f"x{n + 1}" for n in range(len(texts))]
        with self._lock:
            table = _read_table(path) or _format_line([*names, self._spec.target])
            changed, is_new = _put_row(table, texts, target)
            growth = len(changed) - (len(table) if path.exists() else 0)
            self._check_limits(int(is_new), growth)
            _create_folder(path.parent)
            files.write_file(path, changed)
            self._count, self._bytes = self._count + is_new, self._bytes + growth
            return SavedCorrection(path, self._count)

    def _check_label(self, label: Any) -> str:
        """Return the name of the class, or the value as text."""
        spec = self._spec
        if spec.task == "classification":
            if not isinstance(label, str) or label not in spec.classes:
                name = str(label)[:MAX_QUOTED_CHARACTERS]
                raise UsageError(f"there is no class {name!r}", suggest(name, spec.classes))
            return label
        if spec.task == "multilabel" or spec.outputs > 1 or spec.is_image:
            raise UsageError(
                f"corrections are kept for a class, or for one number of a row; this model is for {spec.task}",
                "keep the sample in a file of your own",
            )
        is_number = isinstance(label, int | float) and not isinstance(label, bool)
        if not is_number or not abs(label) < MAX_LABEL_MAGNITUDE:
            raise UsageError("the right value must be a finite number", 'send it as in {"label": 1.5}')
        return format_value(label)

    def _check_limits(self, samples: int, size: int) -> None:
        """Refuse further samples, or bytes, beyond the limits."""
        remedy = f"train on them, and empty {self.folder}"
        if samples and self._count + samples > self._limit:
            raise UsageError(f"{self._limit:,} corrections are kept already", remedy)
        if self._bytes + size > self._max_bytes:
            raise UsageError(f"the corrections have {self._max_bytes >> 20:,} MiB already", remedy)

    def _count_samples(self) -> tuple[int, int]:
        """Return number and bytes of the samples that are kept."""
        try:
            sizes = [path.stat().st_size for path in self.folder.glob("*/*.png")]
        except OSError as error:
            raise files.explain_write_error(error, self.folder) from None
        table = _read_table(self.folder / TABLE)
        return len(sizes) + max(0, len(table.splitlines()) - 1), sum(sizes) + len(table)


def make_class_folders(classes: Sequence[str]) -> dict[str, str]:
    """Return a folder name for each class, distinct on every file system.

    Characters that are not allowed in a folder name are replaced.

    >>> make_class_folders(["T-shirt/top", "..", "a", "A"])
    {'T-shirt/top': 'T-shirt-top', '..': 'class', 'a': 'a', 'A': 'A 2'}
    """
    folders: dict[str, str] = {}
    used: set[str] = set()
    for name in classes:
        allowed = re.sub(r"[^\w ()+,.&'=-]+", "-", name)[:MAX_FOLDER_NAME_LENGTH].strip(" .") or "class"
        if re.fullmatch(WINDOWS_DEVICE_NAMES, allowed, re.IGNORECASE):
            allowed = f"{allowed}-"
        folder, number = allowed, 1
        while folder.casefold() in used:
            number += 1
            folder = f"{allowed} {number}"
        used.add(folder.casefold())
        folders[name] = folder
    return folders


def _encode_png(pixels: Any) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_IMAGE_SIDE, MAX_IMAGE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.explain_write_error(error, folder) from None


def _read_table(path: Path) -> bytes:
    """Return the bytes of a table, none if it does not exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise files.explain_write_error(error, path) from None


def _put_row(table: bytes, texts: Sequence[str], target: str) -> tuple[bytes, bool]:
    """Return a table with a row at its end, or with the new target of a row that it has; and whether the row is new.

    No value contains a line break, so that a row is a line, and equal rows begin with the same bytes.
    """
    table = table if table.endswith(b"\n") else table + b"\n"  # a person may have edited it
    line = _format_line([*texts, target])
    start = table.find(b"\n" + _format_line([*texts, ""]).removesuffix(b"\n")) + 1
    if not start:
        return table + line, True
    return table[:start] + line + table[table.index(b"\n", start) + 1 :], False


def _format_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
