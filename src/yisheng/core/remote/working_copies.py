"""The folder of a run at an address on this machine: where it is, what of it is published, and its note."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from yisheng.core import cache_folder, files
from yisheng.core.errors import DataError
from yisheng.core.remote.addresses import make_label
from yisheng.core.remote.store import CHUNK_BYTES

NOTE: Final = ".remote.json"
"""In a working copy: its address, and the number of the manifest that it began with or published last."""
MAX_NOTE_BYTES: Final = 1 << 16
FileEntry: TypeAlias = tuple[str, int, int]
"""Name relative to the folder, size in bytes and time of change (ns)."""


def find_runs_folder(address: str) -> Path:
    """Return the local folder in which the working copies of the runs at an address are."""
    return cache_folder.get_cache_folder() / "runs" / make_label(address)


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return address and manifest of a working copy, or None for any other folder."""
    try:
        content = files.read_bytes(folder / NOTE, MAX_NOTE_BYTES)
        note = files.read_json(folder / NOTE) if content else None
    except (OSError, ValueError, DataError):
        return None
    is_note = isinstance(note, dict) and isinstance(note.get("address"), str) and isinstance(note.get("manifest"), int)
    return note if is_note else None


def write_note(folder: Path, address: str, number: int) -> None:
    """Note in a working copy its address and the number of its manifest.

    Raises:
        StorageError: the note cannot be written.
    """
    files.write_json(folder / NOTE, {"address": address, "manifest": number})


def hold_lock(folder: Path, work: str) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of a working copy; see `yisheng.core.cache_folder.hold_lock`."""
    return cache_folder.hold_lock(folder.parent / f".{folder.name}.lock", work)


def list_publishable(folder: Path) -> Iterator[FileEntry]:
    """Yield name, size and time of change (ns) of the files of a run folder that are published.

    Locks, temporary and hidden files, and the logs of other processes stay here.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            is_local = name.startswith((".", "rank-")) or name == "lock" or name.endswith((".lock", ".part"))
            if is_local or path.is_symlink():
                continue
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns


def hash_file(path: Path, size: int) -> str:
    """Return the SHA-256 of the first bytes of a file, which may be growing."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (chunk := file.read(min(CHUNK_BYTES, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
