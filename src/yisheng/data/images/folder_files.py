"""The image files of a folder."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from yisheng.core.errors import DataError
from yisheng.data.images.file_listing import BYTES, DEPTH, Contents, Listing, is_hidden, is_image


def listing(root: Path) -> Listing:
    """All image files below a folder; links are followed, but no folder is listed twice.

    Raises:
        DataError: a folder cannot be read, or there are too many files or folders within one another.
    """
    found = Listing(root, lambda numbers: _read(root, [found.names[n] for n in numbers]))
    stamp = hashlib.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape"))
    seen: set[tuple[int, int]] = set()
    waiting = [("", 0)]
    while waiting:
        under, depth = waiting.pop()
        inner = []
        for name, status in _entries(root, under, seen, found):
            if status is not None and stat.S_ISDIR(status.st_mode):
                found.folders.add(name)
                inner.append((name, depth + 1))
            elif not is_image(name) or (status is not None and not stat.S_ISREG(status.st_mode)):
                found.others.append(name)
            else:
                _take(found, name, status, stamp)
        if inner and depth == DEPTH:
            raise DataError(f"{root} has more than {DEPTH} folders within one another", "move the images up")
        waiting.extend(reversed(inner))
    found.stamp = stamp.hexdigest()
    return found


def listed(root: Path, names: Iterable[str]) -> Listing:
    """Image files that are named, by their paths from a folder.

    Those that are not there have a size of -1.
    """
    found = Listing(root, lambda numbers: _read(root, [found.names[n] for n in numbers]))
    stamp = hashlib.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape"))
    for name in names:
        try:
            status = (root / name).stat()
        except (OSError, ValueError):
            found.add(name, -1)
            continue
        if stat.S_ISREG(status.st_mode):
            _take(found, name, status, stamp)
        else:
            found.add(name, -1)
    found.stamp = stamp.hexdigest()
    return found


def _entries(
    root: Path, under: str, seen: set[tuple[int, int]], found: Listing
) -> list[tuple[str, os.stat_result | None]]:
    """What lies in one folder, sorted; nothing where the folder was listed before."""
    place = root / under if under else root
    try:
        status = place.stat()
        if (status.st_dev, status.st_ino) in seen and status.st_ino:
            found.links.append(under)
            return []
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(place) as entries:
            visible = [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise DataError(
            f"the folder {place} cannot be read: {error.strerror}", "check its permissions, or move it away"
        ) from None
    prefix = f"{under}/" if under else ""
    return sorted((prefix + entry.name, _status(entry)) for entry in visible)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return os.stat(entry.path) if os.name == "nt" else entry.stat()  # noqa: PTH116  # Windows' entry has no inode
    except OSError:  # a link to nothing
        return None


def _take(found: Listing, name: str, status: os.stat_result | None, stamp: hashlib._Hash) -> None:
    found.add(name, status.st_size if status else 0)
    marks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if status else ()
    stamp.update(f"{name}\0{marks}\n".encode("utf-8", "surrogateescape"))


def _read(root: Path, names: Sequence[str]) -> Contents:
    under = os.fspath(root)
    for name in names:
        try:
            with io.FileIO(os.path.join(under, name)) as file:  # noqa: PTH118  # a Path takes longer than the reading
                size = os.fstat(file.fileno()).st_size
                yield (
                    file.readall()
                    if size <= BYTES
                    else DataError(
                        f"{name} has {size:,} bytes, more than the {BYTES:,} that are read", "scale it down first"
                    )
                )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            yield DataError(f"{name} cannot be read: {why}", "check the file and its permissions")
