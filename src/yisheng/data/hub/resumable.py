"""Partial files: what is written until it is whole, checked and gets its name.

``.<name>.part`` has a note beside it, ``.<name>.part.json``, which says what it is a part of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yisheng.data import file_trees
from yisheng.data.hub import locations
from yisheng.data.hub.catalog import HubFile
from yisheng.data.hub.progress import Meter

CHUNK = 256 << 10


class RefusedError(Exception):
    """An address did not give the file, and why in a few words; another one may."""


def copy(source: Path, part: Path, file: HubFile) -> None:
    """The partial file, or folder, from a path on this machine, always as a whole.

    Raises:
        RefusedError: it cannot be read, or is plainly not the file.
        StorageError: the disk is full, or the folder cannot be written to.
    """
    try:
        if not (file.folder or source.is_file()):
            raise RefusedError("it is no file" if source.exists() else "it does not exist")
        sources = file_trees.listing(source) if file.folder else [("", source)]
        size = sum(path.stat().st_size for _, path in sources)
    except FileNotFoundError:
        raise RefusedError("it does not exist") from None
    except (OSError, ValueError) as error:
        raise RefusedError(reason(error)) from None
    if not file.may_have(size):
        raise RefusedError(f"it has {size:,} bytes where {file.size or file.limit:,} were expected")
    locations.need_space(part.parent, size)
    discard(part)  # only now: what a download left there stays while there is nothing better
    with Meter(file.name, 0, size) as meter:
        for name, path in sources:
            target = part / name if file.folder else part
            with locations.writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with _reading(path) as stream, opened(target, "wb") as out:
                while chunk := stream.read(CHUNK):
                    write_all(out, target, chunk)
                    meter.add(len(chunk))


def discard(part: Path) -> None:
    """Remove a partial file and its note."""
    import shutil

    with locations.writing(part):
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
        note_of(part).unlink(missing_ok=True)


def note_of(part: Path) -> Path:
    """Where it is noted what a partial file is a part of."""
    return part.with_name(part.name + ".json")


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[IO[bytes]]:
    try:
        with source.open("rb") as stream:
            yield stream
    except OSError as error:
        raise RefusedError(reason(error)) from None


@contextlib.contextmanager
def opened(part: Path, mode: str) -> Iterator[IO[bytes]]:
    """A partial file without a buffer, so that a full disk shows while it is written.

    Raises:
        StorageError: it cannot be opened.
    """
    with locations.writing(part):
        out = part.open(mode, buffering=0)
    with out:
        yield out


def write_all(out: IO[bytes], part: Path, chunk: bytes) -> None:
    """Write all of a chunk to an unbuffered file, which may take it in pieces.

    Raises:
        StorageError: the disk is full.
    """
    rest = memoryview(chunk)
    with locations.writing(part):
        while rest:
            rest = rest[out.write(rest) :]


def size_of(part: Path) -> int:
    """Bytes that are there already."""
    return part.stat().st_size if part.is_file() else 0


def reason(error: BaseException) -> str:
    """Why something could not be read, in a few words."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return (str(cause) or type(cause).__name__).splitlines()[0]
