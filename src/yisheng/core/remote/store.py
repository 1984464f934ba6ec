"""A folder in a store, by fsspec: the few operations that are needed, with errors in two lines."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, MissingPartError, StorageError, UsageError, YishengError, suggest
from yisheng.core.files import explain_write_error
from yisheng.core.messages import Message

CHUNK_BYTES: Final = 4 << 20
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.5
"""Before the second attempt; twice as long before each further one."""
VERSION_KEYS: Final = ("ETag", "etag", "md5Hash", "generation", "checksum", "mtime", "LastModified", "last_modified")
"""What stores call the version of a file, the surest first."""
PACKAGES: Final = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
"""Scheme -> package that its store needs."""
COMMON_SCHEMES: Final = ("s3", "gs", "abfs", "http", "https", "sftp", "hdfs", "local", "memory")
ACCESS_ERRORS: Final = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *(
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
        "ProfileNotFound",
        "AuthenticationException",
    ),
)
"""Names of the classes of errors about credentials, of the packages of the stores."""
ACCESS_WORDS: Final = (
    "Forbidden",
    "AccessDenied",
    "Access Denied",
    "Unauthorized",
    "InvalidAccessKeyId",
    "SignatureDoesNot",
)
LOCAL_SCHEMES: Final = ("local", "memory")
MAX_REASON: Final = 200

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
        self._fs, self._root = _connect(address)

    def list_files(self, folder: str = "") -> dict[str, FileVersion]:
        """Return the files in a folder and the folders below by name, relative to the folder; empty without one.

        Raises:
            DataError: the store cannot be asked.
        """

        def find() -> dict[str, FileVersion]:
            path = self._path(folder)
            self._fs.invalidate_cache()
            try:
                listing = self._fs.find(path, detail=True)
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
            return None if facts.get("type") == "directory" else _to_version(facts)

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
                if "file" in _protocols(self._fs):
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
                if attempt == ATTEMPTS or not _is_temporary(error):
                    raise explain_error(error, f"{self.address}/{name}" if name else self.address, action) from error
                time.sleep(pause)
                pause *= 2
        raise AssertionError


def explain_error(error: Exception, address: str, action: str) -> YishengError:
    """Return the error that explains why an address could not be read or written.

    Args:
        error: of the store.
        address: what was asked for.
        action: ``read`` or ``write``.
    """
    kind = StorageError if action == "write" else DataError
    reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
    values = {"address": address, "reason": reason}
    if _is_about_access(error):
        scheme = address.partition("://")[0]
        remedy = Message("give the credentials as the store's own tools take them, and check the rights to the address")
        if scheme in ("s3", "s3a"):
            remedy = Message(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and check the rights to the address"
            )
        elif scheme in ("gs", "gcs"):
            remedy = Message(
                "use `gcloud auth application-default login` or GOOGLE_APPLICATION_CREDENTIALS, and check the rights"
            )
        return kind(Message("{address} may not be accessed: {reason}", **values), remedy)
    if isinstance(error, FileNotFoundError):
        return kind(
            Message("{address} does not exist, or its bucket or folder does not", address=address),
            Message("check the address; a bucket is not created"),
        )
    problem = Message("{address} cannot be read: {reason}", **values)
    if action == "write":
        problem = Message("{address} cannot be written: {reason}", **values)
    return kind(problem, Message("check the network and the store, and run the command again"))


def must_not_connect(address: str) -> bool:
    """Return whether an address needs the network, and the network must not be used."""
    return address.partition("://")[0] not in LOCAL_SCHEMES and cache_folder.is_offline()


def _connect(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path of the address in it."""
    try:
        import fsspec
    except ImportError:
        raise MissingPartError(
            Message("{address} needs fsspec, which is not installed", address=address),
            Message('pip install "yisheng[remote]"'),
        ) from None
    scheme = address.partition("://")[0]
    if must_not_connect(address):
        raise DataError(
            Message("{address} cannot be reached: YISHENG_OFFLINE=1 forbids the network", address=address),
            Message("remove YISHENG_OFFLINE, or give a local path"),
        )
    options: dict[str, Any] = {"auto_mkdir": True} if scheme == "local" else {}
    try:
        fs, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        package = PACKAGES.get(scheme, "")
        command = f"pip install {package}" if package else " ".join(str(error).split())[:MAX_REASON]
        raise MissingPartError(
            Message("{address} needs a package that is not installed", address=address), command
        ) from None
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise explain_error(error, address, "read") from error
        raise UsageError(
            Message("{address}: no store has the scheme {scheme}", address=address, scheme=scheme),
            suggest(scheme, COMMON_SCHEMES),
        ) from None
    except Exception as error:
        raise explain_error(error, address, "read") from error
    return fs, str(path).rstrip("/")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _to_version(info: dict[str, Any]) -> FileVersion:
    key = next((key for key in VERSION_KEYS if info.get(key) is not None), None)
    version = info.get("created") if key is None else info[key]
    return FileVersion(int(info.get("size") or 0), str(version))


def _is_about_access(error: Exception) -> bool:
    if isinstance(error, PermissionError) or type(error).__name__ in ACCESS_ERRORS:
        return True
    return any(word in str(error) for word in ACCESS_WORDS)


def _is_temporary(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    lasting = (
        FileNotFoundError,
        FileExistsError,
        IsADirectoryError,
        NotADirectoryError,
        ValueError,
        NotImplementedError,
    )
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return not (isinstance(error, lasting) or is_full or _is_about_access(error))


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
