"""The idx format of MNIST: two zero bytes, a type, the sizes of the axes, then the values.

    00 00 | type | d | size 1 (4 bytes) | ... | size d (4 bytes) | values, the last axis fastest

All numbers are big-endian. Source: LeCun, Cortes and Burges, The MNIST database, "File formats".
"""

from __future__ import annotations

import gzip
import math
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 4 << 30
"""Most bytes of values: far more than any set of this format has (EMNIST: 0.6 GiB)."""
MAX_AXES = 8
MAX_COMPRESSION_RATIO, MIN_BOMB_BYTES = 200, 16 << 20
"""A gz file may grow by this factor, or to this many bytes if that is more (MNIST's images: 5)."""
_CHUNK_BYTES = 1 << 20


def read(path: str | os.PathLike[str], *, limit: int = MAX_BYTES) -> np.ndarray:
    """Return the array in an idx file, compressed by gzip or not.

    The header is not trusted: no memory is allocated for values before they have been read, and none at all if the file
    is too short for what its header says.

    Args:
        path: the file.
        limit: most bytes of values.

    Raises:
        DataError: the file is missing, of another format, cut off, too long, damaged or too large.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read(Path(folder, "labels"))
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(
                Message("{path} is not a file", path=path),
                Message("give the path of an idx file, compressed by gzip or not"),
            )
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not compressed:
                return _parse(file, path, limit, status.st_size)
            with gzip.GzipFile(fileobj=file) as content:
                limit = min(limit, max(MIN_BOMB_BYTES, MAX_COMPRESSION_RATIO * status.st_size))
                return _parse(content, path, limit, None)
    except FileNotFoundError:
        raise DataError(
            Message("{path} does not exist", path=path), Message("check the path, or download the set again")
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(path, Message("its compressed data is damaged: {error}", error=error))
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=reason),
            Message("check the path and its permissions"),
        ) from None


def _parse(file: BinaryIO | gzip.GzipFile, path: Path, limit: int, file_size: int | None) -> np.ndarray:
    """Return the array; ``file_size`` is None for a compressed file."""
    dtype, shape = _read_header(file, path)
    size = math.prod(shape) * dtype.itemsize
    description = Message("{shape} values ({size} bytes)", shape=" x ".join(map(str, shape)), size=f"{size:,}")
    if size > limit:
        _refuse(
            path,
            Message(
                "its header announces {description}, more than the {limit} bytes that are allowed",
                description=description,
                limit=f"{limit:,}",
            ),
        )
    if file_size is not None and file_size != (expected := 4 + 4 * len(shape) + size):
        _refuse(
            path,
            Message(
                "{description} make a file of {expected} bytes, this one has {file_size}",
                description=description,
                expected=f"{expected:,}",
                file_size=f"{file_size:,}",
            ),
        )
    content = bytearray()
    while len(content) < size:
        chunk = file.read(min(_CHUNK_BYTES, size - len(content)))
        if not chunk:
            _refuse(
                path,
                Message(
                    "it ends after {size} bytes of {description}", size=f"{len(content):,}", description=description
                ),
            )
        content += chunk
    if file.read(1):  # at the end of a gz file this also compares its checksum
        _refuse(path, Message("there is more in it after {description}", description=description))
    values = np.frombuffer(content, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_header(file: BinaryIO | gzip.GzipFile, path: Path) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        start = magic.hex(" ") or Message("nothing (it is empty)")
        _refuse(
            path,
            Message("an idx file begins with 00 00, a type and the number of axes, this one with {start}", start=start),
        )
    if magic[2] not in DTYPES:
        types = ", ".join(f"{code:02x}" for code in DTYPES)
        _refuse(path, Message("the type must be one of {types}, got {type}", types=types, type=f"{magic[2]:02x}"))
    if not 1 <= magic[3] <= MAX_AXES:
        _refuse(path, Message("an array must have 1 to {limit} axes, got {axes}", limit=MAX_AXES, axes=magic[3]))
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        _refuse(path, Message("it ends within its header of {axes} axes", axes=magic[3]))
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if 0 in shape:
        _refuse(path, Message("it has no values: its axes have the sizes {sizes}", sizes=", ".join(map(str, shape))))
    return np.dtype(DTYPES[magic[2]]), shape


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError(
        Message("{path} is not an intact idx file: {problem}", path=path, problem=problem),
        Message("download it again, or use another copy of it"),
    ) from None
