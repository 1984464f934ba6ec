"""One file from one address into a partial file, going on where an earlier attempt stopped.

pooch was looked at first: it checks a file's own hash and retries, but it has no resumption, no mirrors,
no hashes of decompressed content and no locks, which is what this kind consists of. What is left is
urllib's part (see `yisheng.data.hub.http`), so requests and httpx are not needed either.

A partial file's note holds the address, the validator and the total. The next attempt asks for the rest
with Range, and with If-Range where the server gave a validator, so that a file that has changed
meanwhile comes whole.
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

from yisheng.core.errors import DataError
from yisheng.core.files import read_json, write
from yisheng.data.hub import http as web
from yisheng.data.hub import locations
from yisheng.data.hub.catalog import HubFile
from yisheng.data.hub.progress import Meter
from yisheng.data.hub.resumable import CHUNK, RefusedError, discard, note_of, opened, reason, size_of, write_all


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Args:
        timeout: seconds without a byte, while connecting or reading, after which the connection is given up.
        window: seconds over which a crawling connection must bring ``slowest`` bytes a second.
        slowest: bytes per second below which a connection is given up.
        attempts: connections in a row that may break off without bringing ``CHUNK`` bytes.
        pause: seconds to wait after the first of them, doubled for each one after.
    """

    timeout: float = 20.0
    window: float = 60.0
    slowest: float = 512.0
    attempts: int = 3
    pause: float = 0.5


PATIENCE = Patience()


class _CutError(Exception):
    """The connection broke off in the middle; going on may help."""


def download(url: str, part: Path, file: HubFile) -> bool:
    """Complete the partial file from an http(s) address.

    Returns:
        Whether some of it came from another attempt or address: if it proves wrong then, beginning
        again may help.

    Raises:
        RefusedError: the address does not give the file.
        StorageError: the disk is full, or the folder cannot be written to.
    """
    resumed, failures, best = False, 0, size_of(part)
    while True:
        try:
            return _get(url, part, file) or resumed
        except _CutError as cut:
            gained, best = size_of(part) - best, max(best, size_of(part))
            failures = 0 if gained >= CHUNK else failures + 1
            if failures >= PATIENCE.attempts:
                raise RefusedError(str(cut)) from None
            resumed = True
            time.sleep(PATIENCE.pause * 2 ** (failures - 1) if failures else 0)


def _get(url: str, part: Path, file: HubFile) -> bool:
    """One request; whether it went on from an earlier one."""
    offset, validator, total = _resumable(url, part, file)
    if offset and offset == total:  # stopped between the last byte and the check
        return True
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    try:
        response = web.ask(url, headers, PATIENCE.timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                if error.headers.get("Content-Range", "").replace(" ", "") == f"bytes*/{offset}":
                    return True
                discard(part)
                raise _CutError("the server has no such range") from None
            raise RefusedError(" ".join(["HTTP", str(error.code), *str(error.reason).splitlines()[:1]])) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RefusedError(reason(error)) from None
    with response:
        offset = _agreed_offset(response, offset, validator, total, part)
        total = _total(response, offset)
        if total is not None and not file.may_have(total):
            raise RefusedError(f"it offers {total:,} bytes where {file.size or file.limit:,} were expected")
        locations.need_space(part.parent, (total or offset) - offset)
        if not offset:
            discard(part)
            with locations.writing(part):
                note = {"url": url, "validator": web.validator(response), "total": total}
                write(note_of(part), json.dumps(note), sync=False)
        _receive(response, part, offset, total, file)
    return offset > 0


def _receive(response: Any, part: Path, offset: int, total: int | None, file: HubFile) -> None:
    with opened(part, "r+b" if offset else "wb") as out, Meter(file.name, offset, total) as meter:
        out.seek(offset)
        began, since = time.monotonic(), offset
        while True:
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise _CutError(f"{reason(error)} after {offset:,} bytes") from None
            if not chunk:
                break
            offset += len(chunk)
            if offset > file.limit:
                raise RefusedError(f"it sends more than {file.limit:,} bytes")
            write_all(out, part, chunk)
            meter.add(len(chunk))
            if (spent := time.monotonic() - began) > PATIENCE.window:
                if offset - since < spent * PATIENCE.slowest:
                    raise _CutError(f"too slow after {offset:,} bytes")
                began, since = time.monotonic(), offset
    if total is not None and offset < total:
        raise _CutError(f"the connection was cut after {offset:,} of {total:,} bytes")


def _resumable(url: str, part: Path, file: HubFile) -> tuple[int, str, int | None]:
    """Bytes to go on from, the validator to send, and the expected total; 0 to begin anew."""
    if not part.is_file():
        return 0, "", None
    try:
        note = read_json(note_of(part), limit=1 << 16)
        address, validator, total = note["url"], note["validator"], note["total"]
    except (DataError, KeyError, TypeError):
        return 0, "", None
    if not (isinstance(validator, str) and (total is None or isinstance(total, int))):
        return 0, "", None
    if address == url and (validator or file.sums):
        return size_of(part), validator, total
    return (size_of(part), "", total) if file.fixed else (0, "", None)


def _agreed_offset(response: Any, offset: int, validator: str, total: int | None, part: Path) -> int:
    """Where the answer begins: 0 where the server sends the whole file, whatever was asked."""
    if response.status == 200:
        return 0
    if response.status != 206 or not offset:
        raise RefusedError(f"HTTP {response.status} instead of the file")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    same = not validator or web.validator(response) in ("", validator)
    if match and int(match[1]) == offset and same and (total is None or match[2] in ("*", str(total))):
        return offset
    discard(part)
    raise _CutError("the server sent another range, or another version, than was asked for")


def _total(response: Any, offset: int) -> int | None:
    """Bytes of the whole file as the server says; None where it does not say."""
    return None if response.length is None else offset + int(response.length)
