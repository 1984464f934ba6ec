"""Copy a working copy to its address: what changed, the manifest last, and each file under its own name at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from yisheng.core.errors import StorageError, YishengError
from yisheng.core.messages import Message
from yisheng.core.remote import manifests
from yisheng.core.remote.manifests import EMPTY, Manifest, PublishedFile
from yisheng.core.remote.store import Store
from yisheng.core.remote.uploads import Uploads
from yisheng.core.remote.working_copies import FileEntry, hash_file, hold_lock, list_publishable, write_note
from yisheng.core.remote.writers import Writer


class Publisher:
    """The right of this process to write a run to an address, and what it has written.

    Args:
        address: of the run.
        store: the folder at the address.
        folder: the working copy.
    """

    def __init__(self, address: str, store: Store, folder: Path) -> None:
        self._address, self._store, self._folder = address, store, folder
        self.manifest = EMPTY
        self._writer: Writer | None = None
        self._uploads: Uploads | None = None
        self._hashes: dict[str, tuple[int, int, str]] = {}
        """Name -> size, time of change (ns) and SHA-256 of what was published or fetched."""

    @property
    def is_writing(self) -> bool:
        """Return whether this process may publish."""
        return self._writer is not None

    def remember(self, published: Mapping[str, PublishedFile]) -> None:
        """Note the content of files that were fetched, so that they are not read again."""
        for name, file in published.items():
            with contextlib.suppress(OSError):
                status = (self._folder / name).stat()
                if status.st_size == file.size:
                    self._hashes[name] = status.st_size, status.st_mtime_ns, file.sha256

    def begin_writing(self) -> None:
        """Take the right to write to the address.

        Raises:
            UsageError: another process writes to it.
            StorageError: the address cannot be written.
        """
        if self._writer is None:
            self._writer = Writer.acquire(self._store)
            self._uploads = Uploads(self._publish_snapshot, self._folder, self._address)

    def publish(self) -> int:
        """Copy what changed to the address, its manifest last; return the number of files.

        Raises:
            UsageError: another process has taken the address over.
            StorageError: a file cannot be written; the copy before stays complete.
            DataError: the store cannot be read.
        """
        self._require_uploads().finish()
        return self._publish_from(self._folder, list_publishable(self._folder))

    def publish_later(self) -> None:
        """Copy the present files in the background; what waits to be copied is replaced.

        A broken network is a warning, because a later copy may succeed.

        Raises:
            UsageError: another process has taken the address over.
            StorageError: the cache cannot be written to.
        """
        self._require_uploads().submit()

    def _publish_snapshot(self, folder: Path, entries: Sequence[FileEntry]) -> None:
        self._publish_from(folder, entries)

    def _publish_from(self, folder: Path, entries: Iterable[FileEntry]) -> int:
        assert self._writer is not None
        self._writer.require_held()
        published = dict(self._publish_files(folder, entries))
        changed = sum(published[name] != self.manifest.files.get(name) for name in published)
        if published != self.manifest.files or not self.manifest.number:
            self._write_manifest(published)
        return changed

    def _require_uploads(self) -> Uploads:
        assert self._uploads is not None
        return self._uploads

    def complete(self) -> None:
        """Publish, then give every file its own name, and delete what no manifest lists any more.

        Raises:
            UsageError: another process has taken the address over.
            StorageError: a file cannot be written; the copy before stays complete.
            DataError: the store cannot be read.
        """
        self.publish()
        if any(name != file.object for name, file in self.manifest.files.items()):
            renamed = {}
            for name, file in self.manifest.files.items():
                if name != file.object:
                    sha256 = self._store.upload(self._folder / name, name, file.size)
                    if sha256 != file.sha256:
                        raise StorageError(
                            Message(
                                "{name} changed while it was copied to {address}", name=name, address=self._address
                            ),
                            Message("run the command again"),
                        )
                renamed[name] = PublishedFile(file.size, file.sha256, name)
            self._write_manifest(renamed)
        with contextlib.suppress(YishengError):  # they cost space only
            self._store.delete(manifests.list_leftovers(self._store, self.manifest))

    def release(self) -> None:
        """Let others write to the address."""
        if self._writer is not None:
            self._require_uploads().close()
            self._writer.release()
            self._writer = self._uploads = None

    def delete(self) -> None:
        """Delete what is at the address; its manifests first, so that no half of a copy is taken for a complete one.

        Raises:
            StorageError: something cannot be deleted.
            DataError: the store cannot be read.
        """
        assert self._writer is not None
        self._require_uploads().close()
        self._writer.require_held()
        self._writer.stop()
        self._writer = self._uploads = None
        names = self._store.list_files(manifests.FOLDER)
        self._store.delete([f"{manifests.FOLDER}/{name}" for name in names if name.startswith("manifest-")])
        self._store.delete_folder()

    def _publish_files(self, folder: Path, entries: Iterable[FileEntry]) -> Iterator[tuple[str, PublishedFile]]:
        """Copy every file that differs from those of the manifest; yield all of them."""
        listed = self.manifest.files
        for name, size, changed_at in entries:
            path, old = folder / name, listed.get(name)
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
                raise self._explain_change(name)
            yield name, PublishedFile(size, sha256, target)

    def _explain_change(self, name: str) -> StorageError:
        return StorageError(
            Message("{name} changed while it was copied to {address}", name=name, address=self._address),
            Message("run the command again"),
        )

    def _find_hash(self, path: Path, name: str, size: int, changed_at: int) -> str:
        """Return the SHA-256 of the first bytes of a file, computed if it changed."""
        cached = self._hashes.get(name)
        if cached is None or cached[:2] != (size, changed_at):
            self._hashes[name] = cached = size, changed_at, hash_file(path, size)
        return cached[2]

    def _write_manifest(self, published: Mapping[str, PublishedFile]) -> None:
        old, manifest = self.manifest, Manifest(self.manifest.number + 1, published)
        with hold_lock(
            self._folder, f"publishing {self._address}"
        ):  # or a reader on this machine would take the copy for one from elsewhere
            manifests.write(self._store, manifest)
            self.manifest = manifest
            write_note(self._folder, self._address, manifest.number)
        listed = {file.object for file in published.values()}
        unlisted = [file.object for file in old.files.values() if file.object not in listed]
        with contextlib.suppress(YishengError):  # they cost space only
            self._store.delete([*unlisted, *([manifests.make_name(old.number)] if old.number else [])])
