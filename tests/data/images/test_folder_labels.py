"""Parts and classes from the names of folders."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.core.natural_sort import natural_key
from yisheng.data.images.file_listing import Listing
from yisheng.data.images.folder_labels import find_classes, list_images
from yisheng.data.images.part_names import part_from_name


def make_listing(*names, folders=(), other_files=(), links=()):
    """Return a listing of names, some with several images as in ``a/1,2.jpg``."""
    listing = Listing(Path("photos"), lambda numbers: iter(()), other_files=list(other_files), links=list(links))
    for name in names:
        folder, _, files = name.rpartition("/")
        for file in files.removesuffix(".jpg").split(","):
            listing.add(f"{folder}/{file}.jpg" if folder else f"{file}.jpg", 1)
        parts = folder.split("/") if folder else []
        listing.folders |= {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
    listing.folders |= set(folders)
    return listing


def rows_of(labeled, listing):
    """Return the name, class and part of each row."""
    parts = labeled.part if labeled.part is not None else [None] * len(labeled.y)
    names = [listing.names[n] for n in labeled.file_indices]
    return [(n, labeled.classes[c], p) for n, c, p in zip(names, labeled.y, parts, strict=True)]


def checks(labeled):
    return {f.check: f for f in labeled.findings}


def test_class_folders_are_classes():
    listing = make_listing("dog/2,1.jpg", "cat/1.jpg")
    labeled = find_classes(listing)
    assert rows_of(labeled, listing) == [
        ("cat/1.jpg", "cat", None),
        ("dog/1.jpg", "dog", None),
        ("dog/2.jpg", "dog", None),
    ]
    assert labeled.file_indices.dtype == labeled.y.dtype == np.int64
    assert not labeled.findings


def test_classes_are_sorted_naturally():
    names = ["class 10", "class 9", "Class 1", "b2a10", "b2a9", "2", "10"]
    labeled = find_classes(make_listing(*(f"{name}/1.jpg" for name in names)))
    assert labeled.classes == ("2", "10", "b2a9", "b2a10", "Class 1", "class 9", "class 10")


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_names_can_be_sorted(names):
    assert sorted(names, key=natural_key) == sorted(set(names), key=natural_key) or len(set(names)) < len(names)


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
def test_names_of_parts_are_recognized(folder, part):
    assert part_from_name(folder) == part


def test_folders_of_parts_hold_class_folders():
    listing = make_listing(
        "train/cat/1.jpg", "train/dog/2.jpg", "valid/cat/3.jpg", "valid/dog/4.jpg", "testing/dog/5.jpg"
    )
    labeled = find_classes(listing)
    assert [row[1:] for row in rows_of(labeled, listing)] == [
        ("cat", 0),
        ("dog", 0),
        ("cat", 1),
        ("dog", 1),
        ("dog", 2),
    ]
    assert labeled.part.dtype == np.int8
    assert checks(labeled)["classes-not-scored"].evidence["first"] == ["cat"]


@pytest.mark.parametrize("around", ["", "data/", "train/", "a/b/", "photos/train/"])
def test_a_single_folder_around_everything_is_ignored(around):
    labeled = find_classes(make_listing(f"{around}cat/1.jpg", f"{around}dog/1.jpg"))
    assert labeled.classes == ("cat", "dog")
    assert labeled.part is None


def test_a_class_may_be_called_train():
    assert find_classes(make_listing("train/1.jpg", "car/1.jpg")).classes == ("car", "train")


def test_ambiguous_parts_are_refused():
    with pytest.raises(DataError, match="parts or classes"):
        find_classes(make_listing("train/cat/1.jpg", "train/dog/1.jpg", "car/1.jpg"))


def test_folders_next_to_the_parts_are_reported():
    listing = make_listing(
        "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg", "raw/cat/1,2.jpg", "old/x.jpg"
    )
    labeled = find_classes(listing)
    assert len(labeled.y) == 4
    assert checks(labeled)["folders-left-out"].evidence == {"images": 3, "folders": ["old", "raw"]}


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        ([], "holds no images"),
        (["1,2,3.jpg"], "3 images, but no class folders"),
        (["cat/1.jpg"], "one class only: cat"),
        (["train/1.jpg", "test/2.jpg"], "train without class folders|test, train"),
        (["test/cat/1.jpg", "val/cat/1.jpg"], "no folder of training images"),
        (["train/cat/1.jpg", "dev/cat/1.jpg", "val/cat/1.jpg"], "both mean the validation part"),
    ],
)
def test_folders_without_two_classes_are_refused(names, cause):
    with pytest.raises(DataError, match=cause) as error:
        find_classes(make_listing(*names))
    assert "photos" in error.value.problem
    assert len(error.value.remedy) > 10


def test_other_files_are_counted_if_there_are_no_images():
    with pytest.raises(DataError, match="there are 2 other files"):
        find_classes(make_listing(other_files=["a.txt", "b.csv"]))


def test_left_out_files_are_reported():
    listing = make_listing(
        "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/7,8.jpg", "cover.jpg",
        other_files=["readme.txt"], links=["train/loop"], folders=["train/bird", "test/dog"],
    )  # fmt: skip
    labeled = checks(find_classes(listing))
    assert labeled["images-without-class"].evidence["count"] == 3
    assert labeled["files-left-out"].evidence == {"count": 1, "first": ["readme.txt"]}
    assert labeled["links-left-out"].severity == "note"
    assert labeled["empty-class-folders"].evidence["first"] == ["bird"]
    assert labeled["classes-not-scored"].evidence["first"] == ["dog"]


def test_a_class_only_in_the_test_part_is_reported():
    listing = make_listing("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/bird/1.jpg")
    labeled = find_classes(listing)
    assert labeled.classes == ("bird", "cat", "dog")
    finding = checks(labeled)["classes-not-in-training"]
    assert (finding.severity, finding.evidence["first"]) == ("warning", ["bird"])


def test_deeper_folders_belong_to_the_class_above():
    listing = make_listing("cat/tabby/old/1.jpg", "cat/2.jpg", "dog/3.jpg")
    labeled = find_classes(listing)
    assert [row[:2] for row in rows_of(labeled, listing)] == [
        ("cat/2.jpg", "cat"),
        ("cat/tabby/old/1.jpg", "cat"),
        ("dog/3.jpg", "dog"),
    ]
    assert checks(labeled)["deeper-folders"].evidence == {"count": 1, "first": ["cat/tabby/old/1.jpg"]}


def test_class_names_may_be_in_any_script():
    labeled = find_classes(make_listing("猫/1.jpg", "犬/1.jpg", "e\u0301/1.jpg", "\u00e9/2.jpg"))
    assert sorted(labeled.classes) == sorted(["猫", "犬", "\u00e9"])  # two spellings of the same letter


def write_zip(path, names):
    with zipfile.ZipFile(path, "w") as out:
        for name in names:
            out.writestr(name, name)


def test_zips_of_parts_are_read_as_folders(tmp_path):
    write_zip(tmp_path / "train.zip", ["train/cat/1.jpg", "train/dog/1.jpg"])
    write_zip(tmp_path / "test.zip", ["cat/1.jpg", "dog/1.jpg"])
    write_zip(tmp_path / "other.zip", ["cat/9.jpg"])
    listing = list_images(tmp_path)
    labeled = find_classes(listing)
    assert rows_of(labeled, listing) == [
        ("train/cat/1.jpg", "cat", 0),
        ("train/dog/1.jpg", "dog", 0),
        ("test/cat/1.jpg", "cat", 2),
        ("test/dog/1.jpg", "dog", 2),
    ]
    assert list(listing.read(labeled.file_indices.tolist()))[:2] == [b"train/cat/1.jpg", b"train/dog/1.jpg"]
    assert checks(labeled)["files-left-out"].evidence["first"] == ["other.zip"]


def test_a_folder_is_preferred_to_its_zip(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    write_zip(tmp_path / "train.zip", ["cat/1.jpg", "dog/1.jpg"])
    labeled = find_classes(list_images(tmp_path))
    assert len(labeled.y) == 4
    assert checks(labeled)["files-left-out"].evidence["first"] == ["train.zip"]


def test_classes_of_a_test_folder_in_another_form_are_refused_with_the_fix():
    listing = make_listing("train/cat/1.jpg", "train/dog/1.jpg", "test/Cat/1.jpg", "test/Dog/1.jpg")
    with pytest.raises(DataError, match="training rows have 'cat', 'dog'; test rows have 'Cat', 'Dog'") as error:
        find_classes(listing)
    assert "labels=casefold" in error.value.remedy
    assert find_classes(listing, forms=["casefold"]).classes == ("cat", "dog")


def test_one_class_is_enough_if_a_model_knows_others():
    labeled = find_classes(make_listing("cat/1.jpg", "cat/2.jpg"), known_classes=["cat", "dog"])
    assert (labeled.classes, labeled.y.tolist()) == (("cat", "dog"), [0, 0])
