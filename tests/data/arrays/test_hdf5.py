"""HDF5: plain arrays of this very file are read, everything else is refused before a value is read."""

import sys

import numpy as np
import pytest

from yisheng.core.errors import DataError, MissingPartError
from yisheng.core.paths import find_data_reader
from yisheng.data.arrays import hdf5
from yisheng.data.arrays.array_file import open_arrays
from yisheng.data.datasets.arrays import arrays

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)
CATS = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
IS_CAT = np.arange(20) % 2


def write(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return path


def test_the_cats_of_the_course_are_read(tmp_path):
    names = np.array([b"non-cat", b"cat"])
    train = write(tmp_path / "train_catvnoncat.h5", train_set_x=CATS, train_set_y=IS_CAT[None], list_classes=names)
    write(tmp_path / "test_catvnoncat.h5", test_set_x=CATS[:4], test_set_y=IS_CAT[:4], list_classes=names)
    assert find_data_reader(str(train)) == ("arrays", str(train))
    data = arrays(path=str(train), test="test_catvnoncat.h5")
    assert data.spec.classes == ("non-cat", "cat")
    assert data.spec.shape == (3, 8, 8)
    np.testing.assert_array_equal(data.x[:20], CATS.transpose(0, 3, 1, 2))
    assert data.y[:20].tolist() == IS_CAT.tolist()
    assert np.bincount(data.part).tolist() == [20, 0, 4]


def test_groups_compression_and_texts_are_read(tmp_path):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("group/deep/x", data=CATS, compression="gzip", shuffle=True, chunks=(5, 8, 8, 3))
        file.create_dataset("group/y", data=np.array(["no", "yes"], object)[IS_CAT], dtype=h5py.string_dtype())
    data = arrays(path=str(path), keys=("x:group/deep/x", "y:group/y"))
    assert data.spec.classes == ("no", "yes")
    assert arrays(path=str(path)).y.tolist() == data.y.tolist()


def test_hdf5_without_h5py_is_a_missing_part(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", x=CATS, y=IS_CAT)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingPartError, match="needs h5py"):
        arrays(path=str(path))


def hostile(tmp_path, kind):
    path = tmp_path / f"{kind}.h5"
    (tmp_path / "secret.bin").write_bytes(bytes(20 * 8 * 8 * 3))
    with h5py.File(path, "w") as file:
        file["y"] = IS_CAT
        if kind == "external-link":
            file["x"] = h5py.ExternalLink("other.h5", "/x")
        elif kind == "external-storage":
            file.create_dataset(
                "x", CATS.shape, np.uint8, external=[(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
            )
        elif kind == "virtual":
            layout = h5py.VirtualLayout(CATS.shape, np.uint8)
            layout[:] = h5py.VirtualSource("other.h5", "x", CATS.shape)
            file.create_virtual_dataset("x", layout)
        elif kind == "reference":
            file.create_dataset("x", (20, 2), h5py.ref_dtype)
        elif kind == "compound":
            file.create_dataset("x", (20, 2), np.dtype([("a", "i4"), ("b", "f4")]))
        elif kind == "bomb":
            file.create_dataset("x", (20, 100_000, 400, 1), np.uint8, chunks=(1, 1000, 400, 1), compression="gzip")
        elif kind == "huge":
            file.create_dataset("x", (20, 2**31, 2**20), np.uint8, chunks=(1, 1000, 400))
        elif kind == "soft-link":
            file["x"] = h5py.SoftLink("/x")
    return path


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("external-link", "holds no targets for y: it holds y"),
        ("soft-link", "holds no targets for y: it holds y"),
        ("external-storage", "values are in another file"),
        ("virtual", "values are in another file"),
        ("reference", "neither numbers nor text"),
        ("compound", "neither numbers nor text"),
        ("bomb", "more values than its file can hold"),
        ("huge", "more than the 4 that are read"),
    ],
)
def test_hostile_files_are_refused(tmp_path, kind, cause):
    path = hostile(tmp_path, kind)
    with pytest.raises(DataError, match=cause):
        arrays(path=str(path), keys=("x:x", "y:y") if "link" not in kind else ())


def test_a_filter_that_needs_a_plugin_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=CATS, compression="gzip", chunks=CATS.shape)
        file["y"] = IS_CAT
    monkeypatch.setattr(hdf5, "ALLOWED_FILTERS", {2: "shuffle"})
    with pytest.raises(DataError, match="needs a plugin"):
        arrays(path=str(path))


def test_damaged_files_are_refused(tmp_path):
    path = write(tmp_path / "a.h5", x=CATS, y=IS_CAT)
    content = path.read_bytes()
    for wrong in (b"", b"no file", content[:500], content[:-2000]):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match="cannot be read as HDF5"), open_arrays(path) as stored:
            next(iter(stored.values())).read()


def test_groups_within_groups_are_bounded(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("loop")
        file["loop/self"] = file["loop"]
    with pytest.raises(DataError, match="arrays and groups"), open_arrays(path):
        pass
