"""The cache of decoded images.

    <cache>/images/<file set>/                  hash of the names and sizes of the files, and of the options
        <content>/pixels, entry.json            the files' content, decoded
        <manifest>.json                         content of the files with these modification times

A later run looks only at names, sizes and times. Files that were only copied or touched are read and compared, not
decoded. A block gets its final name when it is complete and on the disk. All of ``<cache>/images`` can be deleted at
any time; that costs only the time to decode again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, StorageError
from yisheng.core.files import read_json, write_json
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message
from yisheng.data.images import bulk_decode, decode
from yisheng.data.images.bulk_decode import DecodeOptions
from yisheng.data.images.duplicates import group_duplicates
from yisheng.data.images.file_listing import Listing

CACHE_FORMAT = 4
"""Version of the files in the cache; a change makes older blocks unreachable."""
PIXELS_FILE, ENTRY_FILE, PART_PREFIX = "pixels", "entry.json", ".part-"
_KEY_LENGTH = 32
_MAX_ENTRY_BYTES = 4 << 30
_ENTRY_ERRORS = (DataError, OSError, KeyError, TypeError, ValueError)
"""What reading an incomplete or damaged block raises."""


@dataclass(frozen=True)
class ImageBlock:
    """Decoded images.

    Args:
        pixels: uint8 or float32 ``(N, C, H, W)``, memory-mapped, read-only.
        file_positions: position of each image among the requested files, int64 ``(N,)``.
        damaged: reasons why the other files were left out.
        duplicates: groups of rows that hold the same image.
        values: how the values in the files became pixels.
        types: number of training files whose values have each type, if not all are bytes.
        notes: file position and note, for each image that does not fit the values of the training images.
    """

    pixels: np.ndarray
    file_positions: np.ndarray
    damaged: tuple[str, ...]
    duplicates: tuple[tuple[int, ...], ...]
    values: ImageValues = field(default_factory=ImageValues)
    types: dict[str, int] = field(default_factory=dict)
    notes: tuple[tuple[int, str], ...] = ()


def load_block(
    listing: Listing,
    indices: Sequence[int],
    options: DecodeOptions,
    name: str,
    training: np.ndarray | None = None,
) -> ImageBlock:
    """Return images from the cache, after decoding them into it if necessary.

    Args:
        listing: the files.
        indices: indices of the files to decode, in this order.
        options: size and colors.
        name: name of the data set for the progress bar.
        training: which of these files are training images, bool ``(N,)``; None if all are.

    Raises:
        DataError: none of the files can be decoded.
        StorageError: the cache cannot be written to, or its disk is too small.
    """
    file_set = _hash_file_set(listing, indices, options, training)
    manifest = _hash_texts(file_set, listing.stamp)
    folder = cache_folder.get_cache_folder() / "images" / file_set
    block = _find_block(folder, manifest, len(indices))
    if block is None:
        with cache_folder.hold_lock(folder / ".lock", f"decoding {name}"):
            block = _find_block(folder, manifest, len(indices))  # another process may have been faster
            if block is None:
                _add_block(folder, manifest, listing, indices, options, name, training)
                block = _find_block(folder, manifest, len(indices))
    if block is None:
        raise StorageError(
            Message("{folder} does not hold what was written to it", folder=folder),
            Message("check the disk for errors"),
        )
    return block


def _hash_file_set(
    listing: Listing, indices: Sequence[int], options: DecodeOptions, training: np.ndarray | None
) -> str:
    files = "\0".join(listing.names[index] for index in indices)
    sizes = ",".join(str(listing.sizes[index]) for index in indices)
    parts = "" if training is None else np.packbits(training).tobytes().hex()
    return _hash_texts(CACHE_FORMAT, decode.DECODER_VERSIONS, *astuple(options), files, sizes, parts)


def _hash_texts(*values: object) -> str:
    sha256 = hashlib.sha256()
    for value in values:
        text = str(value).encode("utf-8", "surrogateescape")
        sha256.update(len(text).to_bytes(8, "big") + text)
    return sha256.hexdigest()[:_KEY_LENGTH]


def _find_block(folder: Path, manifest: str, count: int) -> ImageBlock | None:
    """Return the block of files that have not changed since; None if there is no intact one."""
    with contextlib.suppress(*_ENTRY_ERRORS):
        content = str(read_json(folder / f"{manifest}.json")["content"])
        if len(content) == _KEY_LENGTH and content.isalnum():  # never a path out of the folder
            return _open_block(folder / content, count)
    return None


def _open_block(folder: Path, count: int) -> ImageBlock:
    entry: Any = read_json(folder / ENTRY_FILE, limit=_MAX_ENTRY_BYTES)
    shape = tuple(int(n) for n in entry["shape"])
    damaged = [(int(position), str(reason)) for position, reason in entry["damaged"]]
    positions = np.setdiff1d(np.arange(count), [position for position, _ in damaged])
    values = TypeAdapter(ImageValues).validate_python(entry["values"])
    dtype = np.dtype(values.stored)
    path = folder / PIXELS_FILE
    size = np.prod(shape, dtype=object) * dtype.itemsize
    if len(shape) != 4 or len(positions) != shape[0] or path.stat().st_size != size:
        raise ValueError("the parts of the block do not fit together")
    pixels = np.memmap(path, dtype, "r", shape=shape)
    groups = tuple(tuple(int(row) for row in group) for group in entry["duplicates"])
    types = {str(name): int(count) for name, count in entry["types"].items()}
    notes = tuple((int(position), str(note)) for position, note in entry["notes"])
    return ImageBlock(pixels, positions, tuple(reason for _, reason in damaged), groups, values, types, notes)


def _add_block(
    folder: Path,
    manifest: str,
    listing: Listing,
    indices: Sequence[int],
    options: DecodeOptions,
    name: str,
    training: np.ndarray | None,
) -> None:
    """Decode the files unless their content is in the folder already, and write the manifest."""
    for part in folder.glob(f"{PART_PREFIX}*"):  # of a process that was stopped: this one holds the lock
        shutil.rmtree(part, ignore_errors=True)
    content = None
    if any(folder.glob(f"*/{ENTRY_FILE}")):
        content = _hash_texts(bulk_decode.hash_files(listing, indices, name).hex())
    if content is None or not _is_intact(folder / content, len(indices)):
        content = _decode_block(folder, listing, indices, options, name, training)
    with cache_folder.explain_write_errors(folder):
        write_json(folder / f"{manifest}.json", {"content": content})


def _is_intact(folder: Path, count: int) -> bool:
    with contextlib.suppress(*_ENTRY_ERRORS):
        _open_block(folder, count)
        return True
    return False


def _decode_block(
    folder: Path,
    listing: Listing,
    indices: Sequence[int],
    options: DecodeOptions,
    name: str,
    training: np.ndarray | None,
) -> str:
    """Decode the files into a new block, and return the hash of their content."""
    with cache_folder.explain_write_errors(folder):
        part = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=folder))
    try:
        result = bulk_decode.decode_files(listing, indices, options, part / PIXELS_FILE, name, training)
        count = len(indices) - len(result.damaged)
        pixels = np.memmap(part / PIXELS_FILE, result.values.stored, "r", shape=(count, *result.shape))
        groups = group_duplicates(np.concatenate(result.image_hashes), pixels)
        del pixels  # Windows does not rename a folder with a mapped file
        content = _hash_texts(result.digests.hex())
        target = folder / content
        with cache_folder.explain_write_errors(target):
            entry = {
                "shape": [count, *result.shape],
                "damaged": result.damaged,
                "duplicates": groups,
                "values": asdict(result.values),
                "types": result.types,
                "notes": result.notes,
            }
            write_json(part / ENTRY_FILE, entry)
            if target.exists():
                shutil.rmtree(target)
            part.replace(target)
        return content
    finally:
        shutil.rmtree(part, ignore_errors=True)
