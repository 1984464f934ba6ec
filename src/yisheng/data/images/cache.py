"""Where decoded images are kept, and when they may be used again.

    <home>/images/<outline>/                     names and sizes of the files, and the settings
        <content>/pixels, entry.json               what the files hold, decoded
        <manifest>.json                            which content files with these times of change hold

A later run looks only at names, sizes and times. Files that were merely copied or touched are read and compared,
not decoded. A block gets its name when it is whole and on the disk. All of ``<home>/images`` can be deleted at
any time; nothing else is lost than the time to decode again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.errors import DataError, StorageError
from yisheng.core.files import read_json, write_json
from yisheng.data.hub import locations
from yisheng.data.images import block, decode
from yisheng.data.images import duplicates as twins
from yisheng.data.images.block import Settings
from yisheng.data.images.file_listing import Listing

FORMAT = 1
PIXELS, ENTRY, PART = "pixels", "entry.json", ".part-"


@dataclass(frozen=True)
class Block:
    """Decoded images.

    Args:
        pixels: uint8 ``(N, C, H, W)``, memory-mapped, read-only.
        kept: which of the files asked for they are, int64 ``(N,)``.
        damaged: why each of the others was left out.
        twins: rows that hold the same image, in groups.
    """

    pixels: np.ndarray
    kept: np.ndarray
    damaged: tuple[str, ...]
    twins: tuple[tuple[int, ...], ...]


def decoded(listing: Listing, numbers: Sequence[int], settings: Settings, name: str) -> Block:
    """Images from the cache, decoded into it if need be.

    Args:
        listing: where the files lie.
        numbers: which of them, in this order.
        settings: how they shall come out.
        name: what progress calls them.

    Raises:
        DataError: none of them can be decoded.
        StorageError: the cache cannot be written to, or its disk is too small.
    """
    outline = _outline(listing, numbers, settings)
    manifest = _key(outline, listing.stamp)
    folder = locations.home() / "images" / outline
    found = _recall(folder, manifest, len(numbers))
    if found is None:
        with locations.alone(folder / ".lock", f"decoding {name}"):
            found = _recall(folder, manifest, len(numbers))  # another process may have been faster
            if found is None:
                _bring(folder, manifest, listing, numbers, settings, name)
                found = _recall(folder, manifest, len(numbers))
    if found is None:
        raise StorageError(f"{folder} does not hold what was written to it", "look at the disk")
    return found


def _outline(listing: Listing, numbers: Sequence[int], settings: Settings) -> str:
    files = "\0".join(listing.names[n] for n in numbers)
    sizes = ",".join(str(listing.sizes[n]) for n in numbers)
    return _key(FORMAT, decode.READERS, *astuple(settings), files, sizes)


def _key(*parts: object) -> str:
    whole = hashlib.sha256()
    for part in parts:
        text = str(part).encode("utf-8", "surrogateescape")
        whole.update(len(text).to_bytes(8, "big") + text)
    return whole.hexdigest()[:32]


def _recall(folder: Path, manifest: str, count: int) -> Block | None:
    """What was decoded before from files that have not changed since; None if there is nothing whole."""
    with contextlib.suppress(DataError, OSError, KeyError, TypeError, ValueError):
        content = str(read_json(folder / f"{manifest}.json")["content"])
        if len(content) == 32 and content.isalnum():
            return _entry(folder / content, count)
    return None


def _entry(place: Path, count: int) -> Block:
    entry: Any = read_json(place / ENTRY, limit=4 << 30)
    shape = tuple(int(n) for n in entry["shape"])
    damaged = [(int(at), str(why)) for at, why in entry["damaged"]]
    kept = np.setdiff1d(np.arange(count), [at for at, _ in damaged])
    path = place / PIXELS
    if len(shape) != 4 or len(kept) != shape[0] or path.stat().st_size != np.prod(shape, dtype=object):
        raise ValueError("its parts do not fit together")
    pixels = np.memmap(path, np.uint8, "r", shape=shape)
    groups = tuple(tuple(int(row) for row in group) for group in entry["twins"])
    return Block(pixels, kept, tuple(why for _, why in damaged), groups)


def _bring(
    folder: Path, manifest: str, listing: Listing, numbers: Sequence[int], settings: Settings, name: str
) -> None:
    """Have the files' content decoded in the folder, and note that it is that of this manifest."""
    for left in folder.glob(f"{PART}*"):  # of a process that was stopped: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    content = None
    if any(folder.glob(f"*/{ENTRY}")):
        content = _key(block.digest(listing, numbers, name).hex())
    if content is None or not _is_whole(folder / content, len(numbers)):
        content = _decode(folder, listing, numbers, settings, name)
    with locations.writing(folder):
        write_json(folder / f"{manifest}.json", {"content": content})


def _is_whole(place: Path, count: int) -> bool:
    with contextlib.suppress(DataError, OSError, KeyError, TypeError, ValueError):
        _entry(place, count)
        return True
    return False


def _decode(folder: Path, listing: Listing, numbers: Sequence[int], settings: Settings, name: str) -> str:
    with locations.writing(folder):
        part = Path(tempfile.mkdtemp(prefix=PART, dir=folder))
    try:
        made = block.write(listing, numbers, settings, part / PIXELS, name)
        count = len(numbers) - len(made.damaged)
        pixels = np.memmap(part / PIXELS, np.uint8, "r", shape=(count, *made.shape))
        same = twins.groups(np.concatenate(made.sums), pixels)
        del pixels  # Windows does not rename a folder with a mapped file
        content = _key(made.digests.hex())
        target = folder / content
        with locations.writing(target):
            write_json(part / ENTRY, {"shape": [count, *made.shape], "damaged": made.damaged, "twins": same})
            if target.exists():
                shutil.rmtree(target)
            part.replace(target)
        return content
    finally:
        shutil.rmtree(part, ignore_errors=True)
