"""Files of arrays on the command line, for networks that take neither images nor rows."""

import json

import numpy as np
import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.core.input_spec import InputSpec
from yisheng.core.spec import Spec
from yisheng.inference.inputs.read_inputs import read_inputs

SEQUENCE = Spec("regression", (2, 3))
IDS = Spec("regression", (4,), dtype="int64")
NAMED = Spec("regression", (40,), inputs=(InputSpec((4,), "int64", "ids"), InputSpec((2,), "float32", "values")))
UNNAMED = Spec("regression", (40,), inputs=(InputSpec((4,), "int64"), InputSpec((2,))))


def read(path, spec):
    return read_inputs([str(path)], spec, None).x


def test_one_array(tmp_path):
    x = np.arange(12.0).reshape(2, 2, 3)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "one.npz", anything=x)
    np.savez(tmp_path / "two.npz", x=x, y=np.zeros(2))
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()))
    for name in ("x.npy", "one.npz", "two.npz", "x.json"):
        block = read(tmp_path / name, SEQUENCE)
        assert block.dtype == np.float32
        np.testing.assert_array_equal(block, x)


def test_ids(tmp_path):
    np.save(tmp_path / "ids.npy", np.array([[1, 2, 3, 4]], np.int32))
    assert read(tmp_path / "ids.npy", IDS).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("spec", [NAMED, UNNAMED], ids=["named", "unnamed"])
def test_several_inputs(tmp_path, spec):
    ids, values = np.array([[1, 2, 3, 4]]), np.array([[0.5, 1]], np.float32)
    np.savez(tmp_path / "x.npz", ids=ids, values=values)
    block = read(tmp_path / "x.npz", spec)
    assert block.shape == (1, 40)
    assert block[0, :32].view(np.int64).tolist() == [1, 2, 3, 4]
    assert block[0, 32:].view(np.float32).tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("photo.png", r"the model takes inputs of shape \(2, 3\), which .*photo\.png cannot hold"),
        ("missing.npy", "does not exist"),
        ("damaged.npy", "cannot be read as .npy"),
        ("names.npz", "holds a, b"),
        ("objects.npy", "it holds pickled objects"),
        ("damaged.json", "is not JSON"),
        ("shape.npy", r"the model takes inputs of shape \(2, 3\), got an array of shape \(5, 7\)"),
    ],
)
def test_what_cannot_be_read_is_described(tmp_path, name, problem):
    (tmp_path / "photo.png").write_bytes(b"")
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "damaged.json").write_text("[[1, 2")
    np.savez(tmp_path / "names.npz", a=np.zeros((1, 2, 3)), b=np.zeros(1))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "shape.npy", np.zeros((5, 7)))
    with pytest.raises(DataError, match=problem):
        read(tmp_path / name, SEQUENCE)


def test_an_input_that_the_file_lacks_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", ids=np.zeros((1, 4), np.int64))
    with pytest.raises(DataError, match="has no array values: it holds ids"):
        read(tmp_path / "x.npz", NAMED)


def test_several_files_are_refused():
    with pytest.raises(UsageError, match="takes one file of arrays, got 2"):
        read_inputs(["a.npy", "b.npy"], SEQUENCE, None)
