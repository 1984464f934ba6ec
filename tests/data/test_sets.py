"""Every registered data set keeps the contract; the generated ones do what they say."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets as theirs

from yisheng.core import registry
from yisheng.core.config import resolve
from yisheng.core.errors import DataError, UsageError
from yisheng.data.datasets import _idx_dataset

EMBEDDED = ("breast-cancer", "diabetes", "digits", "iris", "linear", "polynomial", "wine", "xor")
GENERATED = ("linear", "polynomial", "xor")
FILES = ("mnist", "fashion-mnist")


def build(name, **options):
    return registry.find("data.datasets", name).build(**options)


@pytest.mark.parametrize("name", [*EMBEDDED, *(pytest.param(name, marks=pytest.mark.realdata) for name in FILES)])
def test_contract(name):
    data = build(name)
    assert data.name == name
    assert data.x.flags.c_contiguous
    assert data.x.dtype == (np.uint8 if data.spec.is_image else np.float32)
    assert np.isfinite(data.x).all()
    assert np.isfinite(data.y).all()
    if data.spec.task == "classification":
        assert data.y.dtype == np.int64
        assert data.y.ndim == 1
        assert np.array_equal(np.unique(data.y), np.arange(len(data.spec.classes)))
    else:
        assert data.y.dtype == np.float32
        assert data.y.shape == (len(data), 1)
    assert len(data.spec.columns) == (0 if data.spec.is_image else data.spec.shape[0])
    assert len({column.name for column in data.spec.columns}) == len(data.spec.columns)
    assert data.about
    assert data.source
    assert data.licence
    if data.spec.is_image:
        assert data.spec.ink is not None
        assert data.x.max() == 255
    again = build(name)
    assert data.x.tobytes() == again.x.tobytes()
    assert data.y.tobytes() == again.y.tobytes()


def test_all_sets_are_tested():
    assert set(registry.names("data.datasets")) >= {*EMBEDDED, *FILES}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_sets_have_their_own_seed(name):
    one, same, other = build(name), build(name, seed=0), build(name, seed=1)
    assert one.x.tobytes() == same.x.tobytes()
    assert one.x.tobytes() != other.x.tobytes()
    options = registry.find("data.datasets", name).options
    assert {"n", "noise", "seed"} <= set(options)
    assert all(option.help for option in options.values())
    config = resolve([("data", name, "file"), ("seed", 5, "file"), ("data.seed", "7", "command line")]).config
    assert (config.seed, config.data.options["seed"]) == (5, 7)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("polynomial", "degree", 0),
        ("polynomial", "degree", 21),
        ("polynomial", "n", 1),
        ("polynomial", "noise", -1),
        ("xor", "n", 3),
        ("xor", "noise", "nan"),
        ("xor", "noise", "inf"),
        ("linear", "w", ""),
        ("linear", "w", "1,x"),
        ("linear", "n", 0),
        ("linear", "seed", -1),
    ],
)
def test_options_are_checked(name, option, value):
    with pytest.raises(UsageError, match=option):
        resolve([("data", name, "file"), (f"data.{option}", value, "file")])


def test_linear_is_found_again_by_least_squares():
    data = build("linear", n=5000)
    found = np.linalg.lstsq(np.column_stack([data.x, np.ones(len(data))]).astype(float), data.y[:, 0], rcond=None)
    np.testing.assert_allclose(found[0], [2.0, -3.4, 4.2], atol=6 * 0.01 / math.sqrt(5000))
    assert abs(math.sqrt(found[1][0] / 5000) - 0.01) < 0.001
    wide = build("linear", w=(1.0, 2.0, 3.0), b=-1.0, noise=0.0, n=10)
    np.testing.assert_allclose(wide.y[:, 0], wide.x @ [1, 2, 3] - 1, atol=1e-5)
    with pytest.raises(DataError, match="finite"):
        build("linear", w=(math.inf,))


def test_polynomial_rows_are_the_same_for_every_degree():
    widest = build("polynomial", degree=20)
    assert len(widest) == 200
    assert widest.part is not None
    assert np.bincount(widest.part).tolist() == [100, 0, 100]
    for degree in (1, 3, 19):
        data = build("polynomial", degree=degree)
        np.testing.assert_array_equal(data.x, widest.x[:, :degree])
        np.testing.assert_array_equal(data.y, widest.y)
    assert [column.name for column in build("polynomial").spec.columns] == ["x", "x^2/2!", "x^3/3!"]


def test_polynomial_is_the_textbooks():
    data = build("polynomial", degree=20, noise=0.0, n=50)
    x = data.x[:, 0].astype(np.float64)
    for i in range(1, 21):
        np.testing.assert_allclose(data.x[:, i - 1], x**i / math.factorial(i), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(data.y[:, 0], 5 + 1.2 * x - 3.4 * x**2 / 2 + 5.6 * x**3 / 6, rtol=1e-5, atol=1e-5)
    noisy = build("polynomial", n=20_000)
    smooth = build("polynomial", n=20_000, noise=0.0)
    assert abs(float(np.std(noisy.y - smooth.y)) - 0.1) < 0.003


@pytest.mark.parametrize(("noise", "best"), [(0.3, 0.9991), (0.5, 0.9555)])
def test_xor_cannot_be_divided_by_a_line(noise, best):
    from sklearn.linear_model import LogisticRegression

    data = build("xor", n=20_000, noise=noise)
    assert np.bincount(data.y).tolist() == [10_000, 10_000]
    assert LogisticRegression().fit(data.x, data.y).score(data.x, data.y) < 0.6
    rule = (data.x[:, 0] > 0) != (data.x[:, 1] > 0)
    assert abs(float((rule == data.y).mean()) - best) < 0.006


@pytest.mark.parametrize("there", [True, False])
def test_digits_are_scikit_learns(there, monkeypatch):
    found = theirs.load_digits()
    if not there:  # where a version to come lays its file elsewhere, it is asked itself
        monkeypatch.setattr(Path, "is_file", lambda _: False)
    data = build("digits")
    np.testing.assert_array_equal(data.y, found.target)
    np.testing.assert_array_equal(np.rint(data.x[:, 0] * (16 / 255)), found.images)
    assert {int(v) for v in np.unique(data.x)} == {round(v * 255 / 16) for v in range(17)}
    assert (data.x[:, 0] > 0).any(axis=2).all()  # the ink fills the height: what Ink says


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_rows_are_scikit_learns(name):
    data, found = build(name), getattr(theirs, f"load_{name}")()
    np.testing.assert_array_equal(data.x, found.data.astype(np.float32))
    np.testing.assert_array_equal(data.y, found.target)
    assert [column.name for column in data.spec.columns] == list(found.feature_names)


def test_diabetes_was_not_scaled_with_its_test_part():
    data, found = build("diabetes"), theirs.load_diabetes(scaled=False)
    np.testing.assert_array_equal(data.x, found.data.astype(np.float32))
    np.testing.assert_array_equal(data.y[:, 0], found.target.astype(np.float32))
    assert 48 < data.x[:, 0].mean() < 49  # years
    assert data.spec.unit


def idx_bytes(x: np.ndarray) -> bytes:
    code = {"uint8": 8, "int32": 12}[x.dtype.name]
    return (
        struct.pack(">HBB", 0, code, x.ndim)
        + struct.pack(f">{x.ndim}I", *x.shape)
        + x.astype(">" + x.dtype.str[1:]).tobytes()
    )


def four_files(folder: Path, **changed: np.ndarray) -> dict[str, Path]:
    arrays = {
        "train-images": np.arange(7 * 6 * 5, dtype=np.uint8).reshape(7, 6, 5),
        "train-labels": np.array([0, 1, 2, 0, 1, 2, 2], np.uint8),
        "t10k-images": np.full((3, 6, 5), 9, np.uint8),
        "t10k-labels": np.array([2, 1, 0], np.uint8),
    }
    arrays |= {key.replace("_", "-"): value for key, value in changed.items()}
    paths = {}
    for file in (file for pair in _idx_dataset.FILES.values() for file in pair):
        paths[file] = folder / file
        paths[file].write_bytes(gzip.compress(idx_bytes(arrays[file.partition("-idx")[0]])))
    return paths


def test_four_files_make_one_block(tmp_path):
    x, y, part = _idx_dataset.read("small", four_files(tmp_path), 3)
    assert x.shape == (10, 1, 6, 5)
    assert y.tolist() == [0, 1, 2, 0, 1, 2, 2, 2, 1, 0]
    assert part.tolist() == [0] * 7 + [2] * 3
    assert (x[7:] == 9).all()
    assert x[0, 0, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"train_labels": np.zeros(6, np.uint8)}, "should hold 7 labels"),
        ({"train_labels": np.zeros(7, np.int32)}, "labels in bytes"),
        ({"train_images": np.zeros((7, 30), np.uint8)}, "swapped"),
        ({"train_images": np.zeros((7, 6, 5), np.int32)}, "swapped"),
        ({"t10k_images": np.zeros((3, 6, 6), np.uint8)}, r"\(6, 6\)"),
        ({"t10k_labels": np.array([0, 3, 0], np.uint8)}, "the label 3 in row 1"),
    ],
)
def test_files_that_do_not_fit(tmp_path, changed, problem):
    with pytest.raises(DataError, match=problem):
        _idx_dataset.read("small", four_files(tmp_path, **changed), 3)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_the_files(tmp_path, name):
    with pytest.raises(DataError, match="train-images"):
        build(name, folder=tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_other_files(tmp_path, name):
    four_files(tmp_path)
    with pytest.raises(DataError):
        build(name, folder=tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize("name", FILES)
def test_real_sets(name):
    data = build(name)
    assert data.x.shape == (70_000, 1, 28, 28)
    assert data.part is not None
    assert np.bincount(data.part).tolist() == [60_000, 0, 10_000]
    if name == "mnist":
        ink = data.x[:2000, 0].astype(float)
        rows = (ink.sum(axis=2) * np.arange(28)).sum(axis=1) / ink.sum(axis=(1, 2))
        assert np.abs(rows - 14).mean() < 0.5  # the centre of mass is in the middle: what Ink says
    else:
        assert np.bincount(data.y).tolist() == [7000] * 10


def test_resized_images_are_pillows():
    from PIL import Image

    from yisheng.data.datasets._idx_dataset import resized

    x = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28)).astype(np.uint8)
    for size in (96, 20):
        ours = resized(x, size)
        for mine, given in zip(ours[:, 0], x[:, 0], strict=True):
            pillows = np.asarray(Image.fromarray(given).resize((size, size), Image.Resampling.BILINEAR))
            assert np.abs(mine.astype(int) - pillows.astype(int)).max() <= 1
