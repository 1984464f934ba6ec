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

JPEG_LEVELS = 2
"""How far a JPEG's pixels may lie from Pillow's at full size; equal with the same libjpeg-turbo."""
SCALED_LEVELS = 6
"""How far they may lie on average when the size is reduced: JPEG decodes to a smaller size with another filter."""


def scene(size=(60, 40), seed=0):
    """A smooth image with edges, as photographs are, without symmetry."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    colours = np.stack([across, down, (across - down) ** 2], -1) * 200
    colours[size[1] // 5 : size[1] // 3, size[0] // 2 :] += 55
    noise = np.random.default_rng(seed).normal(0, 3, colours.shape)
    return Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def apart(a, b):
    return np.abs(a.astype(int) - np.asarray(b).astype(int))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", *(["WEBP"] if features.check("webp") else [])])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lossless_formats_have_pillows_own_pixels(kind, mode):
    content = saved(scene().convert(mode), kind, **({"lossless": True} if kind == "WEBP" else {}))
    theirs = Image.open(io.BytesIO(content)).convert("RGB")
    assert np.array_equal(decode.decode(content, "a", colour="rgb"), np.asarray(theirs))
    assert np.array_equal(decode.decode(content, "a", colour="grey"), np.asarray(theirs.convert("L")))


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"quality": 30}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_has_pillows_pixels(mode, options):
    content = saved(scene().convert(mode), "JPEG", **options)
    theirs = Image.open(io.BytesIO(content))
    assert apart(decode.decode(content, "a"), theirs).max() <= JPEG_LEVELS
    assert apart(decode.decode(content, "a", colour="rgb"), theirs.convert("RGB")).max() <= JPEG_LEVELS
    assert apart(decode.decode(content, "a", colour="grey"), theirs.convert("L")).mean() <= JPEG_LEVELS


@pytest.mark.parametrize("size", [(224, 224), (100, 150), (64, 64), (31, 200), (400, 400)])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_scaled_jpeg_is_near_pillows(size, fit, mode):
    image = scene((700, 500)).convert(mode)
    content = saved(image, "JPEG", quality=95)
    theirs = Image.open(io.BytesIO(content))
    how = Image.Resampling.BILINEAR
    wanted = {
        "crop": lambda: ImageOps.fit(theirs, size[::-1], how),
        "squash": lambda: theirs.resize(size[::-1], how),
        "pad": lambda: ImageOps.pad(theirs, size[::-1], how, color=0),
    }[fit]()
    assert apart(decode.decode(content, "a", size=size, fit=fit), wanted).mean() < SCALED_LEVELS


def test_plain_gives_what_decode_gives():
    for channels, mode in ((3, "RGB"), (1, "L")):
        content = saved(scene().convert(mode), "JPEG")
        out = np.empty((40, 60, channels), np.uint8)
        assert decode.plain(content, out)
        assert np.array_equal(out.squeeze(), decode.decode(content, "a"))


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (saved(scene(), "JPEG"), (40, 61, 3)),
        (saved(scene(), "JPEG"), (41, 60, 3)),
        (saved(scene(), "JPEG"), (40, 60, 1)),
        (saved(scene().convert("L"), "JPEG"), (40, 60, 3)),
        (saved(scene().convert("CMYK"), "JPEG"), (40, 60, 3)),
        (saved(scene(), "JPEG", progressive=True), (40, 60, 3)),
        (saved(scene(), "JPEG")[:-300], (40, 60, 3)),
        (saved(scene()), (40, 60, 3)),
        (b"", (40, 60, 3)),
    ],
)
def test_plain_leaves_what_is_special(content, shape):
    assert not decode.plain(content, np.empty(shape, np.uint8))


def with_orientation(kind, turn):
    exif = Image.Exif()
    exif[decode.ORIENTATION] = turn
    return saved(scene(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", *(["WEBP"] if features.check("webp") else [])])
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_obeyed(kind, turn):
    content = with_orientation(kind, turn)
    theirs = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    found, whole = decode.decode_from(content, "a")
    assert whole == found.shape[:2] == ((60, 40) if turn > 4 else (40, 60))
    assert apart(found, theirs).max() <= (JPEG_LEVELS if kind == "JPEG" else 0)
    assert not decode.plain(content, np.empty((40, 60, 3), np.uint8)) or turn == 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation_is_obeyed_at_a_smaller_size(turn):
    exif = Image.Exif()
    exif[decode.ORIENTATION] = turn
    content = saved(scene((600, 400)), "JPEG", exif=exif)
    theirs = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    for fit, size in (("squash", (30, 50)), ("crop", (50, 20)), ("pad", (50, 50))):
        found = decode.decode(content, "a", size=size, fit=fit)
        assert apart(found, decode.resize(np.asarray(theirs), size, fit)).mean() < SCALED_LEVELS


def test_orientation_in_xmp_is_obeyed():
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    content = saved(scene(), "JPEG", xmp=packet)
    assert decode.decode(content, "a").shape == (60, 40, 3)


def test_damaged_metadata_do_not_matter():
    content = with_orientation("JPEG", 6)
    at = content.index(b"Exif\0\0") + 6
    damaged = content[:at] + b"\xff" * 8 + content[at + 8 :]
    assert decode.decode(damaged, "a").shape == (40, 60, 3)


def test_transparent_parts_are_white():
    image = scene().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))))
    found = decode.decode(saved(image), "a").astype(float)
    alpha = np.asarray(image)[..., 3:] / 255
    wanted = np.asarray(image)[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(found - wanted).max() <= 1
    assert (found[:, 0] == 255).all()


def test_grey_with_alpha_stays_grey():
    image = scene().convert("LA")
    image.putalpha(Image.new("L", image.size, 0))
    found = decode.decode(saved(image), "a")
    assert found.shape == (40, 60)
    assert (found == 255).all()


def test_a_transparent_colour_is_white():
    palette = Image.new("P", (20, 10), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(0, (0, 0, 10, 10))
    for kind in ("PNG", "GIF"):
        found = decode.decode(saved(palette, kind, transparency=0), "a", colour="rgb")
        assert (found[:, :10] == 255).all()
        assert (found[:, 10:] == [200, 100, 50]).all()
    half = decode.decode(saved(palette, "PNG", transparency=bytes([255, 0])), "a", colour="rgb")
    assert (half[:, :10] == [10, 20, 30]).all()
    assert (half[:, 10:] == 255).all()
    plain = Image.new("RGB", (20, 10), (1, 2, 3))
    assert (decode.decode(saved(plain, "PNG", transparency=(1, 2, 3)), "a") == 255).all()


def test_a_palette_of_greys_is_grey():
    assert decode.decode(saved(scene().convert("L"), "GIF"), "a").shape == (40, 60)
    assert decode.decode(saved(scene().convert("P")), "a").shape == (40, 60, 3)


def test_sixteen_bits_become_eight():
    values = (np.arange(40 * 60, dtype=np.uint32) * 27).reshape(40, 60).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        found = decode.decode(saved(Image.fromarray(values), kind), "a")
        assert np.abs(found - values / 65535 * 255).max() <= 1


def test_sixteen_bits_in_colour_become_eight():
    values = (np.arange(40 * 60 * 3, dtype=np.uint32) * 9 % 65536).reshape(40, 60, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    content = png(60, 40, rows, depth=16, colour=2)
    assert np.abs(decode.decode(content, "a") - values / 65535 * 255).max() <= 1


def test_numbers_that_are_none_are_black():
    values = np.full((4, 4), 100, np.float32)
    values[0] = np.nan
    values[1] = np.inf
    values[2] = -np.inf
    found = decode.decode(saved(Image.fromarray(values), "TIFF"), "a")
    assert found[0].max() == found[2].max() == 0


def test_cmyk_is_as_pillow_has_it():
    content = saved(scene().convert("CMYK"), "JPEG")
    assert b"Adobe" in content
    theirs = Image.open(io.BytesIO(content)).convert("RGB")
    assert np.array_equal(decode.decode(content, "a"), np.asarray(theirs))
    assert apart(decode.decode(content, "a"), scene()).mean() < 5  # not inverted


def test_without_simplejpeg_it_is_the_same(monkeypatch):
    files = [saved(scene(), "JPEG"), with_orientation("JPEG", 5), saved(scene().convert("L"), "JPEG")]
    ours = [decode.decode(content, "a") for content in files]
    monkeypatch.setattr(decode, "simplejpeg", None)
    assert not decode.plain(files[0], np.empty((40, 60, 3), np.uint8))
    for content, found in zip(files, ours, strict=True):
        assert apart(decode.decode(content, "a"), found).max() <= JPEG_LEVELS


def test_what_pillow_takes_though_it_is_odd():
    content = saved(scene(), "JPEG")
    assert decode.decode(content + b"a video of a second\xff\xda", "a").shape == (40, 60, 3)
    odd = content[:-2] + b"\0\0\0" + content[-2:]  # more data than pixels: a warning, no error
    assert apart(decode.decode(odd, "a"), Image.open(io.BytesIO(content))).max() <= JPEG_LEVELS


def png(width, height, rows, *, depth=8, colour=0):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_of_size(width, height):
    content = bytearray(saved(scene(), "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">2H", height, width)
    return bytes(content)


def jpeg_of_scans(count):
    """A JPEG that goes over its pixels many times."""
    content = saved(scene(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * count + content[-2:]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (png(50_000, 50_000, b"\0" * 1000), "far more pixels"),
        (png(9_000, 9_000, b"\0" * 1000), "81|pixels, more than the 64,000,000"),
        (png(100, 100, b"\0" * 1000), "cannot be decoded"),
        (jpeg_of_size(65_000, 65_000), "pixels"),
        (jpeg_of_size(9_000, 9_000), "more than the 64,000,000"),
        (jpeg_of_scans(600), "more than 500 scans"),
        (saved(scene(), "JPEG")[:-300], "cannot be decoded"),
        (saved(scene(), "JPEG")[:40], "a.jpg"),
    ],
)
@pytest.mark.parametrize("size", [None, (20, 20)])
def test_hostile_files_are_refused(content, wanted, size):
    with decode.quiet(), pytest.raises(DataError, match=wanted) as error:
        decode.decode(content, "a.jpg", size=size)
    assert error.value.problem.startswith("a.jpg ")


@given(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from(["crop", "squash", "pad"]),
    st.booleans(),
)
def test_every_size_is_reached(of, to, fit, colour):
    pixels = np.random.default_rng(0).integers(1, 256, (*of, 3) if colour else of).astype(np.uint8)
    found = decode.resize(pixels, to, fit)
    assert found.shape == ((*to, 3) if colour else to)
    assert found.dtype == np.uint8
    if of == to:
        assert np.array_equal(found, pixels)
    if fit != "pad":
        assert found.min() >= pixels.min()


def test_fits_differ_as_they_say():
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    assert (decode.resize(wide, (10, 10), "crop") == 200).all()
    squashed = decode.resize(wide, (10, 10), "squash")
    assert squashed[:, 0].max() == 0
    assert squashed[:, 5].min() == 200
    padded = decode.resize(wide, (30, 30), "pad")
    assert np.array_equal(padded[10:20], wide)
    assert padded[:10].max() == padded[20:].max() == 0


def test_no_warning_leaves(recwarn):
    palette = scene().convert("P")
    content = saved(palette, "PNG", transparency=bytes(range(256)))
    with decode.quiet():
        decode.decode(content, "a")
        warnings.warn("not heard", stacklevel=1)
    assert not recwarn.list
