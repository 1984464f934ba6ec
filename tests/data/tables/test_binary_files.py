"""Tables in Parquet and .npz files."""

import io
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from tests.data.tables.text_tables import write
from yisheng.core.errors import DataError, MissingPartError
from yisheng.data import tables
from yisheng.data.arrays import stored_array


def frame():
    return pd.DataFrame(
        {
            "n": [1.5, None, 2.5, 3] * 5,
            "c": ["red", "blue", None, "red"] * 5,
            "f": [True, False, False, True] * 5,
            "d": pd.to_datetime(["2020-01-01", "2020-02-03", None, "2021-01-01"] * 5),
            "k": pd.Categorical(["lo", "hi", "mid", "hi"] * 5, ["lo", "mid", "hi"], ordered=True),
            "y": np.arange(20) * 0.5,
        }
    )


def test_parquet_gives_the_data_set_of_the_frame(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    frame().to_parquet(path)
    data, expected = tables.from_file(path, target="y"), tables.from_frame(frame(), target="y")
    assert data.spec == expected.spec
    np.testing.assert_array_equal(data.x, expected.x)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        tables.from_file(path, target="y")
    with pytest.raises(DataError, match="does not exist"):
        tables.from_file(tmp_path / "nowhere.parquet", target="y")


def test_parquet_without_pyarrow_is_a_missing_part(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPartError, match="needs pyarrow"):
        tables.from_file(write(tmp_path, b"", "t.parquet"), target="y")


def test_npz_arrays_are_read(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x=x, y=y)
    data = tables.from_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    assert (data.spec.task, data.y.tolist(), data.spec.target) == ("classification", y.tolist(), "y")
    np.savez_compressed(tmp_path / "b.npz", rows=np.column_stack([x, y]))
    np.testing.assert_array_equal(tables.from_file(tmp_path / "b.npz", target="last").x, data.x)
    np.savez(tmp_path / "c.npz", X=x, Y=np.array(["a", "b", "c"])[y])
    assert tables.from_file(tmp_path / "c.npz").spec.classes == ("a", "b", "c")
    np.savez(tmp_path / "d.npz", x=x, y=x[:, :2])
    assert tables.from_file(tmp_path / "d.npz", target=("y-1", "y-2")).y.shape == (30, 2)


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"x": np.zeros((4, 2, 2, 2)), "y": np.zeros(4)}, "must hold rows"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(5)}, "x has 4 rows, y has 5"),
        ({"a": np.zeros((4, 2)), "b": np.zeros((4, 3))}, r"it holds a \(4x2 of float64\), b"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, "0 rows"),
        ({"x": np.array([[{}]], dtype=object), "y": np.zeros(1)}, "pickled objects"),
        ({"x": np.zeros((4, 2), complex), "y": np.zeros(4)}, "neither numbers nor text"),
    ],
)
def test_unsuitable_npz_arrays_are_refused(tmp_path, arrays, cause):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=cause):
        tables.from_file(tmp_path / "a.npz")


def test_large_and_damaged_npz_files_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 1000)), y=np.zeros(1000))
    monkeypatch.setattr(stored_array, "MAX_BYTES", 8000)
    with pytest.raises(DataError, match="more than the 0 that are read"):
        tables.from_file(tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    for wrong in (b"", b"no zip", content[:100], content[:-100]):
        with pytest.raises(DataError, match="cannot be read as .npz"):
            tables.from_file(write(tmp_path, wrong, "b.npz"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(
            "x.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2147483647, 99), }"
        )
    with pytest.raises(DataError, match="cannot be read as .npz"):
        tables.from_file(write(tmp_path, buffer.getvalue(), "c.npz"))
