"""The image files of a folder."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.data.images.file_listing import (
    MAX_FOLDER_DEPTH,
    MAX_IMAGE_BYTES,
    Contents,
    Listing,
    is_hidden,
    is_image,
)
from yisheng.data.tables.encodings import FALLBACK_ENCODINGS, MULTIBYTE_ENCODINGS

ABSENT = -1
"""Size of a file that does not exist."""
_SPELLING_SAMPLE = 100
"""Names by which the spelling of all is found."""


def list_folder(root: Path) -> Listing:
    """List all image files below a folder; links are followed, but no folder is listed twice.

    Raises:
        DataError: a folder cannot be read, there are too many files, or folders are nested too deeply.
    """
    listing = _empty_listing(root)
    stamp = _start_stamp(root)
    listed: set[tuple[int, int]] = set()
    pending = [("", 0)]
    while pending:
        folder, depth = pending.pop()
        subfolders = []
        for name, status in _list_entries(root, folder, listed, listing):
            if status is not None and stat.S_ISDIR(status.st_mode):
                listing.folders.add(name)
                subfolders.append((name, depth + 1))
            elif not is_image(name) or (status is not None and not stat.S_ISREG(status.st_mode)):
                listing.other_files.append(name)
            else:
                _add_file(listing, name, status, stamp)
        if subfolders and depth == MAX_FOLDER_DEPTH:
            raise DataError(
                Message(
                    "{root} has folders nested more than {limit} deep",
                    root=root,
                    limit=MAX_FOLDER_DEPTH,
                ),
                Message("move the images up"),
            )
        pending.extend(reversed(subfolders))
    listing.stamp = stamp.hexdigest()
    return listing


def list_named_files(root: Path, names: Iterable[str]) -> Listing:
    """List image files by their paths relative to a folder; the size of a file that does not exist is `ABSENT`.

    Names beyond ASCII may be on the disk in another form of Unicode or in another encoding than in the list.
    """
    listing = _empty_listing(root)
    stamp = _start_stamp(root)
    files = [(name, _stat_file(root, name)) for name in names]
    spell = _find_spelling(root, [name for name, status in files if status is None and not name.isascii()])
    for name, status in files:
        if status is not None:
            _add_file(listing, name, status, stamp)
            continue
        spelled = spell(name) if spell else name
        status_of_spelled = _stat_file(root, spelled) if spelled != name else None
        if status_of_spelled is None:
            listing.add(name, ABSENT)
        else:
            _add_file(listing, spelled, status_of_spelled, stamp)
    listing.stamp = stamp.hexdigest()
    return listing


def _stat_file(root: Path, name: str) -> os.stat_result | None:
    """Return the status of a file, or None if there is none of this name."""
    try:
        status = (root / name).stat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _find_spelling(root: Path, names: Sequence[str]) -> Callable[[str], str] | None:
    """Return the spelling in which most of some names are those of files; None if none is."""
    encodings = (*MULTIBYTE_ENCODINGS, *FALLBACK_ENCODINGS)
    spellings = [_normalize_as("NFC"), _normalize_as("NFD"), *map(_encode_as, encodings)]
    sample = names[:_SPELLING_SAMPLE]
    counts = [sum(_stat_file(root, spell(name)) is not None for name in sample) for spell in spellings]
    return spellings[counts.index(max(counts))] if any(counts) else None


def _normalize_as(form: Literal["NFC", "NFD"]) -> Callable[[str], str]:
    return lambda name: unicodedata.normalize(form, name)


def _encode_as(encoding: str) -> Callable[[str], str]:
    def encode(name: str) -> str:
        try:
            return name.encode(encoding).decode("utf-8", "surrogateescape")
        except UnicodeError:
            return name

    return encode


def _empty_listing(root: Path) -> Listing:
    listing = Listing(root, lambda indices: _read_files(root, [listing.names[index] for index in indices]))
    return listing


def _start_stamp(root: Path) -> hashlib._Hash:
    return hashlib.sha256(os.path.realpath(root).encode("utf-8", "surrogateescape"))


def _list_entries(
    root: Path, folder: str, listed: set[tuple[int, int]], listing: Listing
) -> list[tuple[str, os.stat_result | None]]:
    """Return the visible entries of a folder, sorted; none if it is a link to a folder that is listed already."""
    path = root / folder if folder else root
    try:
        status = path.stat()
        if (status.st_dev, status.st_ino) in listed and status.st_ino:
            listing.links.append(folder)
            return []
        listed.add((status.st_dev, status.st_ino))
        with os.scandir(path) as entries:
            visible = [entry for entry in entries if not is_hidden(entry.name)]
    except OSError as error:
        raise DataError(
            Message("the folder {path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("check its permissions, or move it away"),
        ) from None
    prefix = f"{folder}/" if folder else ""
    return sorted((prefix + entry.name, _stat_entry(entry)) for entry in visible)


def _stat_entry(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return os.stat(entry.path) if os.name == "nt" else entry.stat()  # noqa: PTH116  # Windows' entry has no inode
    except OSError:  # a broken link
        return None


def _add_file(listing: Listing, name: str, status: os.stat_result | None, stamp: hashlib._Hash) -> None:
    listing.add(name, status.st_size if status else 0)
    marks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) if status else ()
    stamp.update(f"{name}\0{marks}\n".encode("utf-8", "surrogateescape"))


def _read_files(root: Path, names: Sequence[str]) -> Contents:
    folder = os.fspath(root)
    for name in names:
        try:
            with io.FileIO(os.path.join(folder, name)) as file:  # noqa: PTH118  # a Path takes longer than the reading
                size = os.fstat(file.fileno()).st_size
                if size <= MAX_IMAGE_BYTES:
                    yield file.readall()
                else:
                    yield explain_large_file(name, size)
        except (OSError, ValueError) as error:
            reason = describe_os_error(error) if isinstance(error, OSError) else str(error)
            yield DataError(
                Message("{name} cannot be read: {reason}", name=name, reason=reason),
                Message("check the file and its permissions"),
            )


def explain_large_file(name: str, size: int) -> DataError:
    """Return the error about a file that is too large to be an image."""
    return DataError(
        Message(
            "{name} has {size} bytes, more than the {limit} that are read",
            name=name,
            size=f"{size:,}",
            limit=f"{MAX_IMAGE_BYTES:,}",
        ),
        Message("scale it down first"),
    )
