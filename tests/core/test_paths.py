"""Paths from users: the ones that no file can have, and a path in place of a data set's name."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.local_paths import INPUT
from yisheng.core.paths import find_data_reader, is_path, parse_path
from yisheng.core.settings import merge_settings


@pytest.fixture
def opener():
    """Register a data set that opens files named *.toy, for one test."""

    @registry.register(kind="data.datasets", opens=lambda path: path.suffix == ".toy")
    def toy(*, path: str, depth: int = 1): ...

    yield
    del registry._entries["data.datasets", "toy"]


def test_names_and_paths_are_distinguished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder-name").mkdir()
    assert is_path("folder-name")
    assert is_path("photos/")
    assert is_path("~/photos")
    assert is_path("train.csv")
    assert is_path("a\\b")
    assert not is_path("digits")
    assert not is_path("")
    assert not is_path("no\0thing")


def test_a_path_becomes_an_absolute_option(opener, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toy").touch()
    assert find_data_reader("a.toy") == ("toy", str(tmp_path / "a.toy"))
    choice = merge_settings([("data", "a.toy", "command line"), ("depth", "3", "command line")]).config.data
    assert (choice.name, choice.options) == ("toy", {"path": str(tmp_path / "a.toy"), "depth": 3})


def test_options_of_a_file_stay_when_the_path_is_another(opener, tmp_path):
    (tmp_path / "a.toy").touch()
    (tmp_path / "b.toy").touch()
    file = [("data", str(tmp_path / "a.toy"), "file"), ("data.depth", 2, "file")]
    choice = merge_settings([*file, ("data", str(tmp_path / "b.toy"), "command line")]).config.data
    assert choice.options == {"path": str(tmp_path / "b.toy"), "depth": 2}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("nowhere/", "does not exist"),
        ("./x.toy", "does not exist"),
        ("~no-such-user/x", "no home folder ~no-such-user"),
        ("a\0/b", "NUL character"),
        ("a/" + "b" * 5000, "File name too long"),
    ],
)
def test_data_at_a_path_without_a_file_is_a_data_error(opener, value, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=problem):
        merge_settings([("data", value, "command line")])


BAD_PATHS = {
    "a number": 3,
    "bytes": b"runs",
    "no text": "",
    "spaces": "  ",
    "a NUL character": "a\0b",
    "a long name": "a" * 5000,
    "a long path": "/".join(["folder"] * 5000),
    "a lone surrogate": "a\ud800b",
    "an unknown user's home": "~nobody-of-that-name/w.pth",
}


@pytest.mark.parametrize("value", BAD_PATHS.values(), ids=BAD_PATHS)
def test_a_path_that_no_file_can_have_is_a_usage_error(value):
    with pytest.raises(UsageError, match="out") as caught:
        parse_path(value, "out")
    assert caught.value.code == 2
    assert caught.value.remedy


def test_a_path_is_expanded_but_stays_relative(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_path("~/w.pth", "weights") == tmp_path / "w.pth"
    assert parse_path("runs/0001", "out") == Path("runs/0001")
    assert parse_path(Path("runs"), "out") == Path("runs")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not text exist on Linux only")
def test_a_name_that_is_not_text_is_a_path_of_inputs_only(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    Path(path).touch()
    assert parse_path(path, INPUT).is_file()
    with pytest.raises(UsageError, match=r"weights must be a path in UTF-8, got .*\\xff\.png\n.*rename"):
        parse_path(path, "weights")


@given(st.one_of(st.text(), st.text("~/\\.\0a\udcff\ud800 "), st.binary(), st.integers(), st.none()))
def test_every_value_is_a_path_or_a_usage_error(value):
    try:
        path = parse_path(value, "out")
    except UsageError:
        return
    os.path.lexists(path)  # the system takes it
    assert str(path)


@given(st.text("~/\\.\0a\udcff\ud800 "))
def test_every_path_of_weights_is_taken_or_refused(value):
    try:
        merge_settings([("weights", value, "command line")])
    except UsageError:
        return


def test_a_file_that_no_data_set_reads_is_a_data_error(opener, tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(DataError, match="cannot be opened as data"):
        find_data_reader(str(tmp_path / "a.docx"))


def test_a_registered_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert merge_settings([("data", "digits", "command line")]).config.data.name == "digits"


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown data set 'digit'"):
        merge_settings([("data", "digit", "command line")])
