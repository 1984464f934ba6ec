"""Files, written so that an existing one is never lost or half-written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError, StorageError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.temporary import create_temporary_file

CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 256 << 20
MAX_INDENTED_CHARACTERS = 1 << 20


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary file next to ``path``; rename it to ``path`` at the end of the block, unless there is an error.

    Args:
        path: the file; its folder must exist.
        sync: write the bytes to the disk before the rename, so that after a power cut there is the old file or the
            new one.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to; ``path`` is untouched.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        temporary = create_temporary_file(path)
        yield temporary
        if sync:
            _sync(temporary)
        temporary.replace(path)
        temporary = None
        if sync:
            _sync(path.parent)
    except OSError as error:
        raise explain_write_error(error, path) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def write_file(path: str | os.PathLike[str], content: bytes | str, *, sync: bool = True) -> None:
    """Write a complete file; after an error the old one is unchanged.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    with replace_file(path, sync=sync) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], data: Any) -> None:
    """Write plain data as JSON; NaN and infinity are errors, since JSON has neither.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    write_file(path, format_json(data))


def format_json(data: Any) -> str:
    """Return plain data as JSON, indented for people; above 1 MB in one line, since Python indents slowly.

    >>> print(format_json({"epochs": 2}), end="")
    {
      "epochs": 2
    }
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    if len(text) <= MAX_INDENTED_CHARACTERS:
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def read_bytes(path: Path, limit: int) -> bytes | None:
    """Return the content of a file, or None if it has more than ``limit`` bytes.

    It is read in chunks, since a pipe or a device does not report its size.

    Raises:
        OSError: it cannot be read.
    """
    content = bytearray()
    with path.open("rb") as file:
        while chunk := file.read(min(CHUNK_BYTES, limit + 1)):
            content += chunk
            if len(content) > limit:
                return None
    return bytes(content)


def read_json(path: str | os.PathLike[str], *, limit: int = MAX_JSON_BYTES) -> Any:
    """Return the data of a JSON file of at most ``limit`` bytes.

    Raises:
        DataError: it is missing, too large or not JSON.
    """
    path = Path(path)
    try:
        content = read_bytes(path, limit)
        if content is None:
            raise DataError(
                Message("{path} is larger than {limit} MiB", path=path, limit=limit >> 20),
                Message("check that it is the right file"),
            )
        return json.loads(content)
    except FileNotFoundError:
        raise DataError(
            Message("{path} does not exist", path=path),
            Message("check the path; `yisheng train` prints the run folder's"),
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(
            Message("{path} is not JSON: {error}", path=path, error=error),
            Message("copy the file from an intact run folder"),
        ) from None
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {strerror}", path=path, strerror=describe_os_error(error)),
            Message("check the path and its permissions"),
        ) from None


def explain_write_error(error: OSError, path: str | os.PathLike[str]) -> StorageError:
    """Return the error that explains why ``path`` could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            Message("no space left on the disk for {path}", path=path),
            Message("free some space, or write elsewhere with out="),
        )
    if error.errno == errno.EFBIG:
        return StorageError(
            Message("{path} would be larger than a file may be", path=path),
            Message("raise the limit (ulimit -f), or write to another disk with out="),
        )
    return StorageError(
        Message("{path} cannot be written: {strerror}", path=path, strerror=describe_os_error(error)),
        Message("check the folder and its permissions"),
    )


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
