"""Folders of plain files: their list, a digest of their contents, and a signature of their times."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MAX_FILES = 300_000
"""Most files of a folder: more than any set of the catalog has."""


def list_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the relative names (with ``/``) and the paths of all files below a folder, sorted by name.

    Raises:
        ValueError: there is a link or a device among them, or there are too many.
        OSError: a folder cannot be read.
    """
    files = []
    for path in _walk(folder):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError(f"{path} is not a plain file")
        files.append((path.relative_to(folder).as_posix(), path))
        if len(files) > MAX_FILES:
            raise ValueError(f"{folder} holds more than {MAX_FILES:,} files")
    return sorted(files)


def compute_digest(folder: Path) -> str:
    """Compute one SHA-256 over the names and contents of all files."""
    total = hashlib.sha256()
    for name, path in list_files(folder):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{digest}  {name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def compute_signature(folder: Path) -> str:
    """Compute a value that changes when a file is added, removed or written to, without reading any."""
    total = hashlib.sha256()
    for name, path in list_files(folder):
        s = path.stat()
        line = f"{name}\0{s.st_size}\0{s.st_mtime_ns}\0{s.st_ctime_ns}\0{s.st_ino}\n"
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _walk(folder: Path) -> Iterator[Path]:
    """Yield all files, and all links to folders."""

    def fail(error: OSError) -> None:
        raise error

    for root, folders, files in os.walk(folder, onerror=fail):
        for name in files:
            yield Path(root, name)
        for name in folders:
            if Path(root, name).is_symlink():
                yield Path(root, name)
