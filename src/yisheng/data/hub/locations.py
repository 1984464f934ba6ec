"""Where the hub keeps files and where it looks for them, as the environment says.

YISHENG_HOME      the cache folder (default: the platform's, such as ~/.cache/yisheng)
YISHENG_MIRROR    http(s):// addresses or file:// folders, separated by commas, tried first;
                  a mirror holds <set>/<file>
YISHENG_OFFLINE   1: never touch the network; file:// mirrors are still read
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from yisheng.core.errors import StorageError, UsageError


def home() -> Path:
    """The cache folder.

    Raises:
        UsageError: ``YISHENG_HOME`` names something that is not a folder.
    """
    named = os.environ.get("YISHENG_HOME", "").strip()
    if not named:
        import platformdirs

        return platformdirs.user_cache_path("yisheng", appauthor=False)
    try:
        path = Path(named).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"YISHENG_HOME={named}: no such user's home", "write the folder's whole path") from None
    if path.exists() and not path.is_dir():
        raise UsageError(f"YISHENG_HOME={named!r} is not a folder", "name a folder that can be written to")
    return path


def folder(name: str) -> Path:
    """Where the files of a set are kept."""
    return home() / "data" / name


def mirrors() -> list[str]:
    """The user's mirrors, without a slash at the end.

    Raises:
        UsageError: one of them is neither an http(s) address nor a file:// folder.
    """
    return [_checked(text.strip()) for text in os.environ.get("YISHENG_MIRROR", "").split(",") if text.strip()]


def offline() -> bool:
    """Whether the network must not be touched.

    Raises:
        UsageError: ``YISHENG_OFFLINE`` is neither yes nor no.
    """
    text = os.environ.get("YISHENG_OFFLINE", "").strip()
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("", "0", "false", "no", "off"):
        return False
    raise UsageError(f"YISHENG_OFFLINE must be 1 or 0, got {text!r}", "set it to 1, or remove it")


def local(address: str) -> Path | None:
    """The path that a ``file://`` address names; None for other addresses."""
    if not address.startswith("file:"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(address).path))


def say(text: str) -> None:
    """Tell the user, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write into the cache into an error that says how to mend it.

    Raises:
        StorageError: the disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except (OSError, StorageError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT):
            what, remedy = "no space left on the disk", "free some space, or set YISHENG_HOME to a folder elsewhere"
        else:
            text = cause.strerror if isinstance(cause, OSError) else None
            what, remedy = text or str(cause), "set YISHENG_HOME to a folder that can be written to"
        raise StorageError(f"{path} cannot be written: {what}", remedy) from error


@contextlib.contextmanager
def alone(lock: Path, work: str) -> Iterator[None]:
    """Hold a lock file, whose folder is made; another process that wants it waits, and says for what.

    Args:
        lock: the file.
        work: what is done while it is held, as in "decoding photos".

    Raises:
        StorageError: the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    with writing(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another process that is {work}")
            held.acquire()
    try:
        yield
    finally:
        held.release()


def need_space(path: Path, size: int) -> None:
    """See before the work that ``size`` bytes fit on the disk of the folder ``path``.

    Raises:
        StorageError: they do not.
    """
    import shutil

    with writing(path):
        free = shutil.disk_usage(path).free
    if free < size:
        raise StorageError(
            f"{path} needs {size / 1e6:,.1f} MB, but its disk has {free / 1e6:,.1f} MB left",
            "free some space, or set YISHENG_HOME to a folder elsewhere",
        )


def _checked(text: str) -> str:
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host, parts = None, None, urlsplit("")
    if parts.scheme in ("http", "https") and host and not parts.username and not (parts.query or parts.fragment):
        return text.rstrip("/")
    if parts.scheme == "file" and (host in (None, "localhost") and port is None) and parts.path.startswith("/"):
        return "file://" + parts.path.rstrip("/")
    raise UsageError(
        f"YISHENG_MIRROR holds {text!r}, which is no mirror",
        "write http(s)://host/path without a password, or file:///whole/path of a folder",
    )
