"""Listings of folders: what is in them, links, errors, stamps."""

import os

import pytest

from yisheng.core.errors import DataError
from yisheng.data.images import file_listing, folder_files


def write_files(root, names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def contents(listing):
    return dict(zip(listing.names, listing.read(range(len(listing.names))), strict=True))


def test_images_and_other_files_are_separated(tmp_path):
    names = ["a/1.jpg", "a/2.JPEG", "b/c/3.png", "notes.txt", "a/noext", "a/.hidden.jpg", "Thumbs.db", "b/x.tar.gz"]
    (tmp_path / "empty").mkdir()
    listing = folder_files.list_folder(write_files(tmp_path, names))
    assert contents(listing) == {name: name.encode() for name in ("a/1.jpg", "a/2.JPEG", "b/c/3.png")}
    assert sorted(listing.other_files) == ["a/noext", "b/x.tar.gz", "notes.txt"]
    assert listing.folders == {"a", "b", "b/c", "empty"}
    assert listing.sizes == [len(name) for name in listing.names]


def test_links_are_followed_once(tmp_path):
    write_files(tmp_path, ["a/1.jpg", "elsewhere.bin"])
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "2.jpg").symlink_to(tmp_path / "elsewhere.bin")
    (tmp_path / "a" / "3.jpg").symlink_to(tmp_path / "nothing")
    listing = folder_files.list_folder(tmp_path)
    content_of = contents(listing)
    assert sorted(content_of) == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    assert content_of["a/2.jpg"] == b"elsewhere.bin"
    assert isinstance(content_of["a/3.jpg"], DataError)
    assert sorted(listing.links) == ["a/loop", "again"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_an_image(tmp_path):
    write_files(tmp_path, ["a/1.jpg"])
    os.mkfifo(tmp_path / "a" / "2.jpg")
    listing = folder_files.list_folder(tmp_path)
    assert listing.names == ["a/1.jpg"]
    assert listing.other_files == ["a/2.jpg"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    write_files(tmp_path, ["a/1.jpg", "b/2.jpg"])
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(DataError, match="b cannot be read: Permission denied"):
        folder_files.list_folder(tmp_path)


def test_a_file_that_cannot_be_read_is_returned_as_an_error(tmp_path):
    listing = folder_files.list_folder(write_files(tmp_path, ["a/1.jpg", "a/2.jpg"]))
    (tmp_path / "a" / "1.jpg").unlink()
    content_of = contents(listing)
    assert isinstance(content_of["a/1.jpg"], DataError)
    assert content_of["a/2.jpg"] == b"a/2.jpg"


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_files, "MAX_IMAGE_BYTES", 5)
    listing = folder_files.list_folder(write_files(tmp_path, ["a/1.jpg"]))
    (content_of,) = contents(listing).values()
    assert "more than the 5" in content_of.problem


def test_too_deep_and_too_many_are_refused(tmp_path, monkeypatch):
    write_files(tmp_path, ["/".join("abcdef") + "/1.jpg", "2.jpg"])
    monkeypatch.setattr(folder_files, "MAX_FOLDER_DEPTH", 3)
    with pytest.raises(DataError, match="nested more than 3 deep"):
        folder_files.list_folder(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(file_listing, "MAX_IMAGES", 1)
    with pytest.raises(DataError, match="more than 1 images"):
        folder_files.list_folder(tmp_path)


def test_the_stamp_changes_with_any_file(tmp_path):
    write_files(tmp_path, ["a/1.jpg", "b/2.jpg"])
    stamp = folder_files.list_folder(tmp_path).stamp
    assert folder_files.list_folder(tmp_path).stamp == stamp
    (tmp_path / "b" / "2.jpg").write_bytes(b"B/2.jpg")
    assert folder_files.list_folder(tmp_path).stamp != stamp


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps names as text")
def test_names_that_are_not_text_are_listed(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"\xff")).mkdir()
    except OSError:
        pytest.skip("this disk keeps names as text")
    (tmp_path / os.fsdecode(b"\xff/\xfe.jpg")).write_bytes(b"x")
    listing = folder_files.list_folder(tmp_path)
    assert contents(listing)[os.fsdecode(b"\xff/\xfe.jpg")] == b"x"
    assert file_listing.sanitize_name(listing.names[0]) == "\\xff/\\xfe.jpg"


def test_named_files_may_be_absent(tmp_path):
    write_files(tmp_path, ["a/1.jpg"])
    listing = folder_files.list_named_files(tmp_path, ["a/1.jpg", "a/2.jpg", "a", "\0", str(tmp_path / "a" / "1.jpg")])
    assert listing.sizes == [7, -1, -1, -1, 7]
    assert list(listing.read([0, 4])) == [b"a/1.jpg"] * 2


def test_listings_are_joined_below_their_folders(tmp_path):
    first, second = (
        folder_files.list_folder(write_files(tmp_path / side, ["x/1.jpg", "y/2.jpg", "n.txt"])) for side in "lr"
    )
    joined = file_listing.join_listings(tmp_path, [("", first), ("test", second)])
    assert joined.names == ["x/1.jpg", "y/2.jpg", "test/x/1.jpg", "test/y/2.jpg"]
    assert list(joined.read([3, 0, 1, 2])) == [b"y/2.jpg", b"x/1.jpg", b"y/2.jpg", b"x/1.jpg"]
    assert joined.folders == {"x", "y", "test", "test/x", "test/y"}
    assert joined.other_files == ["n.txt", "test/n.txt"]
