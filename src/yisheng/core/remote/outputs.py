"""A single file for an address: written in the cache, copied when it is complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from yisheng.core import cache_folder
from yisheng.core.errors import DataError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote.addresses import make_label, split_name
from yisheng.core.remote.store import Store
from yisheng.core.temporary import create_temporary_folder, remove_abandoned


class OutputFile:
    """A file that a command writes for an address. An existing one is fetched, so that it is not replaced unasked.

    Args:
        address: of the file.

    Raises:
        DataError: the store cannot be read.
        StorageError: the cache cannot be written to.
    """

    def __init__(self, address: str) -> None:
        folder, name = split_name(address)
        self._store, self._name = Store(folder), name
        parent = cache_folder.get_cache_folder() / "outputs" / make_label(folder)
        with cache_folder.explain_write_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(parent)
            self._folder = create_temporary_folder(parent)
        self.path = self._folder / name
        self._before: tuple[int, int] | None = None
        if self._store.find_file(name) is not None:
            self._store.download(name, self.path)
            self._before = self._measure()

    def publish(self) -> None:
        """Copy the file to its address, if the command wrote it.

        Raises:
            StorageError: the address cannot be written.
        """
        for path in sorted(self._folder.rglob("*")):
            if (
                not path.is_file()
                or path.name.startswith(".")
                or (path == self.path and self._measure() == self._before)
            ):
                continue
            name = path.relative_to(self._folder).as_posix()
            size = path.stat().st_size
            self._store.upload(path, name, size)
            copied = self._store.find_file(name)
            if copied is None or copied.size != size:
                raise DataError(
                    Message(
                        "{address}/{name} is incomplete after it was copied", address=self._store.address, name=name
                    ),
                    Message("run the command again"),
                )
            logger.info(Message("copied to {address}/{name}", address=self._store.address, name=name))

    def discard(self) -> None:
        """Delete the local file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _measure(self) -> tuple[int, int] | None:
        if not self.path.is_file():
            return None
        status = Path(self.path).stat()
        return status.st_size, status.st_mtime_ns
