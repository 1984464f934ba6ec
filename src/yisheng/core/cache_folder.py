"""The folder for what is fetched or computed once: where it is, its locks, and the errors of writing to it.

YISHENG_HOME      the cache folder (default: the platform's, such as ~/.cache/yisheng)
YISHENG_OFFLINE   1: never use the network
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from yisheng.core.errors import StorageError, UsageError
from yisheng.core.local_paths import parse_local_path
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.printable import PrintedStream, escape_line


def get_cache_folder() -> Path:
    """Return the cache folder.

    Raises:
        UsageError: ``YISHENG_HOME`` is the path of something that is not a folder.
    """
    setting = os.environ.get("YISHENG_HOME", "").strip()
    if not setting:
        import platformdirs

        return platformdirs.user_cache_path("yisheng", appauthor=False)
    path = parse_local_path(setting, "YISHENG_HOME").absolute()
    if path.exists() and not path.is_dir():
        raise UsageError(
            Message("YISHENG_HOME={setting} is not a folder", setting=f"{setting!r}"),
            Message("set it to a folder that can be written to"),
        )
    return path


def get_set_folder(name: str) -> Path:
    """Return the folder of a set of the hub in the cache."""
    return get_cache_folder() / "data" / name


def is_offline() -> bool:
    """Return whether the network must not be used.

    Raises:
        UsageError: ``YISHENG_OFFLINE`` is neither yes nor no.
    """
    text = os.environ.get("YISHENG_OFFLINE", "").strip()
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("", "0", "false", "no", "off"):
        return False
    raise UsageError(
        Message("YISHENG_OFFLINE must be 1 or 0, got {text}", text=f"{text!r}"), Message("set it to 1, or remove it")
    )


def report(text: str) -> None:
    """Print a message for the user on standard error."""
    print(escape_line(text), file=PrintedStream(sys.stderr), flush=True)


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn a failure to write into the cache into an error with a remedy.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT):
            reason: str = Message("no space left on the disk")
            remedy = Message("free some space, or set YISHENG_HOME to another disk")
        else:
            reason = describe_os_error(cause) if isinstance(cause, OSError) else str(cause)
            remedy = Message("set YISHENG_HOME to a folder that can be written to")
        raise StorageError(Message("{path} cannot be written: {reason}", path=path, reason=reason), remedy) from error


@contextlib.contextmanager
def hold_lock(lock: Path, work: str) -> Iterator[None]:
    """Hold a lock file, whose folder is created; another process waits for it and reports why.

    Args:
        lock: the file.
        work: what is done while it is held, as in "decoding photos".

    Raises:
        StorageError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    file_lock = FileLock(lock)
    with explain_write_errors(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            file_lock.acquire(timeout=0)
        except Timeout:
            report(Message("waiting for another process that is {work}", work=work))
            file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()


def require_space(path: Path, size: int) -> None:
    """Check that ``size`` bytes fit on the disk of the folder ``path``, before they are written.

    Raises:
        StorageError: they do not.
    """
    import shutil

    with explain_write_errors(path):
        free = shutil.disk_usage(path).free
    if free < size:
        raise StorageError(
            Message(
                "{path} needs {size} MB, but its disk has {free} MB left",
                path=path,
                size=f"{size / 1000000.0:,.1f}",
                free=f"{free / 1000000.0:,.1f}",
            ),
            Message("free some space, or set YISHENG_HOME to another disk"),
        )
