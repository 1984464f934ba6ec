"""Errors of stores are two lines with a remedy; data is fetched once, and again when it changes."""

import os
import threading

import fsspec
import pytest

from tests.core.remote.stores import break_after
from yisheng.core.errors import DataError, MissingPartError, StorageError, UsageError
from yisheng.core.paths import parse_out_path, parse_path
from yisheng.core.remote import inputs
from yisheng.core.remote.addresses import is_address, parse_address
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.remote.store import Store
from yisheng.core.remote.store_errors import explain_error


class NoCredentialsError(Exception):
    """A stand-in for that of botocore, which is not installed here."""


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        (
            NoCredentialsError("Unable to locate credentials"),
            "may not be accessed: Unable to locate",
            "AWS_ACCESS_KEY_ID",
        ),
        (PermissionError("Forbidden"), "may not be accessed: Forbidden", "check the rights"),
        (OSError("An error occurred (AccessDenied)"), "may not be accessed", "check the rights"),
        (FileNotFoundError("The specified bucket does not exist"), "or its bucket", "a bucket is not created"),
        (ConnectionResetError("Connection reset by peer"), "cannot be written: Connection reset", "check the network"),
        (TimeoutError(), "cannot be written: TimeoutError", "check the network"),
    ],
)
def test_errors_say_what_to_do(error, problem, remedy):
    explained = explain_error(error, "s3://bucket/runs", "write")
    assert isinstance(explained, StorageError)
    assert problem in explained.problem
    assert remedy in explained.remedy
    assert "s3://bucket/runs" in explained.problem
    assert isinstance(explain_error(error, "s3://bucket/a.csv", "read"), DataError)


def test_a_temporary_failure_is_tried_again_and_a_lasting_one_is_not():
    store, calls = Store("memory://bucket"), []

    def fail_twice():
        calls.append(1)
        if len(calls) < 3:
            raise TimeoutError
        return "content"

    def refuse():
        calls.append(1)
        raise PermissionError("no")

    assert store._try("read", "a", fail_twice) == "content"
    calls.clear()
    with pytest.raises(DataError):
        store._try("read", "a", refuse)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("s3://", "must be an address"),
        ("s3://key:secret@bucket/a.csv", "has a password"),
        ("s3://bucket/../a", "has . or .."),
        ("zip://a::s3://b", "must be an address"),
    ],
)
def test_addresses_of_another_form_are_refused(text, problem):
    with pytest.raises(UsageError, match=problem):
        parse_address(text, "data")


def test_unknown_schemes_and_missing_packages(monkeypatch):
    monkeypatch.setenv("YISHENG_OFFLINE", "0")
    with pytest.raises(UsageError, match="no store has the scheme ss3") as caught:
        Store("ss3://bucket")
    assert "did you mean s3?" in caught.value.remedy
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda *_, **__: (_ for _ in ()).throw(ImportError("gcsfs")))
    with pytest.raises(MissingPartError) as caught:
        Store("gs://bucket")
    assert caught.value.remedy == "pip install gcsfs"


def test_the_network_is_not_used_offline():
    with pytest.raises(DataError, match="YISHENG_OFFLINE=1 forbids the network"):
        Store("s3://bucket")
    with pytest.raises(DataError, match="is not in the cache"):
        parse_path("s3://bucket/a.csv", "data")


@pytest.mark.parametrize("scheme", ["memory", "local"])
def test_only_one_of_many_creates_a_file(scheme, tmp_path):
    store = Store(f"{scheme}://{tmp_path}/bucket")
    store.write("other", b"")
    created = []
    threads = [threading.Thread(target=lambda: created.append(store.create("a", b"1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert created.count(True) == 1 or scheme == "memory"  # that of fsspec in memory is not one operation
    assert not store.create("a", b"2")
    assert store.read("a") == b"1"


def test_data_is_fetched_once_and_again_when_it_changes(caplog, monkeypatch):
    address = "breaking://bucket/tables/a.csv"
    fs, path = fsspec.core.url_to_fs(address)
    fs.pipe_file(path, b"x,y\n1,2\n")
    local = parse_path(address, "data")
    assert local.name == "a.csv"
    assert local.read_bytes() == b"x,y\n1,2\n"
    downloads = []
    download = Store.download
    monkeypatch.setattr(Store, "download", lambda *args: downloads.append(args[1:]) or download(*args))
    assert parse_path(address, "data") == local
    assert not downloads
    fs.pipe_file(path, b"x,y\n1,3\n")
    assert parse_path(address, "data").read_bytes() == b"x,y\n1,3\n"
    assert len(downloads) == 1
    assert "changed since it was fetched" in caplog.text
    local.write_bytes(b"x,y\n")  # a half of it
    assert parse_path(address, "data").read_bytes() == b"x,y\n1,3\n"


def test_of_a_folder_only_changed_files_are_fetched(monkeypatch):
    address = "memory://bucket/photos"
    fs, path = fsspec.core.url_to_fs(address)
    for name in ("cat/1.png", "dog/1.png"):
        fs.pipe_file(f"{path}/{name}", name.encode())
    folder = parse_path(address, "data")
    assert (folder / "cat/1.png").read_bytes() == b"cat/1.png"
    downloads = []
    download = Store.download
    monkeypatch.setattr(Store, "download", lambda *args: downloads.append(args[1]) or download(*args))
    fs.pipe_file(f"{path}/dog/2.png", b"new")
    fs.rm_file(f"{path}/cat/1.png")
    folder = parse_path(address, "data")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == ["dog/1.png", "dog/2.png"]
    assert downloads == ["dog/2.png"]


def test_a_file_that_changes_while_it_is_fetched_is_refused(monkeypatch):
    fs, path = fsspec.core.url_to_fs("memory://bucket/a.csv")
    fs.pipe_file(path, b"old")
    download = Store.download

    def change(self, name, target):
        result = download(self, name, target)
        fs.pipe_file(path, b"new")
        return result

    monkeypatch.setattr(Store, "download", change)
    with pytest.raises(DataError, match="changed while it was fetched"):
        parse_path("memory://bucket/a.csv", "data")
    assert not inputs._find_folder("memory://bucket/a.csv").exists()


def test_what_does_not_exist_is_an_error():
    with pytest.raises(DataError, match="memory://bucket/none.csv does not exist"):
        parse_path("memory://bucket/none.csv", "data")


def test_an_output_file_is_copied_when_the_block_ends_and_not_after_an_error():
    fs, path = fsspec.core.url_to_fs("breaking://bucket/out/a.csv")

    def fail():
        with publish_at_end():
            parse_out_path("breaking://bucket/out/a.csv").write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert not fs.exists(path)
    with publish_at_end():
        local = parse_out_path("breaking://bucket/out/a.csv")
        local.write_text("1")
    assert fs.cat_file(path) == b"1"
    assert not local.exists()
    break_after(0)
    with pytest.raises(StorageError, match="breaking://bucket/out/a.csv cannot be written"), publish_at_end():
        parse_out_path("breaking://bucket/out/a.csv").write_text("2")
    assert fs.cat_file(path) == b"1"
    with pytest.raises(UsageError, match="by the functions of yisheng and its commands only"):
        parse_out_path("breaking://bucket/out/a.csv")


def test_file_addresses_are_local_paths(tmp_path):
    assert parse_path(tmp_path.joinpath("a b").as_uri(), "data") == tmp_path / "a b"
    assert not is_address("runs")
    assert not is_address(os.sep)
    assert not is_address(3)
