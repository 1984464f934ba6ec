"""The text of a table's file as UTF-8, whatever it was written in, piece by piece."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yisheng.core.errors import DataError, UsageError
from yisheng.data.compression import ERRORS, decompressed

LIMIT = 8 << 30
"""Bytes of text that are read, after decompression: a small .gz may unfold to any size."""
PIECE = 1 << 22
AUTO = "auto"
GUESSES = ("utf-8", "cp1252", "latin-1")
"""Tried in this order where the file has no mark: Windows' Western alphabet has five gaps, latin-1 none."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def guesses(path: Path, encoding: str = AUTO) -> tuple[str, ...]:
    """The encodings that a file may be in, the likeliest first.

    Args:
        path: the file.
        encoding: the one that the user named; ``auto`` goes by the file's mark, if it has one.

    Raises:
        DataError: the file cannot be read.
        UsageError: there is no such encoding.
    """
    if encoding != AUTO:
        try:
            "".encode(encoding)
        except (LookupError, ValueError):
            raise UsageError(
                f"there is no encoding {encoding!r}", "say encoding=utf-8, latin-1, gb18030, shift-jis, ..."
            ) from None
        return (codecs.lookup(encoding).name,)
    start = head(path, 4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return (name, *GUESSES[1:]) if name == "utf-8" else (name,)
    return GUESSES


def head(path: Path, size: int) -> bytes:
    """The first bytes of a file, decompressed.

    Raises:
        DataError: it cannot be read.
    """
    found = b""
    for piece in _raw(path, size):
        found += piece
        if len(found) >= size:
            break
    return found[:size]


def pieces(path: Path, encoding: str) -> Iterator[bytes]:
    """The text of a file in UTF-8, without its mark; every line ends with ``\\n`` alone.

    Args:
        path: the file; gzip, bzip2 and xz are told by their first bytes.
        encoding: one of `guesses`.

    Raises:
        DataError: the file cannot be read, is too large, or holds zero bytes.
        UnicodeDecodeError: it is not in this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    start, held = True, b""
    for raw in _ended(_raw(path, PIECE)):
        text = decoder.decode(raw, final=not raw)
        if start and text:
            text, start, plain = text.removeprefix("\ufeff"), False, encoding in ("utf-8", "ascii")
            piece = raw.removeprefix(codecs.BOM_UTF8) if plain else _utf8(text)
        else:
            piece = raw if encoding in ("utf-8", "ascii") else _utf8(text)
        if b"\0" in piece:
            raise DataError(
                f"{path} cannot be read as a table: it holds zero bytes",
                "it is damaged, or UTF-16 without its mark: save it as UTF-8, or say encoding=utf-16-le",
            )
        piece = held + piece
        held = b"\r" if piece.endswith(b"\r") and raw else b""
        if b"\r" in piece:
            piece = piece[: len(piece) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if piece:
            yield piece


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # some codecs give halves of pairs, which UTF-8 has not


def _ended(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, and an empty one at the end."""
    yield from pieces
    yield b""


def _raw(path: Path, size: int) -> Iterator[bytes]:
    """The bytes of a file, decompressed, at most `LIMIT` of them."""
    total = 0
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} cannot be read as a table: it is no file", "give a file")
        with path.open("rb") as file:
            stream: IO[bytes] = decompressed(file) or file
            while piece := stream.read(size):
                total += len(piece)
                if total > LIMIT:
                    raise DataError(
                        f"{path} holds more than {LIMIT >> 30} GiB of text", "split it, or take a sample of its rows"
                    )
                yield piece
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise DataError(f"{path} cannot be read: {reason}", "check the file, or fetch it again") from None
