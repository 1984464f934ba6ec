import io
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yisheng.core.errors import DataError
from yisheng.core.types import Drawing, Spec
from yisheng.data.images import decode
from yisheng.inference import images

COLOUR = Spec("classification", (3, 16, 24), classes=("a", "b"))
GREY = Spec("classification", (1, 16, 24), classes=("a", "b"))
DIGITS = Spec("classification", (1, 28, 28), classes=("a", "b"), drawing=Drawing(20, "mass"))


def scene(mode="RGB", size=(24, 16)):
    values = np.linspace(0, 255, size[0] * size[1] * 3).reshape(size[1], size[0], 3).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
@pytest.mark.parametrize("spec", [COLOUR, GREY, DIGITS])
def test_every_mode_is_read(tmp_path, mode, spec):
    path = tmp_path / "a.tif"
    try:
        scene("L").convert("I").convert(mode).save(path) if mode == "I;16" else scene(mode).save(path)
    except (ValueError, OSError):
        scene("L").save(path)
    block, _ = images.read_image(path, spec)
    assert block.shape == spec.shape
    assert block.dtype == np.uint8
    assert block.std() > 0


def test_an_image_of_the_right_size_is_not_changed(tmp_path):
    scene().save(tmp_path / "a.png")
    block, notes = images.read_image(tmp_path / "a.png", COLOUR)
    assert np.array_equal(block.transpose(1, 2, 0), np.asarray(scene()))
    assert notes == []


def test_sixteen_bits_become_eight(tmp_path):
    values = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24) * 170
    Image.fromarray(values).save(tmp_path / "a.png")
    block, _ = images.read_image(tmp_path / "a.png", GREY)
    assert np.abs(block[0].astype(int) - values / 65535 * 255).max() <= 1


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (24, 16), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (images.read_image(tmp_path / "a.png", COLOUR)[0] == 255).all()


def test_exif_orientation_is_obeyed(tmp_path):
    turned = scene(size=(16, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a.png", exif=exif)
    block, notes = images.read_image(tmp_path / "a.png", COLOUR)
    assert np.array_equal(block.transpose(1, 2, 0), np.asarray(turned.transpose(Image.Transpose.ROTATE_270)))
    assert notes == []


def stroke(dark_on_light, size=400, noise=0):
    """A thick L in one corner, as somebody might photograph it."""
    canvas = np.full((size, size), 215 if dark_on_light else 20, float)
    canvas[40:160, 50:70] = canvas[140:160, 50:120] = 30 if dark_on_light else 235
    canvas += np.random.default_rng(0).normal(0, noise, canvas.shape)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("noise", [0, 6])
def test_a_photograph_of_ink_is_inverted_cropped_and_centred(tmp_path, noise):
    stroke(True, noise=noise).save(tmp_path / "a.png")
    block, notes = images.read_image(tmp_path / "a.png", DIGITS)
    assert notes[0].startswith("inverted")
    grey = block[0].astype(float)
    rows, columns = np.flatnonzero(grey.sum(1) > 50), np.flatnonzero(grey.sum(0) > 50)
    assert 19 <= rows[-1] - rows[0] + 1 <= 21
    centre = [(grey.sum(1) @ np.arange(28)) / grey.sum(), (grey.sum(0) @ np.arange(28)) / grey.sum()]
    assert np.abs(np.array(centre) - 13.5).max() < 1
    assert grey[0].max() == grey[:, 0].max() == 0
    assert columns[-1] > columns[0]


def test_light_on_dark_is_not_inverted(tmp_path):
    stroke(False).save(tmp_path / "a.png")
    light, notes = images.read_image(tmp_path / "a.png", DIGITS)
    assert not any("inverted" in note for note in notes)
    stroke(True).save(tmp_path / "b.png")
    dark, _ = images.read_image(tmp_path / "b.png", DIGITS)
    assert np.abs(light.astype(int) - dark).mean() < 3


def test_an_image_as_in_training_is_used_as_it_is(tmp_path):
    values = np.zeros((28, 28), np.uint8)
    values[3:9, 4:20] = 200
    Image.fromarray(values).save(tmp_path / "a.png")
    block, notes = images.read_image(tmp_path / "a.png", DIGITS)
    assert np.array_equal(block[0], values)
    assert notes == []


def test_blank_paper_is_told(tmp_path):
    Image.new("L", (50, 50), 200).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="blank"):
        images.read_image(tmp_path / "a.png", DIGITS)


def bomb(width, height):
    """A small PNG that claims to be huge."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (bomb(50_000, 50_000), "pixels"),
        (bomb(9000, 9000), "more than"),
        (bomb(100, 100), "cannot be decoded"),
    ],
)
def test_hostile_files_are_refused(tmp_path, content, wanted):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=wanted):
        images.read_image(path, COLOUR)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_an_image_comes_to_its_size_as_in_training(tmp_path, fit):
    scene(size=(90, 30)).save(tmp_path / "a.png")
    block, notes = images.read_image(tmp_path / "a.png", replace(COLOUR, fit=fit))
    wanted = decode.resize(np.asarray(scene(size=(90, 30))), (16, 24), fit)
    assert np.array_equal(block.transpose(1, 2, 0), wanted)
    assert (block[:, 0].max() == 0) == (fit == "pad")
    assert notes == ["resized from 90x30 to 24x16"]


def test_a_file_that_is_too_large_is_told(tmp_path, monkeypatch):
    scene().save(tmp_path / "a.png")
    monkeypatch.setattr(images, "BYTES", 50)
    with pytest.raises(DataError, match="more than"):
        images.read_image(tmp_path / "a.png", COLOUR)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        images.read_image(tmp_path / "a.png", COLOUR)
    with pytest.raises(DataError):
        images.read_image(tmp_path, COLOUR)


FORMATS = []
for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
    buffer = io.BytesIO()
    scene().save(buffer, kind)
    FORMATS.append(buffer.getvalue())


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damaged_files_give_an_image_or_a_data_error(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(FORMATS)))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path = Path(tmp_path_factory.getbasetemp()) / "damaged"
    path.write_bytes(content)
    spec = data.draw(st.sampled_from([COLOUR, GREY, DIGITS]))
    try:
        block, _ = images.read_image(path, spec)
    except DataError:
        return
    assert block.shape == spec.shape


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    box=st.integers(1, 28),
    centre=st.sampled_from(["mass", "box"]),
    seed=st.integers(0, 99),
)
def test_ink_always_fits(height, width, box, centre, seed):
    ink = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    placed = images.fit_drawing(ink, Drawing(box, centre), 28, 28)
    assert placed.shape == (28, 28)
    rows, columns = np.flatnonzero(placed.any(1)), np.flatnonzero(placed.any(0))
    if len(rows):
        assert rows[-1] - rows[0] < box
        assert columns[-1] - columns[0] < box
