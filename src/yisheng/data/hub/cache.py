"""The cache: a file of the catalog is in it already, is downloaded, or is copied from a mirror or the user.

A file is written under a temporary name, checked, and only then gets its name, under a lock: a second process waits and
then finds the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from yisheng.core import cache_folder
from yisheng.core.cache_folder import get_set_folder
from yisheng.core.errors import DataError
from yisheng.core.files import replace_file
from yisheng.core.messages import Message, join_messages
from yisheng.data.hub import checksums, locations
from yisheng.data.hub.catalog import HubFile, HubSet
from yisheng.data.hub.resumable import SourceError, copy_to_part, discard_part


def list_forms_in(folder: Path, file: HubFile) -> list[tuple[Path, HubFile]]:
    """Return which forms of a file are in a folder: the published one, its decompressed one, both or none."""
    forms = [(folder / form.name, form) for form in (file, file.decompressed) if form]
    return [(path, form) for path, form in forms if (path.is_dir() if file.folder else path.is_file())]


def find_cached(hub_set: HubSet, file: HubFile) -> Path | None:
    """Return the path of the file in the cache, checked, or None if it is missing or damaged.

    Raises:
        DataError: the file has no published checksum, and its content has changed since it was first used.
    """
    for path, form in list_forms_in(get_set_folder(hub_set.name), file):
        result = checksums.check(path, form)
        if result.usable:
            if not (form.sums or result.checksum):
                _pin(hub_set, path)
            return path
        if not form.sums:
            raise DataError(
                Message("{path} has changed since it was first used: {detail}", path=path, detail=result.detail),
                Message(
                    "delete {name}.sha256 to accept the change; delete both files to download it again", name=path.name
                ),
            )
    return None


def ensure_cached(hub_set: HubSet, file: HubFile, *, mirrors_only: bool = False) -> Path:
    """Return the path of the file in the cache, downloaded or copied if it is missing.

    Args:
        hub_set: its set.
        file: the file.
        mirrors_only: do not try the published addresses.

    Raises:
        DataError: no address gave the file, or the network must not be used.
        StorageError: the cache cannot be written to.
    """
    if path := find_cached(hub_set, file):
        return path
    addresses = [f"{mirror}/{hub_set.name}/{file.name}" for mirror in locations.get_mirrors()]
    addresses += [] if mirrors_only else file.urls
    local_only = cache_folder.is_offline() or file.folder
    addresses = [a for a in addresses if not local_only or locations.to_local_path(a) is not None]
    if not addresses:
        raise _unavailable(hub_set, file, [])
    reasons = []
    with lock_file(hub_set, file.name) as folder:
        if path := find_cached(hub_set, file):
            return path
        for damaged, _ in list_forms_in(folder, file):
            cache_folder.report(Message("{path} is damaged and will be replaced", path=damaged))
        for address in addresses:
            try:
                return _fetch_from(address, folder, hub_set, file)
            except SourceError as error:
                reasons.append(f"{address}: {error}")
    raise _unavailable(hub_set, file, reasons)


def add_to_cache(hub_set: HubSet, file: HubFile, source: Path) -> Path:
    """Copy a file of the user into the cache, if its content is right.

    Raises:
        DataError: it is not.
        StorageError: the cache cannot be written to.
    """
    with lock_file(hub_set, file.name) as folder:
        part = folder / f".{file.name}.import.part"
        try:
            copy_to_part(source, part, file)
            return _commit(part, folder, hub_set, file)
        except SourceError as error:
            raise DataError(
                Message(
                    "{source} is not {set_name}/{file_name}: {error}",
                    source=source,
                    set_name=hub_set.name,
                    file_name=file.name,
                    error=error,
                ),
                Message("download it again"),
            ) from None
        finally:
            discard_part(part)


@contextlib.contextmanager
def lock_file(hub_set: HubSet, name: str) -> Iterator[Path]:
    """Hold the lock of a file of a set, and yield the set's folder; other processes wait."""
    folder = get_set_folder(hub_set.name)
    with cache_folder.hold_lock(folder / f".{name}.lock", Message("fetching {name}", name=f"{hub_set.name}/{name}")):
        yield folder


def describe_manual_download(hub_set: HubSet, file: HubFile) -> str:
    """Return how to download a file without this program: from where, its checksum, and where to put it."""
    target = get_set_folder(hub_set.name) / file.name
    if file.folder:
        return Message("copy the folder of that name to {target}", target=target)
    sums = " / ".join(map(str, file.sums)) or Message("no checksum is published")
    if not file.urls:
        return Message(
            "download it from someone who has it, as no public address is known ({sums}), then run "
            "`yisheng data import FILE`, or put it at {target}",
            sums=sums,
            target=target,
        )
    return Message(
        "download it from {address} ({sums}), then run `yisheng data import FILE`, or put it at {target}",
        address=file.urls[0],
        sums=sums,
        target=target,
    )


def _fetch_from(address: str, folder: Path, hub_set: HubSet, file: HubFile) -> Path:
    """Fetch the file from one address; a resumed download with wrong content is repeated once from the beginning.

    The content is wrong if the first part came from another version of the file.
    """
    part = folder / f".{file.name}.part"
    for is_last in (False, True):
        resumed = _complete_part(address, part, file)
        try:
            return _commit(part, folder, hub_set, file)
        except SourceError:
            discard_part(part)
            if is_last or not resumed:
                raise
    raise AssertionError("the second attempt returns or raises")


def _complete_part(address: str, part: Path, file: HubFile) -> bool:
    """Complete a partial file, and return whether an earlier attempt had written some of it."""
    source = locations.to_local_path(address)
    if source is not None:
        copy_to_part(source, part, file)
        return False
    from yisheng.data.hub.download import download  # imports the network modules, which an offline run does not need

    return download(address, part, file)


def _commit(part: Path, folder: Path, hub_set: HubSet, file: HubFile) -> Path:
    """Check a complete partial file and rename it."""
    target = folder / file.name
    result = checksums.check(part, file, pin_of=target)
    if not result.usable:
        raise SourceError(f"wrong content, {result.detail}")
    with cache_folder.explain_write_errors(target):
        if file.folder:
            part.replace(target)
        else:
            with replace_file(target) as temporary:
                part.replace(temporary)
    discard_part(part)
    if file.sums or result.checksum:
        checksums.remember_check(target, result)
    else:
        _pin(hub_set, target)
    return target


def _pin(hub_set: HubSet, path: Path) -> None:
    digest = checksums.pin(path)
    cache_folder.report(
        Message(
            "{name}: unverified, no published checksum; pinned at first use as sha256 {digest}",
            name=f"{hub_set.name}/{path.name}",
            digest=digest,
        )
    )


def _unavailable(hub_set: HubSet, file: HubFile, reasons: list[str]) -> DataError:
    name = f"{hub_set.name}/{file.name}"
    if cache_folder.is_offline():
        problem = Message("{name} is not in the cache, and YISHENG_OFFLINE=1 forbids the network", name=name)
    elif reasons:
        problem = Message("{name} could not be fetched", name=name)
    else:
        problem = Message("{name} is not in the cache, and no address of it is known", name=name)
    return DataError(join_messages([problem, *reasons]), describe_manual_download(hub_set, file))
