"""The environment variables of the hub."""

from __future__ import annotations

from pathlib import Path

import pytest

from yisheng.core import cache_folder
from yisheng.core.errors import UsageError
from yisheng.data import hub
from yisheng.data.hub import locations


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
def test_invalid_mirror_is_a_usage_error(home: Path, monkeypatch: pytest.MonkeyPatch, mirrors: str) -> None:
    monkeypatch.setenv("YISHENG_MIRROR", mirrors)
    with pytest.raises(UsageError, match="which is not a mirror"):
        hub.fetch_file("mnist", "t10k-labels-idx1-ubyte.gz")


def test_several_mirrors_are_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YISHENG_MIRROR", " https://host:8443/a/ ,, file:///b%20c/ , file://localhost/d,http://[::1]/e")
    assert locations.get_mirrors() == ["https://host:8443/a", "file:///b%20c", "file:///d", "http://[::1]/e"]
    assert locations.to_local_path("file:///b%20c") == Path("/b c")


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("TRUE", True), ("0", False), ("", False), ("off", False)])
def test_offline_reads_yes_and_no(home: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: bool) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", text)
    assert cache_folder.is_offline() is expected


def test_invalid_environment_variables_are_usage_errors(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YISHENG_OFFLINE", "maybe")
    with pytest.raises(UsageError, match="YISHENG_OFFLINE must be 1 or 0"):
        cache_folder.is_offline()
    (tmp_path / "file").touch()
    monkeypatch.setenv("YISHENG_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="not a folder"):
        hub.fetch_file("mnist", "t10k-labels-idx1-ubyte.gz")


def test_default_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    monkeypatch.delenv("YISHENG_HOME")
    assert cache_folder.get_cache_folder() == platformdirs.user_cache_path("yisheng", appauthor=False)
    monkeypatch.setenv("YISHENG_HOME", "~/there")
    assert cache_folder.get_cache_folder() == Path.home() / "there"
