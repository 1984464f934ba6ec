"""One file from one address into a partial file, resumed where an earlier attempt stopped.

A partial file's note holds the address, the validator and the total. The next attempt asks for the remaining bytes with
Range, and with If-Range if the server gave a validator, so that a file that has changed since is sent in full.

pooch is not used: it has no resumption, no mirrors, no hashes of decompressed content and no locks.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yisheng.core import cache_folder
from yisheng.core.errors import DataError
from yisheng.core.files import read_json, write_file
from yisheng.data.hub import http as web
from yisheng.data.hub.catalog import HubFile
from yisheng.data.hub.progress import ByteProgress
from yisheng.data.hub.resumable import (
    CHUNK_BYTES,
    SourceError,
    describe_error,
    discard_part,
    note_path,
    open_unbuffered,
    part_size,
    write_all,
)


@dataclass(frozen=True)
class RetryPolicy:
    """When a connection is given up, and how often the download is resumed.

    Args:
        timeout: seconds without a byte, while connecting or reading, after which the connection is given up.
        speed_window: seconds over which the speed is measured.
        min_speed: bytes per second below which a connection is given up.
        max_attempts: consecutive connections that may break off before they have sent ``CHUNK_BYTES`` bytes.
        backoff: seconds to wait after the first of them, doubled after each further one.
    """

    timeout: float = 20.0
    speed_window: float = 60.0
    min_speed: float = 512.0
    max_attempts: int = 3
    backoff: float = 0.5


RETRY_POLICY = RetryPolicy()


class _InterruptedError(Exception):
    """The connection broke off; a resumed download may succeed."""


def download(url: str, part: Path, file: HubFile) -> bool:
    """Complete the partial file from an http(s) address.

    Returns:
        Whether some of it came from another attempt or address. If its content is wrong then, a download from the
        beginning may help.

    Raises:
        SourceError: the address does not give the file.
        StorageError: the disk is full, or the folder cannot be written to.
    """
    resumed, failures, received = False, 0, part_size(part)
    while True:
        try:
            return _get(url, part, file) or resumed
        except _InterruptedError as error:
            gained, received = part_size(part) - received, max(received, part_size(part))
            failures = 0 if gained >= CHUNK_BYTES else failures + 1
            if failures >= RETRY_POLICY.max_attempts:
                raise SourceError(str(error)) from None
            resumed = True
            time.sleep(RETRY_POLICY.backoff * 2 ** (failures - 1) if failures else 0)


def _get(url: str, part: Path, file: HubFile) -> bool:
    """Send one request, and return whether it resumed an earlier one."""
    offset, validator, total = _find_resumption(url, part, file)
    if offset and offset == total:  # stopped between the last byte and the check
        return True
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    try:
        response = web.send_request(url, headers, RETRY_POLICY.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                if error.headers.get("Content-Range", "").replace(" ", "") == f"bytes*/{offset}":
                    return True
                discard_part(part)
                raise _InterruptedError("the server has no such range") from None
            raise SourceError(" ".join(["HTTP", str(error.code), *str(error.reason).splitlines()[:1]])) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(describe_error(error)) from None
    with response:
        offset = _get_offset(response, offset, validator, total, part)
        total = None if response.length is None else offset + int(response.length)
        if total is not None and not file.accepts_size(total):
            raise SourceError(f"it offers {total:,} bytes where {file.size or file.max_size:,} were expected")
        cache_folder.require_space(part.parent, (total or offset) - offset)
        if not offset:
            discard_part(part)
            with cache_folder.explain_write_errors(part):
                note = {"url": url, "validator": web.get_validator(response), "total": total}
                write_file(note_path(part), json.dumps(note), sync=False)
        _receive(response, part, offset, total, file)
    return offset > 0


def _receive(response: Any, part: Path, offset: int, total: int | None, file: HubFile) -> None:
    """Write the response's body into the partial file, from ``offset`` on."""
    with open_unbuffered(part, "r+b" if offset else "wb") as out, ByteProgress(file.name, offset, total) as progress:
        out.seek(offset)
        window_start, window_offset = time.monotonic(), offset
        while True:
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _InterruptedError(f"{describe_error(error)} after {offset:,} bytes") from None
            if not chunk:
                break
            offset += len(chunk)
            if offset > file.max_size:
                raise SourceError(f"it sends more than {file.max_size:,} bytes")
            write_all(out, part, chunk)
            progress.update(len(chunk))
            if (elapsed := time.monotonic() - window_start) > RETRY_POLICY.speed_window:
                if offset - window_offset < elapsed * RETRY_POLICY.min_speed:
                    raise _InterruptedError(f"too slow after {offset:,} bytes")
                window_start, window_offset = time.monotonic(), offset
    if total is not None and offset < total:
        raise _InterruptedError(f"the connection was cut after {offset:,} of {total:,} bytes")


def _find_resumption(url: str, part: Path, file: HubFile) -> tuple[int, str, int | None]:
    """Return the offset to resume from (0: the beginning), the validator to send, and the expected total."""
    if not part.is_file():
        return 0, "", None
    try:
        note = read_json(note_path(part), limit=1 << 16)
        address, validator, total = note["url"], note["validator"], note["total"]
    except (DataError, KeyError, TypeError):
        return 0, "", None
    if not (isinstance(validator, str) and (total is None or isinstance(total, int))):
        return 0, "", None
    if address == url and (validator or file.sums):
        return part_size(part), validator, total
    return (part_size(part), "", total) if file.has_fixed_bytes else (0, "", None)


def _get_offset(response: Any, offset: int, validator: str, total: int | None, part: Path) -> int:
    """Return where the response's body begins: 0 if the server sends all of the file in spite of the range."""
    if response.status == 200:
        return 0
    if response.status != 206 or not offset:
        raise SourceError(f"HTTP {response.status} instead of the file")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    same_version = not validator or web.get_validator(response) in ("", validator)
    if match and int(match[1]) == offset and same_version and (total is None or match[2] in ("*", str(total))):
        return offset
    discard_part(part)
    raise _InterruptedError("the server sent another range or version than the requested one")
