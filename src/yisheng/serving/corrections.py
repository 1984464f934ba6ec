"""Samples that a person corrected, kept for the next training: class folders of images, a list of them, or a table."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yisheng.core import files
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.remote.sessions import name_address
from yisheng.core.spec import Spec
from yisheng.serving.correction_bodies import Correction
from yisheng.serving.json_rows import column_names, format_value

FOLDER, TABLE = "corrections", "rows.csv"
IMAGE_FOLDER, IMAGE_LIST = "images", "images.csv"
"""Images with numbers: their folder, and the list of their files and numbers."""
PNG_SIGNATURE = b"\x89PNG"
MAX_LABEL_MAGNITUDE = 1e300
MAX_QUOTED_CHARACTERS = 60
MAX_FOLDER_NAME_LENGTH = 80
WINDOWS_DEVICE_NAMES = r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?"


class SavedCorrection(NamedTuple):
    """Where a correction was written, and the number of corrections with it."""

    path: Path
    total: int


class Corrections:
    """The corrections of a run, in ``RUN/corrections``.

    ``yisheng train data=RUN/corrections`` trains on images of classes, ``data=RUN/corrections/images.csv`` on images
    with numbers.

    Args:
        folder: the run.
        spec: its contract.
        limit: number of samples that are kept.
        max_bytes: of all samples together.
        is_shared: whether other processes keep samples there, too.
    """

    def __init__(self, folder: Path, spec: Spec, limit: int, max_bytes: int, *, is_shared: bool = False) -> None:
        self.folder = folder / FOLDER
        self._spec = spec
        self._limit, self._max_bytes = limit, max_bytes
        self._lock, self._is_shared = threading.Lock(), is_shared
        address = name_address(folder)
        self._address = None if address == str(folder) else address
        self._class_folders = make_class_folders(spec.classes)
        self._count, self._bytes = self._count_samples()

    def save(self, correction: Correction) -> SavedCorrection:
        """Keep a sample once; its last label counts.

        Raises:
            UsageError: there is no such class, the value is not a number, a limit is reached, or the run is at an
                address.
            StorageError: the sample cannot be written.
        """
        if self._address is not None:
            raise UsageError(
                Message(
                    "corrections are not kept for {address}: the next copy that is fetched would replace them",
                    address=self._address,
                ),
                Message("copy the run to a local folder, and serve it from there"),
            )
        targets = self._check_label(correction.label)
        with self._lock, self._lock_folder():
            if self._is_shared:
                self._count, self._bytes = self._count_samples()
            if not self._spec.is_image:
                return self._save_row(correction.texts, targets)
            if self._spec.task == "classification":
                return self._save_image(correction.image, targets[0])
            return self._save_listed_image(correction.image, targets)

    @contextlib.contextmanager
    def _lock_folder(self) -> Iterator[None]:
        """Keep other processes out, if there are any."""
        if not self._is_shared:
            yield
            return
        import fcntl  # not on Windows, which has one process

        _create_folder(self.folder)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # of the folder itself: a lock file would be among the samples
            yield
        finally:
            os.close(descriptor)

    def _save_image(self, content: bytes, class_name: str) -> SavedCorrection:
        """Keep an image in the folder of its class."""
        filename = _name_image(content)
        candidates = [self.folder / folder / filename for folder in self._class_folders.values()]
        earlier = [path for path in candidates if path.exists()]
        if not earlier:
            self._check_limits(1, len(content))
        path = self.folder / self._class_folders[class_name] / filename
        _create_folder(path.parent)
        files.write_file(path, content)
        for duplicate in earlier:
            if duplicate != path:
                duplicate.unlink(missing_ok=True)
        if not earlier:
            self._count, self._bytes = self._count + 1, self._bytes + len(content)
        return SavedCorrection(path, self._count)

    def _save_listed_image(self, content: bytes, targets: Sequence[str]) -> SavedCorrection:
        """Keep an image, and its numbers in a list."""
        path = self.folder / IMAGE_FOLDER / _name_image(content)
        size = 0 if path.exists() else len(content)
        header = ["file", *self._spec.target_names]
        self._put_row(IMAGE_LIST, header, [f"{IMAGE_FOLDER}/{path.name}"], targets, size)
        _create_folder(path.parent)
        files.write_file(path, content)
        self._bytes += size
        return SavedCorrection(path, self._count)

    def _save_row(self, texts: Sequence[str], targets: Sequence[str]) -> SavedCorrection:
        """Keep a row in a table with the columns of training and the targets."""
        names = column_names(self._spec) or [f"x{n + 1}" for n in range(len(texts))]
        path = self._put_row(TABLE, [*names, *self._spec.target_names], texts, targets)
        return SavedCorrection(path, self._count)

    def _put_row(
        self, filename: str, header: Sequence[str], texts: Sequence[str], targets: Sequence[str], extra_bytes: int = 0
    ) -> Path:
        """Write a row with its targets to a table; ``extra_bytes`` is what is written besides."""
        path = self.folder / filename
        table = _read_table(path) or _format_line(header)
        changed, is_new = _put_row(table, texts, targets)
        growth = len(changed) - (len(table) if path.exists() else 0)
        self._check_limits(int(is_new), growth + extra_bytes)
        _create_folder(path.parent)
        files.write_file(path, changed)
        self._count, self._bytes = self._count + is_new, self._bytes + growth
        return path

    def _check_label(self, label: Any) -> list[str]:
        """Return the name of the class, or the value of each target as text."""
        spec = self._spec
        if spec.task == "classification":
            if not isinstance(label, str) or label not in spec.classes:
                name = str(label)[:MAX_QUOTED_CHARACTERS]
                raise UsageError(Message("there is no class {name}", name=f"{name!r}"), suggest(name, spec.classes))
            return [label]
        if spec.task == "multilabel":
            raise UsageError(
                Message("corrections are kept for a class or for numbers; this model is for several labels"),
                Message("keep the sample in a file of your own"),
            )
        values, names = [label], spec.target_names
        if len(names) > 1:
            if not isinstance(label, dict) or set(label) != set(names):
                raise UsageError(
                    Message("the right values must be an object of {names}", names=", ".join(names)),
                    Message('send them as in {{"{names}": 1.5, ...}}', names=names[0]),
                )
            values = [label[name] for name in names]
        for value in values:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not abs(value) < MAX_LABEL_MAGNITUDE:
                raise UsageError(
                    Message("the right value must be a finite number"), Message('send it as in {"label": 1.5}')
                )
        return list(map(format_value, values))

    def _check_limits(self, samples: int, size: int) -> None:
        """Refuse further samples, or bytes, beyond the limits."""
        remedy = Message("train on them, and empty {folder}", folder=self.folder)
        if samples and self._count + samples > self._limit:
            raise UsageError(Message("{limit} corrections are kept already", limit=f"{self._limit:,}"), remedy)
        if self._bytes + size > self._max_bytes:
            raise UsageError(
                Message("the corrections have {max_bytes} MiB already", max_bytes=f"{self._max_bytes >> 20:,}"), remedy
            )

    def _count_samples(self) -> tuple[int, int]:
        """Return number and bytes of the samples that are kept."""
        try:
            sizes = [path.stat().st_size for path in self.folder.glob("*/*") if path.suffix in (".png", ".tif")]
        except OSError as error:
            raise files.explain_write_error(error, self.folder) from None
        table, image_list = _read_table(self.folder / TABLE), _read_table(self.folder / IMAGE_LIST)
        listed = image_list if self._spec.task == "regression" else b""  # the images of classes are not listed
        count = max(0, len(listed.splitlines()) - 1) if listed else len(sizes)
        return count + max(0, len(table.splitlines()) - 1), sum(sizes) + len(table) + len(listed)


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


def _name_image(content: bytes) -> str:
    """Return a file name by the content, so that an image is kept once."""
    return hashlib.sha256(content).hexdigest()[:32] + (".png" if content.startswith(PNG_SIGNATURE) else ".tif")


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


def _put_row(table: bytes, texts: Sequence[str], targets: Sequence[str]) -> tuple[bytes, bool]:
    """Return a table with a row at its end, or with the new targets of a row that it has; and whether the row is new.

    No value contains a line break, so that a row is a line, and equal rows begin with the same bytes.
    """
    table = table if table.endswith(b"\n") else table + b"\n"  # a person may have edited it
    line = _format_line([*texts, *targets])
    start = table.find(b"\n" + _format_line([*texts, ""]).removesuffix(b"\n")) + 1
    if not start:
        return table + line, True
    return table[:start] + line + table[table.index(b"\n", start) + 1 :], False


def _format_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
