"""Whether a file on the disk is what the catalogue promises.

A sum that was once found right is remembered with the file's size, times and inode, so that a start
does not read 50 MB again. A file of which nobody published a checksum is pinned: its SHA-256 is
written beside it when it is first used (``<file>.sha256``) and must stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from yisheng.core.errors import DataError, StorageError
from yisheng.core.files import read_json, write
from yisheng.data import compression, file_trees
from yisheng.data.hub import locations
from yisheng.data.hub.catalog import Algorithm, HubFile, Of, Sum

CHUNK = 1 << 20
CONTENT_LIMIT = 8 << 30
"""Most bytes to decompress where the content's size is not known."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Args:
        state: ``ok``; ``unverified`` (no published checksum; its pin, if any, holds); ``damaged``.
        detail: why, for people.
        sum: the sum that fits.
    """

    state: Literal["ok", "unverified", "damaged"]
    detail: str = ""
    sum: Sum | None = None

    @property
    def good(self) -> bool:
        """Whether the file may be used."""
        return self.state != "damaged"


def check(path: Path, file: HubFile, *, pin_of: Path | None = None, again: bool = False) -> Verdict:
    """Compare a file with the sums of the catalogue, or with its pin.

    Args:
        path: the file, or the folder for an entry that is one.
        file: what it should be.
        pin_of: the path that its pin belongs to, if it is not there yet.
        again: read it even when it was found right before.
    """
    sums = file.sums or _pinned(pin_of or path)
    state: Literal["ok", "unverified"] = "ok" if file.sums else "unverified"
    if not again and (known := _recall(path, sums)):
        return Verdict(state, sum=known)
    if not sums:
        return Verdict("unverified", "no published checksum")
    if path.is_file() and not file.may_have(size := path.stat().st_size):
        return Verdict("damaged", f"it has {size:,} bytes, expected {file.size or file.limit:,}{_page_hint(path)}")
    found: dict[Of, dict[Algorithm, str]] = {}
    for wanted in sums:
        if wanted.of not in found:
            names = tuple({s.algorithm for s in sums if s.of == wanted.of})
            try:
                found[wanted.of] = digests(path, wanted.of, names, limit=file.content_size)
            except compression.ERRORS as error:
                return Verdict("damaged", _why(error) + _page_hint(path))
        if wanted.fits(found[wanted.of][wanted.algorithm]):
            _remember(path, wanted)
            return Verdict(state, sum=wanted)
    got = found[sums[0].of][sums[0].algorithm]
    wanted_text = " or ".join(map(str, sums))
    return Verdict("damaged", f"its {sums[0].algorithm} is {got}, expected {wanted_text}{_page_hint(path)}")


def digests(path: Path, of: Of, names: tuple[Algorithm, ...], *, limit: int | None = None) -> dict[Algorithm, str]:
    """Digests of a file, its content or its lines, by algorithm, in one reading.

    Args:
        path: the file; a folder has only a SHA-256, over all of its files.
        of: what to sum.
        names: the algorithms.
        limit: most bytes of content.

    Raises:
        ValueError: the content is not compressed as its name says, or larger than ``limit``.
        OSError, EOFError, zlib.error, lzma.LZMAError: it cannot be read or decompressed.
    """
    if path.is_dir():
        return {"sha256": file_trees.digest(path)}
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with _opened(path, decompress=of == "content") as stream:
        total, chunks = 0, iter(lambda: stream.read(CHUNK), b"")
        for chunk in _with_plain_lines(chunks) if of == "lines" else chunks:
            total += len(chunk)
            if of == "content" and total > (limit or CONTENT_LIMIT):
                raise ValueError(f"it decompresses to more than {limit or CONTENT_LIMIT:,} bytes")
            for hashed in hashes.values():
                hashed.update(chunk)
    return {name: hashed.hexdigest() for name, hashed in hashes.items()}


def is_compressed(path: Path) -> bool:
    """Whether a file begins as gzip, bzip2 or xz files do."""
    with path.open("rb") as stream:
        return compression.decompressed(stream) is not None


def pin(path: Path) -> str:
    """Write the SHA-256 of a file that nobody published one for beside it, and return it."""
    value = digests(path, "file", ("sha256",))["sha256"]
    with locations.writing(_pin_file(path)):
        write(_pin_file(path), f"{value}  {path.name}\n")
    _remember(path, Sum("file", "sha256", value))
    return value


def remember(path: Path, verdict: Verdict) -> None:
    """Note a verdict for a file that has since been moved to ``path``."""
    if verdict.sum:
        _remember(path, verdict.sum)


def _pin_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _pinned(path: Path) -> tuple[Sum, ...]:
    try:
        text = _pin_file(path).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as error:
        raise DataError(f"the pin {_pin_file(path)} cannot be read: {error}", "delete it to pin anew") from None
    value = text.split()[0] if text.split() else ""
    if len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise DataError(f"the pin {_pin_file(path)} holds no SHA-256", "delete it to pin the file anew")
    return (Sum("file", "sha256", value),)


@contextlib.contextmanager
def _opened(path: Path, *, decompress: bool) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        stream = compression.decompressed(raw) if decompress else raw
        if stream is None:
            raise ValueError("it is not compressed, though its name says so")
        with stream:
            yield stream


def _with_plain_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks with CRLF as LF; a CR at the end of one waits for the next."""
    kept = b""
    for chunk in chunks:
        chunk = kept + chunk
        kept = b"\r" if chunk.endswith(b"\r") else b""
        yield chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")
    yield kept


def _why(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    if isinstance(error, OSError) and error.errno:
        return f"it cannot be read: {error.strerror}"
    return str(error) or type(error).__name__


def _page_hint(path: Path) -> str:
    """A login or error page is what often comes instead of a file."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        if stream.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return " (it is a web page)"
    return ""


def _seen_file() -> Path:
    return locations.home() / "data" / ".verified.json"


def _seen() -> dict[str, list[object]]:
    try:
        data = read_json(_seen_file(), limit=16 << 20)
    except DataError:  # none yet, or damaged: it only saves time
        return {}
    return data if isinstance(data, dict) else {}


def _signature(path: Path) -> list[object]:
    if path.is_dir():
        return [file_trees.signature(path)]
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _recall(path: Path, sums: tuple[Sum, ...]) -> Sum | None:
    with contextlib.suppress(OSError):
        match _seen().get(os.path.realpath(path)):
            case [str(text), *signature] if signature == _signature(path):
                return next((s for s in sums if _key(s) == text), None)
    return None


def _remember(path: Path, found: Sum) -> None:
    """Best effort: a cache that cannot be written only costs time."""
    with contextlib.suppress(OSError, StorageError):
        seen = {name: entry for name, entry in _seen().items() if Path(name).exists()}
        seen[os.path.realpath(path)] = [_key(found), *_signature(path)]
        write(_seen_file(), json.dumps(seen), sync=False)


def _key(found: Sum) -> str:
    return f"{found.of}:{found.algorithm}:{found.value}"
