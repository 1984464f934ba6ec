"""Where the hub stores files and where it looks for them, as environment variables say.

YISHENG_HOME      the cache folder (default: the platform's, such as ~/.cache/yisheng)
YISHENG_MIRROR    http(s):// addresses or file:// folders, separated by commas, tried first;
                  a mirror holds <set>/<file>
YISHENG_OFFLINE   1: never use the network; file:// mirrors are still read
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message


def get_mirrors() -> list[str]:
    """Return the user's mirrors, without a slash at the end.

    Raises:
        UsageError: one of them is neither an http(s) address nor a file:// folder.
    """
    return [_check_mirror(text.strip()) for text in os.environ.get("YISHENG_MIRROR", "").split(",") if text.strip()]


def to_local_path(address: str) -> Path | None:
    """Return the path of a ``file://`` address, None for other addresses."""
    if not address.startswith("file:"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(address).path))


def _check_mirror(text: str) -> str:
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
        Message("YISHENG_MIRROR holds {text}, which is not a mirror", text=f"{text!r}"),
        Message("write http(s)://host/path without a password, or file:///absolute/path of a folder"),
    )
