"""Partial files: written, checked, and only then renamed.

``.<name>.part`` has a note next to it, ``.<name>.part.json``, with its source.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yisheng.core import cache_folder
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.data import file_trees
from yisheng.data.hub.catalog import HubFile
from yisheng.data.hub.progress import ByteProgress

CHUNK_BYTES = 256 << 10


class SourceError(Exception):
    """An address did not give the file, and why in a few words; another address may."""


def copy_to_part(source: Path, part: Path, file: HubFile) -> None:
    """Copy a file or folder of this machine into the partial file, from the beginning.

    Raises:
        SourceError: it cannot be read, or its size is wrong.
        StorageError: the disk is full, or the folder cannot be written to.
    """
    try:
        if not (file.folder or source.is_file()):
            raise SourceError("it is not a file" if source.exists() else "it does not exist")
        sources = file_trees.list_files(source) if file.folder else [("", source)]
        size = sum(path.stat().st_size for _, path in sources)
    except FileNotFoundError:
        raise SourceError("it does not exist") from None
    except (OSError, ValueError) as error:
        raise SourceError(describe_error(error)) from None
    if not file.accepts_size(size):
        raise SourceError(f"it has {size:,} bytes where {file.size or file.max_size:,} were expected")
    cache_folder.require_space(part.parent, size)
    discard_part(part)  # not earlier: an interrupted download stays until there is something better
    with ByteProgress(file.name, 0, size) as progress:
        for name, path in sources:
            target = part / name if file.folder else part
            with cache_folder.explain_write_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with _open_source(path) as stream, open_unbuffered(target, "wb") as out:
                while chunk := stream.read(CHUNK_BYTES):
                    write_all(out, target, chunk)
                    progress.update(len(chunk))


def discard_part(part: Path) -> None:
    """Remove a partial file and its note."""
    import shutil

    with cache_folder.explain_write_errors(part):
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
        note_path(part).unlink(missing_ok=True)


def note_path(part: Path) -> Path:
    """Return the path of the note that names a partial file's source."""
    return part.with_name(part.name + ".json")


@contextlib.contextmanager
def _open_source(source: Path) -> Iterator[IO[bytes]]:
    try:
        with source.open("rb") as stream:
            yield stream
    except OSError as error:
        raise SourceError(describe_error(error)) from None


@contextlib.contextmanager
def open_unbuffered(part: Path, mode: str) -> Iterator[IO[bytes]]:
    """Open a partial file without a buffer, so that a full disk is an error of the write, not of the close.

    Raises:
        StorageError: it cannot be opened.
    """
    with cache_folder.explain_write_errors(part):
        out = part.open(mode, buffering=0)
    with out:
        yield out


def write_all(out: IO[bytes], part: Path, chunk: bytes | memoryview) -> None:
    """Write all of a chunk to an unbuffered file, which may accept fewer bytes per call.

    Raises:
        StorageError: the disk is full.
    """
    remaining = memoryview(chunk)
    with cache_folder.explain_write_errors(part):
        while remaining:
            remaining = remaining[out.write(remaining) :]


def part_size(part: Path) -> int:
    """Return the number of bytes in a partial file, 0 if it does not exist."""
    return part.stat().st_size if part.is_file() else 0


def describe_error(error: BaseException) -> str:
    """Return in a few words why something could not be read."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return Message("it did not answer in time")
    if isinstance(cause, OSError) and cause.strerror:
        return describe_os_error(cause)
    return (str(cause) or type(cause).__name__).splitlines()[0]
