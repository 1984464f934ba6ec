"""The estimated cost of decoding: ordinary files pass, hostile ones are refused in little time and memory."""

import io
import random
import struct
import time

import numpy as np
import pytest
from benchmarks.hostile_images import (
    compress_zeros,
    insert_segments,
    list_makers,
    make_directory,
    make_png,
    make_segment,
    repeat_last_scan,
    resize_jpeg,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from tests.properties.test_every_image import FILES, cut, flipped, huge, noise, spliced, swapped
from yisheng.core.errors import DataError
from yisheng.data.images import decode, decode_limits, jpeg_cost
from yisheng.data.images.decode_limits import check_decoding_cost, estimate_decoding_cost

FORMATS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"progressive": True, "subsampling": 0}),
    ("JPEG", {"optimize": True, "quality": 100}),
    ("PNG", {}),
    ("PNG", {"compress_level": 0}),
    ("GIF", {}),
    ("BMP", {}),
    ("PPM", {}),
    ("TIFF", {}),
    *[("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")],
    *([("WEBP", {}), ("WEBP", {"lossless": True, "method": 0})] if features.check("webp") else []),
    *([("AVIF", {"speed": 10})] if features.check("avif") else []),
]


def encode(size, kind, mode="RGB", **options):
    colors = np.random.default_rng(0).integers(0, 255, (size[1] // 8 + 1, size[0] // 8 + 1, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colors).resize(size, Image.Resampling.BILINEAR).convert(mode).save(file, kind, **options)
    return file.getvalue()


def estimate_or_error(content):
    try:
        return estimate_decoding_cost(content, "a.file")
    except DataError as error:
        return error


@pytest.mark.parametrize(("kind", "options"), FORMATS, ids=lambda value: str(value))
@pytest.mark.parametrize("size", [(1, 1), (61, 33), (1200, 900)])
def test_ordinary_files_are_decoded_and_their_pixels_counted(kind, options, size):
    for mode in ("RGB", "L"):
        content = encode(size, kind, mode, **options)
        check_decoding_cost(content, "a")
        assert estimate_decoding_cost(content, "a").pixels == size[0] * size[1]
        assert decode.decode_image(content, "a").shape[:2] == size[::-1]


@pytest.mark.parametrize(("width", "height"), [(8000, 8000), (12_000, 5000)])
def test_the_largest_ordinary_images_are_within_the_limits(width, height):
    progressive = encode((64, 64), "JPEG", progressive=True, subsampling=0)
    check_decoding_cost(resize_jpeg(progressive, width, height), "a")
    check_decoding_cost(resize_jpeg(encode((64, 64), "JPEG"), width, height), "a")
    check_decoding_cost(make_png(width, height, b""), "a")
    check_decoding_cost(make_png(width, height, b"", color=6, interlace=1), "a")


@pytest.mark.parametrize(("kind", "maker"), list_makers(), ids=[kind for kind, _ in list_makers()])
def test_hostile_files_are_judged_in_little_time(kind, maker):
    content = maker(random.Random(0))
    start = time.process_time()
    cost = estimate_or_error(content)
    if isinstance(cost, DataError):
        assert cost.problem.startswith("a.file ")
        assert len(cost.remedy) > 3
    else:
        assert cost.seconds >= 0
    assert time.process_time() - start < 1


REFUSED = {
    "JPEG of many scans": "seconds to decode",
    "JPEG of more scans": "500 scans",
    "JPEG of baseline scans": "seconds to decode",
    "JPEG of two sizes": "declares its size twice",
    "JPEG of empty comments": "segments",
    "JPEG of fill bytes": "between its segments",
    "PNG of two sizes": "declares its size twice",
    "PNG of empty chunks": "chunks",
    "PNG of one column": "a side has at most 65,535",
    "TIFF of overlapping tags": "more bytes than the file",
    "TIFF of huge tiles": "in tiles of",
    "TIFF of many strips": "values in one entry",
    "TIFF of jpeg scans": "seconds to decode",
    "WEBP of empty chunks": "chunks",
    "GIF of comments": "blocks before its first image",
    "BMP of run lengths": "seconds to decode",
    "PPM of comments": "comments",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_that_serve_no_other_purpose_are_refused_with_the_reason(kind):
    makers = dict(list_makers())
    if kind not in makers:
        pytest.skip("Pillow was built without this format")
    for seed in range(3):
        with decode.silence_pillow(), pytest.raises(DataError, match=REFUSED[kind]):
            decode.decode_image(makers[kind](random.Random(seed)), "a.file")


def test_scans_are_counted_but_not_what_looks_like_them():
    content = encode((64, 64), "JPEG", progressive=True)
    scans = content.count(b"\xff\xda")
    costs = [estimate_decoding_cost(repeat_last_scan(content, n), "a").seconds for n in (1, 11, 21)]
    assert costs[2] - costs[1] == pytest.approx(costs[1] - costs[0], rel=0.05)
    thumbnail = make_segment(0xE1, b"\xff\xda" * 1000)
    for disguised in (insert_segments(content, thumbnail), content + b"a video\xff\xda" * 1000):
        assert estimate_decoding_cost(disguised, "a").seconds == pytest.approx(costs[0], rel=0.5)
        decode.decode_image(disguised, "a")
    assert scans > jpeg_cost.MAX_UNCOUNTED_SCANS
    check_decoding_cost(repeat_last_scan(content, jpeg_cost.MAX_SCANS - scans), "a")
    with pytest.raises(DataError, match="more than 500 scans"):
        check_decoding_cost(repeat_last_scan(content, jpeg_cost.MAX_SCANS), "a")


def test_a_plain_jpeg_of_many_scans_is_not_decoded_without_a_check():
    content = repeat_last_scan(encode((64, 64), "JPEG"), 50)
    assert not decode.decode_plain_jpeg(content, np.empty((64, 64, 3), np.uint8))


def test_damaged_metadata_are_no_reason_to_refuse_an_image():
    exif = b"Exif\0\0" + make_directory([(0x0112, 3, 1, 1), (0x9286, 7, 2**31, 2**31), (0x9999, 99, 5, 7)])
    content = insert_segments(encode((64, 64), "JPEG"), make_segment(0xE1, exif))
    check_decoding_cost(content, "a")
    assert decode.decode_image(content, "a").shape == (64, 64, 3)


@pytest.mark.parametrize(("depth", "color", "pixels"), [(8, 2, 64_000_000), (16, 0, 64_000_000), (1, 3, 64_000_000)])
def test_memory_is_estimated_by_the_layout_of_the_pixels(depth, color, pixels):
    cost = estimate_decoding_cost(make_png(8000, pixels // 8000, b"", depth=depth, color=color), "a")
    assert cost.pixels == pixels
    assert cost.nbytes <= decode_limits.MAX_BYTES


@given(st.sampled_from([flipped, cut, swapped, spliced, huge, noise]), st.integers(0, 2**32))
def test_any_file_has_a_cost_or_an_error_of_two_lines(change, seed):
    draw = random.Random(seed)
    content = change(draw.choice(FILES), draw)
    cost = estimate_or_error(content)
    assert cost.problem.startswith("a.file ") if isinstance(cost, DataError) else min(cost.seconds, cost.nbytes) >= 0


@given(
    st.binary(max_size=300),
    st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"RIFF\0\0\0\0WEBP", b"BM", b"P2\n", b"GIF89a"]),
)
def test_any_bytes_after_a_signature_have_a_cost(content, signature):
    cost = estimate_or_error(signature + content)
    assert cost.problem.startswith("a.file ") if isinstance(cost, DataError) else min(cost.seconds, cost.nbytes) >= 0


def test_entries_of_a_directory_are_read_in_both_byte_orders():
    little_endian = make_directory([(256, 4, 1, 300), (257, 4, 1, 200), (258, 3, 1, 8)])
    big_endian = b"MM\0*" + struct.pack(">IH", 8, 3)
    for tag, kind, value in ((256, 4, 300), (257, 4, 200), (258, 3, 8 << 16)):
        big_endian += struct.pack(">HHII", tag, kind, 1, value)
    for content in (little_endian, big_endian + bytes(4)):
        assert estimate_decoding_cost(content, "a").pixels == 60_000


def test_zeros_are_compressed_piece_by_piece():
    import zlib

    assert zlib.decompress(compress_zeros(3_000_000)) == bytes(3_000_000)
