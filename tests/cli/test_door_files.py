"""Tables, images, archives and set files that are wrong, hostile or not what their name says."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from yisheng.cli import main
from yisheng.data.hub.bundles import MANIFEST

HEADER = b"sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n"
TABLES = {
    "empty": (b"", "cannot be read as CSV|has no rows"),
    "blank lines": (b"\n\n\n", "cannot be read as CSV|has no rows"),
    "header only": (HEADER, "has no rows"),
    "a column too few": (b"1,2,3\n", "row 1 has 3 values, the model wants 4"),
    "a column too many": (b"1,2,3,4,5\n", "row 1 has 5 values"),
    "another header": (b"a,b,c,d\n1,2,3,4\n", "lacks the columns sepal length"),
    "text": (b"1,2,x,4\n", "lacks the columns|not a number"),
    "text below": (b"1,2,3,4\n1,2,three,4\n", "row 2, petal length .*'three' is not a number"),
    "nothing in a cell": (b"1,2,3,4\n1,,3,4\n", "row 2, sepal width .*'' is not a number"),
    "not a number": (b"1,2,3,4\nnan,2,3,4\n", "'nan' is not a number"),
    "infinite": (b"1,2,3,4\n1,inf,3,4\n", "'inf' is not a number"),
    "beyond float32": (b"1,2,3,4\n1,2,1e39,4\n", "'1e39' is not a number"),
    "a ragged row": (b"1,2,3,4\n1,2,3,4,5\n", "cannot be read as CSV"),
    "a short row": (b"1,2,3,4\n1,2,3\n", "is not a number"),
    "semicolons": (b"1;2;3;4\n", "lacks the columns|has 1 values"),
    "commas in numbers": (b'"1,5",2,3,4\n', "lacks the columns|not a number"),
    "an open quote": (b'1,2,3,"4\n1,2,3,4\n', "."),
    "not in UTF-8": (b"1,2,3,\xff\n", "cannot be read as CSV"),
    "UTF-16": ("1,2,3,4\n".encode("utf-16"), "."),
    "a zero byte": (b"1,2,3,4\0\n", "."),
    "a pickle": (pickle.dumps([1, 2, 3, 4]), "."),
    "an archive": (gzip.compress(b"1,2,3,4\n"), "cannot be read as CSV"),
    "a web page": (b"<!doctype html><p>1</p>", "."),
}


@pytest.mark.parametrize("what", TABLES)
def test_tables(what, refused, run, world):
    content, cause = TABLES[what]
    (world / "rows.csv").write_bytes(content)
    refused(["predict", run, "rows.csv"], 3, cause)


ROWS = [
    ("1,2", 3, "row 1 has 2 values, the model wants 4"),
    ("1,2,3,4,5", 3, "row 1 has 5 values"),
    ("1,2,x,4", 3, "petal length .*'x' is not a number"),
    ("1,2,3,4;1,2", 3, "row 2 has 2 values"),
    ("1,2,,4", 3, "'' is not a number"),
    ("1,2,nan,4", 3, "'nan' is not a number"),
    ("1,2,1e999,4", 3, "'1e999' is not a number"),
    ("", 3, "rows= has no rows"),
    (";;;", 3, "rows= has no rows"),
]


@pytest.mark.parametrize(("given", "code", "cause"), ROWS)
def test_rows_on_the_command_line(given, code, cause, refused, run):
    refused(["predict", run, f"rows={given}"], code, cause)


def test_inputs_of_the_wrong_kind(refused, run, images, world):
    (world / "rows.csv").write_text("5,3,1,0\n")
    Image.new("L", (8, 8)).save(world / "a.png")
    refused(["predict", run], 2, "at least one input")
    refused(["predict", run, "rows.csv", "rows=1,2,3,4"], 2, "takes the place of files")
    refused(["predict", run, "nowhere.csv"], 3, "does not exist")
    refused(["predict", run, "."], 3, "cannot be read")
    refused(["predict", run, "a.png"], 3, "cannot be read as CSV|not a number")
    refused(["predict", run, "rows.csv", "nowhere.csv"], 3, "nowhere.csv does not exist")
    refused(["predict", run, "a" * 300], 3, "File name too long")
    refused(["predict", run, "rows.csv", "top=none"], 2, "top must be")
    refused(["predict", run, "rows.csv", "topp=3"], 2, "did you mean top")
    refused(["predict", images, "rows=1,2,3,4"], 2, "for a model of rows")
    refused(["predict", images, "rows.csv"], 3, "is a table")
    refused(["predict", images, "nowhere.png"], 3, "does not exist")
    refused(["predict", images, "."], 2, "go into a file")
    refused(["predict", images, "a" * 300], 3, "File name too long")
    (world / "loop.png").symlink_to("loop.png")
    refused(["predict", images, "loop.png"], 3, "symbolic links")


def png(width, height, rows=b"", bits=8):
    """The bytes of a PNG that says it has this size, whatever is in it."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def as_bytes(image, kind):
    held = io.BytesIO()
    image.save(held, kind)
    return held.getvalue()


def zipped(**members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return held.getvalue()


GOOD = as_bytes(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)), "PNG")
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
    "half a PNG": (GOOD[: len(GOOD) // 2], "cannot be decoded|not an image"),
    "half a JPEG": (as_bytes(Image.effect_noise((64, 64), 90), "JPEG")[:900], "cannot be decoded"),
    "a PNG with a wrong checksum": (GOOD[:45] + bytes([GOOD[45] ^ 1]) + GOOD[46:], "cannot be decoded"),
    "a PNG without pixels": (png(8, 8), "cannot be decoded"),
    "no width": (png(0, 8), "."),
    "50,000 x 50,000": (png(50_000, 50_000), "more than the 64,000,000|far more pixels"),
    "2,147,483,647 wide": (png(2**31 - 1, 1), "more than the 64,000,000|far more pixels|cannot be decoded"),
    "8,001 x 8,001": (png(8_001, 8_001, bytes(8_001 * 8_002)), "more than the 64,000,000"),
    "a pickle": (pickle.dumps({"weights": 1}), "not an image"),
    "an archive": (zipped(a="b"), "not an image"),
    "blank": (as_bytes(Image.new("L", (40, 40), 255), "PNG"), "blank"),
}


@pytest.mark.parametrize("what", IMAGES)
def test_images(what, refused, images, world):
    content, cause = IMAGES[what]
    (world / "photo.png").write_bytes(content)
    refused(["predict", images, "photo.png"], 3, cause)
    (world / "good.png").write_bytes(GOOD)
    refused(["predict", images, "good.png", "photo.png", "--json"], 3, cause)


def test_an_image_that_is_an_archive_too_is_only_an_image(images, world, capsys):
    """Behind the end of a PNG may stand anything: it is not looked at."""
    (world / "photo.png").write_bytes(GOOD + zipped(**{"../evil.txt": "x", MANIFEST: "{}"}))
    (world / "good.png").write_bytes(GOOD)
    assert main(["predict", str(images), "good.png", "photo.png"]) == 0
    good, photo = (line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:4])
    assert good == photo
    assert not (world.parent / "evil.txt").exists()


def tarred(name, kind=tarfile.REGTYPE, target=""):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as packed:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        packed.addfile(member)
    return held.getvalue()


BUNDLES = {
    "empty": (b"", "no file of a known set"),
    "half an archive": (zipped(**{MANIFEST: "{}"})[:-30], "no file of a known set"),
    "another archive": (zipped(a="b"), "no file of a known set"),
    "a list that is none": (zipped(**{MANIFEST: "[]"}), "not a bundle of format 1"),
    "a list that is no JSON": (zipped(**{MANIFEST: "{"}), "not JSON"),
    "of a later version": (zipped(**{MANIFEST: '{"format": 2, "files": []}'}), "not a bundle of format 1"),
    "without its file": (
        zipped(
            **{
                MANIFEST: '{"format": 1, "files": [{"set": "titanic", "file": "train.csv", "name": "train.csv", '
                '"sha256": "0"}]}'
            }
        ),
        "damaged at titanic/train.csv",
    ),
    "with numbers for names": (
        zipped(**{MANIFEST: '{"format": 1, "files": [{"set": 3, "file": 4, "name": 5, "sha256": 6}]}'}),
        "damaged: a file without set",
    ),
    "leaving the folder": (zipped(**{MANIFEST: '{"format": 1, "files": []}', "../evil": "x"}), "leaves the folder"),
    "an absolute path": (zipped(**{MANIFEST: '{"format": 1, "files": []}', "/tmp/evil": "x"}), "absolute path"),
    "a drive": (zipped(**{MANIFEST: '{"format": 1, "files": []}', "C:evil": "x"}), "drive letter"),
    "a tar with a link": (tarred("a", tarfile.SYMTYPE, "/etc/passwd"), "no file of a known set"),
    "a pickle": (pickle.dumps([1]), "no file of a known set"),
    "a gzip bomb": (gzip.compress(bytes(1 << 22)), "no file of a known set"),
    "half a gzip": (gzip.compress(bytes(range(256)) * 99)[:200], "no file of a known set"),
}


@pytest.mark.parametrize("what", BUNDLES)
def test_what_is_brought_by_hand(what, refused, world, tmp_path):
    content, cause = BUNDLES[what]
    (world / "brought").write_bytes(content)
    refused(["data", "import", "brought"], 3, cause)
    assert not list((tmp_path / "home" / "data").rglob("[!.]*"))


def test_a_bundle_that_names_an_unknown_set_is_refused(refused, world):
    entry = '{"set": "nowhere", "file": "a", "name": "a", "sha256": "0"}'
    (world / "brought").write_bytes(zipped(**{MANIFEST: f'{{"format": 1, "files": [{entry}]}}'}))
    refused(["data", "import", "brought"], 2, "the hub knows no set 'nowhere'")


IDX = {
    "empty": b"",
    "half a header": b"\0\0\x08\x03\0\0",
    "no idx": b"hello, world",
    "a header without pixels": b"\0\0\x08\x03" + struct.pack(">3I", 60_000, 28, 28),
    "a header of 4 thousand million rows": b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "half a gzip": gzip.compress(bytes(100_000))[:50],
    "a bomb": gzip.compress(bytes(48_000_000)),
    "a pickle": pickle.dumps([1]),
}


@pytest.mark.parametrize("what", IDX)
def test_set_files_in_a_folder(what, refused, world):
    (world / "mine").mkdir()
    for kind in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (world / "mine" / f"{kind}-ubyte.gz").write_bytes(IDX[what])
    refused(["train", "data=mnist", "folder=mine"], 3, "is not the file of mnist")
