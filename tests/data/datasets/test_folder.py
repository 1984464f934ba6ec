"""Images in class folders, from the files to a trained model and its predictions."""

import io
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.data import load
from yisheng.data.images import bulk_decode
from yisheng.data.split import hold_out, make_folds
from yisheng.inference import images

FITS = ("crop", "squash", "pad")


def make_image(seed, size=(16, 12), mode="RGB", brightness=128):
    noise = np.random.default_rng(seed).normal(brightness, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).convert(mode)


def write_files(root, tree):
    """Write files by name: an image from its seed, an `Image`, or bytes."""
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            (make_image(content) if isinstance(content, int) else content).save(path)
    return root


def write_classes(root, n=8, parts=("",), suffix="png", size=(16, 12)):
    """Write images of two classes that are easy to distinguish, n of each in every part."""
    for p, part in enumerate(parts):
        for brightness, name in ((70, "dark"), (180, "light")):
            for i in range(n):
                path = root / part / name / f"{i}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                make_image(1000 * p + 10 * i + brightness, size, brightness=brightness).save(path)
    return root


def findings_by_check(data):
    return {finding.check: finding for finding in data.findings}


def test_folder_dataset_is_complete(tmp_path):
    data = load("folder", path=str(write_classes(tmp_path / "My photos")))
    assert data.name == "My-photos"
    assert data.spec.task == "classification"
    assert data.spec.classes == ("dark", "light")
    assert data.spec.shape == (3, 12, 16)
    assert data.x.shape == (16, 3, 12, 16)
    assert data.x.dtype == np.uint8
    assert data.y.dtype == np.int64
    assert data.part is None
    assert data.group is None
    assert data.rows[0] == "dark/0.png"
    assert np.array_equal(data.x[0].transpose(1, 2, 0), np.asarray(make_image(70, brightness=70)))
    assert data.findings == ()
    assert data.about
    assert data.source == str(tmp_path / "My photos")


def test_zip_equals_its_folder(tmp_path):
    root = write_classes(tmp_path / "photos", parts=("train", "valid", "test"), n=3)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "photos")
    from_folder, from_zip = load("folder", path=str(root)), load("folder", path=archive)
    assert np.array_equal(from_folder.x, from_zip.x)
    assert np.array_equal(from_folder.y, from_zip.y)
    assert np.array_equal(from_folder.part, from_zip.part)
    assert np.bincount(from_folder.part).tolist() == [6, 6, 6]
    assert [f"photos/{name}" for name in from_folder.rows] == list(from_zip.rows)
    assert from_zip.name == "packed"


@pytest.mark.parametrize(
    ("size", "shape"), [("auto", (12, 16)), (8, (8, 8)), ("8", (8, 8)), ("8,9", (8, 9)), ((10, 20), (10, 20))]
)
def test_size_option(tmp_path, size, shape):
    assert load("folder", path=str(write_classes(tmp_path, n=1)), size=size).spec.shape == (3, *shape)


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": "1,2,3"}, {"size": "big"}, {"fit": "zoom"}, {"color": "red"}]
)
def test_invalid_options_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        load("folder", path=str(write_classes(tmp_path, n=1)), **options)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("color", ["gray", "rgb"])
def test_prediction_decodes_the_same_pixels(tmp_path, fit, color):
    exif = Image.Exif()
    exif[0x0112] = 6
    tree = {
        "a/1.png": make_image(1, (50, 30)),
        "a/2.png": make_image(2, (9, 40), "RGBA"),
        "b/3.png": make_image(3, (20, 20), "P"),
    }
    root = write_files(tmp_path, tree)
    make_image(4, (300, 200)).save(root / "b" / "4.jpg", quality=80)
    make_image(5, (200, 310)).save(root / "b" / "5.jpg", exif=exif)
    make_image(6, (64, 64), "CMYK").save(root / "b" / "6.jpg")
    data = load("folder", path=str(root), size="24,32", fit=fit, color=color)
    assert data.spec.fit == fit
    for row, name in zip(data.x, data.rows, strict=True):
        pixels, _ = images.read_image(root / name, data.spec)
        assert np.array_equal(row, pixels), name


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_prediction_decodes_the_same_pixels_without_resizing(tmp_path, mode):
    for n in range(4):
        path = tmp_path / "ab"[n % 2] / f"{n}.{'jpg' if n < 3 else 'png'}"
        path.parent.mkdir(exist_ok=True)
        make_image(n, (33, 21), mode).save(path)
    data = load("folder", path=str(tmp_path))
    assert data.spec.shape == (1 if mode == "L" else 3, 21, 33)
    for row, name in zip(data.x, data.rows, strict=True):
        pixels, notes = images.read_image(tmp_path / name, data.spec)
        assert np.array_equal(row, pixels), name
        assert notes == []


def test_damaged_images_are_left_out_and_reported(tmp_path):
    root = write_classes(tmp_path, n=4)
    write_files(root, {"dark/9.png": b"hello", "light/0.png": (root / "light" / "1.png").read_bytes()[:-50]})
    data = load("folder", path=str(root))
    assert len(data) == 7
    assert "light/0.png" not in data.rows
    assert np.bincount(data.y).tolist() == [4, 3]
    finding = findings_by_check(data)["damaged-images"]
    assert finding.severity == "warning"
    assert (finding.evidence["count"], finding.evidence["of"]) == (2, 9)
    assert [text.split()[0] for text in finding.evidence["first"]] == ["dark/9.png", "light/0.png"]
    with pytest.raises(DataError, match="2 of 9 images are damaged: dark/9.png is not an image"):
        load("folder", path=str(root), strict=True)


def test_images_in_two_parts_are_reported(tmp_path):
    root = write_classes(tmp_path, n=3, parts=("train", "test"))
    shutil.copy(root / "train" / "dark" / "1.png", root / "test" / "light" / "new.png")
    finding = findings_by_check(load("folder", path=str(root)))["leakage"]
    assert finding.severity == "warning"
    assert finding.evidence["first"] == ["test/light/new.png = train/dark/1.png"]


def test_duplicate_images_stay_in_one_part(tmp_path):
    root = write_classes(tmp_path, n=20)
    for n in range(5):
        shutil.copy(root / "dark" / f"{n}.png", root / "light" / f"{n}-again.png")
    data = load("folder", path=str(root))
    assert findings_by_check(data)["conflicting-labels"].evidence["count"] == 5
    duplicates = [{data.rows.index(f"dark/{n}.png"), data.rows.index(f"light/{n}-again.png")} for n in range(5)]
    split = hold_out(data)
    for parts in ((split.train, split.validation, split.test), *((s.train, s.validation) for s in make_folds(data, 3))):
        for pair in duplicates:
            assert sum(bool(pair & set(part.tolist())) for part in parts) <= 1


def test_system_files_are_ignored(tmp_path):
    system_files = dict.fromkeys((".DS_Store", "dark/._1.jpg", "light/Thumbs.db", "__MACOSX/dark/._2.png"), b"x")
    data = load("folder", path=str(write_files(write_classes(tmp_path, n=2), system_files)))
    assert len(data) == 4
    assert data.findings == ()


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({}, "holds no images"),
        ({"1.png": 1, "2.png": 2}, "no class folders"),
        ({"cat/1.png": 1}, "one class only: cat"),
        ({"notes.txt": b"x"}, "no images; there are 1 other files"),
        ({"a/1.jpg": b"x", "b/1.jpg": b"y"}, "none of the 2 images"),
    ],
)
def test_folders_without_usable_images_are_refused(tmp_path, tree, problem):
    with pytest.raises(DataError, match=problem):
        load("folder", path=str(write_files(tmp_path, tree)))


def test_missing_path_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load("folder", path=str(tmp_path / "nothing"))


def test_paths_of_folders_and_zips_select_the_folder_dataset(tmp_path):
    root = write_classes(tmp_path / "photos", n=1)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    for path in (root, archive):
        choice = merge_settings([("data", str(path), "command line"), ("fit", "pad", "command line")]).config.data
        assert (choice.name, choice.options) == ("folder", {"path": str(path), "fit": "pad"})


def test_zip_with_a_path_outside_is_refused(tmp_path):
    content = io.BytesIO()
    make_image(1).save(content, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("a/1.png", content.getvalue())
        out.writestr("../b/1.png", content.getvalue())
    with pytest.raises(DataError, match="leaves the folder"):
        load("folder", path=str(tmp_path / "a.zip"))


def test_folder_dataset_trains_and_predicts(tmp_path):
    root = write_classes(tmp_path / "photos", n=20, parts=("train", "test"), suffix="jpg", size=(28, 28))
    run = yisheng.train(data=str(root), model="lenet", epochs=4, out=tmp_path / "runs", quiet=True, fit="squash")
    assert run.scores["test"]["accuracy"].value > 0.9
    assert run.run.spec.fit == "squash"
    dark = Image.new("RGB", (300, 200), (60, 70, 80))
    dark.save(tmp_path / "new.jpg")
    (prediction,) = run.predict(tmp_path / "new.jpg")
    assert prediction.prediction == "dark"
    assert prediction.notes == ("resized from 300x200 to 28x28",)


@pytest.mark.realdata
@pytest.mark.slow
def test_real_cifar10_zips(monkeypatch):
    root = os.environ["YISHENG_MIRROR"].removeprefix("file://") + "/cifar10"
    data = load("folder", path=root)
    assert data.spec.shape == (3, 32, 32)
    assert data.spec.classes[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(data.part).tolist() == [50_000, 0, 10_000]
    assert np.bincount(data.y).tolist() == [6_000] * 10
    monkeypatch.setattr(bulk_decode, "decode_files", lambda *args: pytest.fail("the images were decoded twice"))
    assert np.array_equal(load("folder", path=root).x[::997], data.x[::997])
    with zipfile.ZipFile(f"{root}/train.zip") as archive:
        for row in range(0, 50_000, 5_003):
            expected = Image.open(io.BytesIO(archive.read(data.rows[row]))).convert("RGB")
            assert np.abs(data.x[row].astype(int) - np.asarray(expected).transpose(2, 0, 1)).max() <= 2


@pytest.mark.realdata
def test_real_photographs():
    data = load("folder", path=os.environ["YISHENG_MIRROR"].removeprefix("file://") + "/hymenoptera")
    assert data.spec.shape == (3, 224, 224)
    assert data.spec.classes == ("ants", "bees")
    assert np.bincount(data.part).tolist() == [244, 153]
