"""What decoding a TIFF costs: its first directory says how the pixels are divided and compressed.

Source: Adobe, TIFF Revision 6.0 (1992); BigTIFF.
"""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.data.images.decoding_cost import (
    BYTES_PER_DEEP_PIXEL,
    BYTES_PER_FLOAT_PIXEL,
    BYTES_PER_PIXEL,
    MAX_SIDE,
    DecodingCost,
    ExcessiveFileError,
)

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")
MAX_TAGS = 4096
"""Entries of a directory; files of microscopes have some hundred."""
MAX_TAG_VALUES = 300_000
"""Numbers of one entry: the parts of an image of 64 million pixels in tiles of 16 x 16."""
MAX_RATIONALS = 10_000
"""Fractions of one entry; each becomes an object."""
MIN_LARGE_TILE = 1 << 20
"""Pixels of a tile that may be larger than the image."""
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by its type."""
_TEXT_TYPES, _RATIONAL_TYPES = (1, 2, 6, 7), (5, 10)
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = (
    *(256, 257, 258, 259, 277, 278, 322, 323),
)
_JPEG_COMPRESSIONS = (6, 7, 99)
_SECONDS_PER_BYTE = {1: 1e-9, 5: 10e-9, 8: 8e-9, 32946: 8e-9, 32773: 5e-9, 50000: 5e-9, 34925: 60e-9}
"""Time for a byte of pixels, by the number of the compression."""
_SLOW_SECONDS_PER_BYTE = 40e-9


@dataclass(frozen=True)
class _Directory:
    """A directory: the largest value of each entry that is a number, and the bytes that all entries take."""

    values: dict[int, int]
    entries: int
    nbytes: int

    def get(self, tag: int, default: int) -> int:
        return self.values.get(tag, default)


def estimate_tiff(content: bytes) -> DecodingCost:
    """Return the cost of decoding the first image of a TIFF.

    Raises:
        ExcessiveFileError: its directory has too many entries or values, or its tiles are far larger than the image.
    """
    directory = _read_directory(content)
    width, height = directory.get(_WIDTH, 0), directory.get(_HEIGHT, 0)
    if max(width, height) > MAX_SIDE:
        raise ExcessiveFileError(
            Message(
                "it has {width}x{height} pixels, and a side has at most {limit}",
                width=width,
                height=height,
                limit=f"{MAX_SIDE:,}",
            )
        )
    pixels = width * height
    unit_width, unit_height = width, min(directory.get(_ROWS_PER_STRIP, height), height)
    if _TILE_WIDTH in directory.values:
        unit_width, unit_height = directory.get(_TILE_WIDTH, 0), directory.get(_TILE_HEIGHT, 0)
        if unit_width * unit_height > max(MIN_LARGE_TILE, 4 * pixels):
            raise ExcessiveFileError(
                Message(
                    "it is a TIFF of {width}x{height} pixels in tiles of {unit_width}x{unit_height}",
                    width=width,
                    height=height,
                    unit_width=unit_width,
                    unit_height=unit_height,
                )
            )
    bytes_per_pixel = max(1, directory.get(_BITS, 8) * directory.get(_SAMPLES, 1) / 8)
    units = -(-width // max(1, unit_width)) * -(-height // max(1, unit_height))
    decoded_bytes = units * unit_width * unit_height * bytes_per_pixel
    compression = directory.get(_COMPRESSION, 1)
    seconds = pixels * 10e-9 + decoded_bytes * _SECONDS_PER_BYTE.get(compression, _SLOW_SECONDS_PER_BYTE)
    if compression in _JPEG_COMPRESSIONS:  # each scan of a part passes over the complete part
        scans = max(units, content.count(b"\xff\xda"))
        seconds += scans * unit_width * unit_height * bytes_per_pixel * 5e-9
    unit_bytes = unit_width * unit_height * bytes_per_pixel * (3 if compression in _JPEG_COMPRESSIONS else 1)
    whole_bytes = pixels * _find_bytes_per_pixel(directory)
    return DecodingCost(pixels, seconds, int(max(whole_bytes, pixels * 4 + unit_bytes)))


def _find_bytes_per_pixel(directory: _Directory) -> int:
    """Return the memory of decoding for each pixel by the layout of its values."""
    bits, channels = directory.get(_BITS, 8), directory.get(_SAMPLES, 1)
    if bits <= 8:
        return BYTES_PER_PIXEL
    if channels == 1:
        return BYTES_PER_FLOAT_PIXEL if bits > 16 else BYTES_PER_DEEP_PIXEL[1]
    return BYTES_PER_DEEP_PIXEL[min(4, channels)]


def check_exif(content: bytes) -> None:
    """Check that metadata in the form of a TIFF directory can be read in little time and memory.

    Raises:
        ExcessiveFileError: they cannot.
    """
    content = content.removeprefix(b"Exif\0\0")
    if content.startswith(TIFF_SIGNATURES):
        _read_directory(content)


def _read_directory(content: bytes) -> _Directory:
    order = "little" if content.startswith(b"II") else "big"
    is_big = b"+" in content[2:4]

    def read(position: int, size: int) -> int:
        return int.from_bytes(content[position : position + size], order)  # type: ignore[arg-type]

    offset = read(8, 8) if is_big else read(4, 4)
    count_size, entry_size, word = (8, 20, 8) if is_big else (2, 12, 4)
    count = read(offset, count_size) if offset < len(content) else 0
    values: dict[int, int] = {}
    total = 0
    for number in range(min(count, MAX_TAGS + 1)):
        position = offset + count_size + number * entry_size
        if position + entry_size > len(content):
            break
        if number == MAX_TAGS:
            raise ExcessiveFileError(Message("it has a directory of more than {limit} entries", limit=f"{MAX_TAGS:,}"))
        tag, kind, length = read(position, 2), read(position + 2, 2), read(position + 4, word)
        unit = _TYPE_SIZES.get(kind, 1)
        place = position + 4 + word
        if length * unit > word:
            place = read(place, word)
            if place + length * unit > len(content):
                continue  # damaged: readers skip it
            total += length * unit
        limit = MAX_RATIONALS if kind in _RATIONAL_TYPES else MAX_TAG_VALUES
        if length > limit and kind not in _TEXT_TYPES:
            raise ExcessiveFileError(
                Message(
                    "it has a directory with {count} values in one entry, more than {limit}",
                    count=f"{length:,}",
                    limit=f"{limit:,}",
                )
            )
        if kind not in _RATIONAL_TYPES:
            values[tag] = max(values.get(tag, 0), read(place, unit))
    if total > len(content) + (1 << 20):
        raise ExcessiveFileError(Message("it has a directory whose entries take more bytes than the file"))
    return _Directory(values, count, total)
