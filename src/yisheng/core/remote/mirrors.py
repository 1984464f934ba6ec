"""The working copy of one run at an address: fetched from there; `Mirror.publisher` writes it back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from yisheng.core import cache_folder
from yisheng.core.errors import DataError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.addresses import split_name
from yisheng.core.remote.manifests import EMPTY, Manifest, PublishedFile
from yisheng.core.remote.publishing import Publisher
from yisheng.core.remote.store import Store
from yisheng.core.remote.working_copies import find_runs_folder, hash_file, hold_lock, read_note, write_note
from yisheng.core.temporary import create_temporary_folder, remove_abandoned

LISTED_SUFFIXES: Final = (".json", ".jsonl", ".toml", ".csv")
MAX_LISTED_BYTES: Final = 4 << 20
"""Of a file that a list of runs fetches."""
ATTEMPTS: Final = 3
"""To fetch a copy that its writer replaces meanwhile."""


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
        self.publisher = Publisher(address, self._store, self.folder)

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
        with hold_lock(self.folder, f"fetching {self.address}"):
            newest = manifests.read_newest(self._store)
            note = read_note(self.folder)
            if note is not None and note["manifest"] == (0 if newest is None else newest.number):
                self.publisher.manifest = newest or EMPTY
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
                    self.publisher.manifest = newest
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
        write_note(folder, self.address, newest.number)

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
            write_note(staging, self.address, manifest.number)
            self._replace_folder(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self.publisher.remember(manifest.files)
        return None

    def _take_local(self, name: str, file: PublishedFile, target: Path) -> bool:
        """Copy a file from the older working copy, if it is the same."""
        source = self.folder / name
        try:
            if source.stat().st_size != file.size or hash_file(source, file.size) != file.sha256:
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

    def begin_empty(self) -> None:
        """Note in a new run folder that it is the working copy of the address.

        Raises:
            StorageError: the note cannot be written.
        """
        write_note(self.folder, self.address, 0)
