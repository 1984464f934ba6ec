"""A folder in a store, by fsspec: the few operations that are needed, with errors in two lines."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from yisheng.core.errors import YishengError
from yisheng.core.files import explain_write_error
from yisheng.core.remote.connections import complete_listing, connect, is_page, list_protocols
from yisheng.core.remote.store_errors import explain_error, is_temporary

CHUNK_BYTES: Final = 4 << 20
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.5
"""Before the second attempt; twice as long before each further one."""
VERSION_KEYS: Final = ("ETag", "etag", "md5Hash", "generation", "checksum", "mtime", "LastModified", "last_modified")
"""What stores call the version of a file, the surest first."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class FileVersion:
    """A file in a store: its bytes, and what changes with its content (a checksum, or the time of its last change)."""

    size: int
    version: str


class Store:
    """A folder in a store.

    Args:
        address: of the folder.

    Raises:
        MissingPartError: fsspec, or the package of the store, is not installed.
        UsageError: no store has this scheme.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._fs, self._root = connect(address)

    def list_files(self, folder: str = "") -> dict[str, FileVersion]:
        """Return the files in a folder and the folders below by name, relative to the folder; empty without one.

        Raises:
            DataError: the store cannot be asked.
        """

        def find() -> dict[str, FileVersion]:
            path = self._path(folder)
            self._fs.invalidate_cache()
            try:
                listing = complete_listing(self._fs, self._fs.find(path, detail=True))
            except (FileNotFoundError, NotADirectoryError):
                return {}
            prefix = f"{path.rstrip('/')}/"
            return {
                name.removeprefix(prefix): _to_version(info)
                for name, info in listing.items()
                if name.startswith(prefix) and info.get("type") != "directory"
            }

        return self._try("read", folder, find)

    def list_names(self) -> list[str]:
        """Return the names of the files and folders that are directly in the folder; empty without one.

        Raises:
            DataError: the store cannot be asked.
        """

        def names() -> list[str]:
            self._fs.invalidate_cache()
            try:
                paths = self._fs.ls(self._root, detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted(
                {str(path).rstrip("/").rpartition("/")[2] for path in paths if path.rstrip("/") != self._root}
            )

        return self._try("read", "", names)

    def find_file(self, name: str = "") -> FileVersion | None:
        """Return the version of a file, or None if there is none of this name.

        Raises:
            DataError: the store cannot be asked.
        """

        def info() -> FileVersion | None:
            self._fs.invalidate_cache()
            try:
                facts = self._fs.info(self._path(name))
            except FileNotFoundError:
                return None
            return None if facts.get("type") == "directory" or is_page(self._fs, facts) else _to_version(facts)

        return self._try("read", name, info)

    def read(self, name: str) -> bytes:
        """Return the content of a small file.

        Raises:
            DataError: it cannot be read.
        """
        return self._try("read", name, lambda: bytes(self._fs.cat_file(self._path(name))))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file.

        Raises:
            StorageError: it cannot be written.
        """
        self._try("write", name, lambda: self._with_folder(name, lambda path: self._fs.pipe_file(path, content)))

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file unless there is one of this name; return whether there was none.

        It is one operation of the store where the store has such a one (local files, S3, Google Cloud Storage).

        Raises:
            StorageError: it cannot be written.
        """

        def create(path: str) -> bool:
            try:
                if "file" in list_protocols(self._fs):
                    with open(path, "xb") as file:  # noqa: PTH123  # the one atomic way, which fsspec does not offer
                        file.write(content)
                else:
                    self._fs.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            return True

        return self._try("write", name, lambda: self._with_folder(name, create))

    def upload(self, source: Path, name: str, size: int) -> str:
        """Copy the first bytes of a local file, which may be growing, to a file of the store; return their SHA-256.

        Raises:
            StorageError: it cannot be written, or the local file became shorter.
        """

        def copy(path: str) -> str:
            digest, remaining = hashlib.sha256(), size
            with source.open("rb") as file, self._fs.open(path, "wb") as target:
                while remaining and (chunk := file.read(min(CHUNK_BYTES, remaining))):
                    target.write(chunk)
                    digest.update(chunk)
                    remaining -= len(chunk)
                if remaining:
                    raise OSError(f"{source} became shorter")
            return digest.hexdigest()

        return self._try("write", name, lambda: self._with_folder(name, copy))

    def download(self, name: str, target: Path) -> tuple[int, str]:
        """Copy a file of the store to a local file; return the number of bytes and their SHA-256.

        Raises:
            DataError: it cannot be read.
            StorageError: the local file cannot be written.
        """

        def copy() -> tuple[int, str]:
            digest, size = hashlib.sha256(), 0
            with _open_for_writing(target) as file, self._fs.open(self._path(name), "rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    _write(file, chunk, target)
            return size, digest.hexdigest()

        return self._try("read", name, copy)

    def delete(self, names: Collection[str]) -> None:
        """Delete files; those that do not exist are no error.

        Raises:
            StorageError: one cannot be deleted.
        """
        for name in names:

            def remove(path: str = self._path(name)) -> None:
                with contextlib.suppress(FileNotFoundError):
                    self._fs.rm_file(path)

            self._try("write", name, remove)

    def delete_folder(self) -> None:
        """Delete the folder with everything in it.

        Raises:
            StorageError: it cannot be deleted.
        """

        def remove() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(self._root, recursive=True)

        self._try("write", "", remove)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _with_folder(self, name: str, write: Callable[[str], Result]) -> Result:
        """Write; if a folder is missing, create it and write again. A missing bucket is never created."""
        path = self._path(name)
        try:
            return write(path)
        except FileNotFoundError:
            top = path.lstrip("/").split("/", 1)[0]
            if not self._fs.exists(path[: path.index(top) + len(top)]):
                raise
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            return write(path)

    def _try(self, action: str, name: str, function: Callable[[], Result]) -> Result:
        """Call a function, several times if the network fails; explain its error."""
        pause = PAUSE_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return function()
            except YishengError:
                raise
            except Exception as error:  # each store has its own classes of errors
                if attempt == ATTEMPTS or not is_temporary(error):
                    raise explain_error(error, f"{self.address}/{name}" if name else self.address, action) from error
                time.sleep(pause)
                pause *= 2
        raise AssertionError


def _to_version(info: dict[str, Any]) -> FileVersion:
    key = next((key for key in VERSION_KEYS if info.get(key) is not None), None)
    version = info.get("created") if key is None else info[key]
    return FileVersion(int(info.get("size") or 0), str(version))


@contextlib.contextmanager
def _open_for_writing(path: Path) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise explain_write_error(error, path) from error
    try:
        yield handle
    finally:
        os.close(handle)


def _write(handle: int, chunk: bytes, path: Path) -> None:
    view = memoryview(chunk)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError as error:
        raise explain_write_error(error, path) from error
