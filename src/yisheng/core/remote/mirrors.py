"""The working copy of one run at an address: fetched from there, and published."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from yisheng.core import cache_folder, files
from yisheng.core.errors import DataError, StorageError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.addresses import make_label, split_name
from yisheng.core.remote.manifests import EMPTY, Manifest, PublishedFile
from yisheng.core.remote.store import CHUNK_BYTES, Store
from yisheng.core.remote.writers import Writer
from yisheng.core.temporary import create_temporary_folder, remove_abandoned

NOTE: Final = ".remote.json"
"""In a working copy: its address, and the number of the manifest that it began with or published last."""
MAX_NOTE_BYTES: Final = 1 << 16
LISTED_SUFFIXES: Final = (".json", ".jsonl", ".toml", ".csv")
MAX_LISTED_BYTES: Final = 4 << 20
"""Of a file that a list of runs fetches."""
ATTEMPTS: Final = 3
"""To fetch a copy that its writer replaces meanwhile."""


def find_runs_folder(address: str) -> Path:
    """Return the local folder in which the working copies of the runs at an address are."""
    return cache_folder.get_cache_folder() / "runs" / make_label(address)


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return address and manifest of a working copy, or None for any other folder."""
    try:
        content = files.read_bytes(folder / NOTE, MAX_NOTE_BYTES)
        note = files.read_json(folder / NOTE) if content else None
    except (OSError, ValueError, DataError):
        return None
    is_note = isinstance(note, dict) and isinstance(note.get("address"), str) and isinstance(note.get("manifest"), int)
    return note if is_note else None


class Mirror:
    """The working copy of a run at an address.

    Args:
        address: of the run.

    Raises:
        MissingPartError: a package of the store is not installed.
        UsageError: no store has this scheme.
    """

    def __init__(self, address: str) -> None:
        parent, name = split_name(address)
        self.address = address
        self.folder = find_runs_folder(parent) / name
        self._store = Store(address)
        self._manifest = EMPTY
        self._writer: Writer | None = None
        self._hashes: dict[str, tuple[int, int, str]] = {}
        """Name -> size, time of change (ns) and SHA-256 of what was published or fetched."""

    @property
    def is_writing(self) -> bool:
        """Return whether this process may publish."""
        return self._writer is not None

    def is_published(self) -> bool:
        """Return whether there is a complete copy of a run at the address.

        Raises:
            DataError: the store cannot be read.
        """
        return manifests.read_newest(self._store) is not None

    # Reading

    def fetch(self) -> Path:
        """Bring the working copy to the newest complete copy at the address; return its folder.

        A working copy that has been changed here since that copy was published stays as it is: it is the newer one.

        Raises:
            DataError: there is no complete copy, or the store cannot be read.
            StorageError: the cache cannot be written to.
        """
        with self._hold_lock("fetching"):
            newest = manifests.read_newest(self._store)
            note = read_note(self.folder)
            if note is not None and note["manifest"] == (0 if newest is None else newest.number):
                self._manifest = newest or EMPTY
                return self.folder
            if newest is None:
                raise DataError(
                    Message("{address} holds no complete copy of a run", address=self.address),
                    Message("check the address; `yisheng train ... out=` prints it last"),
                )
            if note is not None and note["manifest"] > 0:
                logger.info(Message("{address} was changed elsewhere: fetching it again", address=self.address))
            for attempt in range(1, ATTEMPTS + 1):
                problem = self._fetch_files(newest)
                if problem is None:
                    self._manifest = newest
                    return self.folder
                latest = manifests.read_newest(self._store)
                if latest is None or latest.number == newest.number or attempt == ATTEMPTS:
                    break
                newest = latest
            raise DataError(
                Message("the copy at {address} is damaged: {problem}", address=self.address, problem=problem or ""),
                Message("use another copy of the run, or train again"),
            )

    def fetch_small_files(self, folder: Path) -> None:
        """Bring the small files of the newest complete copy into a folder, those that a list of runs is made from.

        Raises:
            DataError: the store cannot be read.
            StorageError: the folder cannot be written to.
        """
        newest, note = manifests.read_newest(self._store), read_note(folder)
        if newest is None or (note is not None and note["manifest"] == newest.number):
            return
        shutil.rmtree(folder, ignore_errors=True)
        for name, file in newest.files.items():
            manifests.require_safe_name(name, self.address)
            is_listed = name.endswith(LISTED_SUFFIXES) and file.size <= MAX_LISTED_BYTES
            with cache_folder.explain_write_errors(folder):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()  # whether a file is there says in which state the run is
            if is_listed:
                self._store.download(file.object, folder / name)
        self._write_note(folder, newest.number)

    def _fetch_files(self, manifest: Manifest) -> Message | None:
        """Fetch the files of a manifest; return what is wrong with one of them, and change nothing then."""
        remove_abandoned(self.folder.parent)
        size = sum(file.size for file in manifest.files.values())
        cache_folder.require_space(self.folder.parent, size)
        staging = create_temporary_folder(self.folder.parent)
        try:
            logger.info(Message("fetching {address} ({size} MB)", address=self.address, size=f"{size / 1e6:,.1f}"))
            for name, file in manifest.files.items():
                manifests.require_safe_name(name, self.address)
                target = staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if self._take_local(name, file, target):
                    continue
                try:
                    size, sha256 = self._store.download(file.object, target)
                except DataError as error:
                    if isinstance(error.__cause__, FileNotFoundError):
                        return Message("{name} is missing", name=name)
                    raise
                if (size, sha256) != (file.size, file.sha256):
                    return Message("{name} is not the file that was published", name=name)
            self._write_note(staging, manifest.number)
            self._replace_folder(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._remember(manifest.files)
        return None

    def _take_local(self, name: str, file: PublishedFile, target: Path) -> bool:
        """Copy a file from the older working copy, if it is the same."""
        source = self.folder / name
        try:
            if source.stat().st_size != file.size or _hash_file(source, file.size) != file.sha256:
                return False
            shutil.copyfile(source, target)
        except OSError:
            return False
        return True

    def _replace_folder(self, staging: Path) -> None:
        """Put a complete new working copy in the place of the older one."""
        with cache_folder.explain_write_errors(self.folder):
            if self.folder.exists():
                old = create_temporary_folder(self.folder.parent)
                self.folder.replace(old / "old")
                staging.replace(self.folder)
                shutil.rmtree(old, ignore_errors=True)
            else:
                staging.replace(self.folder)

    def _remember(self, published: Mapping[str, PublishedFile]) -> None:
        for name, file in published.items():
            with contextlib.suppress(OSError):
                status = (self.folder / name).stat()
                if status.st_size == file.size:
                    self._hashes[name] = status.st_size, status.st_mtime_ns, file.sha256

    # Writing

    def begin_writing(self) -> None:
        """Take the right to write to the address.

        Raises:
            UsageError: another process writes to it.
            StorageError: the address cannot be written.
        """
        if self._writer is None:
            self._writer = Writer.acquire(self._store)

    def begin_empty(self) -> None:
        """Note in a new run folder that it is the working copy of the address.

        Raises:
            StorageError: the note cannot be written.
        """
        self._write_note(self.folder, 0)

    def publish(self) -> int:
        """Copy what changed to the address, its manifest last; return the number of files.

        Raises:
            UsageError: another process has taken the address over.
            StorageError: a file cannot be written; the copy before stays complete.
            DataError: the store cannot be read.
        """
        assert self._writer is not None
        self._writer.require_held()
        published = dict(self._publish_files(self._manifest.files))
        changed = sum(published[name] != self._manifest.files.get(name) for name in published)
        if published != self._manifest.files or not self._manifest.number:
            self._write_manifest(published)
        return changed

    def complete(self) -> None:
        """Publish, then give every file its own name, and delete what no manifest lists any more.

        Raises:
            UsageError: another process has taken the address over.
            StorageError: a file cannot be written; the copy before stays complete.
            DataError: the store cannot be read.
        """
        self.publish()
        if any(name != file.object for name, file in self._manifest.files.items()):
            renamed = {}
            for name, file in self._manifest.files.items():
                if name != file.object:
                    sha256 = self._store.upload(self.folder / name, name, file.size)
                    if sha256 != file.sha256:
                        raise StorageError(
                            Message("{name} changed while it was copied to {address}", name=name, address=self.address),
                            Message("run the command again"),
                        )
                renamed[name] = PublishedFile(file.size, file.sha256, name)
            self._write_manifest(renamed)
        with contextlib.suppress(YishengError):  # they cost space only
            self._store.delete(manifests.list_leftovers(self._store, self._manifest))

    def release(self) -> None:
        """Let others write to the address."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def delete(self) -> None:
        """Delete what is at the address; its manifests first, so that no half of a copy is taken for a complete one.

        Raises:
            StorageError: something cannot be deleted.
            DataError: the store cannot be read.
        """
        assert self._writer is not None
        self._writer.require_held()
        self._writer.stop()
        self._writer = None
        names = self._store.list_files(manifests.FOLDER)
        self._store.delete([f"{manifests.FOLDER}/{name}" for name in names if name.startswith("manifest-")])
        self._store.delete_folder()

    def _publish_files(self, listed: Mapping[str, PublishedFile]) -> Iterator[tuple[str, PublishedFile]]:
        """Copy every file that differs from the listed ones; yield all of them."""
        for name, size, changed_at in list_publishable(self.folder):
            path, old = self.folder / name, listed.get(name)
            try:
                sha256 = self._find_hash(path, name, size, changed_at)
            except FileNotFoundError:  # an older checkpoint, deleted meanwhile
                continue
            if old is not None and (old.size, old.sha256) == (size, sha256):
                yield name, old
                continue
            is_listed = any(file.object == name for file in listed.values())
            target = f"{manifests.VERSIONS}/{sha256[:16]}/{name}" if is_listed else name
            copied = self._store.upload(path, target, size)
            if copied != sha256:
                raise StorageError(
                    Message("{name} changed while it was copied to {address}", name=name, address=self.address),
                    Message("run the command again"),
                )
            yield name, PublishedFile(size, sha256, target)

    def _find_hash(self, path: Path, name: str, size: int, changed_at: int) -> str:
        """Return the SHA-256 of the first bytes of a file, computed if it changed."""
        cached = self._hashes.get(name)
        if cached is None or cached[:2] != (size, changed_at):
            self._hashes[name] = cached = size, changed_at, _hash_file(path, size)
        return cached[2]

    def _write_manifest(self, published: Mapping[str, PublishedFile]) -> None:
        old, manifest = self._manifest, Manifest(self._manifest.number + 1, published)
        with self._hold_lock("publishing"):  # or a reader on this machine would take the copy for one from elsewhere
            manifests.write(self._store, manifest)
            self._manifest = manifest
            self._write_note(self.folder, manifest.number)
        listed = {file.object for file in published.values()}
        unlisted = [file.object for file in old.files.values() if file.object not in listed]
        with contextlib.suppress(YishengError):  # they cost space only
            self._store.delete([*unlisted, *([manifests.make_name(old.number)] if old.number else [])])

    def _hold_lock(self, work: str) -> contextlib.AbstractContextManager[None]:
        return cache_folder.hold_lock(self.folder.parent / f".{self.folder.name}.lock", f"{work} {self.address}")

    def _write_note(self, folder: Path, number: int) -> None:
        files.write_json(folder / NOTE, {"address": self.address, "manifest": number})


def list_publishable(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of change (ns) of the files of a run folder that are published.

    Locks, temporary and hidden files, and the logs of other processes stay here.
    """
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            is_local = name.startswith((".", "rank-")) or name == "lock" or name.endswith((".lock", ".part"))
            if is_local or path.is_symlink():
                continue
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                yield path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns


def _hash_file(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (chunk := file.read(min(CHUNK_BYTES, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
