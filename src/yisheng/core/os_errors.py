"""Errors of the operating system as messages, which can be translated."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Final

from yisheng.core.messages import Message

TEXTS: Final[Mapping[int, Message]] = {
    errno.EACCES: Message("Permission denied"),
    errno.EADDRINUSE: Message("Address already in use"),
    errno.EADDRNOTAVAIL: Message("Cannot assign requested address"),
    errno.ECONNREFUSED: Message("Connection refused"),
    errno.EEXIST: Message("File exists"),
    errno.EINVAL: Message("Invalid argument"),
    errno.EIO: Message("Input/output error"),
    errno.EISDIR: Message("Is a directory"),
    errno.EMFILE: Message("Too many open files"),
    errno.ENAMETOOLONG: Message("File name too long"),
    errno.ENOENT: Message("No such file or directory"),
    errno.ENOSPC: Message("No space left on device"),
    errno.ENOTDIR: Message("Not a directory"),
    errno.ENOTEMPTY: Message("Directory not empty"),
    errno.EPERM: Message("Operation not permitted"),
    errno.EPIPE: Message("Broken pipe"),
    errno.EROFS: Message("Read-only file system"),
    errno.ETIMEDOUT: Message("Connection timed out"),
}
"""Number of an error -> its text on Linux; another text of the same number is kept as it is."""


def describe_os_error(error: OSError) -> str:
    """Return the system's text of an error, as a message if it is a known one.

    >>> describe_os_error(FileNotFoundError(errno.ENOENT, "No such file or directory")).template
    'No such file or directory'
    >>> describe_os_error(OSError("the archive is damaged"))
    'the archive is damaged'
    """
    text = error.strerror or str(error)
    message = TEXTS.get(error.errno or 0)
    return message if message is not None and message == text else text
