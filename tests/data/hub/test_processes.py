"""Concurrent and killed processes, and full or read-only disks."""

from __future__ import annotations

import errno
import hashlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yisheng.core.errors import StorageError
from yisheng.data import hub

BODY = hashlib.shake_128(b"big").digest(3 << 20)
SUM = f"file:sha256:{hashlib.sha256(BODY).hexdigest()}"


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not hold in time"
        time.sleep(0.005)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        process = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if process.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_two_processes_download_once(server: Any, plugin_catalog: Any, child: Any) -> None:
    url = server.on("/a.bin", server.serve(BODY, chunk_pause=0.02))
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM], "urls": [url]})
    code = "import hashlib; print(hashlib.sha256(hub.fetch_file('tiny', 'a.bin').read_bytes()).hexdigest())"
    first = child.start(code)
    wait_until(lambda: bool(server.requests))
    second = child.start(code)
    outputs = [process.communicate(timeout=30) for process in (first, second)]
    assert [out for out, _ in outputs] == [f"{SUM[12:]}\n"] * 2, outputs
    assert len(server.requests) == 1
    assert server.requests[0].sent == len(BODY)
    assert "waiting for another process that is fetching tiny/a.bin" in outputs[1][1]


def test_killed_download_is_resumed(server: Any, plugin_catalog: Any, child: Any) -> None:
    url = server.on("/a.bin", server.serve(BODY, etag='"v1"', chunk_pause=0.02))
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM], "urls": [url]})
    part = plugin_catalog.cache / "tiny" / ".a.bin.part"
    process = child.start("hub.fetch_file('tiny', 'a.bin')")
    wait_until(lambda: part.exists() and part.stat().st_size > 500_000)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    part_size = part.stat().st_size
    assert 500_000 < part_size < len(BODY)
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == BODY
    assert server.requests[-1].headers["Range"] == f"bytes={part_size}-"
    assert server.requests[-1].headers["If-Range"] == '"v1"'
    assert server.requests[-1].sent == len(BODY) - part_size
    assert sorted(p.name for p in part.parent.iterdir() if ".lock" not in p.name) == ["a.bin"]


def test_file_larger_than_the_disk_is_refused_before_the_download(
    server: Any, plugin_catalog: Any, mounted: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("YISHENG_HOME", str(mounted))
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM], "urls": [server.on("/a.bin", server.serve(BODY))]})
    with pytest.raises(StorageError, match=r"needs 3\.1 MB, but its disk has 1\.0 MB left") as caught:
        hub.fetch_file("tiny", "a.bin")
    assert "YISHENG_HOME" in caught.value.remedy
    assert not list(mounted.rglob("*.part"))


def test_disk_that_fills_up_keeps_the_existing_file(
    server: Any, plugin_catalog: Any, mounted: Path, monkeypatch: Any
) -> None:
    """The server does not announce the size; another mirror would not help, and is not tried."""

    def unsized(handler: Any) -> None:
        handler.begin(200)
        handler.send(BODY)

    monkeypatch.setenv("YISHENG_HOME", str(mounted))
    urls = [server.on("/1", unsized), server.on("/2", server.serve(BODY))]
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM], "urls": urls}, {"name": "b.bin"})
    (mounted / "data" / "tiny").mkdir(parents=True)
    (mounted / "data" / "tiny" / "a.bin").write_bytes(b"old")
    with pytest.raises(StorageError, match="no space left on the disk"):
        hub.fetch_file("tiny", "a.bin")
    assert (mounted / "data" / "tiny" / "a.bin").read_bytes() == b"old"
    assert [r.path for r in server.requests] == ["/1"]


def test_full_disk_during_extraction_leaves_nothing(plugin_catalog: Any, mounted: Path, tmp_path: Path) -> None:
    import tarfile

    from yisheng.data.archives import extract

    (tmp_path / "big").write_bytes(BODY)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "big", "big")
    with pytest.raises(StorageError, match="no space left on the disk"):
        extract(tmp_path / "a.tar", mounted / "out")
    assert not list(mounted.iterdir())


def test_full_disk_during_bundling_keeps_the_old_bundle(
    plugin_catalog: Any, mounted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM]})
    (tmp_path / "a.bin").write_bytes(BODY)
    hub.import_file(tmp_path / "a.bin")
    (mounted / "out.zip").write_bytes(b"old")
    with pytest.raises(StorageError, match="no space left on the disk"):
        hub.bundle(["tiny"], mounted / "out.zip")
    assert (mounted / "out.zip").read_bytes() == b"old"
    assert list(mounted.iterdir()) == [mounted / "out.zip"]


def test_read_only_cache_returns_its_files(server: Any, plugin_catalog: Any, mounted: Path, monkeypatch: Any) -> None:
    content = b"x" * 1000
    sums = [f"file:sha256:{hashlib.sha256(content).hexdigest()}"]
    url = server.on("/a.bin", server.serve(content))
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": sums, "urls": [url]}, {"name": "b.bin", "urls": [url]})
    monkeypatch.setenv("YISHENG_HOME", str(mounted))
    hub.fetch_file("tiny", "a.bin")
    (mounted / "data" / ".verified.json").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    assert hub.fetch_file("tiny", "a.bin").read_bytes() == content
    with pytest.raises(StorageError, match="cannot be written") as caught:
        hub.fetch_file("tiny", "b.bin")
    assert "set YISHENG_HOME to a folder that can be written to" in caught.value.remedy
    assert len(server.requests) == 1


def test_write_error_is_explained(server: Any, plugin_catalog: Any, monkeypatch: Any) -> None:
    """This also runs where no small disk can be mounted."""
    from yisheng.data.hub import download

    def fail(*_: object) -> None:
        from yisheng.core import cache_folder

        with cache_folder.explain_write_errors(Path("/the/part")):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "write_all", fail)
    plugin_catalog.add("tiny", {"name": "a.bin", "sums": [SUM], "urls": [server.on("/a.bin", server.serve(BODY))]})
    with pytest.raises(StorageError, match="/the/part cannot be written: no space left"):
        hub.fetch_file("tiny", "a.bin")
    assert not (plugin_catalog.cache / "tiny" / "a.bin").exists()
