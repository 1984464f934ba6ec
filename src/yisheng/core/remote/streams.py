"""Folders of files at an address that are read one file after the other, and never copied as a whole.

Readers see the same bytes as from a local folder, in the same order. A file that a library reads by its path is copied
to a temporary folder of the cache while the one before it is read, and removed after use: two files at most are there.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, UsageError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.addresses import is_address, parse_address, replace_path, split_name
from yisheng.core.remote.connections import must_not_connect
from yisheng.core.remote.inputs import is_fetched
from yisheng.core.remote.store import FileVersion, Store
from yisheng.core.temporary import create_temporary_folder, remove_abandoned

Stream: TypeAlias = bool | Literal["auto"]
"""Whether files are streamed; ``auto``: if a copy of them would take more than `MAX_DISK_FRACTION` of the free disk."""
MAX_DISK_FRACTION: Final = 0.25
FOLDER: Final = "streams"
READS_AHEAD: Final = 8
"""Small files that a thread reads ahead of their use."""
MAX_BYTES_AHEAD: Final = 32 << 20
"""Of these; one file may be larger."""


@dataclass(frozen=True)
class StreamedFolder:
    """A folder at an address.

    Args:
        address: of the folder.
        versions: its files by their names relative to it.
    """

    address: str
    versions: Mapping[str, FileVersion]

    @property
    def name(self) -> str:
        """Return the name of the folder."""
        return split_name(self.address)[1]

    @contextlib.contextmanager
    def open_files(self, names: Sequence[str]) -> Iterator[StreamedFiles]:
        """Yield the local paths of files, which may be iterated over several times.

        Args:
            names: the files, in the order in which they are used.

        Raises:
            DataError: a file cannot be read, or the files changed.
            StorageError: the cache cannot be written to, or its disk is too small for two files.
        """
        parent = cache_folder.get_cache_folder() / FOLDER
        with cache_folder.explain_write_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(parent)
            folder = create_temporary_folder(parent)
        try:
            cache_folder.require_space(folder, sum(sorted(self.versions[name].size for name in names)[-2:]))
            with ThreadPoolExecutor(1, "yisheng-stream") as pool:
                yield StreamedFiles(self, names, folder, pool)
            self.require_unchanged()
        except YishengError as error:
            error.problem, error.remedy = (
                replace_path(text, folder, self.address) for text in (error.problem, error.remedy)
            )
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def read(self, names: Sequence[str]) -> Generator[bytes]:
        """Yield the contents of small files in this order, the next ones read meanwhile.

        Raises:
            DataError: a file cannot be read, or changed.
        """
        store, pending = Store(self.address), deque[tuple[str, Future[bytes]]]()
        pool = ThreadPoolExecutor(min(READS_AHEAD, max(1, len(names))), "yisheng-stream")
        try:
            bytes_ahead = 0
            for name in names:
                size = self.versions[name].size
                while pending and (len(pending) >= READS_AHEAD or bytes_ahead + size > MAX_BYTES_AHEAD):
                    bytes_ahead -= self.versions[pending[0][0]].size
                    yield self._take(pending)
                pending.append((name, pool.submit(store.read, name)))
                bytes_ahead += size
            while pending:
                yield self._take(pending)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, pending: deque[tuple[str, Future[bytes]]]) -> bytes:
        name, future = pending.popleft()
        content = future.result()
        self.require_size(name, len(content))
        return content

    def require_size(self, name: str, size: int) -> None:
        """Refuse a file that is not as long as when the folder was listed.

        Raises:
            DataError: it is not.
        """
        if size != self.versions[name].size:
            raise _explain_change(f"{self.address}/{name}")

    def require_unchanged(self) -> None:
        """Refuse files that changed since the folder was listed.

        Raises:
            DataError: one changed, or the store cannot be read.
        """
        current = Store(self.address).list_files()
        changed = [name for name, version in self.versions.items() if current.get(name) != version]
        if changed:
            raise _explain_change(f"{self.address}/{changed[0]}")


class StreamedFiles:
    """Local paths of files at an address: each exists until the next one is asked for.

    Args:
        source: the folder at the address.
        names: of its files, in the order of use.
        folder: where the copies are written.
        pool: copies the next file.
    """

    def __init__(self, source: StreamedFolder, names: Sequence[str], folder: Path, pool: ThreadPoolExecutor) -> None:
        self._source, self._names, self._folder, self._pool = source, names, folder, pool

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Generator[Path]:
        store = Store(self._source.address)
        following = self._pool.submit(self._copy, store, self._names[0]) if self._names else None
        for position in range(len(self._names)):
            assert following is not None
            path = following.result()
            if position + 1 < len(self._names):
                following = self._pool.submit(self._copy, store, self._names[position + 1])
            try:
                yield path
            finally:
                with contextlib.suppress(OSError):  # Windows keeps a file that is open; the folder is removed later
                    path.unlink()

    def _copy(self, store: Store, name: str) -> Path:
        manifests.require_safe_name(name, store.address)
        target = self._folder / name
        with cache_folder.explain_write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        self._source.require_size(name, store.download(name, target)[0])
        return target


def find_streamed(value: Any, key: str, stream: Stream) -> StreamedFolder | None:
    """Return the folder at an address if it is to be streamed; None if a local path is to be used, or a copy.

    Args:
        value: a path or an address.
        key: what it is called, for errors.
        stream: see `Stream`.

    Raises:
        UsageError: ``stream`` is true, and the value is not the address of a folder; or it has a wrong form.
        DataError: the store cannot be read.
    """
    folder = None
    if stream is not False and is_address(value):
        address = parse_address(value, key)
        folder = None if must_not_connect(address) else list_folder(address)
    if stream is True and folder is None:
        raise UsageError(
            Message("stream=true is for a folder of files at an address, got {value}", value=value),
            Message("leave it out, or name a folder as s3://bucket/rows"),
        )
    if folder is None or (stream == "auto" and not _is_large(folder)):
        return None
    size = sum(version.size for version in folder.versions.values())
    logger.info(
        Message(
            "reading {count} files ({size} MB) from {address} one after the other, without a copy of them",
            count=f"{len(folder.versions):,}",
            size=f"{size / 1e6:,.1f}",
            address=folder.address,
        )
    )
    return folder


def list_folder(address: str) -> StreamedFolder | None:
    """Return the folder of data at an address; None if there is a single file, a run or nothing.

    Raises:
        DataError: the store cannot be read.
    """
    store = Store(address)
    if store.find_file() is not None:
        return None
    versions = store.list_files()
    is_run = any(name.startswith(f"{manifests.FOLDER}/") for name in versions)
    return StreamedFolder(address, versions) if versions and not is_run else None


def _is_large(folder: StreamedFolder) -> bool:
    """Return whether a copy of a folder would take much of the disk, and there is none yet."""
    size = sum(version.size for version in folder.versions.values())
    path = cache_folder.get_cache_folder()
    while not path.exists() and path != path.parent:
        path = path.parent
    return size > MAX_DISK_FRACTION * shutil.disk_usage(path).free and not is_fetched(folder.address, folder.versions)


def _explain_change(address: str) -> DataError:
    return DataError(
        Message("{address} changed while it was read", address=address),
        Message("run the command again when it is complete"),
    )
