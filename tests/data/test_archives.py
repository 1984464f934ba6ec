"""Zips and tars, intact and malicious: everything is extracted inside the folder, or nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.data import archives
from yisheng.data.archive_names import make_collision_key, split_member_name
from yisheng.data.archives import Limits, extract

FILES = {"train/ants/1.jpg": b"ant" * 1000, "train/bees/1.jpg": b"bee", "read me.txt": b"", "卷/é.txt": b"x"}
BAD_NAMES = [
    "../evil",
    "a/../../evil",
    "a/..",
    "..",
    "/etc/evil",
    "//host/share/evil",
    "C:/evil",
    "c:evil",
    "a/d:evil",
    "..\\evil",
    "a\\b",
    "\\\\host\\share\\evil",
    "nul",
    "a/CON.txt",
    "com1",
    "LPT9.jpg",
    "com¹",
    "conin$",
    "a.",
    "a ",
    "a/b ./c",
    "a//b",
    "a\nb",
    "a\x7fb",
    "x" * 256,
    "/".join("y" * 200 for _ in range(3)),
    "/".join("z" * 40),
]


def make_zip(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.compress_type, info.external_attr = name, method, mode << 16
            archive.NameToInfo.clear()  # duplicates are intended
            archive.writestr(info, data)
    return path


def make_tar(path: Path, members: list[tuple[str, bytes | dict[str, object]]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # the mode is a plain str here
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                for key, value in data.items():
                    setattr(info, key, value)
                archive.addfile(info)
    return path


def read_tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check_refused(archive: Path, problem: str, limits: Limits | None = None) -> None:
    """Check that an archive is refused, and that no file is created."""
    paths = sorted(archive.parent.rglob("*"))
    with pytest.raises(DataError, match=problem) as caught:
        extract(archive, archive.parent / "out", limits=limits)
    assert "\n" not in caught.value.problem
    assert sorted(archive.parent.rglob("*")) == paths


@pytest.mark.parametrize("kind", ["zip", "stored", "w", "w:gz", "w:bz2", "w:xz"])
def test_intact_archives_are_extracted_completely(tmp_path: Path, kind: str) -> None:
    if kind.startswith("w"):
        path = make_tar(tmp_path / "a", [(".", {"type": tarfile.DIRTYPE}), *FILES.items()], kind)
    else:
        method = zipfile.ZIP_DEFLATED if kind == "zip" else zipfile.ZIP_STORED
        path = make_zip(tmp_path / "a", [("train/", b""), *FILES.items()], method)
    assert read_tree(extract(path, tmp_path / "out")) == FILES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "out"]
    with pytest.raises(UsageError, match="exists"):
        extract(path, tmp_path / "out")


def test_long_names_in_both_tar_formats_are_read(tmp_path: Path) -> None:
    name = "/".join(["d" * 90] * 4 + ["f"])
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"yes"))
        assert read_tree(extract(tmp_path / "a.tar", tmp_path / f"out{form}")) == {name: b"yes"}


def test_modes_of_the_archive_are_ignored(tmp_path: Path) -> None:
    info = tarfile.TarInfo("run.sh")
    info.size, info.mode = 1, 0o6777
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info, io.BytesIO(b"x"))
    mode = (extract(tmp_path / "a.tar", tmp_path / "out") / "run.sh").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    check_refused(make(inside / "a", [("fine.txt", b"x"), (name, b"evil")]), "the archive holds")
    assert list(tmp_path.iterdir()) == [inside]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a/../b", "leaves the folder"),
        ("/a", "an absolute path"),
        ("a\\b", "backslashes"),
        ("C:/a", "a drive letter"),
        ("nul.txt", "Windows reserves"),
        ("a//b", "an empty part"),
    ],
)
def test_error_names_the_problem_of_a_name(name: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        split_member_name(name, max_bytes=512, max_depth=32)


def test_name_with_a_null_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a", [("fine.txtX.exe", b"x")])
    path.write_bytes(path.read_bytes().replace(b"fine.txtX.exe", b"fine.txt\0.exe"))
    check_refused(path, "control characters")


@pytest.mark.parametrize("second", ["a.txt", "A.TXT", "./a.txt", "a.txt/b", "a.txt/"])
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_two_members_with_one_path_are_refused(tmp_path: Path, second: str, make: Callable[..., Path]) -> None:
    data = {"type": tarfile.DIRTYPE} if second.endswith("/") and make is make_tar else b"2" * (not second.endswith("/"))
    check_refused(make(tmp_path / "a.bin", [("a.txt", b"1"), (second, data)]), "twice")


def test_folders_that_differ_in_case_or_accents_are_refused(tmp_path: Path) -> None:
    check_refused(make_zip(tmp_path / "a.zip", [("Train/1", b""), ("train/2", b"")]), "twice")
    check_refused(make_zip(tmp_path / "b.zip", [("\u00e9/1", b""), ("e\u0301/2", b"")]), "twice")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"9"]
)
def test_links_and_devices_in_tars_are_refused(tmp_path: Path, kind: bytes) -> None:
    members = [("fine", b"x"), ("link", {"type": kind, "linkname": "/etc/passwd"}), ("link/file", b"evil")]
    check_refused(make_tar(tmp_path / "a.tar", members), r"link, a device|cannot be extracted")


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zips_are_refused(tmp_path: Path, mode: int) -> None:
    check_refused(make_zip(tmp_path / "a.zip", [("link", b"/etc/passwd")], mode=mode), "link or a device")


def test_sparse_member_is_refused(tmp_path: Path) -> None:
    """Its zeros are not in the archive, so they would not be counted."""
    info = tarfile.TarInfo("holes")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    info.size = 512
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    check_refused(tmp_path / "a.tar", r"not a plain file|cannot be extracted")


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_bombs_are_refused_before_they_fill_the_disk(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MIN_BOMB_BYTES", 1 << 20)
    written = 0
    write_all = archives.write_all

    def write_and_count(out: object, target: Path, chunk: bytes) -> None:
        nonlocal written
        written += len(chunk)
        write_all(out, target, chunk)

    monkeypatch.setattr(archives, "write_all", write_and_count)
    zeros = bytes(16 << 20)
    if kind == "zip":
        path = make_zip(tmp_path / "a", [("zeros", zeros)])
    else:
        path = make_tar(tmp_path / "a", [("zeros", zeros)], f"w:{kind}")
    check_refused(path, "decompression bomb")
    assert written <= 8 << 20


def test_archive_in_an_archive_is_not_extracted(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", [("zeros", bytes(8 << 20))]).read_bytes()
    path = make_zip(tmp_path / "a.zip", [(f"{n}.zip", inner) for n in range(20)])
    (tmp_path / "inner.zip").unlink()
    assert read_tree(extract(path, tmp_path / "out")) == {f"{n}.zip": inner for n in range(20)}


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(max_total_bytes=4000), "more than 4,000 bytes"),
        (Limits(max_file_bytes=2999), "a file of more than 2,999 bytes"),
        (Limits(max_members=3), "more than 3 members"),
        (Limits(max_path_bytes=15), "longer than 15 bytes"),
        (Limits(max_path_depth=2), "deeper than 2"),
    ],
)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_limits_hold(tmp_path: Path, limits: Limits, problem: str, make: Callable[..., Path]) -> None:
    check_refused(make(tmp_path / "a", [*FILES.items(), ("more", b"x" * 3000)]), problem, limits)


def test_header_with_a_false_size_is_refused(tmp_path: Path) -> None:
    """The data ends where the header says, and its checksum fails."""
    path = make_zip(tmp_path / "a.zip", [("a", b"x" * 50_000)])
    data = path.read_bytes().replace(struct.pack("<L", 50_000), struct.pack("<L", 10))
    path.write_bytes(data)
    check_refused(path, "cannot be extracted")


def test_many_members_are_counted_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zip(tmp_path / "a.zip", [(str(n), b"") for n in range(1000)])
    end = bytearray(path.read_bytes())
    struct.pack_into("<2H", end, len(end) - 22 + 8, 1, 1)  # the count that the archive claims
    path.write_bytes(end)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    check_refused(path, "more than 999 members", Limits(max_members=999))


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    """Many entries that share one piece of compressed data (Fifield, A better zip bomb, WOOT 2019)."""
    path = make_zip(tmp_path / "a.zip", [("aa", b"data" * 100), ("ab", b"data" * 100)])
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    data[second + 46 : second + 48] = b"aa"
    path.write_bytes(data)
    check_refused(path, "its members overlap")


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encrypted_zips_are_refused(tmp_path: Path, flag: int) -> None:
    path = make_zip(tmp_path / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    for at, place in ((0, 6), (data.index(b"PK\1\2"), 8)):
        struct.pack_into("<H", data, at + place, struct.unpack_from("<H", data, at + place)[0] | flag)
    path.write_bytes(data)
    check_refused(path, "is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_zip_methods_are_refused(tmp_path: Path, method: int) -> None:
    """zipfile decompresses them without a bound on memory."""
    check_refused(make_zip(tmp_path / "a.zip", [("a", b"x" * 100)], method), "not supported")


def test_huge_header_in_a_tar_is_not_read(tmp_path: Path) -> None:
    """tarfile reads a long name in one piece, of the size that the archive claims."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
    block = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(block + bytes(64 << 20), 1))
    check_refused(tmp_path / "a.tar.gz", "header of more than a megabyte")


def test_long_chain_of_headers_is_refused(tmp_path: Path) -> None:
    """tarfile recurses for each long name."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    (tmp_path / "a.tar").write_bytes((info.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")) * 2000)
    check_refused(tmp_path / "a.tar", "cannot be extracted")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_truncated_or_damaged_tar_is_refused(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    plain = make_tar(tmp_path / "good", list(FILES.items())).read_bytes()
    (tmp_path / "good").unlink()
    used = len(plain.rstrip(b"\0"))
    second = plain.index(b"train/bees")
    for number, data in enumerate(
        [plain[:512], plain[:second], plain[: second + 600], plain[:used], plain[:second] + b"x" + plain[second + 1 :]]
    ):
        (tmp_path / f"{number}").write_bytes(compress(data))
        check_refused(tmp_path / f"{number}", "cannot be extracted")


def test_damaged_checksum_after_the_last_member_is_noticed(tmp_path: Path) -> None:
    plain = make_tar(tmp_path / "a", list(FILES.items())).read_bytes()
    data = bytearray(gzip.compress(plain))
    data[-8] ^= 1
    (tmp_path / "a").write_bytes(data)
    check_refused(tmp_path / "a", "CRC")


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"PK\3\4", b"hello" * 500, bytes(2048), b"BZh9", b"\x1f\x8b\x08", b"\xfd7zXZ\0"]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    if data == bytes(2048):  # an empty tar is an archive
        assert read_tree(extract(tmp_path / "a", tmp_path / "out")) == {}
    else:
        check_refused(tmp_path / "a", "cannot be extracted")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_flipped_bytes_never_escape_or_crash(tmp_path: Path, make: Callable[..., Path]) -> None:
    intact = make(tmp_path / "good", list(FILES.items())).read_bytes()
    (tmp_path / "good").unlink()
    rng = random.Random(0)
    for number in range(60):
        data = bytearray(intact[: rng.randrange(1, len(intact) + 1)] if number % 3 == 0 else intact)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "a").write_bytes(data)
        try:
            extract(tmp_path / "a", tmp_path / f"out{number}")
        except DataError:
            assert not (tmp_path / f"out{number}").exists()
        assert all(p.name == "a" or p.name.startswith("out") for p in tmp_path.iterdir())


@given(st.text(max_size=40) | st.text("./\\:aAcCoOnN \0~", max_size=20) | st.sampled_from(BAD_NAMES))
@example("a/./b")
@example(".")
def test_any_name_is_a_path_inside_or_refused(name: str) -> None:
    try:
        parts = split_member_name(name, max_bytes=512, max_depth=32)
    except DataError:
        return
    path = os.path.normpath(os.path.join("/root/of/it", *parts))  # noqa: PTH118  # as the system resolves it
    assert path == "/root/of/it" + "".join(f"/{part}" for part in parts)
    assert PurePosixPath(name).parts == parts
    assert not any(c in "".join(parts) for c in "\0\\\n")


@given(st.text(max_size=20))
def test_collision_key_ignores_case_and_the_encoding_of_accents(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert make_collision_key((unicodedata.normalize(form, name),)) == make_collision_key((name,))
    assert make_collision_key((name.casefold(),)) == make_collision_key((name,))
    assert make_collision_key((name, "a")) != make_collision_key((name, "b"))
