"""Files and bundles that a user carries to another machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.data.hub.sample_files import COMPRESSED, TEXT
from yisheng.core.errors import DataError, UsageError
from yisheng.data import hub


@pytest.mark.parametrize(
    ("data", "stored_name"),
    [(COMPRESSED, "a.csv.gz"), (gzip.compress(TEXT, 1), "a.csv.gz"), (TEXT, "a.csv")],
)
def test_imported_file_is_identified_by_its_content(
    mirror: Path, tmp_path: Path, home: Path, data: bytes, stored_name: str
) -> None:
    shutil.rmtree(mirror)
    (tmp_path / "download (1)").write_bytes(data)
    assert hub.import_file(tmp_path / "download (1)") == [("tiny", "a.csv.gz")]
    assert hub.fetch_file("tiny", "a.csv.gz") == home / "data" / "tiny" / stored_name
    assert (tmp_path / "download (1)").exists()


def test_imported_file_without_checksum_is_identified_by_its_name(mirror: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "b.bin").write_bytes(b"whatever")
    assert hub.import_file(tmp_path / "b.bin") == [("loose", "b.bin")]
    assert "unverified" in capsys.readouterr().err
    (tmp_path / "b.bin").write_bytes(b"something else")
    with pytest.raises(DataError, match="wrong content"):
        hub.import_file(tmp_path / "b.bin")


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.csv.gz", COMPRESSED[:-1], "the name of a file of tiny, but not its content"),
        ("x.bin", b"unknown", "not a file of a known set"),
        ("x.bin", b"", "not a file of a known set"),
        ("x.zip", b"PK\3\4", "not a file of a known set"),
    ],
)
def test_unknown_files_are_not_imported(mirror: Path, tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=problem):
        hub.import_file(tmp_path / name)
    with pytest.raises(DataError, match="is not a file"):
        hub.import_file(tmp_path)


def test_bundle_is_imported_on_another_machine(mirror: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = hub.bundle(["tiny", "loose", "forms:copies"], tmp_path / "air.zip")
    repeated = hub.bundle(["tiny", "loose", "forms:copies"], tmp_path / "again.zip")
    assert out.read_bytes() == repeated.read_bytes()
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
            for new_name, data in change(name, old.read(name)):
                new.writestr(new_name, data)


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
    ("change", "problem"),
    [
        (lambda name, data: [(name, data + b"x" if name.startswith("tiny") else data)], "damaged at tiny"),
        (lambda name, data: [] if name.startswith("tiny") else [(name, data)], "damaged at tiny"),
        (lambda name, data: [(name, data), (f"../../evil-{len(data)}", b"x")], "leaves the folder"),
        (lambda name, data: [(name, b"{" if name.endswith(".json") else data)], "is not JSON"),
        (_with_manifest(set="unknown"), "knows no set"),
        (_with_manifest(file="b.csv"), "has no file"),
        (_with_manifest(name="../x"), "not a form of"),
        (_with_manifest(sha256=3), "a file without sha256"),
        (_with_manifest(format=2), "not a bundle of format 1"),
    ],
)
def test_damaged_bundle_is_refused(mirror: Path, tmp_path: Path, home: Path, change: Any, problem: str) -> None:
    intact = hub.bundle(["tiny"], tmp_path / "good.zip")
    shutil.rmtree(home)
    _tamper(change, intact, tmp_path / "bad.zip")
    with pytest.raises((DataError, UsageError), match=problem):
        hub.import_file(tmp_path / "bad.zip")
    assert not list(home.rglob("a.csv.gz"))
    assert not list(tmp_path.rglob("evil*"))


def test_bundle_with_content_that_is_not_in_the_catalog_is_refused(mirror: Path, tmp_path: Path, home: Path) -> None:
    """Only the catalog's checksums count, not those in the bundle."""
    intact = hub.bundle(["tiny"], tmp_path / "good.zip")
    shutil.rmtree(home)
    poisoned = gzip.compress(b"poison")

    def change(name: str, data: bytes) -> list[tuple[str, bytes]]:
        if name.startswith("tiny"):
            return [(name, poisoned)]
        return _with_manifest(sha256=hashlib.sha256(poisoned).hexdigest())(name, data)

    _tamper(change, intact, tmp_path / "bad.zip")
    with pytest.raises(DataError, match="wrong content"):
        hub.import_file(tmp_path / "bad.zip")
