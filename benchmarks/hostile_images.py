"""Hostile image files of about 40 kinds: small files that ask a decoder for much time or memory, or crash it.

    python benchmarks/hostile_images.py FOLDER [count=200] [seed=0]

writes files to try with other programs. `benchmarks/hostile_load.py` sends them to a service; the tests decode them.
"""

from __future__ import annotations

import functools
import io
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, features

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
Maker = Callable[[random.Random], bytes]


@dataclass(frozen=True)
class HostileImage:
    """A file.

    Args:
        kind: what is hostile about it, preceded by its format.
        content: its bytes.
    """

    kind: str
    content: bytes

    @property
    def media_type(self) -> str:
        """Return the content type that a client would send."""
        return f"image/{self.kind.split()[0].lower()}"


def encode(size: tuple[int, int], kind: str, mode: str = "RGB", color: int = 90, **options: object) -> bytes:
    """Return an image of one color, with a diagonal that gives the compressor something to do."""
    pixels = np.full((size[1], size[0]), color, np.uint8)
    pixels[np.arange(min(size)), np.arange(min(size))] = 250
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


# ---- JPEG


@functools.cache
def _small_jpeg(progressive: bool, mode: str = "RGB") -> bytes:
    return encode((64, 64), "JPEG", mode, progressive=progressive)


def resize_jpeg(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG that declares another size; decoders fill what is missing."""
    start = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    return content[: start + 5] + struct.pack(">HH", height, width) + content[start + 9 :]


def repeat_last_scan(content: bytes, count: int) -> bytes:
    """Return a JPEG whose last scan comes ``count`` times."""
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


def insert_segments(content: bytes, segments: bytes) -> bytes:
    """Return a JPEG with segments after its first marker."""
    return content[:2] + segments + content[2:]


def make_segment(marker: int, content: bytes) -> bytes:
    """Return a segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def jpeg_of_many_scans(rng: random.Random) -> bytes:
    """Declare 64 million pixels that are drawn hundreds of times."""
    side = rng.choice((4000, 6000, 8000))
    return resize_jpeg(repeat_last_scan(_small_jpeg(True), rng.randrange(100, 495)), side, side)


def jpeg_of_more_scans(rng: random.Random) -> bytes:
    """Draw a small image thousands of times."""
    return repeat_last_scan(_small_jpeg(True), rng.randrange(2000, 20_000))


def jpeg_of_scans_within_limits(rng: random.Random) -> bytes:
    """Declare what takes seconds, but is not refused."""
    return resize_jpeg(repeat_last_scan(_small_jpeg(True), rng.randrange(4, 10)), 8000, 8000)


def jpeg_of_baseline_scans(rng: random.Random) -> bytes:
    """Repeat the only scan of a baseline JPEG."""
    return resize_jpeg(repeat_last_scan(_small_jpeg(False), rng.randrange(100, 480)), 8000, 8000)


def jpeg_of_arithmetic_coding(rng: random.Random) -> bytes:
    """Use arithmetic coding, which is slow."""
    content = resize_jpeg(repeat_last_scan(_small_jpeg(True), rng.randrange(5, 200)), 8000, 8000)
    return content.replace(b"\xff\xc2", b"\xff\xca", 1)


def jpeg_of_cmyk(rng: random.Random) -> bytes:
    """Use four colors in several scans, for which all coefficients are kept."""
    return resize_jpeg(_small_jpeg(True, "CMYK"), 8000, rng.randrange(7000, 8000))


def jpeg_of_huge_size(rng: random.Random) -> bytes:
    """Declare the largest size there is."""
    return resize_jpeg(_small_jpeg(rng.random() < 0.5), rng.randrange(30_000, 65_500), 65_500)


def jpeg_of_two_sizes(rng: random.Random) -> bytes:
    """Declare a small size, then a large one."""
    content = _small_jpeg(True)
    start = content.index(b"\xff\xc2")
    length = int.from_bytes(content[start + 2 : start + 4], "big") + 2
    frame = content[start : start + length]
    return content[: start + length] + resize_jpeg(frame, 8000, rng.randrange(100, 8000)) + content[start + length :]


def jpeg_of_empty_comments(rng: random.Random) -> bytes:
    """Hold a million segments."""
    return insert_segments(_small_jpeg(False), make_segment(0xFE, b"") * rng.randrange(200_000, 1_000_000))


def jpeg_of_fill_bytes(rng: random.Random) -> bytes:
    """Hold megabytes of bytes that mean nothing between two segments."""
    junk = rng.choice((b"\xff", b"\0", b"\xff\0")) * rng.randrange(1 << 20, 6 << 20)
    return insert_segments(_small_jpeg(False), make_segment(0xFE, b"") + junk)


def jpeg_of_photoshop_blocks(rng: random.Random) -> bytes:
    """Hold tens of thousands of resources, which Pillow reads in Python."""
    blocks = b"8BIM\x04\x04\0\0\0\0\0\0" * 5000
    return insert_segments(_small_jpeg(False), make_segment(0xED, b"Photoshop 3.0\0" + blocks) * rng.randrange(20, 120))


def jpeg_of_exif_bomb(rng: random.Random) -> bytes:
    """Name the same bytes in thousands of entries of the metadata."""
    exif = b"Exif\0\0" + make_overlapping_directory(rng.randrange(1000, 4000), 60_000)[:65_000]
    return insert_segments(_small_jpeg(False), make_segment(0xE1, exif))


def jpeg_cut_off(rng: random.Random) -> bytes:
    """End in the middle of a large image."""
    content = _large_jpeg()
    return content[: rng.randrange(len(content) // 4, len(content))]


@functools.cache
def _large_jpeg() -> bytes:
    return encode((6000, 6000), "JPEG", progressive=True)


# ---- PNG


def make_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def make_png(
    width: int, height: int, data: bytes, *, depth: int = 8, color: int = 0, interlace: int = 0, extra: bytes = b""
) -> bytes:
    """Return a PNG of compressed data, with further chunks before them."""
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    return PNG_SIGNATURE + header + extra + make_chunk(b"IDAT", data) + make_chunk(b"IEND", b"")


@functools.lru_cache(32)
def compress_zeros(count: int) -> bytes:
    """Return zeros, compressed without having all of them in memory."""
    compressor, zeros = zlib.compressobj(9), bytes(1 << 20)
    parts = [compressor.compress(zeros) for _ in range(count >> 20)]
    return b"".join([*parts, compressor.compress(bytes(count & 0xFFFFF)), compressor.flush()])


def png_of_16_bits(_rng: random.Random) -> bytes:
    """Hold 64 million pixels of 16 bits in 124 KB."""
    return make_png(8000, 8000, compress_zeros(8000 * 16_001), depth=16, color=0)


def png_of_16_bit_colors(_rng: random.Random) -> bytes:
    """Hold 64 million pixels of four times 16 bits."""
    return make_png(8000, 8000, compress_zeros(8000 * 64_001), depth=16, color=6)


def png_interlaced(_rng: random.Random) -> bytes:
    """Hold a large image in seven passes."""
    return make_png(7000, 7000, compress_zeros(7000 * 7000 * 4 + 100_000), color=6, interlace=1)


def png_of_excess_data(rng: random.Random) -> bytes:
    """Hold far more data than pixels."""
    return make_png(8, 8, compress_zeros(rng.randrange(100, 400) << 20))


def png_of_text_bombs(rng: random.Random) -> bytes:
    """Hold metadata that decompress to gigabytes."""
    zeros = compress_zeros(rng.choice((1_000_000, 50 << 20)))
    kind, head = rng.choice(((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")))
    chunks = make_chunk(kind, head + zeros) * rng.randrange(1, 4000)
    return make_png(8, 8, zlib.compress(bytes(72)), extra=chunks[: 12 << 20])


def png_of_two_sizes(_rng: random.Random) -> bytes:
    """Declare a small size, then a large one."""
    header = make_chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 16, 6, 0, 0, 0))
    return make_png(8, 8, compress_zeros(100 << 20), extra=header)


def png_of_empty_chunks(rng: random.Random) -> bytes:
    """Hold a million chunks."""
    return make_png(
        8,
        8,
        zlib.compress(bytes(72)),
        extra=make_chunk(rng.choice((b"IDAT", b"teSt")), b"") * rng.randrange(300_000, 900_000),
    )


def png_of_huge_size(rng: random.Random) -> bytes:
    """Declare a size that no memory holds."""
    return make_png(rng.choice((50_000, 2**31 - 1)), rng.choice((50_000, 2**31 - 1)), compress_zeros(1 << 20))


def png_of_one_column(rng: random.Random) -> bytes:
    """Hold millions of rows of one pixel, each with its own bookkeeping."""
    height = rng.randrange(20_000_000, 64_000_000)
    return make_png(1, height, compress_zeros(2 * height))


def png_of_exif_bomb(_rng: random.Random) -> bytes:
    """Name the same bytes in thousands of entries of the metadata."""
    return make_png(
        8, 8, zlib.compress(bytes(72)), extra=make_chunk(b"eXIf", make_overlapping_directory(4000, 4 << 20))
    )


def png_of_transparent_palette(_rng: random.Random) -> bytes:
    """Hold a bit for each pixel, which becomes four bytes."""
    extra = make_chunk(b"PLTE", bytes(6)) + make_chunk(b"tRNS", b"\x80\0")
    return make_png(8000, 8000, compress_zeros(8000 * 1001), depth=1, color=3, extra=extra)


def png_animated(_rng: random.Random) -> bytes:
    """Announce millions of frames."""
    control = struct.pack(">IIIIIHHBB", 0, 8000, 8000, 0, 0, 1, 1, 0, 0)
    extra = make_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) + make_chunk(b"fcTL", control)
    return make_png(8000, 8000, compress_zeros(8000 * 8001), extra=extra)


# ---- TIFF


def make_directory(entries: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """Return a TIFF of entries (tag, type, count, value or offset), and bytes that begin after its directory."""
    packed = b"".join(
        struct.pack("<HHI", tag, kind, count) + struct.pack("<I", value & 0xFFFFFFFF)
        for tag, kind, count, value in sorted(entries)
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + struct.pack("<I", 0) + data


def make_overlapping_directory(count: int, size: int) -> bytes:
    """Return a directory whose entries all name the same bytes."""
    data_start = 14 + 12 * count
    return make_directory([(10_000 + n, 7, size, data_start) for n in range(count)], bytes(size))


def make_tiff(
    width: int,
    height: int,
    data: bytes,
    *,
    compression: int = 1,
    bits: int = 8,
    extra: tuple[tuple[int, int, int, int], ...] = (),
) -> bytes:
    """Return a gray TIFF of one strip."""
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(data)), *extra),
    ]
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    return make_directory([*entries, (273, 4, 1, start)], data)


def tiff_of_overlapping_tags(rng: random.Random) -> bytes:
    """Name the same megabytes in thousands of entries."""
    return make_overlapping_directory(rng.randrange(1000, 4000), rng.randrange(1 << 20, 8 << 20))


def tiff_of_many_tags(rng: random.Random) -> bytes:
    """Hold the largest number of entries."""
    return make_directory([(n, 3, 1, n) for n in range(rng.randrange(20_000, 65_000))])


def tiff_of_many_strips(rng: random.Random) -> bytes:
    """Divide a small image into millions of strips."""
    count = rng.randrange(500_000, 2_000_000)
    entries = [(256, 4, 1, 100), (257, 4, 1, 100), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (278, 4, 1, 1)]
    start = 8 + 2 + 12 * 8 + 4
    return make_directory([*entries, (273, 4, count, start), (279, 4, count, start)], bytes(4 * count))


def tiff_of_huge_tiles(rng: random.Random) -> bytes:
    """Hold a small image in one tile of gigabytes."""
    data = compress_zeros(200 << 20)
    side = rng.choice((30_000, 40_000, 46_000))
    entries = [(256, 4, 1, 100), (257, 4, 1, 100), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1)]
    start = 8 + 2 + 12 * 9 + 4
    tiles = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, start), (325, 4, 1, len(data))]
    return make_directory([*entries, *tiles], data)


def tiff_of_compressed_floats(_rng: random.Random) -> bytes:
    """Hold 64 million floats."""
    return make_tiff(8000, 8000, compress_zeros(256_000_000), compression=8, bits=32, extra=((339, 3, 1, 3),))


def tiff_of_run_lengths(_rng: random.Random) -> bytes:
    """Hold 64 million pixels in runs of 128."""
    return make_tiff(8000, 8000, b"\x81\0" * 500_000, compression=32773)


def tiff_of_jpeg_scans(rng: random.Random) -> bytes:
    """Hold a JPEG that is drawn hundreds of times."""
    data = resize_jpeg(repeat_last_scan(_small_jpeg(True, "L"), rng.randrange(100, 400)), 8000, 8000)
    return make_tiff(8000, 8000, data, compression=7)


def tiff_of_large_directory(_rng: random.Random) -> bytes:
    """Declare more entries than there are atoms, in the form for large files."""
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**60) + struct.pack("<HHQQ", 256, 4, 1, 9) * 400_000


def tiff_of_many_samples(rng: random.Random) -> bytes:
    """Declare thousands of channels."""
    return make_tiff(4000, 4000, bytes(1000), extra=((338, 3, rng.randrange(1000, 60_000), 8),))


def tiff_in_a_circle(_rng: random.Random) -> bytes:
    """Let the last directory point to the first."""
    content = bytearray(make_tiff(64, 64, bytes(4096)))
    count = int.from_bytes(content[8:10], "little")
    content[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", 8)
    return bytes(content)


# ---- WebP


def make_riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of chunks."""
    parts = [kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for kind, content in chunks]
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@functools.cache
def _small_webp(lossless: bool) -> tuple[bytes, bytes]:
    content = encode((64, 64), "WEBP", lossless=lossless)
    return content[12:16], content[20:]


def make_extended(flags: int, width: int, height: int) -> tuple[bytes, bytes]:
    """Return the header of a WebP with a canvas."""
    return b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_of_huge_canvas(rng: random.Random) -> bytes:
    """Place a small frame on a huge canvas."""
    side = rng.choice((8000, 16_000, 65_000, 1 << 24))
    kind, data = _small_webp(False)
    position = (0).to_bytes(3, "little") * 2 + (63).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0"
    frame = position + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return make_riff(make_extended(2, side, side), (b"ANIM", bytes(6)), (b"ANMF", frame))


@functools.cache
def _large_webp() -> bytes:
    return encode((8000, 8000), "WEBP", lossless=True, method=0, quality=0)


def webp_of_64_million_pixels(_rng: random.Random) -> bytes:
    """Hold 64 million pixels in some kilobytes."""
    return _large_webp()


def webp_cut_off(rng: random.Random) -> bytes:
    """End in the middle of a large image."""
    content = encode((4000, 4000), "WEBP", quality=1, method=0)
    return content[: rng.randrange(100, len(content))]


def webp_of_false_size(rng: random.Random) -> bytes:
    """Declare the largest size for little data."""
    kind, data = _small_webp(True)
    size = struct.pack("<I", rng.randrange(5000, 16_383) | rng.randrange(5000, 16_383) << 14 | 1 << 28)
    return make_riff((kind, data[:1] + size + data[5:]))


def webp_animated(rng: random.Random) -> bytes:
    """Hold thousands of frames."""
    kind, data = _small_webp(False)
    position = (0).to_bytes(3, "little") * 2 + (63).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0"
    frame = position + kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    frames = [(b"ANMF", frame)] * rng.randrange(5000, 20_000)
    return make_riff(make_extended(2, 4000, 4000), (b"ANIM", bytes(6)), *frames)


def webp_of_empty_chunks(rng: random.Random) -> bytes:
    """Hold hundreds of thousands of chunks."""
    return make_riff(make_extended(0, 64, 64), *[(b"JUNK", b"")] * rng.randrange(300_000, 700_000), _small_webp(False))


def webp_of_exif_bomb(rng: random.Random) -> bytes:
    """Name the same bytes in thousands of entries of the metadata."""
    exif = make_overlapping_directory(4000, rng.randrange(1 << 20, 6 << 20))
    return make_riff(make_extended(8, 64, 64), _small_webp(False), (b"EXIF", exif))


# ---- other formats


def gif_of_comments(rng: random.Random) -> bytes:
    """Hold megabytes of comments before the image."""
    comment = b"\x21\xfe" + b"\xff" + b"a" * 255
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + (comment + b"\0") * rng.randrange(25_000, 40_000)


def gif_of_huge_frame(_rng: random.Random) -> bytes:
    """Place a huge frame on a small canvas."""
    frame = b"\x2c" + struct.pack("<HHHHB", 60_000, 60_000, 60_000, 60_000, 0) + b"\x08\x01\0\0"
    return b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + frame


def bmp_of_run_lengths(rng: random.Random) -> bytes:
    """Hold run lengths, which Pillow decodes in Python."""
    data = rng.choice((b"\xff\x01", b"\x01\x01", b"\0\0")) * rng.randrange(1 << 20, 3 << 20)
    header = struct.pack("<IiiHHIIiiII", 40, 8000, 8000, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(data), 0, 0, 54 + 1024) + header + bytes(1024) + data


def ppm_of_comments(rng: random.Random) -> bytes:
    """Hold comments, each of which makes Pillow copy a megabyte."""
    return b"P2 1000 1000 255\n" + b"#\n" * rng.randrange(500_000, 2_000_000)


def ppm_of_odd_values(_rng: random.Random) -> bytes:
    """Hold values that Pillow scales in Python."""
    return b"P6 2200 2200 254\n" + bytes(3 * 2200 * 2200)


def avif_of_64_million_pixels(_rng: random.Random) -> bytes:
    """Hold 64 million pixels in some kilobytes."""
    content = _small_avif()
    position = content.index(b"ispe") + 8
    return content[:position] + struct.pack(">II", 8000, 8000) + content[position + 8 :]


@functools.cache
def _small_avif() -> bytes:
    return encode((64, 64), "AVIF")


MAKERS: dict[str, tuple[Maker, ...]] = {
    "JPEG": (
        *(jpeg_of_many_scans, jpeg_of_more_scans, jpeg_of_scans_within_limits, jpeg_of_baseline_scans),
        *(jpeg_of_arithmetic_coding, jpeg_of_cmyk, jpeg_of_huge_size, jpeg_of_two_sizes, jpeg_of_empty_comments),
        *(jpeg_of_fill_bytes, jpeg_of_photoshop_blocks, jpeg_of_exif_bomb, jpeg_cut_off),
    ),
    "PNG": (
        *(png_of_16_bits, png_of_16_bit_colors, png_interlaced, png_of_excess_data, png_of_text_bombs),
        *(png_of_two_sizes, png_of_empty_chunks, png_of_huge_size, png_of_one_column, png_of_exif_bomb),
        *(png_of_transparent_palette, png_animated),
    ),
    "TIFF": (
        *(tiff_of_overlapping_tags, tiff_of_many_tags, tiff_of_many_strips, tiff_of_huge_tiles),
        *(tiff_of_compressed_floats, tiff_of_run_lengths, tiff_of_jpeg_scans, tiff_of_large_directory),
        *(tiff_of_many_samples, tiff_in_a_circle),
    ),
    "WEBP": (
        *(webp_of_huge_canvas, webp_of_64_million_pixels, webp_cut_off, webp_of_false_size, webp_animated),
        *(webp_of_empty_chunks, webp_of_exif_bomb),
    ),
    "GIF": (gif_of_comments, gif_of_huge_frame),
    "BMP": (bmp_of_run_lengths,),
    "PPM": (ppm_of_comments, ppm_of_odd_values),
    "AVIF": (avif_of_64_million_pixels,),
}
"""Functions that make a file of one kind; a generator of random numbers varies it."""


def list_makers() -> list[tuple[str, Maker]]:
    """Return the name of each kind and what makes it, of the formats that this installation of Pillow knows."""
    absent = {name for name in ("WEBP", "AVIF") if not features.check(name.lower())}
    return [
        (f"{name} {maker.__name__.split('_', 1)[1].replace('_', ' ')}", maker)
        for name, makers in MAKERS.items()
        if name not in absent
        for maker in makers
    ]


def make_hostile_images(count: int = 200, seed: int = 0) -> Iterator[HostileImage]:
    """Yield files of all kinds in turn."""
    makers = list_makers()
    rng = random.Random(seed)
    for number in range(count):
        kind, maker = makers[number % len(makers)]
        yield HostileImage(kind, maker(rng))


def main(words: list[str]) -> None:
    """Write the files to a folder."""
    folder = Path(words[0])
    options = dict(word.split("=", 1) for word in words[1:])
    folder.mkdir(parents=True, exist_ok=True)
    images = make_hostile_images(int(options.get("count", 200)), int(options.get("seed", 0)))
    for number, image in enumerate(images):
        name = f"{number:03} {image.kind}".replace(" ", "-") + "." + image.kind.split()[0].lower()
        (folder / name).write_bytes(image.content)


if __name__ == "__main__":
    main(sys.argv[1:])
