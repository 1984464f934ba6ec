"""Zip and tar files into a folder, with nothing outside it and no more than was allowed.

Bytes are counted while they come, whatever the archive's headers say. Only files and folders are made,
with plain permissions; links, devices and encrypted members are refused. An archive within an archive
stays a file. The folder appears when all is there.
"""

from __future__ import annotations

import contextlib
import io
import lzma
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

from yisheng.core.errors import DataError, UsageError
from yisheng.data import compression
from yisheng.data.archive_names import key_of, parts_of
from yisheng.data.hub import locations
from yisheng.data.hub.resumable import opened, write_all

CHUNK = 1 << 20
FREE = 64 << 20
"""Bytes that may come out before the ratio counts: a few megabytes of zeros are no bomb."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile decompresses the others without a bound
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, LookupError, ArithmeticError, MemoryError, RuntimeError),
)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; every set of the catalogue passes the defaults.

    Args:
        total: bytes that come out in all.
        single: bytes of one file.
        count: members, folders included.
        ratio: bytes that come out per byte of the archive (JPEG 1, text 10, DEFLATE at most 1032).
        length: bytes of a path.
        depth: parts of a path.
    """

    total: int = 32 << 30
    single: int = 8 << 30
    count: int = 300_000
    ratio: float = 200.0
    length: int = 512
    depth: int = 32


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def extract(archive: Path, folder: Path, *, limits: Limits | None = None) -> Path:
    """Extract a zip or tar (plain, gz, bz2, xz) into a new folder.

    Args:
        archive: the file; its kind is read from its bytes.
        folder: does not exist yet; appears whole or not at all.
        limits: what is allowed.

    Raises:
        UsageError: ``folder`` exists.
        DataError: the archive is damaged, encrypted, of an unknown kind, not safe or too large.
        StorageError: the disk is full, or the folder cannot be made.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists", "name a new folder to extract into")
    with locations.writing(folder):
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".extracting", dir=folder.parent))
    try:
        (work / "all").mkdir()
        with _reading(archive) as stream:
            count = _Count(archive, archive.stat().st_size, limits or Limits())
            members = _zip if stream.read(4).startswith((b"PK\3\4", b"PK\5\6")) else _tar
            for parts, is_folder, source in members(stream, count, folder.parent):
                _write(source, (work / "all").joinpath(*parts), is_folder, count)
        with locations.writing(folder):
            (work / "all").replace(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


@dataclass
class _Count:
    """What has come out so far; says no when it is too much."""

    archive: Path
    size: int
    limits: Limits
    total: int = 0
    members: int = 0
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def add_bytes(self, count: int) -> None:
        self.total += count
        if self.total > self.limits.total:
            raise self.refuse(f"holds more than {self.limits.total:,} bytes")
        if self.total > max(FREE, self.limits.ratio * self.size):
            raise self.refuse(f"grows more than {self.limits.ratio:g} times: a decompression bomb")

    def add_member(self, name: str, is_folder: bool) -> tuple[str, ...]:
        """The parts of the member's path, safe and not yet taken."""
        self.members += 1
        if self.members > self.limits.count:
            raise self.refuse(f"holds more than {self.limits.count:,} members")
        parts = parts_of(name, length=self.limits.length, depth=self.limits.depth)
        if not (parts or is_folder):
            raise self.refuse("holds a file without a name")
        for end in range(1, len(parts) + 1):
            key, written = key_of(parts[:end]), "/".join(parts[:end])
            is_inner = is_folder or end < len(parts)
            if key not in self.seen:
                self.seen[key] = (written, is_inner)
            elif self.seen[key] != (written, True) or not is_inner:
                raise self.refuse(f"holds {name[:100]!r} twice, perhaps but for upper and lower case")
        return parts

    def refuse(self, why: str) -> DataError:
        return DataError(f"{self.archive} {why}", "take it from a trusted source, or extract it yourself")


_Member = tuple[tuple[str, ...], bool, _Readable]


def _zip(stream: IO[bytes], count: _Count, folder: Path) -> Iterator[_Member]:
    _count_directory(stream, count)
    with zipfile.ZipFile(stream) as archive:
        entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
        locations.need_space(folder, min(sum(entry.file_size for entry in entries), count.limits.total))
        free_from = 0
        for entry in entries:
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.flag_bits & 0x2041:
                raise count.refuse("is encrypted")
            if entry.compress_type not in _METHODS:
                raise count.refuse(f"uses compression method {entry.compress_type}, which is not supported")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise count.refuse(f"holds {entry.filename[:100]!r}, which is a link or a device")
            if entry.header_offset < free_from:
                raise count.refuse("has members that overlap: a decompression bomb")
            free_from = entry.header_offset + 30 + entry.compress_size
            if "\0" in entry.orig_filename:
                raise count.refuse(f"holds {entry.orig_filename[:100]!r}, a name with control characters")
            parts = count.add_member(entry.filename, entry.is_dir())
            with archive.open(entry) as source:
                yield parts, entry.is_dir(), _Counted(source, count)


def _tar(stream: IO[bytes], count: _Count, folder: Path) -> Iterator[_Member]:  # noqa: ARG001
    stream.seek(0)
    forward = _Forward(_Counted(compression.decompressed(stream) or stream, count), count)
    with tarfile.open(fileobj=cast(IO[bytes], forward), mode="r:") as archive:
        for entry in archive:
            regular = entry.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not entry.issparse()
            if not (regular or entry.isdir()):
                raise count.refuse(f"holds {entry.name[:100]!r}, which is a link, a device or no plain file")
            parts = count.add_member(entry.name, entry.isdir())
            source = archive.extractfile(entry) if regular else None
            yield parts, entry.isdir(), source or io.BytesIO()
        if forward.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError("it ends too early, or is damaged in the middle")
    while forward.read(CHUNK):  # to where the compressed stream's own checksum stands
        pass


class _Counted:
    """Counts what is read."""

    def __init__(self, stream: _Readable, count: _Count) -> None:
        self._stream, self._count = stream, count

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(size)
        self._count.add_bytes(len(chunk))
        return chunk


class _Forward:
    """A stream as tarfile wants it, which only goes forward and in small steps.

    tarfile reads a long name or a header of extensions whole, at the size that the archive claims.
    """

    def __init__(self, stream: _Readable, count: _Count) -> None:
        self._stream, self._count, self._at = stream, count, 0
        self.last = b""

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, /) -> int:
        while self._at < position and self.read(min(CHUNK, position - self._at)):
            pass
        if self._at != position:
            raise EOFError("the archive ends too early")
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= CHUNK:
            raise self._count.refuse("has a header of more than a megabyte")
        chunk = self.last = self._stream.read(size)
        self._at += len(chunk)
        return chunk


def _write(source: _Readable, target: Path, is_folder: bool, count: _Count) -> None:
    with locations.writing(target):
        (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
    if is_folder:
        return
    size = 0
    with opened(target, "xb") as out:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            if size > count.limits.single:
                raise count.refuse(f"holds a file of more than {count.limits.single:,} bytes")
            write_all(out, target, chunk)


def _count_directory(stream: IO[bytes], count: _Count) -> None:
    """Count a zip's members before zipfile makes an object of each."""
    stream.seek(max(0, count.size - 65_557))
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    length = struct.unpack_from("<L", tail, at + 12)[0] if at >= 0 else 0
    begin = count.size - len(tail) + at - length
    if length == 0xFFFFFFFF:  # zip64: the record before the locator before this one
        length = struct.unpack_from("<Q", tail, at - 76 + 40)[0]
        begin = count.size - len(tail) + at - 76 - length
    if length > count.limits.count * 1024:
        raise count.refuse(f"holds more than {count.limits.count:,} members")
    stream.seek(max(0, begin))
    directory, found, place = stream.read(length), 0, 0
    while place + 46 <= len(directory):
        found, place = found + 1, place + 46 + sum(struct.unpack_from("<3H", directory, place + 28))
    if found > count.limits.count:
        raise count.refuse(f"holds more than {count.limits.count:,} members")


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[IO[bytes]]:
    try:
        with archive.open("rb") as stream:
            yield stream
    except _BROKEN as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "bring the file again; only zip and tar (plain, .gz, .bz2, .xz) can be extracted"
        raise DataError(f"{archive} cannot be extracted: {why}", remedy) from None
