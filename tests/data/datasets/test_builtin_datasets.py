"""Every data set has what a `Dataset` promises; the generated ones follow their formulas."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from tests.data.datasets.small_files import make_idx_gz
from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.data.datasets import _idx_dataset

EMBEDDED = ("breast-cancer", "diabetes", "digits", "iris", "linear", "polynomial", "wine", "xor")
GENERATED = ("linear", "polynomial", "xor")
FILES = ("mnist", "fashion-mnist")


def build(name, **options):
    return registry.find("data.datasets", name).build(**options)


@pytest.mark.parametrize("name", [*EMBEDDED, *(pytest.param(name, marks=pytest.mark.realdata) for name in FILES)])
def test_dataset_is_complete_and_reproducible(name):
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
    assert data.license
    if data.spec.is_image:
        assert data.spec.drawing is not None
        assert data.x.max() == 255
    rebuilt = build(name)
    assert data.x.tobytes() == rebuilt.x.tobytes()
    assert data.y.tobytes() == rebuilt.y.tobytes()


def test_all_datasets_are_registered():
    assert set(registry.names("data.datasets")) >= {*EMBEDDED, *FILES}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_datasets_have_their_own_seed(name):
    default, seed_0, seed_1 = build(name), build(name, seed=0), build(name, seed=1)
    assert default.x.tobytes() == seed_0.x.tobytes() != seed_1.x.tobytes()
    options = registry.find("data.datasets", name).options
    assert {"n", "noise", "seed"} <= set(options)
    assert all(option.help for option in options.values())
    config = merge_settings([("data", name, "file"), ("seed", 5, "file"), ("data.seed", "7", "command line")]).config
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
        merge_settings([("data", name, "file"), (f"data.{option}", value, "file")])


def test_linear_weights_are_recovered_by_least_squares():
    data = build("linear", n=5000)
    weights, residual, *_ = np.linalg.lstsq(
        np.column_stack([data.x, np.ones(len(data))]).astype(float), data.y[:, 0], rcond=None
    )
    np.testing.assert_allclose(weights, [2.0, -3.4, 4.2], atol=6 * 0.01 / math.sqrt(5000))
    assert abs(math.sqrt(residual[0] / 5000) - 0.01) < 0.001
    noiseless = build("linear", w=(1.0, 2.0, 3.0), b=-1.0, noise=0.0, n=10)
    np.testing.assert_allclose(noiseless.y[:, 0], noiseless.x @ [1, 2, 3] - 1, atol=1e-5)
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


def test_polynomial_equals_the_textbook_formula():
    data = build("polynomial", degree=20, noise=0.0, n=50)
    x = data.x[:, 0].astype(np.float64)
    for i in range(1, 21):
        np.testing.assert_allclose(data.x[:, i - 1], x**i / math.factorial(i), rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(data.y[:, 0], 5 + 1.2 * x - 3.4 * x**2 / 2 + 5.6 * x**3 / 6, rtol=1e-5, atol=1e-5)
    noisy = build("polynomial", n=20_000)
    smooth = build("polynomial", n=20_000, noise=0.0)
    assert abs(float(np.std(noisy.y - smooth.y)) - 0.1) < 0.003


@pytest.mark.parametrize(("noise", "best_accuracy"), [(0.3, 0.9991), (0.5, 0.9555)])
def test_xor_is_not_linearly_separable(noise, best_accuracy):
    from sklearn.linear_model import LogisticRegression

    data = build("xor", n=20_000, noise=noise)
    assert np.bincount(data.y).tolist() == [10_000, 10_000]
    assert LogisticRegression().fit(data.x, data.y).score(data.x, data.y) < 0.6
    rule = (data.x[:, 0] > 0) != (data.x[:, 1] > 0)
    assert abs(float((rule == data.y).mean()) - best_accuracy) < 0.006


@pytest.mark.parametrize("file_exists", [True, False])
def test_digits_equal_scikit_learns(file_exists, monkeypatch):
    bunch = sklearn_datasets.load_digits()
    if not file_exists:  # scikit-learn loads the digits if a future version moves the file
        monkeypatch.setattr(Path, "is_file", lambda _: False)
    data = build("digits")
    np.testing.assert_array_equal(data.y, bunch.target)
    np.testing.assert_array_equal(np.rint(data.x[:, 0] * (16 / 255)), bunch.images)
    assert {int(v) for v in np.unique(data.x)} == {round(v * 255 / 16) for v in range(17)}
    assert (data.x[:, 0] > 0).any(axis=2).all()  # the drawings fill the height, as `Drawing` says


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_rows_equal_scikit_learns(name):
    data, bunch = build(name), getattr(sklearn_datasets, f"load_{name}")()
    np.testing.assert_array_equal(data.x, bunch.data.astype(np.float32))
    np.testing.assert_array_equal(data.y, bunch.target)
    assert [column.name for column in data.spec.columns] == list(bunch.feature_names)


def test_diabetes_is_not_scaled():
    data, bunch = build("diabetes"), sklearn_datasets.load_diabetes(scaled=False)
    np.testing.assert_array_equal(data.x, bunch.data.astype(np.float32))
    np.testing.assert_array_equal(data.y[:, 0], bunch.target.astype(np.float32))
    assert 48 < data.x[:, 0].mean() < 49  # years
    assert data.spec.unit


def write_four_files(folder: Path, **changed: np.ndarray) -> dict[str, Path]:
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
        paths[file].write_bytes(make_idx_gz(arrays[file.partition("-idx")[0]]))
    return paths


def test_idx_files_are_stacked_into_one_block(tmp_path):
    x, y, part = _idx_dataset.read_parts("small", write_four_files(tmp_path), 3)
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
def test_idx_files_that_do_not_match_are_refused(tmp_path, changed, problem):
    with pytest.raises(DataError, match=problem):
        _idx_dataset.read_parts("small", write_four_files(tmp_path, **changed), 3)


@pytest.mark.parametrize("name", FILES)
def test_idx_folder_without_the_files_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="train-images"):
        build(name, folder=tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_idx_folder_with_other_files_is_refused(tmp_path, name):
    write_four_files(tmp_path)
    with pytest.raises(DataError):
        build(name, folder=tmp_path)


@pytest.mark.realdata
@pytest.mark.parametrize("name", FILES)
def test_real_idx_datasets(name):
    data = build(name)
    assert data.x.shape == (70_000, 1, 28, 28)
    assert data.part is not None
    assert np.bincount(data.part).tolist() == [60_000, 0, 10_000]
    if name == "mnist":
        drawings = data.x[:2000, 0].astype(float)
        rows = (drawings.sum(axis=2) * np.arange(28)).sum(axis=1) / drawings.sum(axis=(1, 2))
        assert np.abs(rows - 14).mean() < 0.5  # the center of mass is in the center, as `Drawing` says
    else:
        assert np.bincount(data.y).tolist() == [7000] * 10


def test_resized_images_equal_pillows():
    from PIL import Image

    from yisheng.data.datasets._idx_dataset import resize

    x = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28)).astype(np.uint8)
    for size in (96, 20):
        for resized, original in zip(resize(x, size)[:, 0], x[:, 0], strict=True):
            expected = np.asarray(Image.fromarray(original).resize((size, size), Image.Resampling.BILINEAR))
            assert np.abs(resized.astype(int) - expected.astype(int)).max() <= 1
