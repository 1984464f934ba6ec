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


def packed(tmp_path, members, *, method=zipfile.ZIP_STORED, before=b"", comment=b"", wide=False):
    file = io.BytesIO()
    out = zipfile.ZipFile(file, "w", method)
    out.comment = comment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of names that come twice
        for member, content in members:
            out.writestr(member, content)
    with mock.patch.object(zipfile, "ZIP64_LIMIT", 0 if wide else zipfile.ZIP64_LIMIT):
        out.close()  # writes the table of contents
    path = tmp_path / "a.zip"
    path.write_bytes(before + file.getvalue())
    return path


def contents(path):
    listing = zip_files.listing(path)
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
def test_what_zipfile_writes_is_read(tmp_path_factory, members, method, before, comment, wide):
    folder = tmp_path_factory.mktemp("zip")
    path = packed(folder, list(members.items()), method=method, before=before, comment=comment, wide=wide)
    with zipfile.ZipFile(path) as theirs:
        wanted = {name: theirs.read(name) for name in theirs.namelist() if is_image(name)}
    assert contents(path) == wanted
    listing = zip_files.listing(path)
    assert dict(zip(listing.names, listing.sizes, strict=True)) == {n: len(c) for n, c in wanted.items()}
    assert sorted(listing.others) == sorted(name for name in members if not is_image(name))
    path.unlink()
    folder.rmdir()


@given(st.data())
def test_damaged_zips_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zip")
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    members = {"a/1.jpg": b"one" * 20, "b/2.png": bytes(range(40)), "c.txt": b"three"}
    path = packed(folder, list(members.items()), method=method)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(DataError):
        for found in contents(path).values():
            assert isinstance(found, DataError) or found in members.values()
    path.unlink()
    folder.rmdir()


def test_hidden_files_are_passed_over(tmp_path):
    names = ["__MACOSX/a/._1.jpg", "a/.DS_Store", "a/.1.jpg", "a/Thumbs.db", ".git/x.jpg", "a/1.jpg"]
    listing = zip_files.listing(packed(tmp_path, [(name, b"x") for name in names]))
    assert listing.names == ["a/1.jpg"]
    assert listing.others == []
    assert listing.folders == {"a"}
    assert all(is_hidden(part) for part in ("Thumbs.db", "__MACOSX", ".x"))


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "a/../../b.jpg",
        "/a.jpg",
        "C:/a.jpg",
        "a\\b.jpg",
        "con/a.jpg",
        "con.jpg",
        "a/b\x01.jpg",
        "a/../b.txt",
    ],
)
def test_what_is_not_extracted_is_not_read(tmp_path, name):
    path = packed(tmp_path, [(name, b"x"), ("a/2.jpg", b"y")])
    with pytest.raises(DataError) as theirs:
        archives.extract(path, tmp_path / "out")
    with pytest.raises(DataError, match="not safe") as ours:
        zip_files.listing(path)
    assert ours.value.problem == theirs.value.problem


def test_the_same_name_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="twice"):
        zip_files.listing(packed(tmp_path, [("a/1.jpg", b"x"), ("a/1.jpg", b"y")]))


def changed(path, at, value):
    """The first entry of the table of contents with another field."""
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\1\2")
    content[start + at : start + at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("at", "value", "wanted"),
    [
        (8, b"\x01\x00", "encrypted"),
        (10, b"\x0e\x00", "compression method 14"),
        (38, struct.pack("<L", 0o120777 << 16), "a link or a device"),
        (20, struct.pack("<L", 5), "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, at, value, wanted):
    path = changed(packed(tmp_path, [("a/11.jpg", b"x" * 50)]), at, value)
    with pytest.raises(DataError, match=wanted):
        zip_files.listing(path)


def test_names_in_the_alphabet_of_old_dos(tmp_path):
    path = changed(packed(tmp_path, [("a/1.jpg", b"x")]), 46, b"\x8e/")
    assert zip_files.listing(path).names == ["Ä/1.jpg"]


def test_members_that_overlap_are_refused(tmp_path):
    path = packed(tmp_path, [("a/1.jpg", b"x" * 500), ("a/2.jpg", b"y" * 500)])
    content = bytearray(path.read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second + 42 : second + 46] = struct.pack("<L", 100)
    path.write_bytes(content)
    with pytest.raises(DataError, match="overlap"):
        zip_files.listing(path)


def test_a_bomb_is_refused_before_it_unfolds(tmp_path):
    members = [(f"a/{n}.bmp", bytes(20 << 20)) for n in range(5)]
    with pytest.raises(DataError, match="bomb"):
        zip_files.listing(packed(tmp_path, members, method=zipfile.ZIP_DEFLATED))


def test_a_member_never_unfolds_to_more_than_it_says(tmp_path):
    path = packed(tmp_path, [("a/1.bmp", bytes(1 << 20))], method=zipfile.ZIP_DEFLATED)
    changed(path, 24, struct.pack("<L", 1000))
    (found,) = contents(path).values()
    assert isinstance(found, DataError)
    assert "checksum" in found.problem


def test_one_damaged_member_leaves_the_others(tmp_path):
    path = packed(tmp_path, [("a/1.jpg", b"first" * 9), ("a/2.jpg", b"second" * 9)])
    path.write_bytes(path.read_bytes().replace(b"firstfirst", b"worstfirst"))
    found = contents(path)
    assert isinstance(found["a/1.jpg"], DataError)
    assert "checksum" in found["a/1.jpg"].problem
    assert found["a/2.jpg"] == b"second" * 9


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello" * 100, b"PK\5\6" + bytes(10)])
def test_what_is_no_zip_is_told(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a zip"):
        zip_files.listing(path)


def test_an_empty_zip_holds_nothing(tmp_path):
    assert zip_files.listing(packed(tmp_path, [])).names == []
