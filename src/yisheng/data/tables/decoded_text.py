"""The text of a table's file as UTF-8, in chunks, whatever its encoding and compression.

Python's codecs decode; only the choice of the encoding is made here. Libraries that detect encodings
(charset-normalizer, chardet) are not among the dependencies, and guess from a sample: here every byte of the file must
be valid in the encoding that is used.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yisheng.core.errors import DataError, UsageError
from yisheng.data.compression import DECOMPRESSION_ERRORS, open_decompressed

MAX_TEXT_BYTES = 8 << 30
"""Bytes of text that are read, after decompression: a small .gz may decompress to any size."""
CHUNK_BYTES = 1 << 22
AUTO = "auto"
DEFAULT_ENCODINGS = ("utf-8", "cp1252", "latin-1")
"""Encodings that are tried in this order where the file has no byte order mark.

Five bytes are undefined in Windows' Western encoding cp1252, none in latin-1."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def candidate_encodings(path: Path, encoding: str = AUTO) -> tuple[str, ...]:
    """Return the encodings that a file may be in, the likeliest first.

    Args:
        path: the file.
        encoding: the user's choice; ``auto`` goes by the file's byte order mark, if it has one.

    Raises:
        DataError: the file cannot be read.
        UsageError: there is no such encoding.
    """
    if encoding != AUTO:
        try:
            "".encode(encoding)
        except (LookupError, ValueError):
            raise UsageError(
                f"there is no encoding {encoding!r}", "use encoding=utf-8, latin-1, gb18030 or shift-jis, for example"
            ) from None
        return (codecs.lookup(encoding).name,)
    start = read_head(path, 4)
    for mark, name in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return (name, *DEFAULT_ENCODINGS[1:]) if name == "utf-8" else (name,)
    return DEFAULT_ENCODINGS


def read_head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file, decompressed.

    Raises:
        DataError: the file cannot be read.
    """
    content = b""
    for chunk in _read_bytes(path, size):
        content += chunk
        if len(content) >= size:
            break
    return content[:size]


def read_utf8_chunks(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield the text of a file in UTF-8, without a byte order mark; every line ends with ``\\n`` alone.

    Args:
        path: the file; gzip, bzip2 and xz are recognized by their first bytes.
        encoding: one of `candidate_encodings`.

    Raises:
        DataError: the file cannot be read, is too large, or holds zero bytes.
        UnicodeDecodeError: it is not in this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    is_utf8 = encoding in ("utf-8", "ascii")
    at_start, held = True, b""
    for raw in _append_empty(_read_bytes(path, CHUNK_BYTES)):
        text = decoder.decode(raw, final=not raw)  # valid UTF-8 is passed on as it is, but must be checked too
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
            raw_text = raw.removeprefix(codecs.BOM_UTF8)
        else:
            raw_text = raw
        chunk = raw_text if is_utf8 else text.encode("utf-8", "replace")  # some codecs yield lone surrogates
        if b"\0" in chunk:
            raise DataError(
                f"{path} cannot be read as a table: it holds zero bytes",
                "if it is UTF-16 without a byte order mark, save it as UTF-8 or use encoding=utf-16-le; "
                "otherwise it is damaged",
            )
        chunk = held + chunk
        held = b"\r" if chunk.endswith(b"\r") and raw else b""  # its \n may be in the next chunk
        if b"\r" in chunk:
            chunk = chunk[: len(chunk) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if chunk:
            yield chunk


def _append_empty(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks
    yield b""


def _read_bytes(path: Path, size: int) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed, at most `MAX_TEXT_BYTES` of them."""
    total = 0
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} cannot be read as a table: it is not a file", "give the path of a file")
        with path.open("rb") as file:
            stream: IO[bytes] = open_decompressed(file) or file
            while chunk := stream.read(size):
                total += len(chunk)
                if total > MAX_TEXT_BYTES:
                    raise DataError(
                        f"{path} holds more than {MAX_TEXT_BYTES >> 30} GiB of text",
                        "split it, or take a sample of its rows",
                    )
                yield chunk
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except DECOMPRESSION_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise DataError(f"{path} cannot be read: {reason}", "check the file, or download it again") from None
