"""The numbers in a MATLAB file of level 5 (``.mat`` since 1996), the format of SVHN and Flowers.

    128 bytes of header | element | element | ...
    element    type and length (4 + 4 bytes) | content of that length | zeros up to a multiple of 8
               or, for 4 bytes at most, length and type (2 + 2 bytes) | 4 bytes

A variable is an element of type 14 that holds four elements: flags, sizes, name and values. An element of type 15 is
another element, compressed by zlib. Only arrays of real numbers are read; texts and structures are skipped.

``scipy.io.loadmat`` is not used because damaged files crash it (SciPy 1.17 reads outside its memory).

Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How values are stored, by type of element."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""What an array holds, by class; its values may be stored in fewer bytes."""
MATRIX, COMPRESSED = 14, 15
MAX_BYTES = 2 << 30
"""Most bytes of a file, and of a variable in it."""
MAX_COMPRESSION_RATIO, MIN_BOMB_BYTES = 200, 16 << 20
"""Compressed variables may grow by this factor, or to this many bytes if that is more (SVHN's images: 1.3)."""
MAX_AXES = 8
_COMPLEX = 0x0800


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the arrays of real numbers in a file, by name, with MATLAB's axes.

    Args:
        path: the file, of level 5; files of level 7.3 are HDF5 and not read.

    Raises:
        DataError: it is missing, of another format, cut off, damaged or too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            _refuse(path, Message("it has more than {limit} bytes", limit=f"{MAX_BYTES:,}"))
        content = memoryview(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=reason),
            Message("check the path and its permissions"),
        ) from None
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(bytes(content[124:128]))
    if order is None:
        _refuse(path, Message("a header of 128 bytes ends with version 1 and IM or MI"))
    try:
        return dict(_read_variables(content[128:], order))
    except (ValueError, KeyError, struct.error, zlib.error) as error:
        _refuse(path, error)


def _read_variables(content: memoryview, order: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the names and values of all arrays of real numbers; ``order`` is that of the bytes, ``<`` or ``>``."""
    budget = min(MAX_BYTES, max(MIN_BOMB_BYTES, MAX_COMPRESSION_RATIO * len(content)))
    for kind, data in _split_elements(content, order):
        if kind == COMPRESSED:
            decompressed = _decompress(data, budget)
            budget -= len(decompressed)
            ((kind, data),) = islice(_split_elements(decompressed, order), 2)
        if kind == MATRIX and (variable := _read_variable(data, order)):
            yield variable


def _split_elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the types and contents of consecutive elements."""
    position = 0
    while position < len(content):
        kind, length = struct.unpack_from(order + "II", content, position)
        start, end = position + 8, position + 8 + length + (0 if kind == COMPRESSED else -length % 8)
        if kind >> 16:
            kind, length, start, end = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        if start + length > min(end, len(content)):
            raise ValueError(
                Message(
                    "an element claims {claimed} bytes, there are {present}",
                    claimed=f"{length:,}",
                    present=f"{len(content) - start:,}",
                )
            )
        yield kind, content[start : start + length]
        position = end


def _decompress(data: memoryview, limit: int) -> memoryview:
    """Return the content of a compressed element."""
    stream = zlib.decompressobj()
    content = stream.decompress(data, limit + 1)
    if len(content) > limit:
        raise ValueError(Message("its compressed data grows beyond {limit} bytes", limit=f"{limit:,}"))
    if not stream.eof:
        raise ValueError(Message("a compressed element is cut off"))
    return memoryview(content)


def _read_variable(data: memoryview, order: str) -> tuple[str, np.ndarray] | None:
    """Return the name and values of an array of real numbers, None for other variables."""
    elements = list(islice(_split_elements(data, order), 5))
    if not elements or len(elements[0][1]) != 8:
        raise ValueError(Message("a variable lacks its flags"))
    (flags,) = struct.unpack_from(order + "I", elements[0][1])
    if flags & 0xFF not in CLASSES or flags & _COMPLEX:
        return None
    if len(elements) != 4 or elements[3][0] not in DTYPES:
        raise ValueError(Message("a variable does not have flags, sizes, name and values"))
    _, (_, sizes), (_, name), (stored, values) = elements
    shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
    if not 2 <= len(shape) <= MAX_AXES or min(shape) < 0:
        raise ValueError(Message("a variable has the sizes {sizes}, which are not valid", sizes=shape[:MAX_AXES]))
    array = np.frombuffer(values, order + DTYPES[stored]).reshape(shape, order="F")
    with np.errstate(invalid="ignore"):  # a damaged file may store NaN for whole numbers
        return bytes(name[:64]).decode("ascii", "replace"), array.astype(CLASSES[flags & 0xFF], copy=False)


def _refuse(path: Path, problem: str | Exception) -> NoReturn:
    raise DataError(
        Message("{path} is not an intact MATLAB file of level 5: {problem}", path=path, problem=problem),
        Message("download it again, or use another copy of it"),
    ) from None
