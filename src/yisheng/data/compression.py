"""The content of gzip, bzip2 and xz files, which are recognized by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

DECOMPRESSION_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, MemoryError)
"""What reading a damaged file raises."""
_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


def open_decompressed(stream: IO[bytes]) -> IO[bytes] | None:
    """Open the content of a compressed file, from its beginning; return None if it is not compressed.

    >>> import io
    >>> open_decompressed(io.BytesIO(gzip.compress(b"ten"))).read()
    b'ten'
    """
    stream.seek(0)
    start = stream.read(6)
    stream.seek(0)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return cast(IO[bytes], opener(stream, "rb"))
    return None
