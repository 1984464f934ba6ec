"""Listings of zips: what zipfile writes is read; unsafe, damaged and huge zips are refused."""

import contextlib
import io
import struct
import warnings
import zipfile
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.data import archives
from yisheng.data.images import zip_files
from yisheng.data.images.file_listing import is_hidden, is_image


def write_zip(tmp_path, members, *, method=zipfile.ZIP_STORED, prefix=b"", comment=b"", zip64=False):
    file = io.BytesIO()
    out = zipfile.ZipFile(file, "w", method)
    out.comment = comment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        for member, content in members:
            out.writestr(member, content)
    with mock.patch.object(zipfile, "ZIP64_LIMIT", 0 if zip64 else zipfile.ZIP64_LIMIT):
        out.close()  # writes the central directory
    path = tmp_path / "a.zip"
    path.write_bytes(prefix + file.getvalue())
    return path


def contents(path):
    listing = zip_files.list_zip(path)
    return dict(zip(listing.names, listing.read(range(len(listing.names))), strict=True))


WORDS = st.text(st.sampled_from("abcZ019 _-é猫"), min_size=1, max_size=6).filter(lambda word: not word.endswith(" "))
MEMBERS = st.dictionaries(
    st.tuples(st.lists(WORDS, max_size=2), WORDS, st.sampled_from([".jpg", ".PNG", ".txt"])).map(
        lambda t: "/".join([*t[0], t[1] + t[2]])
    ),
    st.binary(max_size=300),
    max_size=6,
)


@given(
    MEMBERS,
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.sampled_from([b"", b"#!/bin/sh\n"]),
    st.binary(max_size=50).filter(lambda comment: b"PK" not in comment),
    st.booleans(),
)
def test_zips_of_zipfile_are_read(tmp_path_factory, members, method, prefix, comment, zip64):
    folder = tmp_path_factory.mktemp("zip")
    path = write_zip(folder, list(members.items()), method=method, prefix=prefix, comment=comment, zip64=zip64)
    with zipfile.ZipFile(path) as archive:
        expected = {name: archive.read(name) for name in archive.namelist() if is_image(name)}
    assert contents(path) == expected
    listing = zip_files.list_zip(path)
    assert dict(zip(listing.names, listing.sizes, strict=True)) == {n: len(c) for n, c in expected.items()}
    assert sorted(listing.other_files) == sorted(name for name in members if not is_image(name))
    path.unlink()
    folder.rmdir()


@given(st.data())
def test_damaged_zips_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zip")
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    members = {"a/1.jpg": b"one" * 20, "b/2.png": bytes(range(40)), "c.txt": b"three"}
    path = write_zip(folder, list(members.items()), method=method)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(DataError):
        for content_of in contents(path).values():
            assert isinstance(content_of, DataError) or content_of in members.values()
    path.unlink()
    folder.rmdir()


def test_hidden_files_are_ignored(tmp_path):
    names = ["__MACOSX/a/._1.jpg", "a/.DS_Store", "a/.1.jpg", "a/Thumbs.db", ".git/x.jpg", "a/1.jpg"]
    listing = zip_files.list_zip(write_zip(tmp_path, [(name, b"x") for name in names]))
    assert listing.names == ["a/1.jpg"]
    assert listing.other_files == []
    assert listing.folders == {"a"}
    assert all(is_hidden(part) for part in ("Thumbs.db", "__MACOSX", ".x"))


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "a/../../b.jpg",
        "/a.jpg",
        "C:/a.jpg",
        "con/a.jpg",
        "con.jpg",
        "a/b\x01.jpg",
        "a/../b.txt",
    ],
)
def test_names_that_are_not_safe_to_extract_are_refused(tmp_path, name):
    path = write_zip(tmp_path, [(name, b"x"), ("a/2.jpg", b"y")])
    with pytest.raises(DataError) as extract_error:
        archives.extract(path, tmp_path / "out")
    with pytest.raises(DataError, match="not safe") as list_error:
        zip_files.list_zip(path)
    assert list_error.value.problem == extract_error.value.problem


@pytest.mark.parametrize(
    "name", ["..\\a.jpg", "a\\..\\..\\b.jpg", "\\a.jpg", "\\\\host\\a.jpg", "C:\\a.jpg", "a\\/b.jpg"]
)
def test_unsafe_names_with_backslashes_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="not safe"):
        zip_files.list_zip(write_zip(tmp_path, [(name, b"x"), ("a/2.jpg", b"y")]))


def test_backslashes_separate_folders(tmp_path):
    listing = zip_files.list_zip(
        write_zip(tmp_path, [("train\\a\\1.jpg", b"x"), ("train\\b\\2.jpg", b"y"), ("c\\", b"")])
    )
    assert listing.names == ["train/a/1.jpg", "train/b/2.jpg"]
    assert listing.folders == {"train", "train/a", "train/b", "c"}
    assert list(listing.read([1])) == [b"y"]
    with pytest.raises(DataError, match="twice"):
        zip_files.list_zip(write_zip(tmp_path, [("a\\1.jpg", b"x"), ("a/1.jpg", b"y")]))


@pytest.mark.parametrize(
    ("encoding", "names"),
    [("gbk", ("猫", "狗", "图片")), ("cp932", ("ねこ", "いぬ", "鳥類")), ("cp949", ("고양이", "강아지", "사진"))],
)
def test_names_in_east_asian_encodings_are_decoded(tmp_path, encoding, names):
    path = write_zip(tmp_path, [(f"{'x' * len(name.encode(encoding))}{n}/1.jpg", b"x") for n, name in enumerate(names)])
    content = path.read_bytes()
    for n, name in enumerate(names):
        raw = name.encode(encoding)
        content = content.replace(b"x" * len(raw) + b"%d/1.jpg" % n, raw + b"%d/1.jpg" % n)
    path.write_bytes(content)
    assert zip_files.list_zip(path).names == [f"{name}{n}/1.jpg" for n, name in enumerate(names)]


def test_duplicate_names_are_refused(tmp_path):
    with pytest.raises(DataError, match="twice"):
        zip_files.list_zip(write_zip(tmp_path, [("a/1.jpg", b"x"), ("a/1.jpg", b"y")]))


def overwrite_field(path, at, value):
    """Overwrite a field of the first entry of the central directory."""
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\1\2")
    content[start + at : start + at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("at", "value", "cause"),
    [
        (8, b"\x01\x00", "encrypted"),
        (10, b"\x0e\x00", "compression method 14"),
        (38, struct.pack("<L", 0o120777 << 16), "a link or a device"),
        (20, struct.pack("<L", 5), "damaged"),
    ],
)
def test_members_that_cannot_be_read_are_refused(tmp_path, at, value, cause):
    path = overwrite_field(write_zip(tmp_path, [("a/11.jpg", b"x" * 50)]), at, value)
    with pytest.raises(DataError, match=cause):
        zip_files.list_zip(path)


def test_names_in_code_page_437_are_decoded(tmp_path):
    path = overwrite_field(write_zip(tmp_path, [("a/1.jpg", b"x")]), 46, b"\x8e/")
    assert zip_files.list_zip(path).names == ["Ä/1.jpg"]


def test_overlapping_members_are_refused(tmp_path):
    path = write_zip(tmp_path, [("a/1.jpg", b"x" * 500), ("a/2.jpg", b"y" * 500)])
    content = bytearray(path.read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second + 42 : second + 46] = struct.pack("<L", 100)
    path.write_bytes(content)
    with pytest.raises(DataError, match="overlap"):
        zip_files.list_zip(path)


def test_a_decompression_bomb_is_refused_before_decompression(tmp_path):
    members = [(f"a/{n}.bmp", bytes(20 << 20)) for n in range(5)]
    with pytest.raises(DataError, match="bomb"):
        zip_files.list_zip(write_zip(tmp_path, members, method=zipfile.ZIP_DEFLATED))


def test_a_member_never_decompresses_to_more_than_its_size(tmp_path):
    path = write_zip(tmp_path, [("a/1.bmp", bytes(1 << 20))], method=zipfile.ZIP_DEFLATED)
    overwrite_field(path, 24, struct.pack("<L", 1000))
    (content_of,) = contents(path).values()
    assert isinstance(content_of, DataError)
    assert "checksum" in content_of.problem


def test_other_members_are_read_next_to_a_damaged_one(tmp_path):
    path = write_zip(tmp_path, [("a/1.jpg", b"first" * 9), ("a/2.jpg", b"second" * 9)])
    path.write_bytes(path.read_bytes().replace(b"firstfirst", b"worstfirst"))
    content_of = contents(path)
    assert isinstance(content_of["a/1.jpg"], DataError)
    assert "checksum" in content_of["a/1.jpg"].problem
    assert content_of["a/2.jpg"] == b"second" * 9


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello" * 100, b"PK\5\6" + bytes(10)])
def test_files_that_are_not_zips_are_refused(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a zip"):
        zip_files.list_zip(path)


def test_an_empty_zip_has_no_images(tmp_path):
    assert zip_files.list_zip(write_zip(tmp_path, [])).names == []
