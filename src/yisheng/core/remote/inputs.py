"""Data at addresses: files and folders, fetched into the cache and fetched again when they change."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

from yisheng.core import cache_folder, files
from yisheng.core.errors import DataError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.addresses import make_label, parse_address, split_name
from yisheng.core.remote.connections import must_not_connect
from yisheng.core.remote.mirrors import Mirror
from yisheng.core.remote.store import FileVersion, Store
from yisheng.core.remote.working_copies import find_runs_folder, read_note
from yisheng.core.temporary import create_temporary_folder, remove_abandoned

NOTE: Final = ".versions.json"
TRANSFERS: Final = 8
"""Files that are fetched at once."""
Kind = Literal["run", "runs", "data"]


def describe_kind(address: str) -> Kind:
    """Return whether an address holds a run, a folder of runs, or anything else: data.

    Raises:
        DataError: the store cannot be read.
    """
    names = Store(address).list_files(manifests.FOLDER)
    if any(name.startswith(("manifest-", "writer-")) for name in names):
        return "run"
    return "runs" if any(name.startswith("numbers/") for name in names) else "data"


def fetch_path(value: Any, key: str) -> Path:
    """Return the local path of what is at an address: the working copy of a run, or data in the cache.

    Args:
        value: the address.
        key: what it is called, for the error.

    Raises:
        UsageError: the address has a wrong form.
        DataError: nothing is there, or the store cannot be read. Without a network (``YISHENG_OFFLINE=1``) it is what
            was fetched last.
        StorageError: the cache cannot be written to.
    """
    address = parse_address(value, key)
    if must_not_connect(address):
        return _find_fetched(address)
    kind = describe_kind(address)
    if kind == "run":
        return Mirror(address).fetch()
    if kind == "runs":
        return fetch_runs(address)
    parent, name = split_name(address)
    if parent.count("/") > 2 and describe_kind(parent) == "run":  # a fold of a cross-validation
        return Mirror(parent).fetch() / name
    return fetch_data(address)


def fetch_runs(address: str) -> Path:
    """Return a local folder in which the runs at an address can be listed: it has their small files only.

    Raises:
        DataError: the store cannot be read.
        StorageError: the cache cannot be written to.
    """
    names = [name for name in Store(address).list_names() if name[:4].isdecimal()]
    folder = cache_folder.get_cache_folder() / "listings" / make_label(address)
    for name in names:
        Mirror(f"{address}/{name}").fetch_small_files(folder / name)
    with cache_folder.explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("[0-9]*"):  # those that were deleted at the address
        if path.name not in names:
            shutil.rmtree(path, ignore_errors=True)
    return folder


def fetch_data(address: str) -> Path:
    """Return the local path of a file or folder of data, fetched if it changed since it was fetched last.

    Each file is what the store says by size; it is fetched again if its version in the store (a checksum, or the time
    of its last change) is another one.

    Raises:
        DataError: nothing is there, the store cannot be read, or a file changed while it was fetched.
        StorageError: the cache cannot be written to.
    """
    name, folder = split_name(address)[1], _find_folder(address)
    with cache_folder.hold_lock(folder.parent / f".{folder.name}.lock", f"fetching {address}"):
        store = Store(address)
        file = store.find_file()
        versions = {"": file} if file is not None else store.list_files()
        if not versions:
            raise DataError(
                Message("{address} does not exist, or is an empty folder", address=address),
                Message("check the address and its bucket"),
            )
        fetched_versions = _read_versions(folder)
        if fetched_versions == versions and _is_complete(folder / name, versions):
            return folder / name
        if fetched_versions:
            logger.warning(Message("{address} changed since it was fetched: fetching it again", address=address))
        _fetch(store, versions, fetched_versions, folder, name)
    return folder / name


def is_fetched(address: str, versions: Mapping[str, FileVersion]) -> bool:
    """Return whether the cache holds these versions of all files of a folder."""
    folder = _find_folder(address)
    return _read_versions(folder) == versions and _is_complete(folder / split_name(address)[1], versions)


def _find_folder(address: str) -> Path:
    return cache_folder.get_cache_folder() / "inputs" / make_label(address)


def _find_fetched(address: str) -> Path:
    """Return what was fetched from an address last, a run or data.

    Raises:
        DataError: it is not in the cache.
    """
    parent, name = split_name(address)
    run = find_runs_folder(parent) / name
    if read_note(run) is not None:
        return run
    folder = _find_folder(address)
    versions = _read_versions(folder)
    if versions and _is_complete(folder / name, versions):
        return folder / name
    raise DataError(
        Message("{address} is not in the cache, and YISHENG_OFFLINE=1 forbids the network", address=address),
        Message("use it once with a network"),
    )


def _fetch(
    store: Store, versions: dict[str, FileVersion], fetched_versions: dict[str, FileVersion], folder: Path, name: str
) -> None:
    """Write the files into a new folder, which takes the place of the old one when it is complete."""
    parent = folder.parent
    remove_abandoned(parent)
    size = sum(file.size for file in versions.values())
    cache_folder.require_space(parent, size)
    logger.info(Message("fetching {address} ({size} MB)", address=store.address, size=f"{size / 1e6:,.1f}"))
    staging = create_temporary_folder(parent)
    try:
        targets = {file_name: _locate(staging / name, file_name, store.address) for file_name in versions}
        missing = []
        for file_name, version in versions.items():
            with cache_folder.explain_write_errors(targets[file_name]):
                targets[file_name].parent.mkdir(parents=True, exist_ok=True)
            old = folder / name / file_name if file_name else folder / name
            if fetched_versions.get(file_name) != version or not _take_local(old, targets[file_name], version.size):
                missing.append(file_name)
        _download(store, {file_name: targets[file_name] for file_name in missing}, versions)
        files.write_json(staging / NOTE, {k: [v.size, v.version] for k, v in versions.items()})
        with cache_folder.explain_write_errors(folder):
            if folder.exists():
                old_folder = create_temporary_folder(parent)
                folder.replace(old_folder / "old")
                staging.replace(folder)
                shutil.rmtree(old_folder, ignore_errors=True)
            else:
                staging.replace(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _locate(path: Path, file_name: str, address: str) -> Path:
    """Return the local path of a file of a folder, or of a single file, whose name is empty."""
    if not file_name:
        return path
    manifests.require_safe_name(file_name, address)
    return path / file_name


def _take_local(old: Path, target: Path, size: int) -> bool:
    """Take a file that was fetched before; return whether it is there and complete."""
    try:
        if old.stat().st_size != size:
            return False
        os.link(old, target)
    except OSError:
        return False
    return True


def _download(store: Store, targets: dict[str, Path], versions: dict[str, FileVersion]) -> None:
    """Fetch files, several at once, and check that none changed meanwhile.

    Raises:
        DataError: one changed, or cannot be read.
    """
    with ThreadPoolExecutor(TRANSFERS) as pool:
        sizes = dict(zip(targets, pool.map(lambda item: store.download(*item)[0], targets.items()), strict=True))
    file = store.find_file()
    current = {"": file} if file is not None else store.list_files()
    for name, size in sizes.items():
        if size != versions[name].size or current.get(name) != versions[name]:
            address = f"{store.address}/{name}" if name else store.address
            raise DataError(
                Message("{address} changed while it was fetched", address=address),
                Message("run the command again when it is complete"),
            )


def _read_versions(folder: Path) -> dict[str, FileVersion]:
    """Return the versions of the files that were fetched; empty if there are none, or their list is damaged."""
    try:
        plain = json.loads((folder / NOTE).read_bytes())
        return {str(name): FileVersion(int(size), str(version)) for name, (size, version) in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _is_complete(path: Path, versions: Mapping[str, FileVersion]) -> bool:
    """Return whether the fetched files have the sizes that they had in the store."""
    paths = {path / name if name else path: version.size for name, version in versions.items()}
    return all(file.is_file() and file.stat().st_size == size for file, size in paths.items())
