"""A file of the catalogue into the cache: at hand, from a mirror, or brought by the user.

Whatever the way, it goes into a partial file, is checked there, and only then gets its name, under a
lock that makes a second process wait and then find it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from yisheng.core.errors import DataError
from yisheng.core.files import replacing
from yisheng.data.hub import checksums, locations
from yisheng.data.hub.catalog import HubFile, HubSet
from yisheng.data.hub.resumable import RefusedError, copy, discard


def found(folder: Path, file: HubFile) -> list[tuple[Path, HubFile]]:
    """What of a file lies in a folder: it, and its decompressed form."""
    forms = [(folder / f.name, f) for f in (file, file.unpacked) if f]
    return [(path, form) for path, form in forms if (path.is_dir() if file.folder else path.is_file())]


def at_hand(owner: HubSet, file: HubFile) -> Path | None:
    """The file in the cache, checked; None if it must be brought.

    Raises:
        DataError: no checksum of it is published, and it differs from what was used first.
    """
    for path, form in found(locations.folder(owner.name), file):
        verdict = checksums.check(path, form)
        if verdict.good:
            if not (form.sums or verdict.sum):
                _pin(owner, path)
            return path
        if not form.sums:
            raise DataError(
                f"{path} has changed since it was first used: {verdict.detail}",
                f"if that was meant, delete {path.name}.sha256 beside it; if not, delete both and fetch it again",
            )
    return None


def obtain(owner: HubSet, file: HubFile, *, mirrors_only: bool = False) -> Path:
    """The file in the cache, brought there if need be.

    Args:
        owner: its set.
        file: the file.
        mirrors_only: do not try the published addresses.

    Raises:
        DataError: no address gave it, or the network must not be touched.
        StorageError: the cache cannot be written to.
    """
    if here := at_hand(owner, file):
        return here
    addresses = [f"{mirror}/{owner.name}/{file.name}" for mirror in locations.mirrors()]
    addresses += [] if mirrors_only else file.urls
    local_only = locations.offline() or file.folder
    addresses = [a for a in addresses if not local_only or locations.local(a) is not None]
    if not addresses:
        raise _missing(owner, file, [])
    reasons = []
    with locked(owner, file.name) as folder:
        if here := at_hand(owner, file):
            return here
        for path, _ in found(folder, file):
            locations.say(f"{path} is damaged and will be replaced")
        for address in addresses:
            try:
                return _bring(address, folder, owner, file)
            except RefusedError as refused:
                reasons.append(f"{address}: {refused}")
    raise _missing(owner, file, reasons)


def adopt(owner: HubSet, file: HubFile, source: Path) -> Path:
    """Copy a file that the user has into the cache, if it is what it should be.

    Raises:
        DataError: it is not.
        StorageError: the cache cannot be written to.
    """
    with locked(owner, file.name) as folder:
        part = folder / f".{file.name}.import.part"
        try:
            copy(source, part, file)
            return _settle(part, folder, owner, file)
        except RefusedError as refused:
            raise DataError(f"{source} is not {owner.name}/{file.name}: {refused}", "bring the file again") from None
        finally:
            discard(part)


@contextlib.contextmanager
def locked(owner: HubSet, name: str) -> Iterator[Path]:
    """Hold the lock of a file of a set, and yield the set's folder; another process that wants it waits."""
    folder = locations.folder(owner.name)
    with locations.alone(folder / f".{name}.lock", f"bringing {owner.name}/{name}"):
        yield folder


def by_hand(owner: HubSet, file: HubFile) -> str:
    """How to bring a file by hand: from where, its checksum, and where to put it."""
    where = locations.folder(owner.name) / file.name
    if file.folder:
        return f"copy the folder of that name to {where}"
    source = f"from {file.urls[0]}" if file.urls else "from someone who has it (no public address is known)"
    sums = " or ".join(map(str, file.sums)) or "no checksum is published"
    return f"bring it {source} ({sums}), then `yisheng data import FILE`, or put it at {where}"


def _bring(address: str, folder: Path, owner: HubSet, file: HubFile) -> Path:
    """The file from one address; once more from the beginning where parts of two versions may have met."""
    part = folder / f".{file.name}.part"
    for last in (False, True):
        resumed = _receive(address, part, file)
        try:
            return _settle(part, folder, owner, file)
        except RefusedError:
            discard(part)
            if last or not resumed:
                raise
    raise AssertionError("the second turn returns or raises")


def _receive(address: str, part: Path, file: HubFile) -> bool:
    """Complete a partial file; whether some of it was there before."""
    source = locations.local(address)
    if source is not None:
        copy(source, part, file)
        return False
    from yisheng.data.hub.download import download  # the network's modules only where there is something to fetch

    return download(address, part, file)


def _settle(part: Path, folder: Path, owner: HubSet, file: HubFile) -> Path:
    """Check a complete partial file and give it its name."""
    target = folder / file.name
    verdict = checksums.check(part, file, pin_of=target)
    if not verdict.good:
        raise RefusedError(f"wrong content, {verdict.detail}")
    with locations.writing(target):
        if file.folder:
            part.replace(target)
        else:
            with replacing(target) as temporary:
                part.replace(temporary)
    discard(part)
    if file.sums or verdict.sum:
        checksums.remember(target, verdict)
    else:
        _pin(owner, target)
    return target


def _pin(owner: HubSet, path: Path) -> None:
    value = checksums.pin(path)
    locations.say(f"{owner.name}/{path.name}: unverified, no published checksum; pinned at first use as sha256 {value}")


def _missing(owner: HubSet, file: HubFile, reasons: list[str]) -> DataError:
    name = f"{owner.name}/{file.name}"
    if locations.offline():
        problem = f"{name} is not at hand, and YISHENG_OFFLINE=1 keeps yisheng off the network"
    elif reasons:
        problem = f"{name} could not be fetched"
    else:
        problem = f"{name} is not at hand, and no address of it is known"
    return DataError("; ".join([problem, *reasons]), by_hand(owner, file))
