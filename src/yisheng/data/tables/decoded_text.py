"""The text of a table's file as UTF-8, in chunks, whatever its encoding and compression.

Python's codecs decode, and every byte of the file must be valid in the encoding that is used; `encodings` guesses it
where the file is not UTF-8.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.data.compression import DECOMPRESSION_ERRORS, open_decompressed
from yisheng.data.tables import encodings

MAX_TEXT_BYTES = 8 << 30
"""Bytes of text that are read, after decompression: a small .gz may decompress to any size."""
CHUNK_BYTES = 1 << 20
AUTO = "auto"
UTF8 = "utf-8"
_SAMPLE_BYTES = 1 << 14
"""Bytes of lines beyond ASCII by which an encoding is guessed."""
_HEAD_BYTES = 1 << 12
_MIN_VALID_UTF8 = 10
"""Valid characters of UTF-8 for each invalid byte from which a file is damaged rather than in another encoding."""
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BLANKS = re.compile(rb'("[^"\n]*")|[ \t\x0b\x0c]+')


def candidate_encodings(path: Path, encoding: str = AUTO, prior: str = "") -> Iterator[str]:
    """Yield the encodings that a file may be in, the likeliest first.

    Args:
        path: the file.
        encoding: the user's choice; ``auto`` goes by the file's byte order mark, if it has one.
        prior: the encoding of the training table, which a later table is likely to have; empty for none.

    Raises:
        DataError: the file cannot be read, or is UTF-8 with a few damaged characters.
        UsageError: there is no such encoding.
    """
    if encoding != AUTO:
        yield find_encoding(encoding)
        return
    head = read_head(path, _HEAD_BYTES)
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            yield name
            return
    utf16 = encodings.guess_utf16(head) if b"\0" in head else ""
    if utf16:
        yield utf16
        return
    yield from encodings.find_escaped_encoding(head)
    if not prior or prior == UTF8:
        yield UTF8
    sample = encodings.collect_foreign_lines(_read_bytes(path, CHUNK_BYTES), _SAMPLE_BYTES)
    if prior and prior != UTF8:
        yield from _rank_by_plausibility(sample, prior)
    _refuse_damaged_utf8(path, sample)
    yield from encodings.guess_encodings(sample)


def find_encoding(name: str) -> str:
    """Return the name of an encoding as Python writes it.

    Raises:
        UsageError: there is no such encoding of text.

    >>> find_encoding("GBK"), find_encoding("UTF8")
    ('gbk', 'utf-8')
    """
    try:
        "".encode(name)
    except (LookupError, ValueError):
        raise UsageError(
            Message("there is no encoding {name}", name=f"{name!r}"),
            Message("use encoding=utf-8, latin-1, gb18030 or shift-jis, for example"),
        ) from None
    return codecs.lookup(name).name


def _rank_by_plausibility(sample: bytes, prior: str) -> Iterator[str]:
    """Yield UTF-8 and the encoding of the training table: a short text may be valid in both."""
    texts: dict[str, str] = {}
    for encoding in (UTF8, prior):
        with contextlib.suppress(UnicodeDecodeError, LookupError):
            texts[encoding] = sample.decode(encoding)
    if len(texts) == 2:
        yield from sorted(texts, key=lambda encoding: -encodings.rate_text(texts[encoding]))
    else:
        yield from texts
        yield from {UTF8, prior} - set(texts)


def _refuse_damaged_utf8(path: Path, sample: bytes) -> None:
    """Raise an error if nearly all of a text is UTF-8: another encoding would garble all of it."""
    text = sample.decode(UTF8, "replace")
    invalid = text.count("\ufffd")
    valid = sum(char > "\x7f" for char in text) - invalid
    if 0 < invalid * _MIN_VALID_UTF8 <= valid:
        line = next(line for line in text.split("\n") if "\ufffd" in line)
        raise DataError(
            Message(
                "{path} is in UTF-8, except for a damaged character in the line {line}",
                path=path,
                line=f"{line[:60]!r}",
            ),
            Message("correct that line, or name the encoding with encoding="),
        )


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


def read_utf8_chunks(path: Path, encoding: str, *, skip: int = 0, blanks: bool = False) -> Iterator[bytes]:
    """Yield the text of a file in UTF-8, without a byte order mark; every line ends with ``\\n`` alone.

    Args:
        path: the file; gzip, bzip2 and xz are recognized by their first bytes.
        encoding: one of `candidate_encodings`.
        skip: number of lines to leave out at the beginning.
        blanks: whether values are separated by any number of blanks; they are separated by one tab in the result.

    Raises:
        DataError: the file cannot be read, is too large, or holds zero bytes.
        UnicodeDecodeError: it is not in this encoding.
    """
    chunks = _decode_chunks(path, encoding)
    if skip:
        chunks = _skip_lines(chunks, skip)
    yield from _join_blanks(chunks) if blanks else chunks


def replace_blanks(text: bytes) -> bytes:
    """Return lines whose values are separated by one tab instead of any number of blanks.

    >>> replace_blanks(b'  1   2 "a  b"\\n3 4\\tc \\n')
    b'1\\t2\\t"a  b"\\n3\\t4\\tc\\n'
    """
    joined = _BLANKS.sub(lambda match: match[1] or b"\t", text)
    return re.sub(rb"^\t|\t$", b"", joined, flags=re.MULTILINE)


def _join_blanks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        complete, newline, held = (held + chunk).rpartition(b"\n")
        if newline:
            yield replace_blanks(complete + newline)
    if held:
        yield replace_blanks(held)


def _skip_lines(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for chunk in chunks:
        remaining = chunk
        while count and remaining:
            _, newline, remaining = remaining.partition(b"\n")
            count -= bool(newline)
        if remaining:
            yield remaining


def _decode_chunks(path: Path, encoding: str) -> Iterator[bytes]:
    """Yield a file's text in UTF-8 with lines that end with ``\\n``."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    is_utf8 = encoding in (UTF8, "ascii")
    at_start, held = True, b""
    for raw in _append_empty(_read_bytes(path, CHUNK_BYTES)):
        text = decoder.decode(raw, final=not raw)  # valid UTF-8 is passed on as it is, but must be checked too
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
            raw_text = raw.removeprefix(codecs.BOM_UTF8)
        else:
            raw_text = raw
        chunk = raw_text if is_utf8 else text.encode(UTF8, "replace")  # some codecs yield lone surrogates
        if b"\0" in chunk:
            raise DataError(
                Message("{path} cannot be read as a table: it holds zero bytes", path=path),
                Message("it is damaged; write it again"),
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
            raise DataError(
                Message("{path} cannot be read as a table: it is not a file", path=path),
                Message("give the path of a file"),
            )
        with path.open("rb") as file:
            stream: IO[bytes] = open_decompressed(file) or file
            while chunk := stream.read(size):
                total += len(chunk)
                if total > MAX_TEXT_BYTES:
                    raise DataError(
                        Message(
                            "{path} holds more than {limit} GiB of text",
                            path=path,
                            limit=MAX_TEXT_BYTES >> 30,
                        ),
                        Message("split it, or take a sample of its rows"),
                    )
                yield chunk
    except FileNotFoundError:
        raise DataError(Message("{path} does not exist", path=path), Message("check the path")) from None
    except DECOMPRESSION_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or Message("it is damaged")
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=reason),
            Message("check the file, or download it again"),
        ) from None
