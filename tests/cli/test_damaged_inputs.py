"""Tables, rows and images that are wrong, hostile or not what their name says."""

import gzip
import io
import json
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.cli.archives import zip_bytes
from yisheng.cli import main
from yisheng.data.hub.bundles import MANIFEST

HEADER = b"sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n"
TABLES = {
    "empty": (b"", "rows.csv is empty\n.*names of the columns"),
    "blank lines": (b"\n\n\n", "rows.csv is empty\n.*names of the columns"),
    "header only": (HEADER, "has no rows"),
    "a column too few": (b"1,2,3\n", "row 1 has 3 values, the model takes 4"),
    "a column too many": (b"1,2,3,4,5\n", "row 1 has 5 values"),
    "another header": (b"a,b,c,d\n1,2,3,4\n", "lacks the columns sepal length"),
    "text": (b"1,2,x,4\n", "lacks the columns|not a number"),
    "text below": (b"1,2,3,4\n1,2,three,4\n", "row 2, petal length .*'three' is not a number"),
    "nothing in a cell": (b"1,2,3,4\n1,,3,4\n", "row 2, sepal width .*missing or too large"),
    "not a number": (b"1,2,3,4\nnan,2,3,4\n", "row 2, sepal length .*missing or too large"),
    "infinite": (b"1,2,3,4\n1,inf,3,4\n", "row 2, sepal width .*missing or too large"),
    "beyond float32": (b"1,2,3,4\n1,2,1e39,4\n", "row 2, petal length .*missing or too large"),
    "a ragged row": (b"1,2,3,4\n1,2,3,4,5\n", "line 2 has 5 values, the first line has 4"),
    "a short row": (b"1,2,3,4\n1,2,3\n", "line 2 has 3 values, the first line has 4"),
    "semicolons and a column too few": (b"1;2;3\n", "row 1 has 3 values, the model takes 4"),
    "commas in numbers": (b'"1,5",2,3,4\n', "lacks the columns|not a number"),
    "an open quote": (b'1,2,3,"4\n1,2,3,4\n', "."),
    "a letter that is not in UTF-8": (b"1,2,3,\xe9\n", "row 1, petal width .*'\\w' is not a number"),
    "a blank that is not in UTF-8": (b"1,2,3,\xff\n", "row 1, petal width .*missing or too large"),
    "half a character of UTF-16": ("1,2,3,4\n".encode("utf-16")[:-1], "is not in utf-16"),
    "a zero byte": (b"1,2,3,4\0\n", "."),
    "a pickle": (pickle.dumps([1, 2, 3, 4]), "."),
    "half an archive": (gzip.compress(b"1,2,3,4\n")[:14], "cannot be read: .*ended before"),
    "an archive with a wrong checksum": (gzip.compress(b"1,2,3,4\n")[:-6] + bytes(6), "cannot be read: CRC check"),
    "an archive of no table": (gzip.compress(bytes(range(256))), "cannot be read as a table: it holds zero bytes"),
    "a web page": (b"<!doctype html><p>1</p>", "."),
}


@pytest.mark.parametrize("name", TABLES)
def test_wrong_tables_are_refused(name, assert_error, run, workdir):
    content, cause = TABLES[name]
    (workdir / "rows.csv").write_bytes(content)
    assert_error(["predict", run, "rows.csv"], 3, cause)


FORMS = {
    "semicolons": b"1;2;3;4\n",
    "UTF-16": "1,2,3,4\n".encode("utf-16"),
    "an archive": gzip.compress(b"1,2,3,4\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_in_other_forms_are_read(form, run, workdir, capsys):
    predictions = []
    for content in (b"1,2,3,4\n", FORMS[form]):
        (workdir / "rows.csv").write_bytes(content)
        assert main(["predict", str(run), "rows.csv", "--json"]) == 0
        predictions.append(json.loads(capsys.readouterr().out)["predictions"])
    assert predictions[0] == predictions[1]


ROWS = [
    ("1,2", 3, "row 1 has 2 values, the model takes 4"),
    ("1,2,3,4,5", 3, "row 1 has 5 values"),
    ("1,2,x,4", 3, "petal length .*'x' is not a number"),
    ("1,2,3,4;1,2", 3, "row 2 has 2 values"),
    ("1,2,,4", 3, "'' is not a number"),
    ("1,2,nan,4", 3, "'nan' is not a number"),
    ("1,2,1e999,4", 3, "'1e999' is not a number"),
    ("", 3, "rows= has no rows"),
    (";;;", 3, "rows= has no rows"),
]


@pytest.mark.parametrize(("rows", "code", "cause"), ROWS)
def test_wrong_rows_on_the_command_line_are_refused(rows, code, cause, assert_error, run):
    assert_error(["predict", run, f"rows={rows}"], code, cause)


def test_inputs_of_the_wrong_kind_are_refused(assert_error, run, image_run, workdir):
    (workdir / "rows.csv").write_text("5,3,1,0\n")
    Image.new("L", (8, 8)).save(workdir / "a.png")
    assert_error(["predict", run], 2, "at least one input")
    assert_error(["predict", run, "rows.csv", "rows=1,2,3,4"], 2, "instead of files")
    assert_error(["predict", run, "nowhere.csv"], 3, "does not exist")
    assert_error(["predict", run, "."], 3, "cannot be read")
    assert_error(["predict", run, "a.png"], 3, "cannot be read as a table: it holds zero bytes")
    assert_error(["predict", run, "rows.csv", "nowhere.csv"], 3, "nowhere.csv does not exist")
    assert_error(["predict", run, "a" * 300], 2, "File name too long")
    assert_error(["predict", run, "rows.csv", "top=none"], 2, "top must be")
    assert_error(["predict", run, "rows.csv", "topp=3"], 2, "did you mean top")
    assert_error(["predict", image_run, "rows=1,2,3,4"], 2, "for a model of rows")
    assert_error(["predict", image_run, "rows.csv"], 3, "is a table")
    assert_error(["predict", image_run, "nowhere.png"], 3, "does not exist")
    assert_error(["predict", image_run, "."], 2, "are written to a file")
    assert_error(["predict", image_run, "a" * 300], 2, "File name too long")
    (workdir / "loop.png").symlink_to("loop.png")
    assert_error(["predict", image_run, "loop.png"], 3, "symbolic links")


def png_bytes(width, height, rows=b"", bits=8):
    """Return a PNG with this size in its header, and any content."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def as_bytes(image, format):
    """Return an image as a file of a format."""
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


VALID_PNG = as_bytes(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)), "PNG")
IMAGES = {
    "empty": (b"", "not an image"),
    "text": (b"a photograph", "not an image"),
    "a web page": (b"<!doctype html>", "not an image"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "not an image"),
    "an SVG that reads a file": (
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "not an image",
    ),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\n", "."),
    "half a PNG": (VALID_PNG[: len(VALID_PNG) // 2], "cannot be decoded|not an image"),
    "half a JPEG": (as_bytes(Image.effect_noise((64, 64), 90), "JPEG")[:900], "cannot be decoded"),
    "a PNG with a wrong checksum": (VALID_PNG[:45] + bytes([VALID_PNG[45] ^ 1]) + VALID_PNG[46:], "cannot be decoded"),
    "a PNG without pixels": (png_bytes(8, 8), "cannot be decoded"),
    "no width": (png_bytes(0, 8), "."),
    "50,000 x 50,000": (png_bytes(50_000, 50_000), "more than the 64,000,000|far more pixels"),
    "2,147,483,647 wide": (png_bytes(2**31 - 1, 1), "2147483647x1 pixels, and a side has at most 65,535"),
    "8,001 x 8,001": (png_bytes(8_001, 8_001, bytes(8_001 * 8_002)), "more than the 64,000,000"),
    "a pickle": (pickle.dumps({"weights": 1}), "not an image"),
    "an archive": (zip_bytes(a="b"), "not an image"),
    "blank": (as_bytes(Image.new("L", (40, 40), 255), "PNG"), "blank"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_wrong_images_are_refused(name, assert_error, image_run, workdir):
    content, cause = IMAGES[name]
    (workdir / "photo.png").write_bytes(content)
    assert_error(["predict", image_run, "photo.png"], 3, cause)
    (workdir / "valid.png").write_bytes(VALID_PNG)
    assert_error(["predict", image_run, "valid.png", "photo.png", "--json"], 3, cause)


def test_an_image_that_is_an_archive_too_is_only_an_image(image_run, workdir, capsys):
    """Bytes after the end of a PNG are ignored."""
    (workdir / "photo.png").write_bytes(VALID_PNG + zip_bytes(**{"../evil.txt": "x", MANIFEST: "{}"}))
    (workdir / "valid.png").write_bytes(VALID_PNG)
    assert main(["predict", str(image_run), "valid.png", "photo.png"]) == 0
    valid, photo = (line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:4])
    assert valid == photo
    assert not (workdir.parent / "evil.txt").exists()
