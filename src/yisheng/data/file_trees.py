"""Folders of files as one thing: listed and summed, plain files only."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

COUNT = 300_000
"""Most files of a folder that are taken: more than any set of the catalogue has."""


def listing(folder: Path) -> list[tuple[str, Path]]:
    """Relative names (with ``/``) and paths of all files below, in the order of their names.

    Raises:
        ValueError: there is a link or a device among them, or there are too many.
        OSError: a folder cannot be read.
    """
    found = []
    for path in _walk(folder):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ValueError(f"{path} is no plain file")
        found.append((path.relative_to(folder).as_posix(), path))
        if len(found) > COUNT:
            raise ValueError(f"{folder} holds more than {COUNT:,} files")
    return sorted(found)


def digest(folder: Path) -> str:
    """One SHA-256 over the names and contents of all files."""
    total = hashlib.sha256()
    for name, path in listing(folder):
        with path.open("rb") as stream:
            value = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{value}  {name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def signature(folder: Path) -> str:
    """What changes when a file is added, removed or written to, without reading any."""
    total = hashlib.sha256()
    for name, path in listing(folder):
        s = path.stat()
        line = f"{name}\0{s.st_size}\0{s.st_mtime_ns}\0{s.st_ctime_ns}\0{s.st_ino}\n"
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _walk(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for root, folders, files in os.walk(folder, onerror=fail):
        for name in files:
            yield Path(root, name)
        for name in folders:
            if Path(root, name).is_symlink():
                yield Path(root, name)
