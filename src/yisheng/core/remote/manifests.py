"""The marker of a complete copy: a list of its files, with size and SHA-256, written after all of them.

A copy is what its newest intact manifest lists. A file that the manifest lists is never overwritten: a changed one is
written under another name, and takes its own when no manifest lists the old one. So a copy that broken network or a
killed process left half-written is still the complete one before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Final

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.remote.store import Store

FOLDER: Final = ".yisheng"
"""At an address: the folder of manifests, writers and changed files."""
VERSIONS: Final = f"{FOLDER}/versions"
FORMAT: Final = 1
_NAME: Final = re.compile(r"manifest-(?P<number>[0-9]{6,12})\.json")


@dataclass(frozen=True)
class PublishedFile:
    """A file of a copy.

    Args:
        size: bytes.
        sha256: of its content.
        object: name of the file in the store that has this content.
    """

    size: int
    sha256: str
    object: str


@dataclass(frozen=True)
class Manifest:
    """The files of a complete copy by name, and the number of the copy; number 0 is that before the first one."""

    number: int
    files: Mapping[str, PublishedFile]


EMPTY: Final = Manifest(0, {})


def read_newest(store: Store) -> Manifest | None:
    """Return the newest intact manifest, or None if there is none.

    Raises:
        DataError: the store cannot be read.
    """
    names = [name for name in store.list_files(FOLDER) if _NAME.fullmatch(name)]
    for name in sorted(names, reverse=True):
        try:
            content = store.read(f"{FOLDER}/{name}")
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):  # replaced by a newer one since it was listed
                return read_newest(store)
            raise
        manifest = _parse(content)
        if manifest is not None:
            return manifest
    return None


def write(store: Store, manifest: Manifest) -> None:
    """Write a manifest, which makes its copy the newest.

    Raises:
        StorageError: it cannot be written.
    """
    plain = {"format": FORMAT, "number": manifest.number, "files": {k: asdict(v) for k, v in manifest.files.items()}}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True)
    signed = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "manifest": text}, ensure_ascii=False)
    store.write(make_name(manifest.number), signed.encode())


def make_name(number: int) -> str:
    """Return the name of the manifest of a number.

    >>> make_name(12)
    '.yisheng/manifest-000012.json'
    """
    return f"{FOLDER}/manifest-{number:06d}.json"


def list_leftovers(store: Store, manifest: Manifest) -> list[str]:
    """Return the names of older manifests and of changed files that the newest manifest does not list.

    Raises:
        DataError: the store cannot be read.
    """
    listed = {file.object for file in manifest.files.values()}
    names = [f"{FOLDER}/{name}" for name in store.list_files(FOLDER)]
    newest = make_name(manifest.number)
    is_old = [_NAME.fullmatch(name.removeprefix(f"{FOLDER}/")) is not None and name < newest for name in names]
    return [
        name
        for name, old in zip(names, is_old, strict=True)
        if old or (name.startswith(f"{VERSIONS}/") and name not in listed)
    ]


def require_safe_name(name: str, address: str) -> None:
    """Refuse a name that would be written outside the folder.

    Raises:
        DataError: it is such a name.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise DataError(
            Message("{address} lists a file of the name {name}", address=address, name=repr(name)),
            Message("use an intact copy"),
        )


def _parse(content: bytes) -> Manifest | None:
    """Return the manifest of a file's content, or None if it is damaged or of another format."""
    try:
        signed = json.loads(content)
        text = signed["manifest"]
        if hashlib.sha256(text.encode()).hexdigest() != signed["sha256"]:
            return None
        plain = json.loads(text)
        if plain["format"] != FORMAT:
            return None
        files = {name: PublishedFile(**file) for name, file in plain["files"].items()}
        return Manifest(int(plain["number"]), files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
