"""All images of a data set decoded into one file, by all cores, in bounded memory.

Size and colors under ``auto`` are guessed from a few images; if an image contradicts the guess, decoding starts again.
So no file is read twice only for its header, and the result does not depend on the order of the threads. That all
images have 8 bits and no transparent parts is such a guess, too. If it is wrong, all files are read once more for their
values before they are decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from yisheng.core import cache_folder, machine
from yisheng.core.errors import DataError
from yisheng.core.image_values import ImageValues
from yisheng.core.messages import Message
from yisheng.data.hub.progress import ByteProgress
from yisheng.data.hub.resumable import open_unbuffered, write_all
from yisheng.data.images import decode, duplicates
from yisheng.data.images.file_listing import Listing, sanitize_name
from yisheng.data.images.flatten import Color
from yisheng.data.images.image_values import ValueFacts, decide_values
from yisheng.data.images.resize import Fit

T = TypeVar("T")
MAX_KEPT_SIDE = 96
"""Longest side of images that ``size=auto`` does not resize, if all have the same size."""
DEFAULT_SIZE = (224, 224)
"""Size to which ``size=auto`` resizes all others: that of networks trained on ImageNet."""
CHUNK_BYTES = 2 << 20
"""Bytes of pixels that one thread decodes at a time: a processor's cache holds them."""
SAMPLE_IMAGES = 16
"""Images by which size and colors are guessed."""
_FILES_PER_HASH_CHUNK = 256
_FILES_PER_SURVEY_CHUNK = 32
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class DecodeOptions:
    """Size and colors of the decoded images.

    Args:
        size: height and width, or ``auto``.
        fit: how an image gets another size, see `yisheng.data.images.resize`.
        color: ``gray``, ``rgb``, or ``auto``: gray if all images are.
        values: how the values in the files become pixels; None decides it on the training images.
    """

    size: tuple[int, int] | Literal["auto"] = "auto"
    fit: Fit = "crop"
    color: Color = "auto"
    values: ImageValues | None = None


@dataclass
class DecodeResult:
    """What `decode_files` found.

    Args:
        shape: shape of one image, ``(C, H, W)``.
        values: how the values in the files became pixels.
        types: number of files whose values have each type, if not all are bytes.
        notes: position among the files and note, for each image that does not fit the values of the training images.
        damaged: position among the files and reason, for each file that was left out.
        digests: SHA-256 of each file's content, one after the other.
        image_hashes: see `yisheng.data.images.duplicates.hash_images`, a chunk each, of the decoded images.
    """

    shape: tuple[int, int, int]
    values: ImageValues = field(default_factory=ImageValues)
    types: dict[str, int] = field(default_factory=dict)
    notes: list[tuple[int, str]] = field(default_factory=list)
    damaged: list[tuple[int, str]] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    image_hashes: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """What all images have in common, and what of it is a guess."""

    height: int
    width: int
    channels: int
    fit: Fit
    size_guessed: bool
    gray_guessed: bool
    values: ImageValues
    values_guessed: bool


class _WrongGuessError(Exception):
    """An image contradicts the guess."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan


class _OtherValuesError(Exception):
    """An image has more than 8 bits or transparent parts, against the guess."""


@dataclass
class _DecodedChunk:
    pixels: np.ndarray
    notes: list[tuple[int, str]]
    damaged: list[tuple[int, str]]
    digests: bytes
    image_hashes: np.ndarray
    bytes_read: int


def decode_files(
    listing: Listing,
    indices: Sequence[int],
    options: DecodeOptions,
    target: Path,
    name: str,
    training: np.ndarray | None = None,
) -> DecodeResult:
    """Decode files into a new file of pixels, uint8 or float32 ``(N, C, H, W)``, flushed to the disk.

    Args:
        listing: the files.
        indices: indices of the files to decode, in this order.
        options: size and colors.
        training: which of these files are training images, bool ``(N,)``; None if all are.
        target: the new file.
        name: name of the data set for the progress bar.

    Raises:
        DataError: none of the files can be decoded.
        StorageError: the disk is too small.
    """
    with decode.silence_pillow():
        plan = _guess_plan(listing, indices, options)
        types: dict[str, int] = {}
        while True:
            try:
                result = _decode_all(listing, indices, plan, target, name)
                break
            except _WrongGuessError as error:
                plan = error.plan
            except _OtherValuesError:
                values, types = _survey_values(listing, indices, training, name)
                plan = replace(plan, values=values, values_guessed=False)
        result.types = types
    if len(result.damaged) == len(indices):
        raise DataError(
            Message(
                "none of the {count} images in {path} can be read: {first}",
                count=len(indices),
                path=listing.path,
                first=result.damaged[0][1],
            ),
            Message("open one of them in an image viewer; save the images again as PNG or JPEG"),
        )
    return result


def hash_files(listing: Listing, indices: Sequence[int], name: str) -> bytes:
    """Return the SHA-256 of each file's content, one after the other, as in `DecodeResult`."""

    def hash_chunk(chunk: Sequence[int]) -> tuple[bytes, int]:
        digests, bytes_read = [], 0
        for content in listing.read(chunk):
            digests.append(_hash_content(content))
            bytes_read += 0 if isinstance(content, DataError) else len(content)
        return b"".join(digests), bytes_read

    digests = bytearray()
    with ByteProgress(f"comparing {name}", 0, sum(listing.sizes[index] for index in indices)) as progress:
        for chunk_digests, bytes_read in _map_on_all_cores(hash_chunk, _split_chunks(indices, _FILES_PER_HASH_CHUNK)):
            digests += chunk_digests
            progress.update(bytes_read)
    return bytes(digests)


def _decode_all(listing: Listing, indices: Sequence[int], plan: _Plan, target: Path, name: str) -> DecodeResult:
    image_bytes = plan.channels * plan.height * plan.width * np.dtype(plan.values.stored).itemsize
    cache_folder.require_space(target.parent, image_bytes * len(indices))
    result = DecodeResult((plan.channels, plan.height, plan.width), plan.values)
    position = 0
    total_bytes = sum(listing.sizes[index] for index in indices)
    chunks = _map_on_all_cores(
        lambda chunk: _decode_chunk(listing, chunk, plan),
        _split_chunks(indices, max(1, CHUNK_BYTES // image_bytes)),
    )
    with (
        open_unbuffered(target, "wb") as out,
        ByteProgress(f"decoding {name}", 0, total_bytes) as progress,
        contextlib.closing(chunks),  # stops the threads when an image contradicts the guess
    ):
        for chunk in chunks:
            write_all(out, target, chunk.pixels.reshape(-1).data)
            result.damaged += [(position + offset, reason) for offset, reason in chunk.damaged]
            result.notes += [(position + offset, note) for offset, note in chunk.notes]
            result.digests += chunk.digests
            result.image_hashes.append(chunk.image_hashes)
            position += len(chunk.digests) // _DIGEST_BYTES
            progress.update(chunk.bytes_read)
        with cache_folder.explain_write_errors(target):
            out.flush()
            os.fsync(out.fileno())
    return result


def _decode_chunk(listing: Listing, indices: Sequence[int], plan: _Plan) -> _DecodedChunk:
    """Decode some images, in one thread."""
    pixels = np.empty((len(indices), plan.height, plan.width, plan.channels), plan.values.stored)
    has_bytes = pixels.dtype == np.uint8 and plan.values.is_plain
    damaged: list[tuple[int, str]] = []
    notes: list[tuple[int, str]] = []
    digests = []
    decoded = bytes_read = 0
    for offset, content in enumerate(listing.read(indices)):
        digests.append(_hash_content(content))
        try:
            if isinstance(content, DataError):
                raise content
            bytes_read += len(content)
            out = pixels[decoded]
            if not (has_bytes and decode.decode_plain_jpeg(content, out)):
                name = listing.names[indices[offset]]
                notes += [(offset, note) for note in _decode_as_planned(content, name, plan, out)]
            decoded += 1
        except DataError as error:
            damaged.append((offset, sanitize_name(error.problem)))
    block = np.ascontiguousarray(pixels[:decoded].transpose(0, 3, 1, 2))
    hashes = duplicates.hash_images(block)
    return _DecodedChunk(block, notes, damaged, b"".join(digests), hashes, bytes_read)


def _decode_as_planned(content: bytes, name: str, plan: _Plan, out: np.ndarray) -> tuple[str, ...]:
    """Decode one image, and return notes on it; raise an error if it contradicts the guess."""
    size = None if plan.size_guessed else (plan.height, plan.width)
    color: Color = "auto" if plan.gray_guessed else "gray" if plan.channels == 1 else "rgb"
    values = None if plan.values_guessed else plan.values
    decoded = decode.decode_with_facts(content, name, color=color, size=size, fit=plan.fit, values=values)
    if plan.values_guessed and not decoded.facts.is_plain:
        raise _OtherValuesError
    image = decoded.pixels
    if plan.gray_guessed and image.ndim == 3:
        raise _WrongGuessError(replace(plan, channels=3, gray_guessed=False))
    if image.shape[:2] != (plan.height, plan.width):
        raise _WrongGuessError(replace(plan, height=DEFAULT_SIZE[0], width=DEFAULT_SIZE[1], size_guessed=False))
    out[:] = image.reshape(out.shape)
    return decoded.notes


def _survey_values(
    listing: Listing, indices: Sequence[int], training: np.ndarray | None, name: str
) -> tuple[ImageValues, dict[str, int]]:
    """Read all files for their values; return how they become pixels, and the number of files of each type."""
    is_training = np.ones(len(indices), bool) if training is None else training

    def measure_chunk(positions: Sequence[int]) -> tuple[list[tuple[bool, ValueFacts]], int]:
        chunk: list[tuple[bool, ValueFacts]] = []
        bytes_read = 0
        for position, content in zip(positions, listing.read([indices[p] for p in positions]), strict=True):
            if not isinstance(content, DataError):
                bytes_read += len(content)
                with contextlib.suppress(DataError):  # decoding will report it
                    facts = decode.read_facts(content, listing.names[indices[position]])
                    chunk.append((bool(is_training[position]), facts))
        return chunk, bytes_read

    facts: list[tuple[bool, ValueFacts]] = []
    chunks = _split_chunks(range(len(indices)), _FILES_PER_SURVEY_CHUNK)
    with ByteProgress(f"measuring {name}", 0, sum(listing.sizes[index] for index in indices)) as progress:
        for chunk, bytes_read in _map_on_all_cores(measure_chunk, chunks):
            facts += chunk
            progress.update(bytes_read)
    training_facts = [measured for in_training, measured in facts if in_training]
    values = decide_values(training_facts, [measured for in_training, measured in facts if not in_training])
    return values, dict(Counter(measured.dtype for measured in training_facts).most_common())


def _guess_plan(listing: Listing, indices: Sequence[int], options: DecodeOptions) -> _Plan:
    """Return the plan from a few images; if the options say everything, no image is decoded."""
    size = None if options.size == "auto" else options.size
    sizes: set[tuple[int, int]] = set()
    has_color = False
    if size is None or options.color == "auto":
        sample = indices[:: max(1, len(indices) // SAMPLE_IMAGES)]
        for count, image in enumerate(_decode_undamaged(listing, [*sample, *indices]), start=1):
            sizes.add((image.shape[0], image.shape[1]))
            has_color = has_color or image.ndim == 3
            size_known = size is not None or len(sizes) > 1 or max(image.shape) > MAX_KEPT_SIDE
            if count >= len(sample) or (size_known and (has_color or options.color != "auto")):
                break
    size_guessed = size is None and len(sizes) == 1 and max(max(sizes)) <= MAX_KEPT_SIDE
    height, width = size or (max(sizes) if size_guessed else DEFAULT_SIZE)
    gray = options.color == "gray" or (options.color == "auto" and not has_color)
    return _Plan(
        height,
        width,
        1 if gray else 3,
        options.fit,
        size_guessed,
        gray and options.color == "auto",
        options.values or ImageValues(),
        options.values is None,
    )


def _decode_undamaged(listing: Listing, indices: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the images that are not damaged, at their own size."""
    for index in indices:
        for content in listing.read([index]):
            if not isinstance(content, DataError):
                with contextlib.suppress(DataError):
                    yield decode.decode_image(content, listing.names[index], values=None)


def _split_chunks(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (indices[start : start + size] for start in range(0, len(indices), size))


def _map_on_all_cores(function: Callable[[Sequence[int]], T], chunks: Iterable[Sequence[int]]) -> Generator[T]:
    """Yield the result for each chunk, in order; the number of unfinished chunks is bounded."""
    cores = machine.count_cores()
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(cores, thread_name_prefix="decode")
    try:
        for chunk in chunks:
            pending.append(pool.submit(function, chunk))
            if len(pending) > 2 * cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _hash_content(content: bytes | DataError) -> bytes:
    return hashlib.sha256(b"" if isinstance(content, DataError) else content).digest()
