"""The cache, the user's own folders, pins, files brought by hand, bundles, and the environment."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.data import hub
from yisheng.data.hub import checksums, locations

TEXT = b"1,2,3\n" * 5000
PACKED = gzip.compress(TEXT, 9, mtime=0)


def sum_of(data: bytes, of: str = "file", algorithm: str = "sha256") -> str:
    return f"{of}:{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalogue: Any) -> Path:
    """A mirror folder with a packed file, two forms of a set, and one that nobody has a checksum of."""
    folder = tmp_path / "mirror with space"
    catalogue.add("tiny", {"name": "a.csv.gz", "content_size": len(TEXT), "sums": [sum_of(TEXT, "content")]})
    catalogue.add(
        "forms",
        {"name": "best.bin", "form": "exact", "sums": [sum_of(b"exact")]},
        {"name": "copy.bin", "form": "copies", "sums": [sum_of(b"copies")]},
        {"name": "more.bin", "form": "extra", "sums": [sum_of(b"extra")]},
        forms=["exact", "copies"],
    )
    catalogue.add("loose", {"name": "b.bin"}, {"name": "images", "folder": True})
    for name, data in {
        "tiny/a.csv.gz": PACKED,
        "forms/copy.bin": b"copies",
        "loose/b.bin": b"loose",
        "loose/images/ants/1.jpg": b"ant",
        "loose/images/bees/1.jpg": b"bee",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    monkeypatch.setenv("YISHENG_MIRROR", folder.as_uri())
    return folder


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are read to be summed."""
    names: list[str] = []
    true = checksums.compute_digests

    def counted(path: Path, *args: Any, **more: Any) -> Any:
        names.append(path.name)
        return true(path, *args, **more)

    monkeypatch.setattr(checksums, "compute_digests", counted)
    return names


def test_a_mirror_folder_is_read_also_offline(mirror: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    assert hub.fetch("tiny") == {"a.csv.gz": home / "data" / "tiny" / "a.csv.gz"}
    assert (home / "data" / "tiny" / "a.csv.gz").read_bytes() == PACKED
    assert (mirror / "tiny" / "a.csv.gz").exists()


def test_what_was_verified_is_not_read_again_until_it_changes(mirror: Path, readings: list[str]) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    assert len(readings) == 1
    hub.fetch_file("tiny", "a.csv.gz")
    assert len(readings) == 1
    os.utime(path, ns=(1, 1))
    hub.fetch_file("tiny", "a.csv.gz")
    assert len(readings) == 2


def test_a_damaged_memory_of_checks_only_costs_time(mirror: Path, home: Path, readings: list[str]) -> None:
    hub.fetch_file("tiny", "a.csv.gz")
    for text in ("{", "[]", '{"/x": 3}', "\0"):
        (home / "data" / ".verified.json").write_text(text, encoding="utf-8")
        assert hub.fetch_file("tiny", "a.csv.gz").read_bytes() == PACKED
    assert len(readings) == 5


def test_a_damaged_file_in_the_cache_is_replaced(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    path.write_bytes(PACKED[:-20])
    assert hub.fetch_file("tiny", "a.csv.gz").read_bytes() == PACKED
    assert f"{path} is damaged and will be replaced" in capsys.readouterr().err


def test_a_damaged_file_stays_when_there_is_nothing_better(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    path.write_bytes(b"mine")
    monkeypatch.delenv("YISHENG_MIRROR")
    with pytest.raises(DataError):
        hub.fetch_file("tiny", "a.csv.gz")
    assert path.read_bytes() == b"mine"


def test_a_decompressed_file_put_into_the_cache_is_taken(mirror: Path, home: Path, readings: list[str]) -> None:
    shutil.rmtree(mirror)
    (home / "data" / "tiny").mkdir(parents=True)
    (home / "data" / "tiny" / "a.csv").write_bytes(TEXT)
    assert hub.fetch_file("tiny", "a.csv.gz").name == "a.csv"


@pytest.mark.parametrize(
    ("name", "data"), [("a.csv.gz", PACKED), ("a.csv.gz", gzip.compress(TEXT, 1)), ("a.csv", TEXT)]
)
def test_a_folder_of_the_user_is_read(mirror: Path, tmp_path: Path, home: Path, name: str, data: bytes) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_bytes(data)
    assert hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path / "mine") == tmp_path / "mine" / name
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine" / name]
    assert not (home / "data" / "tiny").exists()


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.csv.gz", gzip.compress(TEXT + b"4"), r"it decompresses to more than|its sha256 is"),
        ("a.csv.gz", gzip.compress(TEXT[:-1]), "its sha256 is"),
        ("a.csv.gz", PACKED[:-9], "it ends too early"),
        ("a.csv.gz", PACKED[:-8] + bytes(8), "CRC check failed"),
        ("a.csv.gz", TEXT, "not compressed, though its name says so"),
        ("a.csv.gz", b"", "not compressed"),
        ("a.csv.gz", b"<html>log in", r"not compressed.*\(it is a web page\)"),
        ("a.csv", TEXT[1:], "it has 29,999 bytes, expected 30,000"),
        ("a.csv", b"0" + TEXT[1:], "its sha256 is"),
        ("b.csv", TEXT, r"holds no a\.csv\.gz or a\.csv"),
    ],
)
def test_a_wrong_file_in_a_folder_of_the_user_is_an_error(
    mirror: Path, tmp_path: Path, name: str, data: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=why):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)


def test_a_bomb_in_a_folder_of_the_user_is_not_read_to_its_end(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(200 << 20), 1))
    with pytest.raises(DataError, match="decompresses to more than 30,000 bytes"):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)


def test_a_pipe_is_no_file(mirror: Path, tmp_path: Path) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "a.csv.gz")
    with pytest.raises(DataError, match=r"holds no a\.csv\.gz"):
        hub.fetch_file("tiny", "a.csv.gz", folder=tmp_path)
    with pytest.raises(DataError, match="is no file"):
        hub.import_file(tmp_path / "a.csv.gz")


def test_a_file_of_another_size_is_not_read(catalogue: Any, tmp_path: Path, readings: list[str]) -> None:
    catalogue.add("sized", {"name": "a.bin", "size": 3, "sums": [sum_of(b"abc")]})
    (tmp_path / "a.bin").write_bytes(b"abcd")
    with pytest.raises(DataError, match="it has 4 bytes, expected 3"):
        hub.fetch_file("sized", "a.bin", folder=tmp_path)
    assert readings == []


def test_a_decompressed_file_whose_sum_nobody_knows_is_not_taken(catalogue: Any, tmp_path: Path) -> None:
    catalogue.add("old", {"name": "a.csv.gz", "sums": [sum_of(PACKED)]})
    (tmp_path / "a.csv").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"holds no a\.csv\.gz"):
        hub.fetch_file("old", "a.csv.gz", folder=tmp_path)


def test_windows_line_ends_are_accepted_where_lines_are_summed(catalogue: Any, tmp_path: Path) -> None:
    catalogue.add("lines", {"name": "a.csv", "sums": [sum_of(TEXT, "lines")]})
    for data in (TEXT, TEXT.replace(b"\n", b"\r\n")):
        (tmp_path / "a.csv").write_bytes(data)
        assert hub.fetch_file("lines", "a.csv", folder=tmp_path).read_bytes() == data
    (tmp_path / "a.csv").write_bytes(TEXT.replace(b"\n", b"\r"))
    with pytest.raises(DataError):
        hub.fetch_file("lines", "a.csv", folder=tmp_path)


def test_a_return_at_the_end_of_a_chunk_is_joined_with_its_line(
    catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "CHUNK_BYTES", 3)
    data = b"a\r\nbc\r\r\n\r\n\nd\r"
    (tmp_path / "a.csv").write_bytes(data)
    got = checksums.compute_digests(tmp_path / "a.csv", "lines", ("md5",))["md5"]
    assert got == hashlib.md5(data.replace(b"\r\n", b"\n")).hexdigest()


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_older_checksums_serve_where_no_other_is_known(catalogue: Any, tmp_path: Path, algorithm: str) -> None:
    catalogue.add("old", {"name": "a.bin", "sums": [sum_of(b"x", "file", algorithm), sum_of(b"y")]})
    for data in (b"x", b"y"):
        (tmp_path / "a.bin").write_bytes(data)
        assert hub.fetch_file("old", "a.bin", folder=tmp_path)
    (tmp_path / "a.bin").write_bytes(b"z")
    with pytest.raises(DataError, match=rf"expected {algorithm} .* or sha256 "):
        hub.fetch_file("old", "a.bin", folder=tmp_path)


def test_first_digits_serve_where_no_more_are_published(catalogue: Any, tmp_path: Path) -> None:
    catalogue.add("nets", {"name": "w.pth", "sums": [sum_of(b"w")[:20]]})
    (tmp_path / "w.pth").write_bytes(b"w")
    assert hub.fetch_file("nets", "w.pth", folder=tmp_path)
    (tmp_path / "w.pth").write_bytes(b"v")
    with pytest.raises(DataError, match="beginning with"):
        hub.fetch_file("nets", "w.pth", folder=tmp_path)


def test_a_file_without_checksum_is_pinned_at_first_use(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("loose", "b.bin")
    said = capsys.readouterr().err
    digest = hashlib.sha256(b"loose").hexdigest()
    assert "loose/b.bin: unverified, no published checksum; pinned" in said
    assert digest in said
    assert path.with_name("b.bin.sha256").read_text(encoding="utf-8") == f"{digest}  b.bin\n"
    assert hub.fetch_file("loose", "b.bin") == path
    assert capsys.readouterr().err == ""
    path.write_bytes(b"other")
    with pytest.raises(DataError, match="has changed since it was first used") as caught:
        hub.fetch_file("loose", "b.bin")
    assert "delete b.bin.sha256" in caught.value.remedy
    path.with_name("b.bin.sha256").unlink()
    assert hub.fetch_file("loose", "b.bin").read_bytes() == b"other"


def test_a_pin_also_holds_for_the_next_download(mirror: Path) -> None:
    hub.fetch_file("loose", "b.bin").unlink()
    (mirror / "loose" / "b.bin").write_bytes(b"changed")
    with pytest.raises(DataError, match="wrong content"):
        hub.fetch_file("loose", "b.bin")


@pytest.mark.parametrize("text", ["", "abc  b.bin", "\xff"])
def test_a_damaged_pin_is_an_error(mirror: Path, text: str) -> None:
    path = hub.fetch_file("loose", "b.bin")
    path.with_name("b.bin.sha256").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match="the pin"):
        hub.fetch_file("loose", "b.bin")


def test_a_folder_of_a_mirror_is_copied_and_pinned(mirror: Path, capsys: Any) -> None:
    path = hub.fetch_file("loose", "images")
    assert (path / "ants" / "1.jpg").read_bytes() == b"ant"
    assert "pinned at first use" in capsys.readouterr().err
    assert hub.fetch_file("loose", "images") == path
    (path / "ants" / "2.jpg").write_bytes(b"new")
    with pytest.raises(DataError, match="has changed since it was first used"):
        hub.fetch_file("loose", "images")


def test_a_folder_with_links_is_not_taken(mirror: Path) -> None:
    (mirror / "loose" / "images" / "link").symlink_to("/etc")
    with pytest.raises(DataError, match="no plain file"):
        hub.fetch_file("loose", "images")


def test_a_mirror_decides_between_forms_and_it_is_said(mirror: Path, capsys: Any) -> None:
    assert list(hub.fetch("forms")) == ["copy.bin"]
    assert "took the form 'copies'" in capsys.readouterr().err
    assert list(hub.fetch("forms")) == ["copy.bin"]
    assert capsys.readouterr().err == ""


def test_a_form_that_was_asked_for_is_the_one(mirror: Path) -> None:
    with pytest.raises(DataError, match=r"forms/best\.bin") as caught:
        hub.fetch("forms", "exact")
    assert "another form of the set: copies" in caught.value.remedy
    (mirror / "forms" / "more.bin").write_bytes(b"extra")
    assert list(hub.fetch("forms", "extra")) == ["more.bin"]


def test_offline_tells_what_to_bring_and_touches_no_network(server: Any, catalogue: Any, monkeypatch: Any) -> None:
    url = server.on("/a.bin", server.whole(b"x"))
    catalogue.add("tiny", {"name": "a.bin", "sums": [sum_of(b"x")], "urls": [url]})
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    monkeypatch.setenv("YISHENG_MIRROR", server.url)
    with pytest.raises(DataError) as caught:
        hub.fetch("tiny")
    assert server.requests == []
    assert caught.value.code == 3
    assert "tiny/a.bin is not in the cache, and YISHENG_OFFLINE=1" in caught.value.problem
    place = catalogue.cache / "tiny" / "a.bin"
    for part in (url, sum_of(b"x")[12:], "`yisheng data import FILE`", f"put it at {place}"):
        assert part in caught.value.remedy
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    assert hub.fetch_file("tiny", "a.bin") == place


@pytest.mark.parametrize(
    ("data", "kept"),
    [(PACKED, "a.csv.gz"), (gzip.compress(TEXT, 1), "a.csv.gz"), (TEXT, "a.csv")],
)
def test_a_file_is_known_by_its_content_under_any_name(
    mirror: Path, tmp_path: Path, home: Path, data: bytes, kept: str
) -> None:
    shutil.rmtree(mirror)
    (tmp_path / "download (1)").write_bytes(data)
    assert hub.import_file(tmp_path / "download (1)") == [("tiny", "a.csv.gz")]
    assert hub.fetch_file("tiny", "a.csv.gz") == home / "data" / "tiny" / kept
    assert (tmp_path / "download (1)").exists()


def test_a_file_without_checksum_is_known_by_its_name(mirror: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "b.bin").write_bytes(b"whatever")
    assert hub.import_file(tmp_path / "b.bin") == [("loose", "b.bin")]
    assert "unverified" in capsys.readouterr().err
    (tmp_path / "b.bin").write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong content"):
        hub.import_file(tmp_path / "b.bin")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.csv.gz", PACKED[:-1], "the name of a file of tiny, but not its content"),
        ("x.bin", b"unknown", "no file of a known set"),
        ("x.bin", b"", "no file of a known set"),
        ("x.zip", b"PK\3\4", "no file of a known set"),
    ],
)
def test_other_files_are_not_imported(mirror: Path, tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=why):
        hub.import_file(tmp_path / name)
    with pytest.raises(DataError, match="is no file"):
        hub.import_file(tmp_path)


def test_a_bundle_brings_all_to_another_machine(mirror: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = hub.bundle(["tiny", "loose", "forms:copies"], tmp_path / "air.zip")
    again = hub.bundle(["tiny", "loose", "forms:copies"], tmp_path / "again.zip")
    assert out.read_bytes() == again.read_bytes()
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "there"))
    monkeypatch.delenv("YISHENG_MIRROR")
    monkeypatch.setenv("YISHENG_OFFLINE", "1")
    assert sorted(hub.import_file(out)) == [
        ("forms", "copy.bin"),
        ("loose", "b.bin"),
        ("loose", "images"),
        ("tiny", "a.csv.gz"),
    ]
    assert gzip.decompress(hub.fetch("tiny")["a.csv.gz"].read_bytes()) == TEXT
    assert (hub.fetch_file("loose", "images") / "bees" / "1.jpg").read_bytes() == b"bee"
    assert {c.state for c in hub.verify()} == {"ok", "unverified"}
    assert not list((tmp_path / "there" / "data").glob(".import-*"))


def _tamper(change: Any, source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            for kept, data in change(name, old.read(name)):
                new.writestr(kept, data)


def _with_manifest(**changes: Any) -> Any:
    def change(name: str, data: bytes) -> list[tuple[str, bytes]]:
        if name == "yisheng-bundle.json":
            manifest = json.loads(data)
            manifest["files"][0] |= {k: v for k, v in changes.items() if k != "format"}
            manifest["format"] = changes.get("format", 1)
            data = json.dumps(manifest).encode()
        return [(name, data)]

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda name, data: [(name, data + b"x" if name.startswith("tiny") else data)], "damaged at tiny"),
        (lambda name, data: [] if name.startswith("tiny") else [(name, data)], "damaged at tiny"),
        (lambda name, data: [(name, data), (f"../../evil-{len(data)}", b"x")], "leaves the folder"),
        (lambda name, data: [(name, b"{" if name.endswith(".json") else data)], "is not JSON"),
        (_with_manifest(set="unknown"), "knows no set"),
        (_with_manifest(file="b.csv"), "has no file"),
        (_with_manifest(name="../x"), "no form of"),
        (_with_manifest(sha256=3), "a file without sha256"),
        (_with_manifest(format=2), "not a bundle of format 1"),
    ],
)
def test_a_damaged_bundle_is_refused(mirror: Path, tmp_path: Path, home: Path, change: Any, why: str) -> None:
    good = hub.bundle(["tiny"], tmp_path / "good.zip")
    shutil.rmtree(home)
    _tamper(change, good, tmp_path / "bad.zip")
    with pytest.raises((DataError, UsageError), match=why):
        hub.import_file(tmp_path / "bad.zip")
    assert not list(home.rglob("a.csv.gz"))
    assert not list(tmp_path.rglob("evil*"))


def test_a_bundle_with_content_that_the_catalogue_denies_is_refused(mirror: Path, tmp_path: Path, home: Path) -> None:
    """The list in a bundle vouches for nothing: the catalogue does."""
    good = hub.bundle(["tiny"], tmp_path / "good.zip")
    shutil.rmtree(home)
    other = gzip.compress(b"poison")

    def change(name: str, data: bytes) -> list[tuple[str, bytes]]:
        if name.startswith("tiny"):
            return [(name, other)]
        return _with_manifest(sha256=hashlib.sha256(other).hexdigest())(name, data)

    _tamper(change, good, tmp_path / "bad.zip")
    with pytest.raises(DataError, match="wrong content"):
        hub.import_file(tmp_path / "bad.zip")


def test_verify_reads_again_and_names_what_is_wrong(mirror: Path, readings: list[str]) -> None:
    path = hub.fetch_file("tiny", "a.csv.gz")
    readings.clear()
    assert [(c.set, c.file, c.state) for c in hub.verify("tiny")] == [("tiny", "a.csv.gz", "ok")]
    assert readings == ["a.csv.gz"]
    path.write_bytes(b"x")
    (damaged,) = hub.verify()
    assert (damaged.state, "not compressed" in damaged.detail) == ("damaged", True)
    path.unlink()
    (missing,) = hub.verify("tiny")
    assert (missing.state, "download it" in missing.detail) == ("missing", True)
    assert hub.verify() == []


def test_an_archive_is_unpacked_once(catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("train/1.txt", b"one")
    data = (tmp_path / "a.zip").read_bytes()
    catalogue.add("tiny", {"name": "a.zip", "sums": [sum_of(data)]})
    hub.import_file(tmp_path / "a.zip")
    left = catalogue.cache / "tiny" / ".a.zip.unpacked.xyz.extracting"
    left.mkdir()
    folder = hub.unpack("tiny", "a.zip")
    assert (folder / "train" / "1.txt").read_bytes() == b"one"
    assert not left.exists()
    (folder / "mark").touch()
    assert hub.unpack("tiny", "a.zip") == folder
    assert (folder / "mark").exists()


@pytest.mark.parametrize(
    "mirrors",
    [
        "ftp://host/x",
        "host/x",
        "file://host/share",
        "file:relative",
        "http://",
        "https://u:p@host/x",
        "http://[/",
        "x,y",
    ],
)
def test_a_bad_mirror_is_a_usage_error(home: Path, monkeypatch: pytest.MonkeyPatch, mirrors: str) -> None:
    monkeypatch.setenv("YISHENG_MIRROR", mirrors)
    with pytest.raises(UsageError, match="which is not a mirror"):
        hub.fetch_file("mnist", "t10k-labels-idx1-ubyte.gz")


def test_several_mirrors_are_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YISHENG_MIRROR", " https://host:8443/a/ ,, file:///b%20c/ , file://localhost/d,http://[::1]/e")
    assert locations.get_mirrors() == ["https://host:8443/a", "file:///b%20c", "file:///d", "http://[::1]/e"]
    assert locations.to_local_path("file:///b%20c") == Path("/b c")


@pytest.mark.parametrize(("text", "meant"), [("1", True), ("TRUE", True), ("0", False), ("", False), ("off", False)])
def test_offline_reads_yes_and_no(home: Path, monkeypatch: pytest.MonkeyPatch, text: str, meant: bool) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", text)
    assert locations.is_offline() is meant


def test_other_values_are_usage_errors(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", "maybe")
    with pytest.raises(UsageError, match="YISHENG_OFFLINE must be 1 or 0"):
        locations.is_offline()
    (tmp_path / "file").touch()
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="not a folder"):
        hub.fetch_file("mnist", "t10k-labels-idx1-ubyte.gz")


def test_the_cache_is_the_platform_s_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    monkeypatch.delenv("YISHENG_HOME")
    assert locations.get_cache_folder() == platformdirs.user_cache_path("yisheng", appauthor=False)
    monkeypatch.setenv("YISHENG_HOME", "~/there")
    assert locations.get_cache_folder() == Path.home() / "there"


def test_importing_the_hub_is_light() -> None:
    heavy = {"torch", "numpy", "pandas", "pydantic", "filelock", "platformdirs", "tqdm", "urllib.request"}
    code = f"import sys; from yisheng.data import hub; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
