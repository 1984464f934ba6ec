"""Files are written completely or not at all, and read up to a limit."""

import contextlib
from pathlib import Path

import pytest

from yisheng.core import files
from yisheng.core.errors import DataError, StorageError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    files.write_file(path, "old")
    with contextlib.suppress(RuntimeError), files.replace_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions(tmp_path):
    files.write_file(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_missing_folder_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        files.write_file(tmp_path / "no" / "a", b"x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_reported(tmp_path):
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115  # closed below
    with full, pytest.raises(StorageError, match="no space left"), files.replace_file(tmp_path / "a"):
        full.write(b"x")


@pytest.mark.parametrize("content", ["{", "", "[1,", "\xff", "[" * 100_000])
def test_a_file_that_is_not_json_is_a_data_error(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match="is not JSON"):
        files.read_json(path)


def test_json_has_a_size_limit(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(" " * 100)
    with pytest.raises(DataError, match="larger"):
        files.read_json(path, limit=10)


@pytest.mark.parametrize("count", [3, 300_000])
def test_json_is_the_same_data_however_large(tmp_path, count):
    data = {"text": "é", "numbers": list(range(count)), "none": None}
    files.write_json(tmp_path / "a.json", data)
    assert files.read_json(tmp_path / "a.json") == data
    assert ("\n  " in (tmp_path / "a.json").read_text("utf-8")) == (count < 1000)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", {"numbers": [float("nan")] * count})
    assert files.read_json(tmp_path / "a.json") == data
