"""Decoding of image files: the pixels of Pillow, orientation, transparency, refused files."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from yisheng.core.errors import DataError
from yisheng.data.images import decode
from yisheng.data.images.orientation import EXIF_ORIENTATION
from yisheng.data.images.resize import resize

MAX_DIFFERENCE = 2
"""Largest difference to Pillow's pixels of a JPEG at full size; 0 with the same libjpeg-turbo."""
MAX_SCALED_DIFFERENCE = 3
"""Largest mean difference to Pillow's ``ImageOps``, which crops at fractions of a pixel."""


def scene(size=(60, 40), seed=0):
    """Return a smooth image with edges, like a photograph, without symmetry."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    colors = np.stack([across, down, (across - down) ** 2], -1) * 200
    colors[size[1] // 5 : size[1] // 3, size[0] // 2 :] += 55
    noise = np.random.default_rng(seed).normal(0, 3, colors.shape)
    return Image.fromarray(np.clip(colors + noise, 0, 255).astype(np.uint8))


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def difference(a, b):
    return np.abs(a.astype(int) - np.asarray(b).astype(int))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", *(["WEBP"] if features.check("webp") else [])])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_of_lossless_formats_equal_those_of_pillow(kind, mode):
    content = encode(scene().convert(mode), kind, **({"lossless": True} if kind == "WEBP" else {}))
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    assert np.array_equal(decode.decode_image(content, "a", color="rgb"), np.asarray(expected))
    assert np.array_equal(decode.decode_image(content, "a", color="gray"), np.asarray(expected.convert("L")))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_pixels_equal_those_of_pillow(mode, options):
    content = encode(scene().convert(mode), "JPEG", **options)
    expected = Image.open(io.BytesIO(content))
    assert difference(decode.decode_image(content, "a"), expected).max() <= MAX_DIFFERENCE
    assert difference(decode.decode_image(content, "a", color="rgb"), expected.convert("RGB")).max() <= MAX_DIFFERENCE
    assert difference(decode.decode_image(content, "a", color="gray"), expected.convert("L")).mean() <= MAX_DIFFERENCE


@pytest.mark.parametrize("size", [(224, 224), (100, 150), (64, 64), (31, 200), (400, 400)])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_of_a_scaled_jpeg_are_near_those_of_pillow(size, fit, mode):
    image = scene((700, 500)).convert(mode)
    content = encode(image, "JPEG", quality=95)
    full_size = Image.open(io.BytesIO(content))
    bilinear = Image.Resampling.BILINEAR
    expected = {
        "crop": lambda: ImageOps.fit(full_size, size[::-1], bilinear),
        "squash": lambda: full_size.resize(size[::-1], bilinear),
        "pad": lambda: ImageOps.pad(full_size, size[::-1], bilinear, color=0),
    }[fit]()
    pixels = decode.decode_image(content, "a", size=size, fit=fit)
    assert difference(pixels, expected).mean() < MAX_SCALED_DIFFERENCE


def test_plain_jpegs_are_decoded_to_the_same_pixels():
    for channels, mode in ((3, "RGB"), (1, "L")):
        content = encode(scene().convert(mode), "JPEG")
        out = np.empty((40, 60, channels), np.uint8)
        assert decode.decode_plain_jpeg(content, out)
        assert np.array_equal(out.squeeze(), decode.decode_image(content, "a"))


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (encode(scene(), "JPEG"), (40, 61, 3)),
        (encode(scene(), "JPEG"), (41, 60, 3)),
        (encode(scene(), "JPEG"), (40, 60, 1)),
        (encode(scene().convert("L"), "JPEG"), (40, 60, 3)),
        (encode(scene().convert("CMYK"), "JPEG"), (40, 60, 3)),
        (encode(scene(), "JPEG", progressive=True), (40, 60, 3)),
        (encode(scene(), "JPEG")[:-300], (40, 60, 3)),
        (encode(scene()), (40, 60, 3)),
        (b"", (40, 60, 3)),
    ],
)
def test_unusual_files_are_not_decoded_as_plain_jpegs(content, shape):
    assert not decode.decode_plain_jpeg(content, np.empty(shape, np.uint8))


def with_orientation(kind, orientation):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return encode(scene(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", *(["WEBP"] if features.check("webp") else [])])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_rotated_upright(kind, orientation):
    content = with_orientation(kind, orientation)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    decoded = decode.decode_with_facts(content, "a")
    pixels = decoded.pixels
    assert decoded.original_size == pixels.shape[:2] == ((60, 40) if orientation > 4 else (40, 60))
    assert difference(pixels, expected).max() <= (MAX_DIFFERENCE if kind == "JPEG" else 0)
    assert not decode.decode_plain_jpeg(content, np.empty((40, 60, 3), np.uint8)) or orientation == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_scaled_images_are_rotated_upright(orientation):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = encode(scene((600, 400)), "JPEG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    for fit, size in (("squash", (30, 50)), ("crop", (50, 20)), ("pad", (50, 50))):
        pixels = decode.decode_image(content, "a", size=size, fit=fit)
        assert difference(pixels, resize(np.asarray(expected), size, fit)).max() <= MAX_DIFFERENCE


@pytest.mark.parametrize("color", ["gray", "rgb"])
@pytest.mark.parametrize("size", [(20, 30), (64, 64), (200, 31)])
def test_a_jpeg_has_the_pixels_of_the_same_image_as_png(color, size):
    content = encode(scene((640, 480)), "JPEG", quality=90)
    as_png = encode(Image.open(io.BytesIO(content)), "PNG")
    for fit in ("crop", "squash", "pad"):
        pixels = [decode.decode_image(file, "a", color=color, size=size, fit=fit) for file in (content, as_png)]
        assert difference(*pixels).max() <= MAX_DIFFERENCE


def test_orientation_in_xmp_is_read():
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    content = encode(scene(), "JPEG", xmp=packet)
    assert decode.decode_image(content, "a").shape == (60, 40, 3)


def test_damaged_metadata_is_ignored():
    content = with_orientation("JPEG", 6)
    start = content.index(b"Exif\0\0") + 6
    damaged = content[:start] + b"\xff" * 8 + content[start + 8 :]
    assert decode.decode_image(damaged, "a").shape == (40, 60, 3)


def test_transparent_parts_become_white():
    image = scene().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))))
    pixels = decode.decode_image(encode(image), "a").astype(float)
    alpha = np.asarray(image)[..., 3:] / 255
    expected = np.asarray(image)[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels - expected).max() <= 1
    assert (pixels[:, 0] == 255).all()


def test_gray_with_alpha_stays_gray():
    image = scene().convert("LA")
    image.putalpha(Image.new("L", image.size, 0))
    pixels = decode.decode_image(encode(image), "a")
    assert pixels.shape == (40, 60)
    assert (pixels == 255).all()


def test_a_transparent_color_becomes_white():
    palette = Image.new("P", (20, 10), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(0, (0, 0, 10, 10))
    for kind in ("PNG", "GIF"):
        pixels = decode.decode_image(encode(palette, kind, transparency=0), "a", color="rgb")
        assert (pixels[:, :10] == 255).all()
        assert (pixels[:, 10:] == [200, 100, 50]).all()
    translucent = decode.decode_image(encode(palette, "PNG", transparency=bytes([255, 0])), "a", color="rgb")
    assert (translucent[:, :10] == [10, 20, 30]).all()
    assert (translucent[:, 10:] == 255).all()
    plain = Image.new("RGB", (20, 10), (1, 2, 3))
    assert (decode.decode_image(encode(plain, "PNG", transparency=(1, 2, 3)), "a") == 255).all()


def test_a_palette_of_grays_is_gray():
    assert decode.decode_image(encode(scene().convert("L"), "GIF"), "a").shape == (40, 60)
    assert decode.decode_image(encode(scene().convert("P")), "a").shape == (40, 60, 3)


def test_sixteen_gray_bits_become_eight():
    values = (np.arange(40 * 60, dtype=np.uint32) * 27).reshape(40, 60).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = decode.decode_image(encode(Image.fromarray(values), kind), "a")
        assert np.abs(pixels - values / 65535 * 255).max() <= 1


def test_sixteen_color_bits_become_eight():
    values = (np.arange(40 * 60 * 3, dtype=np.uint32) * 9 % 65536).reshape(40, 60, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    content = png(60, 40, rows, depth=16, color=2)
    assert np.abs(decode.decode_image(content, "a") - values / 65535 * 255).max() <= 1


def test_nonfinite_values_are_refused():
    values = np.full((4, 4), 0.5, np.float32)
    values[0] = np.nan
    values[1] = np.inf
    with pytest.raises(DataError, match="8 of its 16 values are NaN or infinite"):
        decode.decode_image(encode(Image.fromarray(values), "TIFF"), "a")


def test_cmyk_pixels_equal_those_of_pillow():
    content = encode(scene().convert("CMYK"), "JPEG")
    assert b"Adobe" in content
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    assert np.array_equal(decode.decode_image(content, "a"), np.asarray(expected))
    assert difference(decode.decode_image(content, "a"), scene()).mean() < 5  # not inverted


def test_pixels_are_the_same_without_simplejpeg(monkeypatch):
    files = [encode(scene(), "JPEG"), with_orientation("JPEG", 5), encode(scene().convert("L"), "JPEG")]
    with_simplejpeg = [decode.decode_image(content, "a") for content in files]
    monkeypatch.setattr(decode, "simplejpeg", None)
    assert not decode.decode_plain_jpeg(files[0], np.empty((40, 60, 3), np.uint8))
    for content, pixels in zip(files, with_simplejpeg, strict=True):
        assert difference(decode.decode_image(content, "a"), pixels).max() <= MAX_DIFFERENCE


def test_unusual_jpegs_are_decoded():
    content = encode(scene(), "JPEG")
    assert decode.decode_image(content + b"a video of a second\xff\xda", "a").shape == (40, 60, 3)
    odd = content[:-2] + b"\0\0\0" + content[-2:]  # more data than pixels: a warning, no error
    assert difference(decode.decode_image(odd, "a"), Image.open(io.BytesIO(content))).max() <= MAX_DIFFERENCE


def png(width, height, rows, *, depth=8, color=0):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_of_size(width, height):
    content = bytearray(encode(scene(), "JPEG"))
    start = content.index(b"\xff\xc0")
    content[start + 5 : start + 9] = struct.pack(">2H", height, width)
    return bytes(content)


def jpeg_of_scans(count):
    """Return a JPEG with many scans."""
    content = encode(scene(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (png(50_000, 50_000, b"\0" * 1000), "2,500,000,000 pixels, more than the 64,000,000"),
        (png(9_000, 9_000, b"\0" * 1000), "81|pixels, more than the 64,000,000"),
        (png(100, 100, b"\0" * 1000), "cannot be decoded"),
        (jpeg_of_size(65_000, 65_000), "pixels"),
        (jpeg_of_size(9_000, 9_000), "more than the 64,000,000"),
        (jpeg_of_scans(600), "more than 500 scans"),
        (encode(scene(), "JPEG")[:-300], "cannot be decoded"),
        (encode(scene(), "JPEG")[:40], "a.jpg"),
    ],
)
@pytest.mark.parametrize("size", [None, (20, 20)])
def test_malicious_files_are_refused(content, expected, size):
    with decode.silence_pillow(), pytest.raises(DataError, match=expected) as error:
        decode.decode_image(content, "a.jpg", size=size)
    assert error.value.problem.startswith("a.jpg ")


@given(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from(["crop", "squash", "pad"]),
    st.booleans(),
)
def test_resize_returns_the_requested_size(original, target, fit, color):
    pixels = np.random.default_rng(0).integers(1, 256, (*original, 3) if color else original).astype(np.uint8)
    resized = resize(pixels, target, fit)
    assert resized.shape == ((*target, 3) if color else target)
    assert resized.dtype == np.uint8
    if original == target:
        assert np.array_equal(resized, pixels)
    if fit != "pad":
        assert resized.min() >= pixels.min()


def test_resize_crops_squashes_or_pads():
    landscape = np.zeros((10, 30), np.uint8)
    landscape[:, 10:20] = 200
    assert (resize(landscape, (10, 10), "crop") == 200).all()
    squashed = resize(landscape, (10, 10), "squash")
    assert squashed[:, 0].max() == 0
    assert squashed[:, 5].min() == 200
    padded = resize(landscape, (30, 30), "pad")
    assert np.array_equal(padded[10:20], landscape)
    assert padded[:10].max() == padded[20:].max() == 0


def test_no_warning_is_raised(recwarn):
    palette = scene().convert("P")
    content = encode(palette, "PNG", transparency=bytes(range(256)))
    with decode.silence_pillow():
        decode.decode_image(content, "a")
        warnings.warn("ignored", stacklevel=1)
    assert not recwarn.list
