"""Images in class folders, from the files to a trained model and its predictions."""

import io
import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import yisheng
from yisheng.core.config import resolve
from yisheng.core.errors import DataError, UsageError
from yisheng.data import load
from yisheng.data.images import block
from yisheng.data.split import folds, hold_out
from yisheng.inference import images

FITS = ("crop", "squash", "pad")


def image(seed, size=(16, 12), mode="RGB", light=128):
    noise = np.random.default_rng(seed).normal(light, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).convert(mode)


def fill(root, tree):
    """Images by name, each from its seed; an `Image` or bytes as they are."""
    for name, what in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            (image(what) if isinstance(what, int) else what).save(path)
    return root


def classes(root, n=8, parts=("",), suffix="png", size=(16, 12)):
    """Two classes that are easy to tell apart, n images each in every part."""
    for p, part in enumerate(parts):
        for light, name in ((70, "dark"), (180, "light")):
            for i in range(n):
                path = root / part / name / f"{i}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                image(1000 * p + 10 * i + light, size, light=light).save(path)
    return root


def checks(data):
    return {finding.check: finding for finding in data.findings}


def test_contract(tmp_path):
    data = load("folder", path=str(classes(tmp_path / "My photos")))
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
    assert np.array_equal(data.x[0].transpose(1, 2, 0), np.asarray(image(70, light=70)))
    assert data.findings == ()
    assert data.about
    assert data.source == str(tmp_path / "My photos")


def test_a_zip_is_as_its_folder(tmp_path):
    root = classes(tmp_path / "photos", parts=("train", "valid", "test"), n=3)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "photos")
    one, two = load("folder", path=str(root)), load("folder", path=packed)
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.y, two.y)
    assert np.array_equal(one.part, two.part)
    assert np.bincount(one.part).tolist() == [6, 6, 6]
    assert [f"photos/{name}" for name in one.rows] == list(two.rows)
    assert two.name == "packed"


@pytest.mark.parametrize(
    ("given", "shape"), [("auto", (12, 16)), (8, (8, 8)), ("8", (8, 8)), ("8,9", (8, 9)), ((10, 20), (10, 20))]
)
def test_sizes(tmp_path, given, shape):
    assert load("folder", path=str(classes(tmp_path, n=1)), size=given).spec.shape == (3, *shape)


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": "1,2,3"}, {"size": "big"}, {"fit": "zoom"}, {"colour": "red"}]
)
def test_wrong_options_are_refused(tmp_path, options):
    with pytest.raises(UsageError):
        load("folder", path=str(classes(tmp_path, n=1)), **options)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_prediction_reads_the_very_same_pixels(tmp_path, fit, colour):
    exif = Image.Exif()
    exif[0x0112] = 6
    tree = {
        "a/1.png": image(1, (50, 30)),
        "a/2.png": image(2, (9, 40), "RGBA"),
        "b/3.png": image(3, (20, 20), "P"),
    }
    root = fill(tmp_path, tree)
    image(4, (300, 200)).save(root / "b" / "4.jpg", quality=80)
    image(5, (200, 310)).save(root / "b" / "5.jpg", exif=exif)
    image(6, (64, 64), "CMYK").save(root / "b" / "6.jpg")
    data = load("folder", path=str(root), size="24,32", fit=fit, colour=colour)
    assert data.spec.fit == fit
    for row, name in zip(data.x, data.rows, strict=True):
        again, _ = images.read(root / name, data.spec)
        assert np.array_equal(row, again), name


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_prediction_reads_the_same_where_nothing_is_resized(tmp_path, mode):
    for n in range(4):
        path = tmp_path / "ab"[n % 2] / f"{n}.{'jpg' if n < 3 else 'png'}"
        path.parent.mkdir(exist_ok=True)
        image(n, (33, 21), mode).save(path)
    data = load("folder", path=str(tmp_path))
    assert data.spec.shape == (1 if mode == "L" else 3, 21, 33)
    for row, name in zip(data.x, data.rows, strict=True):
        again, notes = images.read(tmp_path / name, data.spec)
        assert np.array_equal(row, again), name
        assert notes == []


def test_damaged_images_are_named_and_left_out(tmp_path):
    root = classes(tmp_path, n=4)
    fill(root, {"dark/9.png": b"hello", "light/0.png": (root / "light" / "1.png").read_bytes()[:-50]})
    data = load("folder", path=str(root))
    assert len(data) == 7
    assert "light/0.png" not in data.rows
    assert np.bincount(data.y).tolist() == [4, 3]
    told = checks(data)["damaged-images"]
    assert told.severity == "warning"
    assert (told.evidence["count"], told.evidence["of"]) == (2, 9)
    assert [text.split()[0] for text in told.evidence["first"]] == ["dark/9.png", "light/0.png"]
    with pytest.raises(DataError, match="2 of 9 images are damaged: dark/9.png is not an image"):
        load("folder", path=str(root), strict=True)


def test_images_in_two_parts_are_told(tmp_path):
    root = classes(tmp_path, n=3, parts=("train", "test"))
    shutil.copy(root / "train" / "dark" / "1.png", root / "test" / "light" / "new.png")
    told = checks(load("folder", path=str(root)))
    assert told["leakage"].severity == "warning"
    assert told["leakage"].evidence["first"] == ["test/light/new.png = train/dark/1.png"]


def test_images_that_are_there_twice_stay_together(tmp_path):
    root = classes(tmp_path, n=20)
    for n in range(5):
        shutil.copy(root / "dark" / f"{n}.png", root / "light" / f"{n}-again.png")
    data = load("folder", path=str(root))
    assert checks(data)["conflicting-labels"].evidence["count"] == 5
    twins = [{data.rows.index(f"dark/{n}.png"), data.rows.index(f"light/{n}-again.png")} for n in range(5)]
    split = hold_out(data)
    for parts in ((split.train, split.validation, split.test), *((s.train, s.validation) for s in folds(data, 3))):
        for pair in twins:
            assert sum(bool(pair & set(part.tolist())) for part in parts) <= 1


def test_what_systems_leave_does_not_matter(tmp_path):
    junk = dict.fromkeys((".DS_Store", "dark/._1.jpg", "light/Thumbs.db", "__MACOSX/dark/._2.png"), b"x")
    data = load("folder", path=str(fill(classes(tmp_path, n=2), junk)))
    assert len(data) == 4
    assert data.findings == ()


@pytest.mark.parametrize(
    ("tree", "wanted"),
    [
        ({}, "holds no images"),
        ({"1.png": 1, "2.png": 2}, "no class folders"),
        ({"cat/1.png": 1}, "one class only: cat"),
        ({"notes.txt": b"x"}, "no images; there are 1 other files"),
        ({"a/1.jpg": b"x", "b/1.jpg": b"y"}, "none of the 2 images"),
    ],
)
def test_what_is_no_data_is_told(tmp_path, tree, wanted):
    with pytest.raises(DataError, match=wanted):
        load("folder", path=str(fill(tmp_path, tree)))


def test_a_missing_path_is_told(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load("folder", path=str(tmp_path / "nothing"))


def test_a_path_is_opened_as_a_folder(tmp_path):
    root = classes(tmp_path / "photos", n=1)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", root)
    for path in (root, packed):
        choice = resolve([("data", str(path), "command line"), ("fit", "pad", "command line")]).config.data
        assert (choice.name, choice.options) == ("folder", {"path": str(path), "fit": "pad"})


def test_a_zip_that_reaches_outside_is_refused(tmp_path):
    content = io.BytesIO()
    image(1).save(content, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("a/1.png", content.getvalue())
        out.writestr("../b/1.png", content.getvalue())
    with pytest.raises(DataError, match="leaves the folder"):
        load("folder", path=str(tmp_path / "a.zip"))


def test_it_trains_and_predicts(tmp_path):
    root = classes(tmp_path / "photos", n=20, parts=("train", "test"), suffix="jpg", size=(28, 28))
    run = yisheng.train(data=str(root), model="lenet", epochs=4, out=tmp_path / "runs", quiet=True, fit="squash")
    assert run.scores["test"]["accuracy"].value > 0.9
    assert run.run.spec.fit == "squash"
    dark = Image.new("RGB", (300, 200), (60, 70, 80))
    dark.save(tmp_path / "new.jpg")
    (answer,) = run.predict(tmp_path / "new.jpg")
    assert answer.prediction == "dark"
    assert answer.notes == ("resized from 300x200 to 28x28",)


@pytest.mark.realdata
@pytest.mark.slow
def test_real_zips_of_parts(monkeypatch):
    root = os.environ["YISHENG_MIRROR"].removeprefix("file://") + "/cifar10"
    data = load("folder", path=root)
    assert data.spec.shape == (3, 32, 32)
    assert data.spec.classes[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(data.part).tolist() == [50_000, 0, 10_000]
    assert np.bincount(data.y).tolist() == [6_000] * 10
    monkeypatch.setattr(block, "write", lambda *args: pytest.fail("it was decoded again"))
    assert np.array_equal(load("folder", path=root).x[::997], data.x[::997])
    with zipfile.ZipFile(f"{root}/train.zip") as packed:
        for row in range(0, 50_000, 5_003):
            theirs = Image.open(io.BytesIO(packed.read(data.rows[row]))).convert("RGB")
            assert np.abs(data.x[row].astype(int) - np.asarray(theirs).transpose(2, 0, 1)).max() <= 2


@pytest.mark.realdata
def test_real_photographs():
    data = load("folder", path=os.environ["YISHENG_MIRROR"].removeprefix("file://") + "/hymenoptera")
    assert data.spec.shape == (3, 224, 224)
    assert data.spec.classes == ("ants", "bees")
    assert np.bincount(data.part).tolist() == [244, 153]
