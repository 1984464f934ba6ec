"""Publish a run as a model of the hub, in one commit."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from yisheng.core.run_folder import RunFolder
from yisheng.data.hub.progress import ByteProgress
from yisheng.experiments.model_hub.address import HubAddress
from yisheng.experiments.model_hub.client import HubClient, get_field
from yisheng.experiments.model_hub.contents import is_model_file, list_model_files

SAMPLE_BYTES: Final = 512
LFS_JSON: Final = "application/vnd.git-lfs+json"
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Pushed:
    """A published model.

    Args:
        address: ``hf:user/name``.
        url: of its page.
        commit: that it is.
        files: names and bytes of what was published.
    """

    address: str
    url: str
    commit: str
    files: Mapping[str, int]


def push(folder: Path, address: HubAddress, *, private: bool = False, message: str | None = None) -> Pushed:
    """Publish the model of a run, cross-validation or search; a newer one of the same name becomes its next version.

    Large files are sent first, by their SHA-256, then one commit names all files: a push that breaks off changes
    nothing. Files of the model that an earlier version had and this one has not are removed.

    Args:
        folder: the folder.
        address: where to.
        private: create the model so that only its owner sees it; an existing one stays as it is.
        message: of the commit.

    Raises:
        DataError: the folder holds no model, or the hub does not respond.
        UsageError: the token is missing, or has no right to write there.
    """
    folder = RunFolder(folder).model_folder.path
    files, client = list_model_files(folder), HubClient()
    _create(client, address, private=private)
    modes = _ask_modes(client, address, files)
    large = {name: _hash(files[name]) for name, mode in modes.items() if mode == "lfs"}
    _send_large_files(client, address, {large[name]: files[name] for name in large})
    lines: list[Any] = [{"key": "header", "value": {"summary": message or f"Run {folder.name}", "description": ""}}]
    for name, path in files.items():
        if name in large:
            value = {"path": name, "algo": "sha256", "oid": large[name], "size": path.stat().st_size}
            lines.append({"key": "lfsFile", "value": value})
        else:
            content = base64.b64encode(path.read_bytes()).decode()
            lines.append({"key": "file", "value": {"path": name, "content": content, "encoding": "base64"}})
    lines += [{"key": "deletedFile", "value": {"path": name}} for name in _list_old_files(client, address) - set(files)]
    answer = client.request_json(
        "POST",
        f"/api/models/{address.repository}/commit/{address.revision}",
        "".join(json.dumps(line) + "\n" for line in lines).encode(),
        {"Content-Type": "application/x-ndjson"},
    )
    return Pushed(
        f"hf:{address.repository}",
        f"{client.endpoint}/{address.repository}",
        str(get_field(answer, "commitOid")),
        {name: path.stat().st_size for name, path in files.items()},
    )


def _create(client: HubClient, address: HubAddress, *, private: bool) -> None:
    """Create the model on the hub, if it is not there."""
    user, _, name = address.repository.partition("/")
    body = {"name": name, "organization": user, "type": "model", "private": private}
    client.request_json("POST", "/api/repos/create", body, accepted=(HTTPStatus.CONFLICT,))


def _list_old_files(client: HubClient, address: HubAddress) -> set[str]:
    """Return the files of a model that the newest version on the hub has."""
    facts = client.request_json("GET", f"/api/models/{address.repository}/revision/{address.revision}")
    names = {str(get_field(entry, "rfilename")) for entry in get_field(facts, "siblings")}
    return {name for name in names if is_model_file(name)}


def _ask_modes(client: HubClient, address: HubAddress, files: Mapping[str, Path]) -> dict[str, str]:
    """Return for each file whether the hub takes it in the commit (regular) or by its SHA-256 (lfs)."""
    entries = []
    for name, path in files.items():
        with path.open("rb") as file:
            sample = base64.b64encode(file.read(SAMPLE_BYTES)).decode()
        entries.append({"path": name, "sample": sample, "size": path.stat().st_size})
    url = f"/api/models/{address.repository}/preupload/{address.revision}"
    answer = client.request_json("POST", url, {"files": entries})
    modes = {str(get_field(entry, "path")): str(get_field(entry, "uploadMode")) for entry in get_field(answer, "files")}
    return {name: modes.get(name, "regular") for name in files}


def _send_large_files(client: HubClient, address: HubAddress, files: Mapping[str, Path]) -> None:
    """Send the files that the hub does not have, by their SHA-256."""
    if not files:
        return
    objects = [{"oid": oid, "size": path.stat().st_size} for oid, path in files.items()]
    answer = client.request_json(
        "POST",
        f"/{address.repository}.git/info/lfs/objects/batch",
        {"operation": "upload", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"},
        {"Accept": LFS_JSON, "Content-Type": LFS_JSON},
    )
    for entry in get_field(answer, "objects"):
        oid, actions = get_field(entry, "oid"), entry.get("actions") or {}
        if oid not in files or "upload" not in actions:  # the hub has it
            continue
        path, size, upload = files[oid], files[oid].stat().st_size, actions["upload"]
        headers = {**get_field(upload, "header", {}), "Content-Length": str(size)}
        with (
            path.open("rb") as file,
            ByteProgress(path.name, 0, size) as progress,
            client.open("PUT", get_field(upload, "href"), _Counted(file, progress), headers) as response,
        ):
            response.read(CHUNK_BYTES)
        if "verify" in actions:
            client.request_json(
                "POST",
                get_field(actions["verify"], "href"),
                {"oid": oid, "size": size},
                {**get_field(actions["verify"], "header", {}), "Content-Type": LFS_JSON},
            )


class _Counted:
    """A file whose reading is shown as progress."""

    def __init__(self, file: Any, progress: ByteProgress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        content: bytes = self._file.read(size)
        self._progress.update(len(content))
        return content


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
