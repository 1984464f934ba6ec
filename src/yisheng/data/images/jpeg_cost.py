"""What decoding a JPEG costs: each scan passes over all blocks of its components, however few bytes it has.

Source: ITU-T T.81, annexes B and G.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.data.images.decoding_cost import BYTES_PER_PIXEL, MAX_SIDE, DecodingCost, ExcessiveFileError
from yisheng.data.images.tiff_cost import check_exif

MAX_SCANS = 500
"""Scans of a JPEG; encoders write up to 20."""
MAX_SEGMENTS = 5_000
"""Segments of a JPEG; each may hold 64 KiB of metadata."""
MAX_JUNK_BYTES = 1 << 16
"""Bytes between segments, which Pillow skips one by one in Python."""
SECONDS_PER_SAMPLE = 5e-9
"""Time of a scan for one sample of one of its components."""
SECONDS_PER_PIXEL = 8e-9
ARITHMETIC_FACTOR = 8
"""Arithmetic coding takes longer than Huffman coding."""
MAX_UNCOUNTED_SCANS = 3
"""Scans that are not counted exactly: an ordinary JPEG has one, and perhaps a thumbnail's."""
MAX_COMPONENTS = 4
_END_OF_IMAGE, _START_OF_SCAN, _APP1 = 0xD9, 0xDA, 0xE1
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
"""Markers that begin a frame."""
_FILL_BYTES = re.compile(rb"\xff+")
_MARKER_IN_SCAN = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""The next marker in compressed data: there, a zero or the number of a restart follows every other 0xFF."""


@dataclass(frozen=True)
class _Frame:
    """The size of a JPEG, and the number of samples of each of its components by their identifiers."""

    pixels: int
    samples: dict[int, int]
    is_arithmetic: bool

    @property
    def total(self) -> int:
        return sum(self.samples.values())


def estimate_jpeg(content: bytes) -> DecodingCost:
    """Return the cost of decoding a JPEG.

    Raises:
        ExcessiveFileError: it has too many scans or segments, or two sizes.
    """
    frame: _Frame | None = None
    scans = scanned_samples = 0
    exif: list[bytes] = []
    for marker, position, segment in _iterate_segments(content):
        if marker in _FRAMES:
            if frame is not None:
                raise ExcessiveFileError(Message("it is a JPEG that declares its size twice"))
            frame = _read_frame(marker, segment)
        elif marker == _APP1 and segment.startswith(b"Exif\0\0"):
            exif.append(segment[6:])
        elif marker == _START_OF_SCAN:
            if frame is None:
                return DecodingCost()
            if not scans and (most_scans := content.count(b"\xff\xda", position)) <= MAX_UNCOUNTED_SCANS:
                scans, scanned_samples = most_scans, most_scans * frame.total
                break
            scans += 1
            if scans > MAX_SCANS:
                raise ExcessiveFileError(Message("it is a JPEG of more than {limit} scans", limit=MAX_SCANS))
            scanned_samples += _count_samples(segment, frame)
    if exif:
        check_exif(b"".join(exif))
    return DecodingCost() if frame is None else _make_cost(frame, scans, scanned_samples, len(content))


def _iterate_segments(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield marker, position and content of each segment up to the end of the image; a scan's data are skipped."""
    position, junk = 2, 0
    for _ in range(MAX_SEGMENTS):
        start = content.find(b"\xff", position)
        run = _FILL_BYTES.match(content, max(start, 0), max(start, 0) + MAX_JUNK_BYTES + 2)
        if start < 0 or run is None or run.end() >= len(content):
            return
        junk += run.end() - position - 1
        if junk > MAX_JUNK_BYTES:
            raise ExcessiveFileError(
                Message("it is a JPEG with more than {limit} bytes between its segments", limit=f"{MAX_JUNK_BYTES:,}")
            )
        marker, position = content[run.end()], run.end() + 1
        if marker == _END_OF_IMAGE:
            return
        if marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            continue
        length = max(2, int.from_bytes(content[position : position + 2], "big"))
        yield marker, start, content[position + 2 : position + length]
        position += length
        if marker == _START_OF_SCAN:
            match = _MARKER_IN_SCAN.search(content, position)
            if match is None:
                return
            position = match.start()
    raise ExcessiveFileError(Message("it is a JPEG of more than {limit} segments", limit=f"{MAX_SEGMENTS:,}"))


def _read_frame(marker: int, segment: bytes) -> _Frame:
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    components = [segment[n : n + 3] for n in range(6, min(len(segment), 6 + 3 * MAX_COMPONENTS), 3)]
    factors = {c[0]: (max(1, c[1] >> 4), max(1, c[1] & 15)) for c in components if len(c) == 3}
    largest = [max((factor[n] for factor in factors.values()), default=1) for n in (0, 1)]
    samples = {}
    for identifier, (across, down) in factors.items():
        columns, rows = -(-width * across // largest[0] // 8), -(-height * down // largest[1] // 8)
        samples[identifier] = columns * rows * 64
    if max(width, height) > MAX_SIDE:
        raise ExcessiveFileError(
            Message(
                "it has {width}x{height} pixels, and a side has at most {limit}",
                width=width,
                height=height,
                limit=f"{MAX_SIDE:,}",
            )
        )
    return _Frame(width * height, samples, marker > 0xC8)


def _count_samples(segment: bytes, frame: _Frame) -> int:
    """Return the number of samples that a scan passes over."""
    identifiers = segment[1 : 1 + 2 * (segment[0] if segment else 0) : 2]
    return sum(frame.samples.get(identifier, frame.total) for identifier in identifiers)


def _make_cost(frame: _Frame, scans: int, scanned_samples: int, size: int) -> DecodingCost:
    factor = ARITHMETIC_FACTOR if frame.is_arithmetic else 1
    seconds = frame.pixels * SECONDS_PER_PIXEL + (scanned_samples * SECONDS_PER_SAMPLE + size * 10e-9) * factor
    stored_bytes = 2 * frame.total + 4 * frame.pixels if scans > 1 else 0  # all coefficients, and the image
    return DecodingCost(frame.pixels, seconds, max(frame.pixels * BYTES_PER_PIXEL, stored_bytes))
