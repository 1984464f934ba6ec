"""A path in the place of a data set's name."""

import pytest

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import is_path, opening
from yisheng.core.settings import merge_settings


@pytest.fixture
def opener():
    """A data set that opens files named *.toy; forgotten afterwards."""

    @registry.register(kind="data.datasets", opens=lambda path: path.suffix == ".toy")
    def toy(*, path: str, depth: int = 1): ...

    yield
    del registry._entries["data.datasets", "toy"]


def test_names_are_no_paths_and_paths_are_no_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert is_path("mine")
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
    assert opening("a.toy") == ("toy", str(tmp_path / "a.toy"))
    choice = merge_settings([("data", "a.toy", "command line"), ("depth", "3", "command line")]).config.data
    assert (choice.name, choice.options) == ("toy", {"path": str(tmp_path / "a.toy"), "depth": 3})


def test_options_of_a_file_stay_when_the_path_is_another(opener, tmp_path):
    (tmp_path / "a.toy").touch()
    (tmp_path / "b.toy").touch()
    file = [("data", str(tmp_path / "a.toy"), "file"), ("data.depth", 2, "file")]
    choice = merge_settings([*file, ("data", str(tmp_path / "b.toy"), "command line")]).config.data
    assert choice.options == {"path": str(tmp_path / "b.toy"), "depth": 2}


@pytest.mark.parametrize("value", ["nowhere/", "./x.toy", "~nobody/x", "a\0/b"])
def test_what_is_not_there_is_told(opener, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        merge_settings([("data", value, "command line")])


def test_what_nothing_opens_is_told(opener, tmp_path):
    (tmp_path / "a.docx").touch()
    with pytest.raises(DataError, match="cannot be opened as data"):
        opening(str(tmp_path / "a.docx"))


def test_a_registered_name_wins_over_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert merge_settings([("data", "digits", "command line")]).config.data.name == "digits"


def test_an_unknown_name_is_still_an_unknown_name():
    with pytest.raises(UsageError, match="unknown data set 'digit'"):
        merge_settings([("data", "digit", "command line")])
