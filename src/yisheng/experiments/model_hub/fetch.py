"""Download a published model into the cache, checked, and return its folder."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yisheng.core import cache_folder, files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.data.hub.progress import ByteProgress
from yisheng.experiments.model_hub.address import HubAddress
from yisheng.experiments.model_hub.client import ENDPOINT_VARIABLE, HubClient, get_field
from yisheng.experiments.model_hub.contents import is_model_file

CHUNK_BYTES: Final = 1 << 20
MAX_FILES: Final = 2_000
MAX_COMMIT_BYTES: Final = 100
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True)
class _Entry:
    """A published file: its bytes, and its SHA-256 or the SHA-1 that git gives it."""

    size: int
    sha256: str | None
    git_sha1: str | None


def fetch(address: HubAddress) -> Path:
    """Return the folder of a published model, downloaded if this version is not in the cache.

    Only files of a model are taken, each of the size and with the checksum that the hub has for it. Without a network
    (``YISHENG_OFFLINE=1``) it is the version that was used last.

    Args:
        address: of the model.

    Raises:
        DataError: the hub has no such model, it is not one of Yisheng, a file is not what the hub says, or the network
            must not be used and no version is in the cache.
        StorageError: the cache cannot be written to.
    """
    cache = cache_folder.get_cache_folder() / "models" / address.repository.replace("/", "--")
    note = cache / f"{address.revision.replace('/', '--')}.version"
    if cache_folder.is_offline():
        commit = (files.read_bytes(note, MAX_COMMIT_BYTES) or b"").decode("ascii", "replace") if note.is_file() else ""
        if _COMMIT.fullmatch(commit) and (cache / commit).is_dir():
            return cache / commit
        raise DataError(
            Message("hf:{name} is not in the cache, and the network must not be used", name=address.repository),
            Message("use it once with a network, or copy its folder here"),
        )
    client = HubClient()
    facts = client.request_json("GET", f"/api/models/{address.repository}/revision/{address.revision}?blobs=true")
    commit = str(get_field(facts, "sha"))
    if not _COMMIT.fullmatch(commit):
        raise DataError(
            Message("the hub names the version {version}, which is not a commit", version=repr(commit[:80])),
            Message("check {variable}: another service may be there", variable=ENDPOINT_VARIABLE),
        )
    folder = cache / commit
    with cache_folder.hold_lock(cache / ".lock", f"fetching hf:{address.repository}"):
        if not folder.is_dir():
            _download(client, address, commit, _list_entries(address, facts), folder)
        with cache_folder.explain_write_errors(note):
            files.write_file(note, commit)
    return folder


def _list_entries(address: HubAddress, facts: Any) -> dict[str, _Entry]:
    """Return the files of the model that are taken.

    Raises:
        DataError: it has no weights of Yisheng, or too many files.
    """
    entries = {}
    for plain in get_field(facts, "siblings"):
        name = str(get_field(plain, "rfilename"))
        if is_model_file(name):
            large = get_field(plain, "lfs", {}) or {}
            size = get_field(large, "size") if large else get_field(plain, "size")
            sha256 = str(get_field(large, "sha256")) if large else None
            entries[name] = _Entry(int(size), sha256, None if large else str(get_field(plain, "blobId")))
    weights, descriptions = (
        {name.rpartition("/")[0] for name in entries if name.rpartition("/")[2] == file}
        for file in (RunFolder.WEIGHTS, RunFolder.MODEL)
    )
    if not weights or not weights <= descriptions or len(entries) > MAX_FILES:
        raise DataError(
            Message("hf:{name} is not a model that `yisheng push` published", name=address.repository),
            Message("weights of other programs are read with weights=FILE.safetensors"),
        )
    return entries


def _download(client: HubClient, address: HubAddress, commit: str, entries: Mapping[str, _Entry], folder: Path) -> None:
    """Write all files into a folder, which is there only when it is complete."""
    part = folder.with_name(f".{folder.name}.part")
    total = sum(entry.size for entry in entries.values())
    with cache_folder.explain_write_errors(part):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    cache_folder.require_space(part, total)
    try:
        with ByteProgress(f"hf:{address.repository}", 0, total) as progress:
            for name, entry in entries.items():
                _download_file(client, f"/{address.repository}/resolve/{commit}/{name}", part / name, entry, progress)
        with cache_folder.explain_write_errors(folder):
            part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _download_file(client: HubClient, url: str, path: Path, entry: _Entry, progress: ByteProgress) -> None:
    """Write a file, and check its size and checksum.

    Raises:
        DataError: it is not the file that the hub listed.
    """
    git_sha1 = hashlib.sha1(f"blob {entry.size}\0".encode(), usedforsecurity=False)
    sha256, size = hashlib.sha256(), 0
    with cache_folder.explain_write_errors(path):
        path.parent.mkdir(exist_ok=True)
        file = path.open("wb")
    with file, client.open("GET", url) as response:
        while size <= entry.size and (chunk := response.read(CHUNK_BYTES)):
            size += len(chunk)
            git_sha1.update(chunk)
            sha256.update(chunk)
            with cache_folder.explain_write_errors(path):
                file.write(chunk)
            progress.update(len(chunk))
    digest, expected = (sha256, entry.sha256) if entry.sha256 else (git_sha1, entry.git_sha1)
    if size != entry.size or digest.hexdigest() != expected:
        raise DataError(
            Message("{url} is not the file that the hub lists ({size} bytes came)", url=url, size=f"{size:,}"),
            Message("try again; if it stays so, the hub's copy is damaged"),
        )
