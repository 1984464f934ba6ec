"""Addresses of files and folders in a store: ``s3://bucket/folder``, ``gs://bucket/file.csv``."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message, as_message

_SCHEME: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://", re.IGNORECASE)
"""One letter and a colon are a drive of Windows."""
_COLLAPSED: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):[\\/](?=[^\\/])", re.IGNORECASE)
"""What `pathlib.Path` makes of an address."""
MAX_LABEL: Final = 48


def is_address(value: Any) -> bool:
    """Return whether a value is the address of something in a store; ``file://`` is a local path.

    >>> [is_address(value) for value in ("s3://bucket/runs", Path("s3://bucket/runs"), "file:///data", "C:/x")]
    [True, True, False, False]
    """
    if not isinstance(value, str | os.PathLike):
        return False
    text = _restore_slashes(value)
    match = _SCHEME.match(text)
    return match is not None and match["scheme"].lower() != "file"


def parse_file_address(text: str) -> str:
    """Return the path of a ``file://`` address; other text as it is.

    >>> parse_file_address("file:///data/a%20b.csv"), parse_file_address("runs")
    ('/data/a b.csv', 'runs')
    """
    if not text.lower().startswith("file://"):
        return text
    if os.name == "nt":
        from urllib.request import url2pathname

        return url2pathname(urlsplit(text).path)
    return unquote(text[len("file://") :].removeprefix("localhost"))


def parse_address(value: Any, key: str) -> str:
    """Return an address in one form: without a slash at the end.

    Args:
        value: what `is_address` accepts.
        key: what it is called, for the error.

    Raises:
        UsageError: it names nothing, contains a password, or is a chain of addresses.

    >>> parse_address("S3://bucket/runs/", "out")
    's3://bucket/runs'
    """
    text = _restore_slashes(value)
    scheme, _, location = text.partition("://")
    if "::" in text or not location.strip("/"):
        raise UsageError(
            Message("{key} must be an address as s3://bucket/folder, got {text}", key=key, text=f"{text!r}"),
            Message("name a bucket and a folder or file in it"),
        )
    if ":" in location.split("/", 1)[0].rpartition("@")[0]:
        raise UsageError(
            Message("{key} has a password in its address, and configs and reports name addresses", key=key),
            Message("give the password as the store's own tools take it: by environment variables or their files"),
        )
    if any(part in (".", "..") for part in location.split("/")):
        raise UsageError(
            Message("{key} has . or .. in its address: {text}", key=key, text=text), Message("write it in full")
        )
    return f"{scheme.lower()}://{location.rstrip('/')}"


def split_name(address: str) -> tuple[str, str]:
    """Return the address of the folder that something is in, and its name there.

    >>> split_name("s3://bucket/runs/0001-iris-mlp")
    ('s3://bucket/runs', '0001-iris-mlp')
    """
    folder, _, name = address.rpartition("/")
    return folder, name


def make_label(address: str) -> str:
    """Return a name for a local folder that belongs to an address; different addresses have different names.

    >>> make_label("s3://bucket/runs")
    's3-bucket-runs-0863ef5cf26d'
    """
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", address).strip("-.")[-MAX_LABEL:].strip("-.")
    return f"{readable}-{hashlib.sha256(address.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def replace_path(text: Any, folder: Path, address: str) -> Any:
    """Return a message or text that names an address in the place of the local folder that holds its files.

    >>> replace_path(Message("{path} is damaged", path="/cache/a.csv"), Path("/cache"), "s3://bucket")
    's3://bucket/a.csv is damaged'
    """
    if isinstance(text, Message):
        values = {name: replace_path(value, folder, address) for name, value in text.values.items()}
        return as_message(text.template, **values)
    if isinstance(text, str | Path):
        return str(text).replace(str(folder), address)
    return text


def _restore_slashes(value: str | os.PathLike[str]) -> str:
    text = os.fspath(value)
    if not isinstance(text, str):
        return ""
    if isinstance(value, Path):
        text = _COLLAPSED.sub(lambda match: f"{match['scheme']}://", text, count=1).replace("\\", "/")
    return text.strip()
