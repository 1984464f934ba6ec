"""The image files of a zip, read without extracting it.

What `yisheng.data.archives` refuses to extract is refused here too. The central directory is parsed here, since the
standard library's ``zipfile`` takes four times as long: with small images, that is a third of the time until the first
epoch.
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
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.data.archive_names import split_member_name
from yisheng.data.archives import MIN_BOMB_BYTES, Limits
from yisheng.data.images.file_listing import MAX_IMAGE_BYTES, Contents, Listing, is_hidden, is_image
from yisheng.data.images.file_names import NameDecoder
from yisheng.data.tables.encodings import MULTIBYTE_ENCODINGS

LIMITS = Limits(max_total_bytes=1 << 44, max_file_bytes=MAX_IMAGE_BYTES, max_members=4_000_000)
"""The total may be large, since only pixels are written to the disk; a bomb is recognized by its ratio."""
STORED, DEFLATED = 0, 8
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES = 65_535
_MAX_DIRECTORY_BYTES_PER_MEMBER = 256
_ENCRYPTION_FLAGS, _UTF8_FLAG = 0x2041, 0x800
_ZIP64_MARK, _ZIP64_FIELD = 0xFFFFFFFF, 1
_NAME_BYTES_READ_AHEAD = 256
"""Bytes of the local header's name and extra field that are read together with the content."""
_SAFE_NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)\.)[A-Za-z0-9_][A-Za-z0-9_ ()+,=@.-]{0,100}\.[A-Za-z0-9]+")
"""Names that `split_member_name` certainly accepts; it is called for all others."""


class _Member(NamedTuple):
    """Position, sizes, checksum and compression method of a file in the zip."""

    offset: int
    compressed_size: int
    size: int
    crc: int
    method: int


class _Entry(NamedTuple):
    """An entry of the central directory: name, fixed fields and extra field, and the shift of all offsets."""

    name: bytes
    fields: tuple[int, ...]
    extra: bytes
    shift: int


class _OtherEncodingError(Exception):
    """A name is not UTF-8."""


def list_zip(path: Path) -> Listing:
    """List all image files of a zip; backslashes, which old programs for Windows write, separate folders too.

    Raises:
        DataError: the zip is damaged, encrypted, not safe or a decompression bomb.
    """
    listing, members = _start_listing(path)
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            try:
                _fill_listing(stream, status.st_size, listing, members, None)
            except _OtherEncodingError:
                listing, members = _start_listing(path)
                decoder = _find_decoder(stream, status.st_size, path)
                _fill_listing(stream, status.st_size, listing, members, decoder)
    except (OSError, struct.error, ValueError, OverflowError, MemoryError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise DataError(
            Message("{path} cannot be read as a zip: {reason}", path=path, reason=reason),
            Message("download or copy it again"),
        ) from None
    marks = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    listing.stamp = f"{os.path.realpath(path)}\0{marks}"
    return listing


def _start_listing(path: Path) -> tuple[Listing, list[_Member]]:
    members: list[_Member] = []
    listing = Listing(path, lambda indices: _read_members(path, listing.names, members, indices))
    return listing, members


def _find_decoder(stream: IO[bytes], size: int, path: Path) -> NameDecoder:
    """Return how the names that are not marked as UTF-8 are decoded: in code page 437, unless they are East Asian."""
    entries = _read_directory(stream, size, path)
    decoder = NameDecoder.from_names(_to_text(entry.name) for entry in entries if not entry.fields[3] & _UTF8_FLAG)
    return decoder if decoder.encoding in MULTIBYTE_ENCODINGS else NameDecoder("cp437")


def _fill_listing(
    stream: IO[bytes], size: int, listing: Listing, members: list[_Member], decoder: NameDecoder | None
) -> None:
    """Fill the listing and its members from the central directory, with all checks.

    Raises:
        _OtherEncodingError: there is no decoder, and a name needs one.
    """
    checks = _SafetyChecks(listing.path)
    for entry in _read_directory(stream, size, listing.path):
        name = _decode_name(entry.name, entry.fields[3], decoder)
        folder, file_name = checks.check_name(name)
        if folder is None or not file_name or is_hidden(file_name):
            continue
        if is_image(file_name):
            member = _parse_member(entry)
            checks.check_member(name, entry.fields, member)
            listing.add(folder + file_name, member.size)
            members.append(member)
        else:
            listing.other_files.append(folder + file_name)
    checks.check_sizes(members, size)
    listing.folders |= checks.folders


def _read_directory(stream: IO[bytes], size: int, path: Path | str) -> Iterator[_Entry]:
    """Yield the entries of the central directory."""
    count, begin, length, end = _find_directory(stream, size)
    shift = end - length - begin  # a zip may follow other data, such as a program that extracts it
    if min(begin, length, shift) < 0:
        raise ValueError(Message("its table of contents is not where it should be"))
    if count > LIMITS.max_members or length > LIMITS.max_members * _MAX_DIRECTORY_BYTES_PER_MEMBER:
        raise DataError(
            Message("{path} holds more than {limit} members", path=path, limit=f"{LIMITS.max_members:,}"),
            Message("split it into several"),
        )
    stream.seek(begin + shift)
    directory = stream.read(length)
    if len(directory) != length:
        raise ValueError(Message("it ends too early"))
    position = entries = 0
    while position < length:
        fields = _ENTRY.unpack_from(directory, position)
        if fields[0] != b"PK\1\2":
            raise ValueError(Message("its table of contents is damaged"))
        name_start = position + _ENTRY.size
        name_end = name_start + fields[10]
        position = name_end + fields[11] + fields[12]
        if position > length:
            raise ValueError(Message("its table of contents is damaged"))
        yield _Entry(directory[name_start:name_end], fields, directory[name_end : name_end + fields[11]], shift)
        entries += 1
    if entries != count:
        raise ValueError(
            Message("its table of contents has {entries} members instead of {count}", entries=entries, count=count)
        )


def _find_directory(stream: IO[bytes], size: int) -> tuple[int, int, int, int]:
    """Return the number of members, and the start, the length and the actual end of the central directory."""
    stream.seek(max(0, size - _MAX_COMMENT_BYTES - _END.size - _LOCATOR.size))
    tail = stream.read()
    index = tail.rfind(b"PK\5\6")
    if index < 0 or index + _END.size > len(tail):
        raise ValueError(Message("it is not a zip, or ends too early"))
    _, disk, _, _, count, length, begin, _ = _END.unpack_from(tail, index)
    end = size - len(tail) + index
    if disk not in (0, 0xFFFF):
        raise ValueError(Message("it is one of several volumes"))
    if index < _LOCATOR.size or tail[index - _LOCATOR.size : index - _LOCATOR.size + 4] != b"PK\6\7":
        return count, begin, length, end
    stream.seek(end - _LOCATOR.size - _END64.size)
    record = _END64.unpack(stream.read(_END64.size))
    if record[0] != b"PK\6\6":
        raise ValueError(Message("its table of contents is damaged"))
    return record[7], record[9], record[8], end - _LOCATOR.size - _END64.size


def _parse_member(entry: _Entry) -> _Member:
    fields = entry.fields
    crc, compressed_size, size, offset = fields[7], fields[8], fields[9], fields[16]
    if _ZIP64_MARK in (compressed_size, size, offset):  # the extra field has the actual numbers, in this order
        zip64_numbers = _read_zip64_numbers(entry.extra)
        size, compressed_size, offset = (
            next(zip64_numbers) if number == _ZIP64_MARK else number for number in (size, compressed_size, offset)
        )
    return _Member(offset + entry.shift, compressed_size, size, crc, fields[4])


def _read_zip64_numbers(extra: bytes) -> Iterator[int]:
    position = 0
    while position + 4 <= len(extra):
        field, length = struct.unpack_from("<2H", extra, position)
        if field == _ZIP64_FIELD:
            content = extra[position + 4 : position + 4 + length // 8 * 8]
            yield from (number for (number,) in struct.iter_unpack("<Q", content))
        position += 4 + length
    raise ValueError(Message("its table of contents lacks a size"))


def _decode_name(name: bytes, flags: int, decoder: NameDecoder | None) -> str:
    """Return a member's name. Most programs write UTF-8, not all of them set the flag for it."""
    try:
        text = name.decode() if decoder is None or flags & _UTF8_FLAG else decoder.decode(_to_text(name))
    except UnicodeDecodeError:
        if flags & _UTF8_FLAG:
            raise
        raise _OtherEncodingError from None
    return text.replace("\\", "/") if "\\" in text else text


def _to_text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class _SafetyChecks:
    """Checks for what makes a zip unsafe, and the folders in it."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._names: set[str] = set()
        self._prefixes: dict[str, str | None] = {"": ""}
        self.folders: set[str] = set()

    def check_name(self, name: str) -> tuple[str | None, str]:
        """Return the folder of a member as a prefix, None for a hidden one, and its file name.

        Raises:
            DataError: the name is not safe, or occurs twice.
        """
        if name in self._names:
            raise self._refuse(Message("it holds {name} twice", name=f"{name[:100]!r}"))
        self._names.add(name)
        folder, _, file_name = name.rpartition("/")
        is_safe = not file_name or _SAFE_NAME.fullmatch(file_name)
        if folder not in self._prefixes or not is_safe or name.startswith("/"):
            parts = split_member_name(name, max_bytes=LIMITS.max_path_bytes, max_depth=LIMITS.max_path_depth)
            self._prefixes[folder] = self._add_folder(parts[:-1] if file_name else parts)
        return self._prefixes[folder], file_name

    def _add_folder(self, parts: tuple[str, ...]) -> str | None:
        if any(map(is_hidden, parts)):
            return None
        self.folders |= {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
        return "/".join((*parts, "")) if parts else ""

    def check_member(self, name: str, fields: tuple[int, ...], member: _Member) -> None:
        """Raise `DataError` unless a member is a plain file that can be read."""
        if fields[3] & _ENCRYPTION_FLAGS:
            raise self._refuse(Message("it is encrypted"))
        if member.method not in (STORED, DEFLATED):
            raise self._refuse(
                Message("it uses compression method {method}, which is not supported", method=member.method)
            )
        if stat.S_IFMT(fields[15] >> 16) not in (0, stat.S_IFREG):
            raise self._refuse(Message("it holds {name}, which is a link or a device", name=f"{name[:100]!r}"))
        if member.method == STORED and member.compressed_size != member.size:
            raise self._refuse(Message("it is damaged at {name}", name=f"{name[:100]!r}"))

    def check_sizes(self, members: Sequence[_Member], size: int) -> None:
        """Raise `DataError` if members share bytes, or decompress to far more than the zip has."""
        free_from = 0
        for member in sorted(members):
            if member.offset < free_from:
                raise self._refuse(Message("its members overlap: a decompression bomb"))
            free_from = member.offset + _LOCAL_HEADER.size + member.compressed_size
        if sum(member.size for member in members) > max(MIN_BOMB_BYTES, LIMITS.max_ratio * size):
            raise self._refuse(
                Message("it grows more than {ratio} times: a decompression bomb", ratio=f"{LIMITS.max_ratio:g}")
            )

    def _refuse(self, problem: Message) -> DataError:
        return DataError(
            Message("{path} cannot be read: {problem}", path=self._path, problem=problem),
            Message("get it from a trusted source, or extract it yourself"),
        )


def _read_members(path: Path, names: Sequence[str], members: Sequence[_Member], indices: Sequence[int]) -> Contents:
    try:
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)),
            Message("check the file and its permissions"),
        ) from None
    with stream:
        for index in indices:
            try:
                yield _read_member(stream, members[index])
            except (OSError, ValueError, zlib.error, struct.error) as error:
                reason = describe_os_error(error) if isinstance(error, OSError) else error
                yield DataError(
                    Message("{name} is damaged in the zip: {reason}", name=names[index], reason=reason),
                    Message("download or copy the zip again"),
                )


def _read_member(stream: IO[bytes], member: _Member) -> bytes:
    """Return the bytes of a member, in one read unless its local header is unusually long."""
    if member.size > MAX_IMAGE_BYTES or member.compressed_size > MAX_IMAGE_BYTES + 65_536:
        raise ValueError(
            Message(
                "it has {size} bytes, more than the {limit} that are read",
                size=f"{member.size:,}",
                limit=f"{MAX_IMAGE_BYTES:,}",
            )
        )
    stream.seek(member.offset)
    chunk = stream.read(_LOCAL_HEADER.size + _NAME_BYTES_READ_AHEAD + member.compressed_size)
    fields = _LOCAL_HEADER.unpack_from(chunk)
    if fields[0] != b"PK\3\4":
        raise ValueError(Message("its header is missing"))
    start = _LOCAL_HEADER.size + fields[9] + fields[10]
    compressed = chunk[start : start + member.compressed_size]
    while len(compressed) < member.compressed_size:
        stream.seek(member.offset + start + len(compressed))
        chunk = stream.read(member.compressed_size - len(compressed))
        if not chunk:
            raise ValueError(Message("the zip ends too early"))
        compressed += chunk
    is_stored = member.method == STORED
    content = compressed if is_stored else zlib.decompressobj(-15).decompress(compressed, member.size + 1)
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise ValueError(Message("its checksum is wrong"))
    return content
