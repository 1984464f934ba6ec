"""Safe extraction of zip and tar files: nothing outside the folder, and within limits.

Bytes are counted while they are read, whatever the archive's headers say. Only files and folders are created,
with plain permissions; links, devices and encrypted members are refused. An archive within an archive
stays a file. The folder appears when all members are extracted.

The filters of ``tarfile`` (Python 3.12) are not enough: they limit neither sizes nor the number of members, allow
links, and do not exist for zip files.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, cast

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.data import compression
from yisheng.data.archive_names import make_collision_key, split_member_name
from yisheng.data.hub.resumable import open_unbuffered, write_all

CHUNK_BYTES = 1 << 20
MIN_BOMB_BYTES = 64 << 20
"""Bytes that may be extracted before the ratio counts: a few megabytes of zeros are harmless."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile decompresses the others without a bound
_ENCRYPTION_FLAGS = 0x2041
_LOCAL_HEADER_BYTES, _DIRECTORY_ENTRY_BYTES, _MAX_DIRECTORY_ENTRY_BYTES = 30, 46, 1024
_DAMAGE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, LookupError, ArithmeticError, MemoryError, RuntimeError),
)


@dataclass(frozen=True)
class Limits:
    """Limits for the content of an archive; every set of the catalog is within the defaults.

    Args:
        max_total_bytes: bytes extracted in all.
        max_file_bytes: bytes of one file.
        max_members: members, folders included.
        max_ratio: bytes extracted per byte of the archive (JPEG 1, text 10, DEFLATE at most 1032).
        max_path_bytes: bytes of a path.
        max_path_depth: parts of a path.
    """

    max_total_bytes: int = 32 << 30
    max_file_bytes: int = 8 << 30
    max_members: int = 300_000
    max_ratio: float = 200.0
    max_path_bytes: int = 512
    max_path_depth: int = 32


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def extract(archive: Path, folder: Path, *, limits: Limits | None = None) -> Path:
    """Extract a zip or tar (plain, gz, bz2, xz) into a new folder, and return the folder.

    Args:
        archive: the file; its format is recognized by its bytes.
        folder: must not exist; it appears complete or not at all.
        limits: default: `Limits`.

    Raises:
        UsageError: ``folder`` exists.
        DataError: the archive is damaged, encrypted, of an unknown format, not safe or too large.
        StorageError: the disk is full, or the folder cannot be created.
    """
    if folder.exists():
        raise UsageError(Message("{folder} exists", folder=folder), Message("name a new folder to extract into"))
    with cache_folder.explain_write_errors(folder):
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".extracting", dir=folder.parent))
    try:
        (work / "all").mkdir()
        with _open_archive(archive) as stream:
            counter = _Counter(archive, archive.stat().st_size, limits or Limits())
            read_members = _read_zip if stream.read(4).startswith((b"PK\3\4", b"PK\5\6")) else _read_tar
            for parts, is_folder, source in read_members(stream, counter, folder.parent):
                _write_member(source, (work / "all").joinpath(*parts), is_folder, counter)
        with cache_folder.explain_write_errors(folder):
            (work / "all").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


@dataclass
class _Counter:
    """Counts the bytes and members extracted so far, and refuses too many."""

    archive: Path
    size: int
    limits: Limits
    total_bytes: int = 0
    members: int = 0
    paths: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """By collision key: the path as written, and whether it is a folder."""

    def add_bytes(self, count: int) -> None:
        self.total_bytes += count
        if self.total_bytes > self.limits.max_total_bytes:
            raise self.refuse(Message("it holds more than {limit} bytes", limit=f"{self.limits.max_total_bytes:,}"))
        if self.total_bytes > max(MIN_BOMB_BYTES, self.limits.max_ratio * self.size):
            raise self.refuse(
                Message("it grows more than {ratio} times: a decompression bomb", ratio=f"{self.limits.max_ratio:g}")
            )

    def add_member(self, name: str, is_folder: bool) -> tuple[str, ...]:
        """Return the parts of the member's path, which are safe and not used by another member."""
        self.members += 1
        if self.members > self.limits.max_members:
            raise self.refuse(Message("it holds more than {limit} members", limit=f"{self.limits.max_members:,}"))
        parts = split_member_name(name, max_bytes=self.limits.max_path_bytes, max_depth=self.limits.max_path_depth)
        if not (parts or is_folder):
            raise self.refuse(Message("it holds a file without a name"))
        for end in range(1, len(parts) + 1):
            key, path = make_collision_key(parts[:end]), "/".join(parts[:end])
            is_path_folder = is_folder or end < len(parts)
            if key not in self.paths:
                self.paths[key] = (path, is_path_folder)
            elif self.paths[key] != (path, True) or not is_path_folder:
                raise self.refuse(
                    Message("it holds {name} twice, perhaps with other upper and lower case", name=f"{name[:100]!r}")
                )
        return parts

    def refuse(self, problem: Message) -> DataError:
        return DataError(
            Message("{archive} cannot be extracted: {problem}", archive=self.archive, problem=problem),
            Message("get it from a trusted source, or extract it yourself"),
        )


_Member = tuple[tuple[str, ...], bool, _Readable]
"""The parts of its path, whether it is a folder, and its content."""


def _read_zip(stream: IO[bytes], counter: _Counter, folder: Path) -> Iterator[_Member]:
    _count_directory_entries(stream, counter)
    with zipfile.ZipFile(stream) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        cache_folder.require_space(
            folder, min(sum(entry.file_size for entry in entries), counter.limits.max_total_bytes)
        )
        previous_end = 0
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.flag_bits & _ENCRYPTION_FLAGS:
                raise counter.refuse(Message("it is encrypted"))
            if entry.compress_type not in _METHODS:
                raise counter.refuse(
                    Message("it uses compression method {method}, which is not supported", method=entry.compress_type)
                )
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise counter.refuse(
                    Message("it holds {name}, which is a link or a device", name=f"{entry.filename[:100]!r}")
                )
            if entry.header_offset < previous_end:
                raise counter.refuse(Message("its members overlap: a decompression bomb"))
            previous_end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size
            if "\0" in entry.orig_filename:
                raise counter.refuse(
                    Message("it holds {name}, a name with control characters", name=f"{entry.orig_filename[:100]!r}")
                )
            parts = counter.add_member(entry.filename, entry.is_dir())
            with archive.open(entry) as source:
                yield parts, entry.is_dir(), _CountedStream(source, counter)


def _read_tar(stream: IO[bytes], counter: _Counter, folder: Path) -> Iterator[_Member]:  # noqa: ARG001
    stream.seek(0)
    content = compression.open_decompressed(stream) or stream
    forward = _ForwardStream(_CountedStream(content, counter), counter)
    with tarfile.open(fileobj=cast(IO[bytes], forward), mode="r:") as archive:
        for entry in archive:
            is_file = entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.issparse()
            if not (is_file or entry.isdir()):
                raise counter.refuse(
                    Message(
                        "it holds {name}, which is a link, a device or not a plain file", name=f"{entry.name[:100]!r}"
                    )
                )
            parts = counter.add_member(entry.name, entry.isdir())
            source = archive.extractfile(entry) if is_file else None
            yield parts, entry.isdir(), source or io.BytesIO()
        if forward.last_read != bytes(tarfile.BLOCKSIZE):  # tarfile mistakes a damaged header for the end
            raise tarfile.ReadError("it ends too early, or is damaged in the middle")
    while forward.read(CHUNK_BYTES):  # the checksum of the compressed stream is at its end
        pass


class _CountedStream:
    """A stream whose bytes are counted."""

    def __init__(self, stream: _Readable, counter: _Counter) -> None:
        self._stream, self._counter = stream, counter

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self._counter.add_bytes(len(chunk))
        return chunk


class _ForwardStream(io.RawIOBase):
    """A stream for tarfile that only moves forward and refuses large reads.

    tarfile reads a long name or an extension header in one piece, of the size that the archive claims.
    """

    def __init__(self, stream: _Readable, counter: _Counter) -> None:
        self._stream, self._counter, self._position = stream, counter, 0
        self.last_read = b""

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        position += self._position if whence == os.SEEK_CUR else 0
        while self._position < position and self.read(min(CHUNK_BYTES, position - self._position)):
            pass
        if self._position != position:
            raise EOFError("the archive ends too early")
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= CHUNK_BYTES:
            raise self._counter.refuse(Message("it has a header of more than a megabyte"))
        chunk = self.last_read = self._stream.read(size)
        self._position += len(chunk)
        return chunk


def _write_member(source: _Readable, target: Path, is_folder: bool, counter: _Counter) -> None:
    with cache_folder.explain_write_errors(target):
        (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    if is_folder:
        return
    size = 0
    with open_unbuffered(target, "xb") as out:
        while chunk := source.read(CHUNK_BYTES):
            size += len(chunk)
            if size > counter.limits.max_file_bytes:
                raise counter.refuse(
                    Message("it holds a file of more than {limit} bytes", limit=f"{counter.limits.max_file_bytes:,}")
                )
            write_all(out, target, chunk)


def _count_directory_entries(stream: IO[bytes], counter: _Counter) -> None:
    """Count a zip's members before zipfile creates an object for each."""
    max_members = counter.limits.max_members
    stream.seek(max(0, counter.size - 65_557))  # the end record and the longest comment
    tail = stream.read()
    end = tail.rfind(b"PK\5\6")
    length = struct.unpack_from("<L", tail, end + 12)[0] if end >= 0 else 0
    start = counter.size - len(tail) + end - length
    if length == 0xFFFFFFFF:  # zip64: its end record and locator, 76 bytes, are before this one
        length = struct.unpack_from("<Q", tail, end - 76 + 40)[0]
        start = counter.size - len(tail) + end - 76 - length
    if length > max_members * _MAX_DIRECTORY_ENTRY_BYTES:
        raise counter.refuse(Message("it holds more than {limit} members", limit=f"{max_members:,}"))
    stream.seek(max(0, start))
    directory, members, position = stream.read(length), 0, 0
    while position + _DIRECTORY_ENTRY_BYTES <= len(directory):
        variable_bytes = sum(struct.unpack_from("<3H", directory, position + 28))  # name, extra field and comment
        members, position = members + 1, position + _DIRECTORY_ENTRY_BYTES + variable_bytes
    if members > max_members:
        raise counter.refuse(Message("it holds more than {limit} members", limit=f"{max_members:,}"))


@contextlib.contextmanager
def _open_archive(archive: Path) -> Iterator[IO[bytes]]:
    try:
        with archive.open("rb") as stream:
            yield stream
    except _DAMAGE_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = Message("get the file again; only zip and tar (plain, .gz, .bz2, .xz) can be extracted")
        raise DataError(
            Message("{archive} cannot be extracted: {reason}", archive=archive, reason=reason), remedy
        ) from None
