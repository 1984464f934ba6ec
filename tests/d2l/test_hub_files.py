"""The book's files by name: through the hub, into the reader's folder, extracted once."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from yisheng import d2l
from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.data import hub
from yisheng.data.hub import catalog

ADDRESS = "http://example.invalid/files/"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Return a mirror's folder for the set of the book."""
    folder = tmp_path / "mirror" / "d2l"
    folder.mkdir(parents=True)
    monkeypatch.setenv("YISHENG_MIRROR", folder.parent.as_uri())
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Return the folder that the default ``../data`` is relative to."""
    folder = tmp_path / "work" / "notes"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder.parent


def add_file(mirror, monkeypatch, name, content):
    """Add a file to the mirror and to DATA_HUB."""
    (mirror / name).write_bytes(content)
    monkeypatch.setitem(d2l.DATA_HUB, name, (ADDRESS + name, hashlib.sha1(content).hexdigest()))


def make_zip(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


def test_the_book_and_the_catalog_agree():
    assert d2l.DATA_HUB["kaggle_house_train"] == (
        d2l.DATA_URL + "kaggle_house_pred_train.csv",
        "585e9cc93e70b39160e7921475f9bcd7d31219ce",
    )
    for name, (url, sha1) in d2l.DATA_HUB.items():
        assert url.startswith("http"), name
        assert len(sha1) == 40
    assert set(catalog.find("d2l").forms) <= set(d2l.DATA_HUB)


@pytest.mark.realdata
def test_house_prices_are_downloaded_by_their_name(work):
    path = d2l.download("kaggle_house_train")
    assert path == "../data/kaggle_house_pred_train.csv"
    assert hashlib.sha1(Path(path).read_bytes()).hexdigest() == d2l.DATA_HUB["kaggle_house_train"][1]
    assert (work / "data" / "kaggle_house_pred_train.csv").is_file()


def test_a_file_of_the_readers_own(mirror, work, monkeypatch):
    add_file(mirror, monkeypatch, "mine.txt", b"text")
    path = Path(d2l.download("mine.txt", cache_dir="files"))
    assert path.read_bytes() == b"text"
    (mirror / "mine.txt").unlink()
    changed = path.stat().st_mtime_ns
    assert Path(d2l.download("mine.txt", cache_dir="files")).stat().st_mtime_ns == changed
    assert Path(d2l.download("mine.txt", cache_dir="elsewhere")).read_bytes() == b"text"  # from the hub's copy
    assert Path(d2l.download(ADDRESS + "mine.txt", "by-address", d2l.DATA_HUB["mine.txt"][1])).read_bytes() == b"text"


def test_another_file_of_that_name_is_kept(mirror, work, monkeypatch, capsys):
    add_file(mirror, monkeypatch, "mine.txt", b"text")
    for number, expected in ((1, "mine.txt.old"), (2, "mine.txt.old2")):
        path = Path("files", "mine.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"other {number}")
        d2l.download("mine.txt", cache_dir="files")
        assert path.read_bytes() == b"text"
        assert Path("files", expected).read_text() == f"other {number}"
        assert f"it is kept as {Path('files', expected)}" in capsys.readouterr().err


def test_wrong_content_is_refused(mirror, work, monkeypatch):
    add_file(mirror, monkeypatch, "mine.txt", b"text")
    (mirror / "mine.txt").write_bytes(b"damaged")
    with pytest.raises(DataError, match="wrong content, its sha1 is"):
        d2l.download("mine.txt")
    assert not (work / "data" / "mine.txt").exists()


def test_without_a_network_the_error_says_where_to_put_the_file(work):
    with pytest.raises(DataError, match=r"YISHENG_OFFLINE=1.*\n.*download it from .*hotdog\.zip.*yisheng data import"):
        d2l.download("hotdog")


def test_unknown_names_are_suggested():
    with pytest.raises(UsageError, match="did you mean hotdog"):
        d2l.download("hotdgo")
    with pytest.raises(UsageError, match="a name or an address"):
        d2l.download(3)


def test_a_folder_that_cannot_be_written_to(mirror, work, monkeypatch):
    add_file(mirror, monkeypatch, "mine.txt", b"text")
    Path("file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        d2l.download("mine.txt", cache_dir="file/folder")


def test_archives_are_extracted_next_to_themselves(mirror, work, monkeypatch):
    add_file(mirror, monkeypatch, "food.zip", make_zip(food__train__a="1", food__b="22"))
    assert d2l.download_extract("food.zip") == "../data/food"
    assert (work / "data" / "food" / "train" / "a").read_text() == "1"
    (work / "data" / "food" / "train" / "note").write_text("mine")
    (work / "data" / "food" / "b").unlink()
    d2l.download_extract("food.zip")
    assert (work / "data" / "food" / "train" / "note").read_text() == "mine"
    assert d2l.download_extract("food.zip", "food") == "../data/food"
    with pytest.raises(DataError, match=r"holds no folder drinks.*\n.*there are: food"):
        d2l.download_extract("food.zip", "drinks")


def test_tar_files_are_extracted(mirror, work, monkeypatch):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        member = tarfile.TarInfo("aclImdb/train/a.txt")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    add_file(mirror, monkeypatch, "reviews.tar.gz", content.getvalue())
    assert d2l.download_extract("reviews.tar.gz", "aclImdb") == "../data/aclImdb"
    assert (work / "data" / "aclImdb" / "train" / "a.txt").read_bytes() == b"abc"


def test_a_file_that_is_no_archive(mirror, work, monkeypatch):
    add_file(mirror, monkeypatch, "text.zip", b"not a zip")
    with pytest.raises(DataError, match="cannot be extracted"):
        d2l.download_extract("text.zip")


def test_all_files(mirror, work, monkeypatch):
    for name in list(d2l.DATA_HUB):
        monkeypatch.delitem(d2l.DATA_HUB, name)
    add_file(mirror, monkeypatch, "one.txt", b"1")
    add_file(mirror, monkeypatch, "two.txt", b"2")
    d2l.download_all()
    assert sorted(path.name for path in (work / "data").iterdir()) == ["one.txt", "two.txt"]


def test_the_hub_knows_the_books_archives(mirror):
    with pytest.raises(DataError, match=r"d2l/hotdog\.zip"):
        hub.fetch("d2l", "hotdog")
