import os

import pytest

from yisheng.core.errors import DataError
from yisheng.data.images import file_listing, folder_files


def filled(root, names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def contents(found):
    return dict(zip(found.names, found.read(range(len(found.names))), strict=True))


def test_images_and_others_are_told_apart(tmp_path):
    names = ["a/1.jpg", "a/2.JPEG", "b/c/3.png", "notes.txt", "a/noext", "a/.hidden.jpg", "Thumbs.db", "b/x.tar.gz"]
    (tmp_path / "empty").mkdir()
    found = folder_files.listing(filled(tmp_path, names))
    assert contents(found) == {name: name.encode() for name in ("a/1.jpg", "a/2.JPEG", "b/c/3.png")}
    assert sorted(found.others) == ["a/noext", "b/x.tar.gz", "notes.txt"]
    assert found.folders == {"a", "b", "b/c", "empty"}
    assert found.sizes == [len(name) for name in found.names]


def test_links_are_followed_but_not_in_circles(tmp_path):
    filled(tmp_path, ["a/1.jpg", "elsewhere.bin"])
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "2.jpg").symlink_to(tmp_path / "elsewhere.bin")
    (tmp_path / "a" / "3.jpg").symlink_to(tmp_path / "nothing")
    found = folder_files.listing(tmp_path)
    inside = contents(found)
    assert sorted(inside) == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    assert inside["a/2.jpg"] == b"elsewhere.bin"
    assert isinstance(inside["a/3.jpg"], DataError)
    assert sorted(found.links) == ["a/loop", "again"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_image(tmp_path):
    filled(tmp_path, ["a/1.jpg"])
    os.mkfifo(tmp_path / "a" / "2.jpg")
    found = folder_files.listing(tmp_path)
    assert found.names == ["a/1.jpg"]
    assert found.others == ["a/2.jpg"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    filled(tmp_path, ["a/1.jpg", "b/2.jpg"])
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, whom nothing is refused
    with pytest.raises(DataError, match="b cannot be read: Permission denied"):
        folder_files.listing(tmp_path)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    found = folder_files.listing(filled(tmp_path, ["a/1.jpg", "a/2.jpg"]))
    (tmp_path / "a" / "1.jpg").unlink()
    inside = contents(found)
    assert isinstance(inside["a/1.jpg"], DataError)
    assert inside["a/2.jpg"] == b"a/2.jpg"


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_files, "BYTES", 5)
    found = folder_files.listing(filled(tmp_path, ["a/1.jpg"]))
    (inside,) = contents(found).values()
    assert "more than the 5" in inside.problem


def test_too_deep_and_too_many_are_refused(tmp_path, monkeypatch):
    filled(tmp_path, ["/".join("abcdef") + "/1.jpg", "2.jpg"])
    monkeypatch.setattr(folder_files, "DEPTH", 3)
    with pytest.raises(DataError, match="more than 3 folders"):
        folder_files.listing(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(file_listing, "COUNT", 1)
    with pytest.raises(DataError, match="more than 1 images"):
        folder_files.listing(tmp_path)


def test_the_stamp_changes_with_any_file(tmp_path):
    filled(tmp_path, ["a/1.jpg", "b/2.jpg"])
    before = folder_files.listing(tmp_path).stamp
    assert folder_files.listing(tmp_path).stamp == before
    (tmp_path / "b" / "2.jpg").write_bytes(b"B/2.jpg")
    assert folder_files.listing(tmp_path).stamp != before


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps names as text")
def test_names_that_are_no_text(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"\xff")).mkdir()
    except OSError:
        pytest.skip("this disk keeps names as text")
    (tmp_path / os.fsdecode(b"\xff/\xfe.jpg")).write_bytes(b"x")
    found = folder_files.listing(tmp_path)
    assert contents(found)[os.fsdecode(b"\xff/\xfe.jpg")] == b"x"
    assert file_listing.readable(found.names[0]) == "\ufffd/\ufffd.jpg"


def test_named_files_are_found_or_not(tmp_path):
    filled(tmp_path, ["a/1.jpg"])
    found = folder_files.listed(tmp_path, ["a/1.jpg", "a/2.jpg", "a", "\0", str(tmp_path / "a" / "1.jpg")])
    assert found.sizes == [7, -1, -1, -1, 7]
    assert list(found.read([0, 4])) == [b"a/1.jpg"] * 2


def test_several_places_are_one(tmp_path):
    left, right = (folder_files.listing(filled(tmp_path / side, ["x/1.jpg", "y/2.jpg", "n.txt"])) for side in "lr")
    whole = file_listing.joined(tmp_path, [("", left), ("test", right)])
    assert whole.names == ["x/1.jpg", "y/2.jpg", "test/x/1.jpg", "test/y/2.jpg"]
    assert list(whole.read([3, 0, 1, 2])) == [b"y/2.jpg", b"x/1.jpg", b"y/2.jpg", b"x/1.jpg"]
    assert whole.folders == {"x", "y", "test", "test/x", "test/y"}
    assert whole.others == ["n.txt", "test/n.txt"]
