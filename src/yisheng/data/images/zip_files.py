"""The image files of a zip, decoded from where they lie in it.

Nothing is written anywhere, but what `yisheng.data.archives` refuses to extract is refused here too. The table of
contents is read here rather than with `zipfile`, which takes four times as long for it: with small images that
is a third of the time until the first epoch.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from yisheng.core.errors import DataError
from yisheng.data.archive_names import parts_of
from yisheng.data.archives import FREE, Limits
from yisheng.data.images.file_listing import BYTES, Contents, Listing, is_hidden, is_image

LIMITS = Limits(total=1 << 44, single=BYTES, count=4_000_000)
"""Decoding leaves nothing on the disk but pixels: it is the ratio that tells a bomb."""
STORED, DEFLATED = 0, 8
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_HARMLESS = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)\.)[A-Za-z0-9_][A-Za-z0-9_ ()+,=@.-]{0,100}\.[A-Za-z0-9]+")
"""Names that `parts_of` would find nothing about."""


class _Member(NamedTuple):
    """Where the bytes of a file lie, and how."""

    offset: int
    packed: int
    size: int
    crc: int
    method: int


def listing(path: Path) -> Listing:
    """All image files of a zip.

    Raises:
        DataError: it is damaged, encrypted, not safe or a bomb.
    """
    members: list[_Member] = []
    found = Listing(path, lambda numbers: _read(path, found.names, members, numbers))
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            _list(stream, status.st_size, found, members)
    except (OSError, struct.error, ValueError, OverflowError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be read as a zip: {why}", "bring the file again") from None
    marks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    found.stamp = f"{os.path.realpath(path)}\0{marks}"
    return found


def _list(stream: IO[bytes], size: int, found: Listing, members: list[_Member]) -> None:
    """Fill both lists from the table of contents, checked."""
    checks = _Checks(found.path)
    for raw, fields, extra, shift in _table(stream, size, found.path):
        name = _decoded(raw, fields[3])
        folder, last = checks.name(name)
        if folder is None or not last or is_hidden(last):
            continue
        if is_image(last):
            member = _member(fields, extra, shift)
            checks.kind(name, fields, member)
            found.add(folder + last, member.size)
            members.append(member)
        else:
            found.others.append(folder + last)
    checks.whole(members, size)
    found.folders |= checks.inside


def _table(stream: IO[bytes], size: int, path: Path) -> Iterator[tuple[bytes, tuple[int, ...], bytes, int]]:
    """Name, fields and extra field of every member, and how far all offsets are shifted."""
    count, begin, length, end = _end(stream, size)
    shift = end - length - begin  # a zip may have something before it
    if min(begin, length, shift) < 0:
        raise ValueError("its table of contents is not where it should be")
    if count > LIMITS.count or length > LIMITS.count * 256:
        raise DataError(f"{path} holds more than {LIMITS.count:,} members", "split it into several")
    stream.seek(begin + shift)
    table = stream.read(length)
    if len(table) != length:
        raise ValueError("it ends too early")
    at = seen = 0
    while at < length:
        fields = _ENTRY.unpack_from(table, at)
        if fields[0] != b"PK\1\2":
            raise ValueError("its table of contents is damaged")
        named = at + _ENTRY.size
        tail = named + fields[10]
        at = tail + fields[11] + fields[12]
        if at > length:
            raise ValueError("its table of contents is damaged")
        yield table[named:tail], fields, table[tail : tail + fields[11]], shift
        seen += 1
    if seen != count:
        raise ValueError(f"its table of contents has {seen} members, where {count} were promised")


def _end(stream: IO[bytes], size: int) -> tuple[int, int, int, int]:
    """Number of members; where the table of contents says it begins, its length, and where it really ends."""
    stream.seek(max(0, size - 65_535 - _END.size - _LOCATOR.size))
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise ValueError("it is no zip, or ends too early")
    _, disk, _, _, count, length, begin, _ = _END.unpack_from(tail, at)
    place = size - len(tail) + at
    if disk not in (0, 0xFFFF):
        raise ValueError("it is one of several volumes")
    if at < _LOCATOR.size or tail[at - _LOCATOR.size : at - _LOCATOR.size + 4] != b"PK\6\7":
        return count, begin, length, place
    stream.seek(place - _LOCATOR.size - _END64.size)
    record = _END64.unpack(stream.read(_END64.size))
    if record[0] != b"PK\6\6":
        raise ValueError("its table of contents is damaged")
    return record[7], record[9], record[8], place - _LOCATOR.size - _END64.size


def _member(fields: tuple[int, ...], extra: bytes, shift: int) -> _Member:
    crc, packed, size, offset = fields[7], fields[8], fields[9], fields[16]
    if 0xFFFFFFFF in (packed, size, offset):  # zip64: the wide numbers stand in the extra field, in this order
        wide = _wide(extra)
        size, packed, offset = (next(wide) if n == 0xFFFFFFFF else n for n in (size, packed, offset))
    return _Member(offset + shift, packed, size, crc, fields[4])


def _wide(extra: bytes) -> Iterator[int]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            yield from (n for (n,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + length // 8 * 8]))
        at += 4 + length
    raise ValueError("its table of contents lacks a size")


def _decoded(raw: bytes, flags: int) -> str:
    """A member's name. Most programs write UTF-8, not all of them say so."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & 0x800:
            raise
        return raw.decode("cp437")


class _Checks:
    """What makes a zip unsafe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[str] = set()
        self._folders: dict[str, str | None] = {"": ""}
        self.inside: set[str] = set()

    def name(self, name: str) -> tuple[str | None, str]:
        """Folder of a member as the prefix of its name, None for a hidden one, and its last part; both are safe."""
        if name in self._seen:
            raise self._refuse(f"holds {name[:100]!r} twice")
        self._seen.add(name)
        folder, _, last = name.rpartition("/")
        if folder not in self._folders or (last and not _HARMLESS.fullmatch(last)) or name.startswith("/"):
            parts = parts_of(name, length=LIMITS.length, depth=LIMITS.depth)
            self._folders[folder] = self._folder(parts[:-1] if last else parts)
        return self._folders[folder], last

    def _folder(self, parts: tuple[str, ...]) -> str | None:
        if any(map(is_hidden, parts)):
            return None
        self.inside |= {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        return "/".join((*parts, "")) if parts else ""

    def kind(self, name: str, fields: tuple[int, ...], member: _Member) -> None:
        """That a member is a plain file that can be read."""
        if fields[3] & 0x2041:
            raise self._refuse("is encrypted")
        if member.method not in (STORED, DEFLATED):
            raise self._refuse(f"uses compression method {member.method}, which is not supported")
        if stat.S_IFMT(fields[15] >> 16) not in (0, stat.S_IFREG):
            raise self._refuse(f"holds {name[:100]!r}, which is a link or a device")
        if member.method == STORED and member.packed != member.size:
            raise self._refuse(f"is damaged at {name[:100]!r}")

    def whole(self, members: Sequence[_Member], size: int) -> None:
        """That members do not share their bytes, and do not unfold to far more than there are."""
        free_from = 0
        for offset, packed, *_ in sorted(members):
            if offset < free_from:
                raise self._refuse("has members that overlap: a decompression bomb")
            free_from = offset + _LOCAL.size + packed
        if sum(member.size for member in members) > max(FREE, LIMITS.ratio * size):
            raise self._refuse(f"grows more than {LIMITS.ratio:g} times: a decompression bomb")

    def _refuse(self, why: str) -> DataError:
        return DataError(f"{self._path} {why}", "take it from a trusted source, or extract it yourself")


def _read(path: Path, names: Sequence[str], members: Sequence[_Member], numbers: Sequence[int]) -> Contents:
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "check the file and its permissions") from None
    with stream:
        for number in numbers:
            try:
                yield _content(stream, members[number])
            except (OSError, ValueError, zlib.error, struct.error) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                yield DataError(f"{names[number]} is damaged in the zip: {why}", "bring the zip again")


def _content(stream: IO[bytes], member: _Member) -> bytes:
    """The bytes of a member: one reading where its two headers are of like length."""
    if member.size > BYTES or member.packed > BYTES + 65_536:
        raise ValueError(f"it has {member.size:,} bytes, more than the {BYTES:,} that are read")
    stream.seek(member.offset)
    piece = stream.read(_LOCAL.size + 256 + member.packed)
    fields = _LOCAL.unpack_from(piece)
    if fields[0] != b"PK\3\4":
        raise ValueError("its header is missing")
    start = _LOCAL.size + fields[9] + fields[10]
    packed = piece[start : start + member.packed]
    while len(packed) < member.packed:
        stream.seek(member.offset + start + len(packed))
        more = stream.read(member.packed - len(packed))
        if not more:
            raise ValueError("the zip ends too early")
        packed += more
    content = packed if member.method == STORED else zlib.decompressobj(-15).decompress(packed, member.size + 1)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise ValueError("its checksum is wrong")
    return content
