"""Checks of files against the catalog's checksums.

A verified checksum is stored with the file's size, times and inode, so that the next start does not read 50 MB again. A
file without a published checksum is pinned: its SHA-256 is written next to it when it is first used
(``<file>.sha256``) and must stay the same.
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

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, StorageError
from yisheng.core.files import read_json, write_file
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error
from yisheng.data import compression, file_trees
from yisheng.data.hub.catalog import Algorithm, Checksum, HubFile, Scope

CHUNK_BYTES = 1 << 20
MAX_CONTENT_BYTES = 8 << 30
"""Most bytes to decompress if the catalog does not say how large the content is."""


@dataclass(frozen=True)
class CheckResult:
    """The result of a check.

    Args:
        state: ``ok``; ``unverified`` (no published checksum; its pin, if any, matches); ``damaged``.
        detail: why, for people.
        checksum: the checksum that matches.
    """

    state: Literal["ok", "unverified", "damaged"]
    detail: str = ""
    checksum: Checksum | None = None

    @property
    def usable(self) -> bool:
        """Return whether the file may be used."""
        return self.state != "damaged"


def check(path: Path, file: HubFile, *, pin_of: Path | None = None, reread: bool = False) -> CheckResult:
    """Compare a file with the checksums of the catalog, or with its pin.

    Args:
        path: the file, or the folder for an entry that is one.
        file: its entry in the catalog.
        pin_of: the path that its pin belongs to, if the file is not at that path yet.
        reread: read it even if it was verified before.
    """
    sums = file.sums or _read_pin(pin_of or path)
    state: Literal["ok", "unverified"] = "ok" if file.sums else "unverified"
    if not reread and (verified := _recall_check(path, sums)):
        return CheckResult(state, checksum=verified)
    if not sums:
        return CheckResult("unverified", Message("no published checksum"))
    if path.is_file() and not file.accepts_size(size := path.stat().st_size):
        expected = f"{file.size or file.max_size:,}"
        actual = f"{size:,}"
        detail = Message("it has {size} bytes, expected {expected}", size=actual, expected=expected)
        return CheckResult("damaged", _add_hint(detail, path))
    digests: dict[Scope, dict[Algorithm, str]] = {}
    for checksum in sums:
        if checksum.scope not in digests:
            algorithms = tuple({s.algorithm for s in sums if s.scope == checksum.scope})
            try:
                digests[checksum.scope] = compute_digests(path, checksum.scope, algorithms, limit=file.content_size)
            except compression.DECOMPRESSION_ERRORS as error:
                return CheckResult("damaged", _add_hint(_describe(error), path))
        if checksum.matches(digests[checksum.scope][checksum.algorithm]):
            _store_check(path, checksum)
            return CheckResult(state, checksum=checksum)
    digest = digests[sums[0].scope][sums[0].algorithm]
    expected = " / ".join(map(str, sums))
    detail = Message(
        "its {algorithm} is {digest}, expected {expected}",
        algorithm=sums[0].algorithm,
        digest=digest,
        expected=expected,
    )
    return CheckResult("damaged", _add_hint(detail, path))


def compute_digests(
    path: Path, scope: Scope, algorithms: tuple[Algorithm, ...], *, limit: int | None = None
) -> dict[Algorithm, str]:
    """Return digests of a file, its content or its lines, by algorithm, from one reading.

    Args:
        path: the file; a folder has only a SHA-256, over all of its files.
        scope: what is summed.
        algorithms: of the digests.
        limit: most bytes of content.

    Raises:
        ValueError: the content is not compressed as its name says, or larger than ``limit``.
        OSError, EOFError, zlib.error, lzma.LZMAError: it cannot be read or decompressed.
    """
    if path.is_dir():
        return {"sha256": file_trees.compute_digest(path)}
    hashes = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    with _open(path, decompress=scope == "content") as stream:
        total, chunks = 0, iter(lambda: stream.read(CHUNK_BYTES), b"")
        for chunk in _normalize_lines(chunks) if scope == "lines" else chunks:
            total += len(chunk)
            if scope == "content" and total > (limit or MAX_CONTENT_BYTES):
                raise ValueError(f"it decompresses to more than {limit or MAX_CONTENT_BYTES:,} bytes")
            for digest in hashes.values():
                digest.update(chunk)
    return {algorithm: digest.hexdigest() for algorithm, digest in hashes.items()}


def is_compressed(path: Path) -> bool:
    """Return whether a file begins as gzip, bzip2 or xz files do."""
    with path.open("rb") as stream:
        return compression.open_decompressed(stream) is not None


def pin(path: Path) -> str:
    """Write the SHA-256 of a file without a published checksum next to it, and return it."""
    digest = compute_digests(path, "file", ("sha256",))["sha256"]
    with cache_folder.explain_write_errors(_pin_path(path)):
        write_file(_pin_path(path), f"{digest}  {path.name}\n")
    _store_check(path, Checksum("file", "sha256", digest))
    return digest


def remember_check(path: Path, result: CheckResult) -> None:
    """Store the result for a file that has been moved to ``path`` since the check."""
    if result.checksum:
        _store_check(path, result.checksum)


def _pin_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read_pin(path: Path) -> tuple[Checksum, ...]:
    try:
        text = _pin_path(path).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as error:
        raise DataError(
            Message("the pin {path} cannot be read: {error}", path=_pin_path(path), error=error),
            Message("delete it to pin the file again"),
        ) from None
    digest = text.split()[0] if text.split() else ""
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise DataError(
            Message("the pin {path} holds no SHA-256", path=_pin_path(path)), Message("delete it to pin the file again")
        )
    return (Checksum("file", "sha256", digest),)


@contextlib.contextmanager
def _open(path: Path, *, decompress: bool) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        stream = compression.open_decompressed(file) if decompress else file
        if stream is None:
            raise ValueError("it is not compressed, though its name says so")
        with stream:
            yield stream


def _normalize_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks with CRLF as LF; a CR at the end of one waits for the next."""
    pending = b""
    for chunk in chunks:
        chunk = pending + chunk
        pending = b"\r" if chunk.endswith(b"\r") else b""
        yield chunk.removesuffix(b"\r").replace(b"\r\n", b"\n")
    yield pending


def _describe(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return Message("it ends too early")
    if isinstance(error, OSError) and error.errno:
        return Message("it cannot be read: {reason}", reason=describe_os_error(error))
    return str(error) or type(error).__name__


def _add_hint(detail: str, path: Path) -> str:
    """Return what is wrong with a file, with a hint if it is a web page: servers often send one instead of a file."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        if stream.read(256).lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return Message("{detail} (it is a web page)", detail=detail)
    return detail


def _checks_path() -> Path:
    return cache_folder.get_cache_folder() / "data" / ".verified.json"


def _read_checks() -> dict[str, list[object]]:
    try:
        data = read_json(_checks_path(), limit=16 << 20)
    except DataError:  # missing or damaged: the files are read again
        return {}
    return data if isinstance(data, dict) else {}


def _compute_signature(path: Path) -> list[object]:
    if path.is_dir():
        return [file_trees.compute_signature(path)]
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _recall_check(path: Path, sums: tuple[Checksum, ...]) -> Checksum | None:
    """Return the checksum that was verified, if the file has not changed since."""
    with contextlib.suppress(OSError):
        match _read_checks().get(os.path.realpath(path)):
            case [str(text), *signature] if signature == _compute_signature(path):
                return next((s for s in sums if _to_text(s) == text), None)
    return None


def _store_check(path: Path, checksum: Checksum) -> None:
    """Store a verified checksum if the cache can be written to; otherwise the file is read again next time."""
    with contextlib.suppress(OSError, StorageError):
        checks = {name: entry for name, entry in _read_checks().items() if Path(name).exists()}
        checks[os.path.realpath(path)] = [_to_text(checksum), *_compute_signature(path)]
        write_file(_checks_path(), json.dumps(checks), sync=False)


def _to_text(checksum: Checksum) -> str:
    return f"{checksum.scope}:{checksum.algorithm}:{checksum.value}"
