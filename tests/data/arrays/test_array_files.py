"""Files of arrays: .npz and .npy of images and rows, pairs, parts, class names."""

import numpy as np
import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.core.paths import find_data_reader
from yisheng.data.arrays import stored_array
from yisheng.data.arrays.dataset import find_target_file, load_arrays
from yisheng.data.arrays.image_arrays import to_block, to_pixels
from yisheng.data.arrays.roles import split_words
from yisheng.data.datasets.arrays import arrays

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 6, 7), dtype=np.uint8)
COLOR = RNG.integers(0, 256, (24, 6, 7, 3), dtype=np.uint8)
LABELS = np.arange(24) % 3


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (IMAGES, IMAGES[:, None]),
        (COLOR, COLOR.transpose(0, 3, 1, 2)),
        (COLOR.transpose(0, 3, 1, 2), COLOR.transpose(0, 3, 1, 2)),
        (COLOR.transpose(1, 2, 3, 0), COLOR.transpose(0, 3, 1, 2)),
        (IMAGES.astype(np.int64), IMAGES[:, None]),
        (IMAGES.astype(np.float64), IMAGES[:, None]),
        (IMAGES / 255, IMAGES[:, None]),
        (IMAGES > 127, (IMAGES[:, None] > 127) * np.uint8(255)),
        (IMAGES.astype(">u2"), IMAGES[:, None]),
    ],
)
@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("arr_0", "arr_1"), ("X", "target")])
def test_images_are_read_in_any_order_of_axes(tmp_path, x, expected, names):
    path = tmp_path / "a.npz"
    np.savez(path, **dict(zip(names, (x, LABELS), strict=True)))
    assert find_data_reader(str(path)) == ("arrays", str(path))
    data = arrays(path=str(path))
    np.testing.assert_array_equal(data.x, expected)
    assert data.x.dtype == np.uint8
    assert data.y.tolist() == LABELS.tolist()
    assert data.spec.classes == ("0", "1", "2")


@pytest.mark.parametrize("x", [RNG.normal(size=(5, 4, 4)), RNG.random((5, 4, 4)), IMAGES.astype(np.float32) * 257])
def test_values_that_bytes_would_lose_stay_floats(x):
    pixels, (note,) = to_pixels(x, "x")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, x.astype(np.float32))
    assert "stay floats" in note


def test_parts_and_class_names_are_found(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:6], y_test=LABELS[:6], class_names=["a", "b", "c"])
    data = arrays(path=str(path))
    assert data.spec.classes == ("a", "b", "c")
    assert np.bincount(data.part).tolist() == [24, 0, 6]


def test_arrays_can_be_named(tmp_path):
    path = tmp_path / "m.npz"
    np.savez(path, one=IMAGES, two=IMAGES[:, :, :5], three=LABELS, four=LABELS[:5])
    with pytest.raises(DataError, match="no array of inputs"):
        arrays(path=str(path))
    data = arrays(path=str(path), keys=("x:two", "y:three"))
    assert data.spec.shape == (1, 6, 5)
    with pytest.raises(UsageError, match="has no such array"):
        arrays(path=str(path), keys=("x:five",))
    with pytest.raises(UsageError, match="ROLE:NAME"):
        arrays(path=str(path), keys=("z:two",))
    with pytest.raises(DataError, match="has 24 rows, four has 5"):
        arrays(path=str(path), keys=("x:two", "y:four"))
    np.savez(path, x=IMAGES, images=IMAGES, y=LABELS)
    with pytest.raises(DataError, match="two arrays that may be the inputs"):
        arrays(path=str(path))


@pytest.mark.parametrize("names", [("x.npy", "y.npy"), ("X_train.npy", "y_train.npy"), ("images.npy", "labels.npy")])
def test_pairs_of_files_belong_together(tmp_path, names):
    np.save(tmp_path / names[0], IMAGES)
    np.save(tmp_path / names[1], LABELS)
    assert find_target_file(tmp_path / names[0]) == tmp_path / names[1]
    data = arrays(path=str(tmp_path / names[0]))
    assert data.y.tolist() == LABELS.tolist()


def test_the_target_of_a_pair_can_be_named(tmp_path):
    np.save(tmp_path / "pixels.npy", IMAGES)
    np.save(tmp_path / "ages.npy", RNG.random(24) * 90)
    with pytest.raises(DataError, match="holds no targets"):
        arrays(path=str(tmp_path / "pixels.npy"))
    data = arrays(path=str(tmp_path / "pixels.npy"), target="ages.npy")
    assert (data.spec.task, data.y.shape) == ("regression", (24, 1))


def test_rows_are_read_as_a_table(tmp_path):
    rows = RNG.normal(size=(30, 3))
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "y.npy", np.arange(30) % 2)
    data = arrays(path=str(tmp_path / "x.npy"), names=("a", "b", "c"))
    assert [column.name for column in data.spec.columns] == ["a", "b", "c"]
    np.testing.assert_array_equal(data.x, rows.astype(np.float32))
    assert data.spec.task == "classification"
    np.save(tmp_path / "x_test.npy", rows[:5])
    np.save(tmp_path / "y_test.npy", np.arange(5) % 2)
    tested = arrays(path=str(tmp_path / "x.npy"), test="x_test.npy")
    assert int((tested.part == 2).sum()) == 5
    np.savez(tmp_path / "r.npz", x=rows, y=np.arange(30) % 2)
    assert find_data_reader(str(tmp_path / "r.npz"))[0] == "table"


@pytest.mark.parametrize(
    ("x", "cause"),
    [
        (np.zeros((4, 5, 6, 7)), "not that of images"),
        (np.full((4, 3, 3), np.nan), "NaN or infinite"),
        (np.zeros((4, 3, 3), complex), "neither numbers nor text"),
        (np.zeros((4, 3, 3), dtype=object), "pickled objects"),
        (np.zeros((0, 3, 3)), "rows"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, x, cause):
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(4) % 2)
    with pytest.raises(DataError, match=cause):
        load_arrays(tmp_path / "a.npz")


def test_damaged_and_large_files_are_refused(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "y.npy", LABELS)
    content = (tmp_path / "x.npy").read_bytes()
    for wrong in (b"", b"no array", content[:60], content[:-50]):
        (tmp_path / "x.npy").write_bytes(wrong)
        with pytest.raises(DataError, match="cannot be read as .npy"):
            load_arrays(tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(content)
    monkeypatch.setattr(stored_array, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than the 0 that are read"):
        load_arrays(tmp_path / "x.npy")
    with pytest.raises(DataError, match="does not exist"):
        load_arrays(tmp_path / "nowhere.npz")


def test_helpers():
    assert split_words("trainImages_2") == ["train", "images", "2"]
    with pytest.raises(DataError, match="holds no images"):
        to_block(np.zeros((3, 1, 1)), "x")
