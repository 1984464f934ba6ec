"""Bounds on the time and memory of decoding an image file, estimated from its headers before anything is decoded.

A file of a few kilobytes may ask for hours of work: a JPEG of 64 million pixels that is drawn 490 times, a table of
contents that names the same megabytes thousands of times, a format that is decoded in Python. The number of pixels
alone does not show it. Every function here reads only headers, in time that is bounded by the file's size.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data.images.decoding_cost import (
    BYTES_PER_DEEP_PIXEL,
    BYTES_PER_PIXEL,
    BYTES_PER_RGBA_PIXEL,
    MAX_PIXELS,
    MAX_SIDE,
    DecodingCost,
    ExcessiveFileError,
)
from yisheng.data.images.jpeg_cost import estimate_jpeg
from yisheng.data.images.tiff_cost import TIFF_SIGNATURES, check_exif, estimate_tiff

MAX_SECONDS = 10.0
"""Estimated time of decoding, on a core of 2020, from which a file is refused; the largest ordinary one takes 4."""
MAX_BYTES = 640_000_000
"""Estimated memory of decoding from which a file is refused: 10 bytes for each of 64 million pixels."""
REMEDY = Message("save it again as PNG or JPEG, or scale it down")
MAX_CHUNKS = 200_000
"""Chunks of a PNG or WebP: a PNG of 64 million pixels in chunks of 8 KiB has 65,000."""
MAX_GIF_BLOCKS = 20_000
"""Blocks of 255 bytes before the first image of a GIF."""
MAX_COMMENTS = 1000
"""Comments in a text file of pixels: Pillow copies a megabyte for each."""
GIF_EXTENSION, GIF_IMAGE = 0x21, 0x2C
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
COMPRESSED_METADATA = (b"zTXt", b"iTXt", b"iCCP")
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels by the color type of a PNG."""
_COMMENTS = rb"(?:#[^\r\n]*[\r\n]\s*)*"
_PPM_HEADER = re.compile(rb"P[1-6]\s+" + rb"\s+".join(3 * [_COMMENTS + rb"(\d{1,10})"]))


def check_decoding_cost(content: bytes, name: str) -> None:
    """Check that decoding an image file takes a reasonable time and amount of memory.

    Args:
        content: the file's bytes.
        name: of the image in an error.

    Raises:
        DataError: it would take too much, or the file's structure serves no purpose but that.
    """
    check_cost(estimate_decoding_cost(content, name), name)


def estimate_decoding_cost(content: bytes, name: str) -> DecodingCost:
    """Return the estimated cost of decoding an image file, 0 for a file of unknown format, which nothing decodes.

    Args:
        content: the file's bytes.
        name: of the image in an error.

    Raises:
        DataError: the file's structure serves no purpose but to take time or memory.

    >>> estimate_decoding_cost(b"GIF89a" + bytes([16, 0, 16, 0, 0, 0, 0]), "a.gif").pixels
    256
    """
    try:
        return _estimate(content)
    except ExcessiveFileError as error:
        raise DataError(Message("{name} is not decoded: {problem}", name=name, problem=error), REMEDY) from None


def check_cost(cost: DecodingCost, name: str) -> None:
    """Check an estimated cost.

    Raises:
        DataError: it is too high.
    """
    if cost.pixels > MAX_PIXELS:
        problem = Message(
            "{name} has {pixels} pixels, more than the {limit} that are read",
            name=name,
            pixels=f"{cost.pixels:,}",
            limit=f"{MAX_PIXELS:,}",
        )
        raise DataError(problem, Message("scale it down first"))
    if cost.seconds > MAX_SECONDS:
        raise DataError(
            Message("{name} would take about {seconds} seconds to decode", name=name, seconds=f"{cost.seconds:,.0f}"),
            REMEDY,
        )
    if cost.nbytes > MAX_BYTES:
        size, limit = cost.nbytes / 1e6, MAX_BYTES / 1e6
        raise DataError(
            Message(
                "{name} would take {size} MB of memory to decode, more than {limit}",
                name=name,
                size=f"{size:,.0f}",
                limit=f"{limit:,.0f}",
            ),
            REMEDY,
        )


def _estimate(content: bytes) -> DecodingCost:
    """Return the cost of a file by its format."""
    for signature, estimate in _FORMATS:
        if content.startswith(signature):
            return estimate(content)
    if content[8:12] == b"WEBP":
        return _estimate_webp(content)
    if content[4:8] == b"ftyp":
        return _estimate_avif(content)
    if len(content) > 40 and int.from_bytes(content[:4], "little") in (12, 40, 52, 56, 64, 108, 124):
        return _estimate_bmp(content)
    return DecodingCost()


def _estimate_png(content: bytes) -> DecodingCost:
    position, count, metadata, size, header = 8, 0, 0, (0, 0), b""
    while position + 8 <= len(content):
        length, kind = int.from_bytes(content[position : position + 4], "big"), content[position + 4 : position + 8]
        data = position + 8
        count += 1
        if kind == b"IHDR":
            if header:
                raise ExcessiveFileError(Message("it is a PNG that declares its size twice"))
            header = content[data : data + 13].ljust(13, b"\0")
            size = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
        elif kind in COMPRESSED_METADATA:
            metadata += 1
        elif kind == b"eXIf":
            check_exif(content[data : data + length])
        elif kind == b"IEND":
            break
        if count > MAX_CHUNKS:
            raise ExcessiveFileError(Message("it is a PNG of more than {limit} chunks", limit=f"{MAX_CHUNKS:,}"))
        position = data + length + 4
    pixels = _multiply_sides(*size)
    depth, color, is_interlaced = (header[8], header[9], header[12] != 0) if header else (8, 0, False)
    raw_bytes = pixels * PNG_CHANNELS.get(color, 4) * depth // 8 + size[1]
    seconds = pixels * 10e-9 + raw_bytes * 6e-9 * (2 if is_interlaced else 1) + metadata * 3e-3 + count * 5e-6
    bytes_per_pixel = BYTES_PER_DEEP_PIXEL[PNG_CHANNELS.get(color, 4)] if depth > 8 else BYTES_PER_PIXEL
    return DecodingCost(pixels, seconds, pixels * bytes_per_pixel)


def _estimate_gif(content: bytes) -> DecodingCost:
    width, height = _read_short(content, 6), _read_short(content, 8)
    has_palette = len(content) > 10 and content[10] & 128
    position, blocks = 13 + (3 << (content[10] & 7) + 1 if has_palette else 0), 0
    while position < len(content) and content[position] != GIF_IMAGE:
        if content[position] != GIF_EXTENSION:
            position += 1
            continue
        position += 2
        while position < len(content) and (length := content[position]):
            position, blocks = position + 1 + length, blocks + 1
            if blocks > MAX_GIF_BLOCKS:
                raise ExcessiveFileError(
                    Message(
                        "it is a GIF of more than {limit} blocks before its first image", limit=f"{MAX_GIF_BLOCKS:,}"
                    )
                )
        position += 1
        blocks += 1
    if position < len(content):
        x_offset, y_offset, frame_width, frame_height = (_read_short(content, position + n) for n in (1, 3, 5, 7))
        width, height = max(width, x_offset + frame_width), max(height, y_offset + frame_height)
    pixels = _multiply_sides(width, height)
    return DecodingCost(pixels, pixels * 25e-9 + blocks * 5e-6, pixels * BYTES_PER_PIXEL)


def _estimate_bmp(content: bytes) -> DecodingCost:
    start = 14 if content.startswith(b"BM") else 0  # a DIB is a BMP without its file header
    header_size = int.from_bytes(content[start : start + 4], "little")
    if header_size == 12:
        width, height, compression = _read_short(content, start + 4), _read_short(content, start + 6), 0
    else:
        width, height = (abs(_read_integer(content, start + n)) for n in (4, 8))
        compression = _read_integer(content, start + 16)
    pixels = _multiply_sides(width, height)
    seconds = pixels * 8e-9
    if compression in (1, 2):  # run lengths, which Pillow decodes in Python
        seconds += pixels * 0.15e-6 + len(content) * 1e-6
    return DecodingCost(pixels, seconds, pixels * BYTES_PER_PIXEL)


def _estimate_ppm(content: bytes) -> DecodingCost:
    match = _PPM_HEADER.match(content, 0, 4096)
    kind = content[1:2]
    if kind in b"123" and content.count(b"#") > MAX_COMMENTS:
        raise ExcessiveFileError(
            Message("it is a text file of pixels with more than {limit} comments", limit=f"{MAX_COMMENTS:,}")
        )
    width, height, largest = map(int, match.groups()) if match else (0, 0, 0)
    pixels = _multiply_sides(width, height)
    is_decoded_in_python = kind in b"123" or (kind in b"56" and largest not in (255, 65535))
    seconds = pixels * 8e-9 + len(content) * (1e-6 if is_decoded_in_python else 1e-9 if match else 0.1e-6)
    return DecodingCost(pixels, seconds, pixels * BYTES_PER_PIXEL)


def _estimate_webp(content: bytes) -> DecodingCost:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[n : n + 3], "little") + 1 for n in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = _read_short(content, 26) & 0x3FFF, _read_short(content, 28) & 0x3FFF
    position = 12
    for count in range(MAX_CHUNKS + 1):
        if position + 8 > len(content):
            break
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"EXIF":
            check_exif(content[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
        if count == MAX_CHUNKS:
            raise ExcessiveFileError(Message("it is a WebP of more than {limit} chunks", limit=f"{MAX_CHUNKS:,}"))
    pixels = _multiply_sides(width, height)
    return DecodingCost(pixels, pixels * 40e-9, pixels * BYTES_PER_RGBA_PIXEL)


def _estimate_avif(content: bytes) -> DecodingCost:
    pixels, position = 0, content.find(b"ispe")
    while position >= 0:  # the image, its alpha, its tiles and thumbnails
        width, height = (int.from_bytes(content[position + n : position + n + 4], "big") for n in (8, 12))
        pixels = max(pixels, width * height)
        position = content.find(b"ispe", position + 16)
    return DecodingCost(pixels, pixels * 120e-9, pixels * BYTES_PER_RGBA_PIXEL)


def _multiply_sides(width: int, height: int) -> int:
    """Return the number of pixels; a row or a column needs memory of its own, however short it is."""
    if max(width, height) > MAX_SIDE:
        raise ExcessiveFileError(
            Message(
                "it has {width}x{height} pixels, and a side has at most {limit}",
                width=width,
                height=height,
                limit=f"{MAX_SIDE:,}",
            )
        )
    return width * height


def _read_short(content: bytes, position: int) -> int:
    return int.from_bytes(content[position : position + 2], "little")


def _read_integer(content: bytes, position: int) -> int:
    return int.from_bytes(content[position : position + 4], "little", signed=True)


_FORMATS: tuple[tuple[bytes | tuple[bytes, ...], Callable[[bytes], DecodingCost]], ...] = (
    (PNG_SIGNATURE, _estimate_png),
    (b"\xff\xd8\xff", estimate_jpeg),
    ((b"GIF87a", b"GIF89a"), _estimate_gif),
    (b"BM", _estimate_bmp),
    (TIFF_SIGNATURES, estimate_tiff),
    (tuple(b"P%d" % n for n in range(1, 7)), _estimate_ppm),
)
