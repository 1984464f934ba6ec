"""Writing files so that nothing that existed is lost or half-written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError, StorageError

_UMASK = os.umask(0o022)
os.umask(_UMASK)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; renamed onto it when the block ends well.

    Args:
        path: where the file shall be; its folder must exist.
        sync: have the bytes on the disk before the rename, so that a power cut leaves the old file
            or the new one.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to; ``path`` is untouched.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if sync:
            _sync(temporary)
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
        temporary = None
        if sync:
            _sync(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write(path: str | os.PathLike[str], content: bytes | str, *, sync: bool = True) -> None:
    """Write a whole file, or leave the old one as it was."""
    with replacing(path, sync=sync) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write plain data as JSON (no NaN: JSON has none, and other readers would choke)."""
    write(path, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_bytes(path: Path, limit: int) -> bytes | None:
    """A whole file, or None if there is more than ``limit`` bytes: a pipe or device does not tell its size.

    Raises:
        OSError: it cannot be read.
    """
    content = bytearray()
    with path.open("rb") as file:
        while piece := file.read(min(1 << 20, limit + 1)):
            content += piece
            if len(content) > limit:
                return None
    return bytes(content)


def read_json(path: str | os.PathLike[str], *, limit: int = 256 << 20) -> Any:
    """Read a JSON file of at most ``limit`` bytes.

    Raises:
        DataError: it is missing, too large or no JSON.
    """
    path = Path(path)
    try:
        content = read_bytes(path, limit)
        if content is None:
            raise DataError(f"{path} is larger than {limit >> 20} MiB", "is it the file you meant?")
        return json.loads(content)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path; `yisheng train` prints the run folder's") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", "take the file from a whole run") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from None


def storage_error(error: OSError, path: str | os.PathLike[str]) -> StorageError:
    """What to tell the user when writing ``path`` failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"no space left on the disk for {path}", "free some space, or write elsewhere with out=")
    return StorageError(f"{path} cannot be written: {error.strerror or error}", "check the folder and its permissions")


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
