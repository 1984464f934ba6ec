"""All images of a set decoded into one file, by all cores, in bounded memory.

What ``auto`` means is guessed from a few images; where one says otherwise, decoding begins again. So no file is
read twice only to look at its header, and the result does not depend on which thread came first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np

from yisheng.core import machine
from yisheng.core.errors import DataError
from yisheng.data.hub import locations
from yisheng.data.hub.progress import Meter
from yisheng.data.hub.resumable import opened
from yisheng.data.images import decode, duplicates
from yisheng.data.images.file_listing import Listing, readable

T = TypeVar("T")
SMALL = 96
"""Longest side of images that ``size=auto`` leaves as they are, if all have the same size."""
LARGE = (224, 224)
"""What it makes of others: what networks trained on ImageNet want."""
PIECE = 2 << 20
"""Bytes of pixels that one thread decodes at a time: they stay in its cache."""
SAMPLE = 16
"""Images to guess from."""


@dataclass(frozen=True)
class Settings:
    """How images shall come out.

    Args:
        size: height and width, or ``auto``.
        fit: how an image comes to another size, see `decode.resize`.
        colour: ``grey``, ``rgb``, or ``auto``: grey if all of them are.
    """

    size: tuple[int, int] | Literal["auto"] = "auto"
    fit: decode.Fit = "crop"
    colour: decode.Colour = "auto"


@dataclass
class Decoded:
    """What came of it.

    Args:
        shape: of one image, ``(C, H, W)``.
        damaged: place among the files and reason, of those that were left out.
        digests: SHA-256 of each file's content, one after the other.
        sums: see `twins.sums`, one for each image that is in the block.
    """

    shape: tuple[int, int, int]
    damaged: list[tuple[int, str]] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    sums: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """The shape of all images, and whether it is only a guess."""

    height: int
    width: int
    channels: int
    fit: decode.Fit
    size_guessed: bool
    grey_guessed: bool


class _OtherwiseError(Exception):
    """An image is not as was guessed."""

    def __init__(self, plan: _Plan) -> None:
        self.plan = plan


@dataclass
class _Piece:
    pixels: np.ndarray
    damaged: list[tuple[int, str]]
    digests: bytes
    sums: np.ndarray
    read: int


def write(listing: Listing, numbers: Sequence[int], settings: Settings, target: Path, name: str) -> Decoded:
    """Decode files into a new file of pixels, uint8 ``(N, C, H, W)``, on the disk when this returns.

    Args:
        listing: where they lie.
        numbers: which of them, in this order.
        settings: how they shall come out.
        target: the file.
        name: what progress calls them.

    Raises:
        DataError: none of them can be decoded.
        StorageError: the disk is too small.
    """
    with decode.quiet():
        plan = _guess(listing, numbers, settings)
        while True:
            try:
                found = _write(listing, numbers, plan, target, name)
                break
            except _OtherwiseError as other:
                plan = other.plan
    if len(found.damaged) == len(numbers):
        why = found.damaged[0][1]
        raise DataError(f"none of the {len(numbers)} images in {listing.path} can be read: {why}", "look at them")
    return found


def digest(listing: Listing, numbers: Sequence[int], name: str) -> bytes:
    """SHA-256 of each file's content, one after the other, as in `Decoded`."""

    def digests(part: Sequence[int]) -> tuple[bytes, int]:
        whole, read = [], 0
        for content in listing.read(part):
            whole.append(_digest(content))
            read += 0 if isinstance(content, DataError) else len(content)
        return b"".join(whole), read

    found = bytearray()
    with Meter(f"comparing {name}", 0, sum(listing.sizes[n] for n in numbers)) as meter:
        for piece, read in _by_all_cores(digests, _pieces(numbers, 256)):
            found += piece
            meter.add(read)
    return bytes(found)


def _write(listing: Listing, numbers: Sequence[int], plan: _Plan, target: Path, name: str) -> Decoded:
    shape = (plan.channels, plan.height, plan.width)
    each = plan.channels * plan.height * plan.width
    locations.need_space(target.parent, each * len(numbers))
    whole = Decoded(shape)
    seen = 0
    bytes_in_all = sum(listing.sizes[n] for n in numbers)
    pieces = _by_all_cores(lambda part: _decode(listing, part, plan), _pieces(numbers, max(1, PIECE // each)))
    with (
        opened(target, "wb") as out,
        Meter(f"decoding {name}", 0, bytes_in_all) as meter,
        contextlib.closing(pieces),  # at a contradiction no thread shall work on
    ):
        for piece in pieces:
            _put(out, target, piece.pixels)
            whole.damaged += [(seen + at, why) for at, why in piece.damaged]
            whole.digests += piece.digests
            whole.sums.append(piece.sums)
            seen += len(piece.digests) // 32
            meter.add(piece.read)
        with locations.writing(target):
            out.flush()
            os.fsync(out.fileno())
    return whole


def _put(out: IO[bytes], target: Path, pixels: np.ndarray) -> None:
    rest = pixels.reshape(-1).data
    with locations.writing(target):
        while rest:  # an unbuffered file may take it in parts
            rest = rest[out.write(rest) :]


def _decode(listing: Listing, numbers: Sequence[int], plan: _Plan) -> _Piece:
    """Some images, by one thread."""
    pixels = np.empty((len(numbers), plan.height, plan.width, plan.channels), np.uint8)
    damaged: list[tuple[int, str]] = []
    digests = []
    kept = read = 0
    for at, content in enumerate(listing.read(numbers)):
        digests.append(_digest(content))
        try:
            if isinstance(content, DataError):
                raise content
            read += len(content)
            out = pixels[kept]
            if not decode.plain(content, out):
                _take(content, listing.names[numbers[at]], plan, out)
            kept += 1
        except DataError as error:
            damaged.append((at, readable(error.problem)))
    block = np.ascontiguousarray(pixels[:kept].transpose(0, 3, 1, 2))
    return _Piece(block, damaged, b"".join(digests), duplicates.sums(block), read)


def _take(content: bytes, name: str, plan: _Plan, out: np.ndarray) -> None:
    """Decode one image that `decode.plain` did not take, and see whether it is as guessed."""
    size = None if plan.size_guessed else (plan.height, plan.width)
    colour: decode.Colour = "auto" if plan.grey_guessed else "grey" if plan.channels == 1 else "rgb"
    found = decode.decode(content, name, colour=colour, size=size, fit=plan.fit)
    if plan.grey_guessed and found.ndim == 3:
        plan = replace(plan, channels=3, grey_guessed=False)
        raise _OtherwiseError(plan)
    if found.shape[:2] != (plan.height, plan.width):
        raise _OtherwiseError(replace(plan, height=LARGE[0], width=LARGE[1], size_guessed=False))
    out[:] = found.reshape(out.shape)


def _guess(listing: Listing, numbers: Sequence[int], settings: Settings) -> _Plan:
    """The plan for what a few images are like; for what settings say, no image is looked at."""
    size = None if settings.size == "auto" else settings.size
    sizes: set[tuple[int, int]] = set()
    coloured = False
    if size is None or settings.colour == "auto":
        spread = numbers[:: max(1, len(numbers) // SAMPLE)]
        for at, pixels in enumerate(_decodable(listing, [*spread, *numbers])):
            sizes.add((pixels.shape[0], pixels.shape[1]))
            coloured = coloured or pixels.ndim == 3
            size_known = size is not None or len(sizes) > 1 or max(pixels.shape) > SMALL
            if at + 1 >= len(spread) or (size_known and (coloured or settings.colour != "auto")):
                break
    guessed = size is None and len(sizes) == 1 and max(max(sizes)) <= SMALL
    height, width = size or (max(sizes) if guessed else LARGE)
    grey = settings.colour == "grey" or (settings.colour == "auto" and not coloured)
    return _Plan(height, width, 1 if grey else 3, settings.fit, guessed, grey and settings.colour == "auto")


def _decodable(listing: Listing, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """The images that are not damaged, as they are."""
    for n in numbers:
        for content in listing.read([n]):
            if not isinstance(content, DataError):
                with contextlib.suppress(DataError):
                    yield decode.decode(content, listing.names[n])


def _pieces(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _by_all_cores(work: Callable[[Sequence[int]], T], pieces: Iterable[Sequence[int]]) -> Generator[T]:
    """What ``work`` makes of each piece, in order; no more are begun than soon can be taken."""
    cores = machine.cores()
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(cores, thread_name_prefix="decode")
    try:
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _digest(content: bytes | DataError) -> bytes:
    return hashlib.sha256(b"" if isinstance(content, DataError) else content).digest()
