"""The cache, the user's folders, checksums and pins."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.data.hub.sample_files import COMPRESSED, TEXT, sum_of
from yisheng.core.errors import DataError
from yisheng.data import hub
from yisheng.data.hub import checksums


@pytest.fixture
def hashed_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of files that are read to compute a checksum."""
    names: list[str] = []
    compute_digests = checksums.compute_digests

    def record(path: Path, *args: Any, **kwargs: Any) -> Any:
        names.append(path.name)
        return compute_digests(path, *args, **kwargs)

    monkeypatch.setattr(checksums, "compute_digests", record)
    return names


def test_mirror_folder_is_read_offline(mirror: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    assert hub.fetch("tiny") == {"a.csv.gz": home / "data" / "tiny" / "a.csv.gz"}
    assert (home / "data" / "tiny" / "a.csv.gz").read_bytes() == COMPRESSED
    assert (mirror / "tiny" / "a.csv.gz").exists()


def test_verified_file_is_not_read_until_it_changes(mirror: Path, hashed_files: list[str]) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    assert len(hashed_files) == 1
    hub.fetch_file("tiny", "a.csv.gz")
    assert len(hashed_files) == 1
    os.utime(path, ns=(1, 1))
    hub.fetch_file("tiny", "a.csv.gz")
    assert len(hashed_files) == 2


def test_damaged_record_of_checks_is_ignored(mirror: Path, home: Path, hashed_files: list[str]) -> None:
    hub.fetch_file("tiny", "a.csv.gz")
    for text in ("{", "[]", '{"/x": 3}', "\0"):
        (home / "data" / ".verified.json").write_text(text, encoding="utf-8")
        assert hub.fetch_file("tiny", "a.csv.gz").read_bytes() == COMPRESSED
    assert len(hashed_files) == 5


def test_damaged_file_in_the_cache_is_replaced(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    path.write_bytes(COMPRESSED[:-20])
    assert hub.fetch_file("tiny", "a.csv.gz").read_bytes() == COMPRESSED
    assert f"{path} is damaged and will be replaced" in capsys.readouterr().err


def test_damaged_file_stays_if_it_cannot_be_replaced(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    path.write_bytes(b"mine")
    monkeypatch.delenv("YISHENG_MIRROR")
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.csv.gz")
    assert path.read_bytes() == b"mine"


def test_decompressed_file_in_the_cache_is_used(mirror: Path, home: Path, hashed_files: list[str]) -> None:
    shutil.rmtree(mirror)
    (home / "data" / "tiny").mkdir(parents=True)
    (home / "data" / "tiny" / "a.csv").write_bytes(TEXT)
    assert hub.fetch_file("tiny", "a.csv.gz").name == "a.csv"


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv.gz", COMPRESSED), ("a.csv.gz", gzip.compress(TEXT, 1)), ("a.csv", TEXT)]
)
def test_folder_of_the_user_is_read(mirror: Path, tmp_path: Path, home: Path, name: str, data: bytes) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_bytes(data)
    assert hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path / "mine") == tmp_path / "mine" / name
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine" / name]
    assert not (home / "data" / "tiny").exists()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.csv.gz", gzip.compress(TEXT + b"4"), r"it decompresses to more than|its sha256 is"),
        ("a.csv.gz", gzip.compress(TEXT[:-1]), "its sha256 is"),
        ("a.csv.gz", COMPRESSED[:-9], "it ends too early"),
        ("a.csv.gz", COMPRESSED[:-8] + bytes(8), "CRC check failed"),
        ("a.csv.gz", TEXT, "not compressed, though its name says so"),
        ("a.csv.gz", b"", "not compressed"),
        ("a.csv.gz", b"<html>log in", r"not compressed.*\(it is a web page\)"),
        ("a.csv", TEXT[1:], "it has 29,999 bytes, expected 30,000"),
        ("a.csv", b"0" + TEXT[1:], "its sha256 is"),
        ("b.csv", TEXT, r"holds neither a\.csv\.gz nor a\.csv"),
    ],
)
def test_wrong_file_in_a_folder_of_the_user_is_an_error(
    mirror: Path, tmp_path: Path, name: str, data: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=problem):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)


def test_decompression_bomb_in_a_folder_of_the_user_is_refused(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(200 << 20), 1))
    with pytest.raises(DataError, match="decompresses to more than 30,000 bytes"):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)


def test_pipe_is_not_a_file(mirror: Path, tmp_path: Path) -> None:
    """Opening a pipe would block."""
    os.mkfifo(tmp_path / "a.csv.gz")
    with pytest.raises(DataError, match=r"holds neither a\.csv\.gz"):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)
    with pytest.raises(DataError, match="is not a file"):
        hub.import_file(tmp_path / "a.csv.gz")


def test_file_of_another_size_is_not_read(plugin_catalog: Any, tmp_path: Path, hashed_files: list[str]) -> None:
    plugin_catalog.add("sized", {"name": "a.bin", "size": 3, "sums": [sum_of(b"abc")]})
    (tmp_path / "a.bin").write_bytes(b"abcd")
    with pytest.raises(DataError, match="it has 4 bytes, expected 3"):
        hub.fetch_file("sized", "a.bin", folder=tmp_path)
    assert hashed_files == []


def test_decompressed_file_without_a_checksum_is_refused(plugin_catalog: Any, tmp_path: Path) -> None:
    plugin_catalog.add("old", {"name": "a.csv.gz", "sums": [sum_of(COMPRESSED)]})
    (tmp_path / "a.csv").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"holds no a\.csv\.gz"):
        hub.fetch_file("old", "a.csv.gz", folder=tmp_path)


def test_windows_line_ends_are_accepted_by_a_checksum_of_lines(plugin_catalog: Any, tmp_path: Path) -> None:
    plugin_catalog.add("lines", {"name": "a.csv", "sums": [sum_of(TEXT, "lines")]})
    for data in (TEXT, TEXT.replace(b"\n", b"\r\n")):
        (tmp_path / "a.csv").write_bytes(data)
        assert hub.fetch_file("lines", "a.csv", folder=tmp_path).read_bytes() == data
    (tmp_path / "a.csv").write_bytes(TEXT.replace(b"\n", b"\r"))
    with pytest.raises(DataError):
        hub.fetch_file("lines", "a.csv", folder=tmp_path)


def test_carriage_return_at_the_end_of_a_chunk_is_joined_with_its_line(
    plugin_catalog: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "CHUNK_BYTES", 3)
    data = b"a\r\nbc\r\r\n\r\n\nd\r"
    (tmp_path / "a.csv").write_bytes(data)
    digest = checksums.compute_digests(tmp_path / "a.csv", "lines", ("md5",))["md5"]
    assert digest == hashlib.md5(data.replace(b"\r\n", b"\n")).hexdigest()


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_md5_and_sha1_are_accepted(plugin_catalog: Any, tmp_path: Path, algorithm: str) -> None:
    plugin_catalog.add("old", {"name": "a.bin", "sums": [sum_of(b"x", "file", algorithm), sum_of(b"y")]})
    for data in (b"x", b"y"):
        (tmp_path / "a.bin").write_bytes(data)
        assert hub.fetch_file("old", "a.bin", folder=tmp_path)
    (tmp_path / "a.bin").write_bytes(b"z")
    with pytest.raises(DataError, match=rf"expected {algorithm} .* / sha256 "):
        hub.fetch_file("old", "a.bin", folder=tmp_path)


def test_first_digits_of_a_checksum_are_accepted(plugin_catalog: Any, tmp_path: Path) -> None:
    plugin_catalog.add("nets", {"name": "w.pth", "sums": [sum_of(b"w")[:20]]})
    (tmp_path / "w.pth").write_bytes(b"w")
    assert hub.fetch_file("nets", "w.pth", folder=tmp_path)
    (tmp_path / "w.pth").write_bytes(b"v")
    with pytest.raises(DataError, match="beginning with"):
        hub.fetch_file("nets", "w.pth", folder=tmp_path)


def test_file_without_checksum_is_pinned_at_first_use(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("loose", "b.bin")
    message = capsys.readouterr().err
    digest = hashlib.sha256(b"loose").hexdigest()
    assert "loose/b.bin: unverified, no published checksum; pinned" in message
    assert digest in message
    assert path.with_name("b.bin.sha256").read_text(encoding="utf-8") == f"{digest}  b.bin\n"
    assert hub.fetch_file("loose", "b.bin") == path
    assert capsys.readouterr().err == ""
    path.write_bytes(b"other")
    with pytest.raises(DataError, match="has changed since it was first used") as caught:
        hub.fetch_file("loose", "b.bin")
    assert "delete b.bin.sha256" in caught.value.remedy
    path.with_name("b.bin.sha256").unlink()
    assert hub.fetch_file("loose", "b.bin").read_bytes() == b"other"


def test_pin_applies_to_the_next_download(mirror: Path) -> None:
    hub.fetch_file("loose", "b.bin").unlink()
    (mirror / "loose" / "b.bin").write_bytes(b"changed")
    with pytest.raises(DataError, match="wrong content"):
        hub.fetch_file("loose", "b.bin")


@pytest.mark.parametrize("text", ["", "abc  b.bin", "\xff"])
def test_damaged_pin_is_an_error(mirror: Path, text: str) -> None:
    path = hub.fetch_file("loose", "b.bin")
    path.with_name("b.bin.sha256").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="the pin"):
        hub.fetch_file("loose", "b.bin")


def test_folder_of_a_mirror_is_copied_and_pinned(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("loose", "images")
    assert (path / "ants" / "1.jpg").read_bytes() == b"ant"
    assert "pinned at first use" in capsys.readouterr().err
    assert hub.fetch_file("loose", "images") == path
    (path / "ants" / "2.jpg").write_bytes(b"new")
    with pytest.raises(DataError, match="has changed since it was first used"):
        hub.fetch_file("loose", "images")


def test_folder_with_links_is_refused(mirror: Path) -> None:
    (mirror / "loose" / "images" / "link").symlink_to("/etc")
    with pytest.raises(DataError, match="not a plain file"):
        hub.fetch_file("loose", "images")


def test_form_of_the_mirror_is_used_and_reported(mirror: Path, capsys: Any) -> None:
    assert list(hub.fetch("forms")) == ["copy.bin"]
    assert "took the form 'copies'" in capsys.readouterr().err
    assert list(hub.fetch("forms")) == ["copy.bin"]
    assert capsys.readouterr().err == ""


def test_requested_form_is_used(mirror: Path) -> None:
    with pytest.raises(DataError, match=r"forms/best\.bin") as caught:
        hub.fetch("forms", "exact")
    assert "another form of the set: copies" in caught.value.remedy
    (mirror / "forms" / "more.bin").write_bytes(b"extra")
    assert list(hub.fetch("forms", "extra")) == ["more.bin"]


def test_offline_error_describes_the_manual_download(server: Any, plugin_catalog: Any, monkeypatch: Any) -> None:
    url = server.on("/a.bin", server.serve(b"x"))
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [sum_of(b"x")], "urls": [url]})
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    monkeypatch.setenv("YISHENG_MIRROR", server.url)
    with pytest.raises(DataError) as caught:
        hub.fetch("tiny")
    assert server.requests == []
    assert caught.value.code == 3
    assert "tiny/a.bin is not in the cache, and YISHENG_OFFLINE=1" in caught.value.problem
    target = plugin_catalog.cache / "tiny" / "a.bin"
    for part in (url, sum_of(b"x")[12:], "`yisheng data import FILE`", f"put it at {target}"):
        assert part in caught.value.remedy
    target.parent.mkdir(parents=True)
    target.write_bytes(b"x")
    assert hub.fetch_file("tiny", "a.bin") == target


def test_verify_reads_the_files_and_reports_damage(mirror: Path, hashed_files: list[str]) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    hashed_files.clear()
    assert [(c.set, c.file, c.state) for c in hub.verify("tiny")] == [("tiny", "a.csv.gz", "ok")]
    assert hashed_files == ["a.csv.gz"]
    path.write_bytes(b"x")
    (damaged,) = hub.verify()
    assert (damaged.state, "not compressed" in damaged.detail) == ("damaged", True)
    path.unlink()
    (missing,) = hub.verify("tiny")
    assert (missing.state, "download it" in missing.detail) == ("missing", True)
    assert hub.verify() == []


def test_archive_is_extracted_once(plugin_catalog: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train/1.txt", b"one")
    data = (tmp_path / "a.zip").read_bytes()
    plugin_catalog.add("tiny", {"name": "a.zip", "sums": [sum_of(data)]})
    hub.import_file(tmp_path / "a.zip")
    abandoned = plugin_catalog.cache / "tiny" / ".a.zip.unpacked.xyz.extracting"
    abandoned.mkdir()
    folder = hub.unpack("tiny", "a.zip")
    assert (folder / "train" / "1.txt").read_bytes() == b"one"
    assert not abandoned.exists()
    (folder / "mark").touch()
    assert hub.unpack("tiny", "a.zip") == folder
    assert (folder / "mark").exists()


def test_importing_the_hub_is_light() -> None:
    heavy = {"torch", "numpy", "pandas", "pydantic", "filelock", "platformdirs", "tqdm", "urllib.request"}
    code = f"import sys; from yisheng.data import hub; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
