import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.data.images.file_listing import Listing
from yisheng.data.images.folder_labels import discover, listing, natural, part_of


def place(*names, folders=(), others=(), links=()):
    """A listing of names, some with several images as in ``a/1,2.jpg``."""
    found = Listing(Path("photos"), lambda numbers: iter(()), others=list(others), links=list(links))
    for name in names:
        folder, _, files = name.rpartition("/")
        for file in files.removesuffix(".jpg").split(","):
            found.add(f"{folder}/{file}.jpg" if folder else f"{file}.jpg", 1)
        parts = folder.split("/") if folder else []
        found.folders |= {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    found.folders |= set(folders)
    return found


def seen(found, of):
    """Names, classes and parts of the rows."""
    parts = found.part if found.part is not None else [None] * len(found.y)
    names = [of.names[n] for n in found.numbers]
    return [(n, found.classes[c], p) for n, c, p in zip(names, found.y, parts, strict=True)]


def checks(found):
    return {f.check: f for f in found.findings}


def test_class_folders():
    of = place("dog/2,1.jpg", "cat/1.jpg")
    found = discover(of)
    assert seen(found, of) == [("cat/1.jpg", "cat", None), ("dog/1.jpg", "dog", None), ("dog/2.jpg", "dog", None)]
    assert found.numbers.dtype == found.y.dtype == np.int64
    assert not found.findings


def test_classes_are_sorted_as_people_sort():
    names = ["class 10", "class 9", "Class 1", "b2a10", "b2a9", "2", "10"]
    found = discover(place(*(f"{name}/1.jpg" for name in names)))
    assert found.classes == ("2", "10", "b2a9", "b2a10", "Class 1", "class 9", "class 10")


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_names_can_be_sorted(names):
    assert sorted(names, key=natural) == sorted(set(names), key=natural) or len(set(names)) < len(names)


@pytest.mark.parametrize(
    ("folder", "part"),
    [
        ("train", 0),
        ("Training", 0),
        ("train_set", 0),
        ("TRAINSET", 0),
        ("training-data", 0),
        ("val", 1),
        ("valid", 1),
        ("validation", 1),
        ("dev", 1),
        ("test", 2),
        ("testing", 2),
        ("test images", 2),
        ("trains", None),
        ("cats", None),
        ("set", None),
    ],
)
def test_names_of_parts(folder, part):
    assert part_of(folder) == part


def test_parts():
    of = place("train/cat/1.jpg", "train/dog/2.jpg", "valid/cat/3.jpg", "valid/dog/4.jpg", "testing/dog/5.jpg")
    found = discover(of)
    assert [row[1:] for row in seen(found, of)] == [("cat", 0), ("dog", 0), ("cat", 1), ("dog", 1), ("dog", 2)]
    assert found.part.dtype == np.int8
    assert checks(found)["classes-not-scored"].evidence["first"] == ["cat"]


@pytest.mark.parametrize("around", ["", "data/", "train/", "a/b/", "photos/train/"])
def test_a_lone_folder_around_everything_does_not_count(around):
    found = discover(place(f"{around}cat/1.jpg", f"{around}dog/1.jpg"))
    assert found.classes == ("cat", "dog")
    assert found.part is None


def test_a_class_may_be_called_train():
    assert discover(place("train/1.jpg", "car/1.jpg")).classes == ("car", "train")


def test_what_is_a_part_and_a_class_is_asked():
    with pytest.raises(DataError, match="parts or classes"):
        discover(place("train/cat/1.jpg", "train/dog/1.jpg", "car/1.jpg"))


def test_folders_beside_the_parts_are_told():
    of = place("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg", "raw/cat/1,2.jpg", "old/x.jpg")
    found = discover(of)
    assert len(found.y) == 4
    assert checks(found)["folders-left-out"].evidence == {"images": 3, "folders": ["old", "raw"]}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([], "holds no images"),
        (["1,2,3.jpg"], "3 images, but no class folders"),
        (["cat/1.jpg"], "one class only: cat"),
        (["train/1.jpg", "test/2.jpg"], "train without class folders|test, train"),
        (["test/cat/1.jpg", "val/cat/1.jpg"], "no folder of training images"),
        (["train/cat/1.jpg", "dev/cat/1.jpg", "val/cat/1.jpg"], "both mean the validation part"),
    ],
)
def test_what_cannot_be_data_is_told(names, wanted):
    with pytest.raises(DataError, match=wanted) as error:
        discover(place(*names))
    assert "photos" in error.value.problem
    assert len(error.value.remedy) > 10


def test_other_files_are_counted_where_there_are_no_images():
    with pytest.raises(DataError, match="there are 2 other files"):
        discover(place(others=["a.txt", "b.csv"]))


def test_what_is_left_out_is_told():
    of = place(
        "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/7,8.jpg", "cover.jpg",
        others=["readme.txt"], links=["train/loop"], folders=["train/bird", "test/dog"],
    )  # fmt: skip
    found = checks(discover(of))
    assert found["images-without-class"].evidence["count"] == 3
    assert found["files-left-out"].evidence == {"count": 1, "first": ["readme.txt"]}
    assert found["links-left-out"].severity == "note"
    assert found["empty-class-folders"].evidence["first"] == ["bird"]
    assert found["classes-not-scored"].evidence["first"] == ["dog"]


def test_a_class_only_in_the_test_part_is_told():
    of = place("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/bird/1.jpg")
    found = discover(of)
    assert found.classes == ("bird", "cat", "dog")
    told = checks(found)["classes-not-in-training"]
    assert (told.severity, told.evidence["first"]) == ("warning", ["bird"])


def test_deeper_folders_belong_to_the_class_above():
    of = place("cat/tabby/old/1.jpg", "cat/2.jpg", "dog/3.jpg")
    found = discover(of)
    assert [row[:2] for row in seen(found, of)] == [
        ("cat/2.jpg", "cat"),
        ("cat/tabby/old/1.jpg", "cat"),
        ("dog/3.jpg", "dog"),
    ]
    assert checks(found)["deeper-folders"].evidence == {"count": 1, "first": ["cat/tabby/old/1.jpg"]}


def test_names_in_any_script():
    found = discover(place("猫/1.jpg", "犬/1.jpg", "e\u0301/1.jpg", "\u00e9/2.jpg"))
    assert sorted(found.classes) == sorted(["猫", "犬", "\u00e9"])  # two spellings of the same letter


def zipped(path, names):
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(name, name)


def test_zips_of_parts(tmp_path):
    zipped(tmp_path / "train.zip", ["train/cat/1.jpg", "train/dog/1.jpg"])
    zipped(tmp_path / "test.zip", ["cat/1.jpg", "dog/1.jpg"])
    zipped(tmp_path / "other.zip", ["cat/9.jpg"])
    of = listing(tmp_path)
    found = discover(of)
    assert seen(found, of) == [
        ("train/cat/1.jpg", "cat", 0),
        ("train/dog/1.jpg", "dog", 0),
        ("test/cat/1.jpg", "cat", 2),
        ("test/dog/1.jpg", "dog", 2),
    ]
    assert list(of.read(found.numbers.tolist()))[:2] == [b"train/cat/1.jpg", b"train/dog/1.jpg"]
    assert checks(found)["files-left-out"].evidence["first"] == ["other.zip"]


def test_a_folder_comes_before_the_zip_it_was_extracted_from(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    zipped(tmp_path / "train.zip", ["cat/1.jpg", "dog/1.jpg"])
    found = discover(listing(tmp_path))
    assert len(found.y) == 4
    assert checks(found)["files-left-out"].evidence["first"] == ["train.zip"]
