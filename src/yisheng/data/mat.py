"""The numbers in a MATLAB file of level 5 (``.mat`` since 1996), as SVHN and Flowers come in.

    128 bytes of header | element | element | ...
    element    type and length (4 + 4 bytes) | that many bytes | zeros up to a multiple of 8
               or, for 4 bytes at most, length and type (2 + 2 bytes) | 4 bytes
    a variable is an element of type 14, in which lie its flags, sizes, name and values, each an element;
    an element of type 15 is another one, compressed by zlib

Only arrays of real numbers are read; other variables (texts, structures) are passed over.
Source: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np

from yisheng.core.errors import DataError

TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How values are stored, by type of element."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""What an array holds, by class; its values may be stored in fewer bytes."""
MATRIX, COMPRESSED = 14, 15
LIMIT = 2 << 30
"""Most bytes of a file, and of a variable in it."""
RATIO, SMALL = 200, 16 << 20
"""Compressed variables may grow by this factor, or to this many bytes if that is more (SVHN's images: 1.3)."""
MOST_AXES = 8


class _BadError(Exception):
    """Why it is no whole file."""


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of real numbers in a file, by name, with the axes and their order as MATLAB has them.

    Args:
        path: the file, level 5; those of level 7.3 are HDF5 and not read.

    Raises:
        DataError: it is missing, no such file, cut off, damaged or too large.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LIMIT:
            _refuse(path, f"it has more than {LIMIT:,} bytes")
        content = memoryview(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read: {reason}", "check the path and its permissions") from None
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]), "")
    if not order or int.from_bytes(content[124:126], "little" if order == "<" else "big") != 0x0100:
        _refuse(path, "a header of 128 bytes ends with version 1 and IM or MI")
    try:
        return dict(_variables(content[128:], order))
    except _BadError as error:
        _refuse(path, str(error))


def _variables(content: memoryview, order: str) -> Iterator[tuple[str, np.ndarray]]:
    left = min(LIMIT, max(SMALL, RATIO * len(content)))  # bytes that may still come out of compressed elements
    for kind, data in _elements(content, order):
        if kind == COMPRESSED:
            whole = _inflated(data, left)
            left -= len(whole)
            inner = list(islice(_elements(whole, order), 2))
            if len(inner) != 1 or inner[0][0] != MATRIX:
                raise _BadError("a compressed element does not hold one variable")
            kind, data = inner[0]
        if kind == MATRIX and (variable := _variable(data, order)):
            yield variable


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Types and contents of the elements that lie one behind the other."""
    byteorder: Literal["little", "big"] = "little" if order == "<" else "big"
    at = 0
    while at < len(content):
        if at + 8 > len(content):
            raise _BadError("it ends within the head of an element")
        first = int.from_bytes(content[at : at + 4], byteorder)
        if first >> 16:
            kind, length, start, end = first & 0xFFFF, first >> 16, at + 4, at + 8
            if length > 4:
                raise _BadError(f"a small element claims {length} bytes")
        else:
            length = int.from_bytes(content[at + 4 : at + 8], byteorder)
            kind, start = first, at + 8
            end = start + length + (0 if kind == COMPRESSED else -length % 8)
        if start + length > len(content):
            raise _BadError(f"an element claims {length:,} bytes, there are {len(content) - start:,}")
        yield kind, content[start : start + length]
        at = end


def _inflated(data: memoryview, limit: int) -> memoryview:
    """The content of a compressed element."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise _BadError(f"its compressed data is damaged: {error}") from None
    if len(content) > limit:
        raise _BadError("its compressed data grows beyond what is believed of such a file")
    if not stream.eof:
        raise _BadError("a compressed element is cut off")
    return memoryview(content)


def _variable(data: memoryview, order: str) -> tuple[str, np.ndarray] | None:
    """Name and values of an array of real numbers; None for other variables."""
    parts = list(islice(_elements(data, order), 5))
    if not parts or len(parts[0][1]) != 8:
        raise _BadError("a variable lacks its flags")
    flags = int(np.frombuffer(parts[0][1], f"{order}u4")[0])
    if flags & 0xFF not in CLASSES or flags & 0x0800:  # no numbers, or complex ones
        return None
    if len(parts) != 4 or parts[1][0] != 5 or len(parts[1][1]) % 4 or parts[3][0] not in TYPES:
        raise _BadError("a variable does not have flags, sizes, name and values")
    shape = tuple(np.frombuffer(parts[1][1], f"{order}i4").tolist())
    name = bytes(parts[2][1][:64]).decode("ascii", "replace")
    if not 2 <= len(shape) <= MOST_AXES or min(shape) < 0:
        raise _BadError(f"the variable {name!r} has sizes {shape[:MOST_AXES]} that cannot be")
    stored = np.dtype(order + TYPES[parts[3][0]])
    if len(parts[3][1]) != math.prod(shape) * stored.itemsize:
        raise _BadError(f"the variable {name!r} of sizes {shape} has {len(parts[3][1]):,} bytes of values")
    values = np.frombuffer(parts[3][1], stored).reshape(shape, order="F")
    with np.errstate(invalid="ignore"):  # a damaged file may store NaN for whole numbers
        return name, values.astype(CLASSES[flags & 0xFF], copy=False)


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError(
        f"{path} is not a whole MATLAB file of level 5: {problem}", "fetch it again, or take another copy of it"
    ) from None
