"""Paths from users: checked once, where they enter."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

INPUT = "an input"
"""What `parse_path` calls an input of a prediction; it is read only, so its name need not be in UTF-8."""
IMPOSSIBLE_NAME = {errno.ENAMETOOLONG, errno.EINVAL}
"""Errors of the system about a name that no file can have; Windows reports forbidden characters as EINVAL."""


def parse_path(value: Any, key: str) -> Path:
    """Return a path that a user gave, with ``~`` expanded; nothing need exist there.

    Args:
        value: text or a path.
        key: what it is called, for the error: ``out``, ``config``, `INPUT`.

    Raises:
        UsageError: no file can have this path: it is empty or too long, has a NUL character or a character that file
            names cannot hold, or there is no such home folder; or it is not in UTF-8, unless it is an input.

    >>> parse_path("runs/0001", "out").as_posix()
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


def parse_out_path(value: Any) -> Path:
    """Return where the user wants something written (``out=``): a path of a file or folder, new or existing.

    A link to a file is followed, so that the link stays and its file is replaced.

    Raises:
        UsageError: see `parse_path`; or the path is a link to nothing, a pipe or a device.

    >>> parse_out_path("runs").as_posix()
    'runs'
    """
    path = parse_path(value, "out")
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever writes there reports why not, unless something is there already
        if path.is_symlink():
            raise UsageError(
                Message("out={value} is a link to {readlink}, where nothing is", value=value, readlink=path.readlink()),
                Message("create what it links to, remove the link, or name another out="),
            ) from None
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(
            Message("out={value} is a pipe or a device", value=value), Message("name a file or a folder with out=")
        )
    return Path(os.path.realpath(path)) if path.is_symlink() and stat.S_ISREG(mode) else path


def is_path(value: str) -> bool:
    """Return whether a value is meant as a path: it looks like one, or there is a file or folder of that name.

    >>> is_path("photos/"), is_path("train.csv"), is_path("digits")
    (True, True, False)
    """
    if not value.strip():
        return False
    if any(sign in value for sign in ("/", "\\", "~")) or Path(value).suffix:
        return True
    try:
        return Path(value).exists()
    except (ValueError, OSError):  # a NUL character, no permission
        return False


def find_data_reader(value: str) -> tuple[str, str]:
    """Return the data set that reads what is at a path, and the absolute path: a run may be resumed from anywhere.

    A data set that reads paths declares which in ``@register(opens=...)``; exactly one must fit.

    Raises:
        DataError: no file can have this path, nothing is there, or no data set reads it.
    """
    try:
        path = parse_path(value, "data").absolute()
    except UsageError as error:
        raise DataError(error.problem, error.remedy) from None
    if not os.path.exists(path):  # noqa: PTH110  # False for a folder without permission too
        candidates = suggest(registry.hyphenate(value), registry.names("data.datasets"))
        raise DataError(
            Message("{value} does not exist", value=value),
            Message("check the path; or name a data set: {candidates}", candidates=candidates),
        )
    fitting = [e for e in registry.entries("data.datasets") if "opens" in e.meta and e.meta["opens"](path)]
    if len(fitting) != 1:
        problem = Message("{value} cannot be opened as data", value=value)
        if fitting:
            names = ", ".join(e.name for e in fitting)
            problem = Message(
                "{value} cannot be opened as data: several data sets could read it ({names})", value=value, names=names
            )
        raise DataError(
            problem,
            Message(
                "give a folder or zip of images in class folders, a table (.csv, .tsv, .txt, .parquet, ...) "
                "or arrays (.npz, .npy, .h5); if it is a table of text, use data=table path=FILE format=csv",
            ),
        )
    return fitting[0].name, str(path)
