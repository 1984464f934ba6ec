"""Paths from users in the file systems of this machine."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.core.remote.addresses import parse_file_address

INPUT = "an input"
"""What `parse_path` calls an input of a prediction; it is read only, so its name need not be in UTF-8."""
IMPOSSIBLE_NAME = {errno.ENAMETOOLONG, errno.EINVAL}
"""Errors of the system about a name that no file can have; Windows reports forbidden characters as EINVAL."""


def parse_local_path(value: Any, key: str) -> Path:
    """Return a path that a user gave, with ``~`` and ``file://`` resolved; nothing need exist there.

    Args:
        value: text or a path.
        key: what it is called, for the error: ``out``, ``config``, `INPUT`.

    Raises:
        UsageError: no file can have this path: it is empty or too long, has a NUL character or a character that file
            names cannot hold, or there is no such home folder; or it is not in UTF-8, unless it is an input.

    >>> parse_local_path("runs/0001", "out").as_posix()
    'runs/0001'
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(
            Message("{key} must be a path, got {value}", key=key, value=f"{value!r}"),
            Message("give the path as text or as a pathlib.Path"),
        )
    text = os.fspath(value)
    if not isinstance(text, str):
        raise UsageError(
            Message("{key} must be a path as text, got {value}", key=key, value=f"{value!r}"),
            Message("decode it with os.fsdecode(...)"),
        )
    text = parse_file_address(text)
    if not text.strip():
        raise UsageError(
            Message("{key} must be a path, got empty text", key=key),
            Message("give {key} a path, or leave it out", key=key),
        )
    if "\0" in text:
        raise UsageError(
            Message("{key} must be a path, got {text}: it has a NUL character", key=key, text=f"{text!r}"),
            Message("remove that character"),
        )
    try:
        os.fsencode(text)
        path = Path(text).expanduser()
        path.lstat()
    except UnicodeEncodeError:
        raise UsageError(
            Message(
                "{key} must be a path, got {text}: file names cannot hold that character", key=key, text=f"{text!r}"
            ),
            Message("remove it"),
        ) from None
    except RuntimeError:
        user = text.partition("/")[0].partition("\\")[0]
        raise UsageError(
            Message("{key}={text}: there is no home folder {user}", key=key, text=text, user=user),
            Message("write the path in full"),
        ) from None
    except OSError as error:
        if error.errno in IMPOSSIBLE_NAME:
            raise UsageError(
                Message(
                    "{key} must be a path, got {text}: {strerror}",
                    key=key,
                    text=f"{text!r}",
                    strerror=describe_os_error(error),
                ),
                Message("use another name"),
            ) from None
    if key != INPUT:
        _require_utf8(path, key)
    return path


def _require_utf8(path: Path, key: str) -> None:
    """Raise an error unless a path is text: configs, logs and reports, which name it, are in UTF-8."""
    try:
        absolute = os.path.abspath(path)  # noqa: PTH100  # the current folder may have such a name
        absolute.encode()
    except FileNotFoundError:  # the current folder was removed
        return
    except UnicodeEncodeError:
        shown = absolute.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise UsageError(
            Message("{key} must be a path in UTF-8, got {shown}", key=key, shown=shown),
            Message("rename the folder or file, for example with convmv, or give a link to it (ln -s)"),
        ) from None
