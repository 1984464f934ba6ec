"""Image files of any kind become inputs of the network, as the training images are."""

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
from yisheng.core.image_values import Drawing
from yisheng.core.spec import Spec
from yisheng.data.images import decode
from yisheng.inference import images
from yisheng.inference.images import fit_drawing, read_image

COLOR = Spec("classification", (3, 16, 24), classes=("a", "b"))
GRAY = Spec("classification", (1, 16, 24), classes=("a", "b"))
DIGITS = Spec("classification", (1, 28, 28), classes=("a", "b"), drawing=Drawing(20, "mass"))


def make_gradient(mode="RGB", size=(24, 16)):
    values = np.linspace(0, 255, size[0] * size[1] * 3).reshape(size[1], size[0], 3).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
@pytest.mark.parametrize("spec", [COLOR, GRAY, DIGITS])
def test_every_mode_can_be_read(tmp_path, mode, spec):
    path = tmp_path / "a.tif"
    gray = np.asarray(make_gradient("L"))
    image = {
        "I;16": Image.fromarray(gray.astype(np.uint16) * 257),
        "F": Image.fromarray(gray.astype(np.float32) / 255),
    }.get(mode) or make_gradient(mode)
    image.save(path)
    x, _ = read_image(path, spec)
    assert x.shape == spec.shape
    assert x.dtype == np.uint8
    assert x.std() > 0


def test_an_image_of_the_right_size_is_unchanged(tmp_path):
    make_gradient().save(tmp_path / "a.png")
    x, notes = read_image(tmp_path / "a.png", COLOR)
    assert np.array_equal(x.transpose(1, 2, 0), np.asarray(make_gradient()))
    assert notes == []


def test_sixteen_bits_become_eight(tmp_path):
    values = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24) * 170
    Image.fromarray(values).save(tmp_path / "a.png")
    x, _ = read_image(tmp_path / "a.png", GRAY)
    assert np.abs(x[0].astype(int) - values / 65535 * 255).max() <= 1


def test_transparent_parts_are_white(tmp_path):
    Image.new("RGBA", (24, 16), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", COLOR)[0] == 255).all()


def test_exif_orientation_is_applied(tmp_path):
    stored = make_gradient(size=(16, 24))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "a.png", exif=exif)
    x, notes = read_image(tmp_path / "a.png", COLOR)
    assert np.array_equal(x.transpose(1, 2, 0), np.asarray(stored.transpose(Image.Transpose.ROTATE_270)))
    assert notes == []


def make_photo(dark_on_light, size=400, noise=0):
    """Draw a thick L in one corner, as in a photo of a drawing."""
    canvas = np.full((size, size), 215 if dark_on_light else 20, float)
    canvas[40:160, 50:70] = canvas[140:160, 50:120] = 30 if dark_on_light else 235
    canvas += np.random.default_rng(0).normal(0, noise, canvas.shape)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("noise", [0, 6])
def test_a_photo_of_a_drawing_is_inverted_cropped_and_centered(tmp_path, noise):
    make_photo(True, noise=noise).save(tmp_path / "a.png")
    x, notes = read_image(tmp_path / "a.png", DIGITS)
    assert notes[0].startswith("inverted")
    gray = x[0].astype(float)
    rows, columns = np.flatnonzero(gray.sum(1) > 50), np.flatnonzero(gray.sum(0) > 50)
    assert 19 <= rows[-1] - rows[0] + 1 <= 21
    center = [(gray.sum(1) @ np.arange(28)) / gray.sum(), (gray.sum(0) @ np.arange(28)) / gray.sum()]
    assert np.abs(np.array(center) - 13.5).max() < 1
    assert gray[0].max() == gray[:, 0].max() == 0
    assert columns[-1] > columns[0]


def test_light_on_dark_is_not_inverted(tmp_path):
    make_photo(False).save(tmp_path / "a.png")
    light_x, notes = read_image(tmp_path / "a.png", DIGITS)
    assert not any("inverted" in note for note in notes)
    make_photo(True).save(tmp_path / "b.png")
    dark_x, _ = read_image(tmp_path / "b.png", DIGITS)
    assert np.abs(light_x.astype(int) - dark_x).mean() < 3


def test_a_drawing_as_in_training_is_unchanged(tmp_path):
    values = np.zeros((28, 28), np.uint8)
    values[3:9, 4:20] = 200
    Image.fromarray(values).save(tmp_path / "a.png")
    x, notes = read_image(tmp_path / "a.png", DIGITS)
    assert np.array_equal(x[0], values)
    assert notes == []


def test_blank_paper_is_refused(tmp_path):
    Image.new("L", (50, 50), 200).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="blank"):
        read_image(tmp_path / "a.png", DIGITS)


def make_bomb(width, height):
    """Return a small PNG whose header declares a huge size."""

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
    ("content", "problem"),
    [
        (b"", "not an image"),
        (b"hello", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (make_bomb(50_000, 50_000), "pixels"),
        (make_bomb(9000, 9000), "more than"),
        (make_bomb(100, 100), "cannot be decoded"),
    ],
)
def test_hostile_files_are_refused(tmp_path, content, problem):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_image(path, COLOR)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_an_image_is_resized_as_in_training(tmp_path, fit):
    make_gradient(size=(90, 30)).save(tmp_path / "a.png")
    x, notes = read_image(tmp_path / "a.png", replace(COLOR, fit=fit))
    expected = decode.resize(np.asarray(make_gradient(size=(90, 30))), (16, 24), fit)
    assert np.array_equal(x.transpose(1, 2, 0), expected)
    assert (x[:, 0].max() == 0) == (fit == "pad")
    assert notes == ["resized from 90x30 to 24x16"]


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    make_gradient().save(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 50)
    with pytest.raises(DataError, match="more than"):
        read_image(tmp_path / "a.png", COLOR)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "a.png", COLOR)
    with pytest.raises(DataError):
        read_image(tmp_path, COLOR)


VALID_FILES = []
for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
    buffer = io.BytesIO()
    make_gradient().save(buffer, format)
    VALID_FILES.append(buffer.getvalue())


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damaged_files_are_an_image_or_a_data_error(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(VALID_FILES)))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path = Path(tmp_path_factory.getbasetemp()) / "damaged"
    path.write_bytes(content)
    spec = data.draw(st.sampled_from([COLOR, GRAY, DIGITS]))
    try:
        x, _ = read_image(path, spec)
    except DataError:
        return
    assert x.shape == spec.shape


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    box=st.integers(1, 28),
    center=st.sampled_from(["mass", "box"]),
    seed=st.integers(0, 99),
)
def test_a_fitted_drawing_never_exceeds_its_box(height, width, box, center, seed):
    drawing = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    fitted = fit_drawing(drawing, Drawing(box, center), 28, 28)
    assert fitted.shape == (28, 28)
    rows, columns = np.flatnonzero(fitted.any(1)), np.flatnonzero(fitted.any(0))
    if len(rows):
        assert rows[-1] - rows[0] < box
        assert columns[-1] - columns[0] < box
