"""The idx format of MNIST and its kin: two zero bytes, a type, the sizes of the axes, then the values.

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

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LIMIT = 4 << 30
"""Most bytes of values: far above any set of this format (EMNIST has 0.6 GiB)."""
MOST_AXES = 8
RATIO, SMALL = 200, 16 << 20
"""A gz file may grow by this factor, or to this many bytes if that is more (MNIST's images: 5)."""
_PIECE = 1 << 20


def read(path: str | os.PathLike[str], *, limit: int = LIMIT) -> np.ndarray:
    """The array in an idx file, gzipped or not, which its first bytes tell.

    The header is believed only as far as the file bears it out: no memory is taken for values before
    they were read, and none at all if the file cannot hold what its header says.

    Args:
        path: the file.
        limit: most bytes of values.

    Raises:
        DataError: the file is missing, no idx file, cut off, too long, damaged or too large.

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
            raise DataError(f"{path} is not a file", "give the path of an idx file, gzipped or not")
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _parse(file, path, limit, status.st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(unpacked, path, min(limit, max(SMALL, RATIO * status.st_size)), None)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path, or fetch the set again") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(path, f"its compressed data is damaged: {error}")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read: {reason}", "check the path and its permissions") from None


def _parse(file: BinaryIO | gzip.GzipFile, path: Path, limit: int, size: int | None) -> np.ndarray:
    """The array; ``size`` is the length of the file where it is known beforehand."""
    dtype, shape = _header(file, path)
    wanted = math.prod(shape) * dtype.itemsize
    what = f"{' x '.join(map(str, shape))} values ({wanted:,} bytes)"
    if wanted > limit:
        _refuse(path, f"its header tells of {what}, more than the {limit:,} bytes that are believed of such a file")
    if size is not None and size != (whole := 4 + 4 * len(shape) + wanted):
        _refuse(path, f"{what} make a file of {whole:,} bytes, this one has {size:,}")
    content = bytearray()
    while len(content) < wanted:
        piece = file.read(min(_PIECE, wanted - len(content)))
        if not piece:
            _refuse(path, f"it ends after {len(content):,} bytes of {what}")
        content += piece
    if file.read(1):  # at the end of a gz file this also compares its checksum
        _refuse(path, f"there is more in it after {what}")
    values = np.frombuffer(content, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _header(file: BinaryIO | gzip.GzipFile, path: Path) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        _refuse(path, f"an idx file begins with 00 00, a type and the number of axes, this one with {_hex(magic)}")
    if magic[2] not in TYPES:
        known = ", ".join(f"{code:02x}" for code in TYPES)
        _refuse(path, f"the type must be one of {known}, got {magic[2]:02x}")
    if not 1 <= magic[3] <= MOST_AXES:
        _refuse(path, f"an array must have 1 to {MOST_AXES} axes, got {magic[3]}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        _refuse(path, f"it ends within its header of {magic[3]} axes")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if 0 in shape:
        _refuse(path, f"it has no values: its axes have the sizes {', '.join(map(str, shape))}")
    return np.dtype(TYPES[magic[2]]), shape


def _hex(some: bytes) -> str:
    return some.hex(" ") or "nothing (it is empty)"


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError(
        f"{path} is not a whole idx file: {problem}", "fetch it again, or take another copy of it"
    ) from None
