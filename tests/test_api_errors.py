"""Wrong arguments from Python: refused by name before any work, and no folder is created."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng import DataError, Dataset, Spec, UsageError

N = 40
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
VALUES = X[:, :1].copy()
LABELS = (X[:, :2] > 0).astype(np.float32)
CLASSES = Spec("classification", (3,), classes=("no", "yes"))
REGRESSION = Spec("regression", (3,))
MULTILABEL = Spec("multilabel", (3,), classes=("a", "b"))


def replace_row(values, row, to):
    """Return a copy with one row replaced."""
    copy = values.copy()
    copy[row] = to
    return copy


SETTINGS = [
    ({"data": 3}, "data cannot be read from int"),
    ({"data": pd.DataFrame({"a": [1, 2]})}, "which column is to be predicted|target"),
    ({"data": X}, "the targets are missing"),
    ({"data": (X, Y), "colour": 3}, "unknown key 'colour'"),
    ({"data": "iris", "classes": ["a"]}, "classes is not an option of"),
    ({"data": {"name": "iris", "folder": "x"}}, "no option 'folder'"),
    ({"data": "mnits"}, "did you mean mnist"),
    ({"data": "iris", "dataset": "digits", "epoch": 3}, "epoch"),
    ({"config": "missing.toml"}, "missing.toml"),
    ({"config": 3}, "config must be a path"),
    ({"config": "."}, "."),
    ({"config": "a\0b"}, "config must be a path"),
    ({"data": "iris", "out": 3}, "out must be a path"),
    ({"data": "iris", "out": None}, "out must be a path"),
    ({"data": "iris", "out": "a\0b"}, "out must be a path"),
    ({"data": "iris", "epochs": -1}, "epochs must be"),
    ({"data": "iris", "epochs": 1.5}, "epochs must be"),
    ({"data": "iris", "epochs": [3]}, "epochs must be"),
    ({"data": "iris", "epochs": object()}, "epochs must be"),
    ({"data": "iris", "lr": float("nan")}, "lr must be"),
    ({"data": "iris", "lr": float("inf")}, "lr must be"),
    ({"data": "iris", "lr": -0.1}, "lr must be"),
    ({"data": "iris", "lr": "fast"}, "lr must be"),
    ({"data": "iris", "lr": None}, "lr must be"),
    ({"data": "iris", "lr": 1j}, "lr must be"),
    ({"data": "iris", "lr": np.array([0.1, 0.2])}, "lr must be"),
    ({"data": "iris", "batch": 0}, "batch must be"),
    ({"data": "iris", "seed": -1}, "seed must be"),
    ({"data": "iris", "seed": 2**64}, "seed must be"),
    ({"data": "iris", "model": 3}, "model must be a name"),
    ({"data": "iris", "model": None}, "model must be a name"),
    ({"data": "iris", "model": {"hidden": [8]}}, "model must have a name"),
    ({"data": "iris", "model": {"name": "mlp", "width": 8}}, "no option 'width'"),
    ({"data": "iris", "hidden": "eight"}, "hidden must be"),
    ({"data": "iris", "hidden": [-8]}, "hidden must be"),
    ({"data": "iris", "validation": 2.5}, "validation must be"),
    ({"data": "iris", "fold": 0.2}, "fold must be"),
    ({"data": "iris", "device": "tpu"}, "device=tpu"),
    ({"data": "iris", "device": 0}, "device must be"),
    ({"data": "iris", "score": 3}, "metrics must be"),
]


def name_of(settings):
    """Return a name for a test that is the same in every process."""
    return re.sub(r" at 0x\w+", "", str(settings))[:50].replace("\0", "0")


@pytest.mark.parametrize(("settings", "cause"), SETTINGS, ids=[name_of(s) for s, _ in SETTINGS])
def test_wrong_settings_are_refused(settings, cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=cause) as caught:
        yisheng.train(**settings)
    assert "\n" not in caught.value.problem
    assert list(tmp_path.iterdir()) == []


DATA = [
    (lambda: (CLASSES, X.tolist(), Y), "x must be a NumPy array, got list"),
    (lambda: (CLASSES, pd.DataFrame(X), Y), "x must be a NumPy array"),
    (lambda: (CLASSES, X, pd.Series(Y).to_frame()), "y must be a NumPy array"),
    (lambda: (CLASSES, X, None), "y must be a NumPy array, got NoneType"),
    (lambda: (CLASSES, np.float32(1), Y), "one value"),
    (lambda: (CLASSES, X[:0], Y[:0]), "empty"),
    (lambda: (CLASSES, X.astype(object), Y), "inputs must be .*, got object"),
    (lambda: (CLASSES, X.astype(np.int32), Y), "inputs must be .*, got int32"),
    (lambda: (CLASSES, X[:, :2], Y), r"must have the spec's shape \(3,\), got \(2,\)"),
    (lambda: (CLASSES, X, Y[:-1]), "40 inputs need 40 targets, got 39"),
    (lambda: (CLASSES, X, Y.astype(np.float32)), r"int64 \(N,\), got float32"),
    (lambda: (CLASSES, X, Y.astype(np.int32)), r"int64 \(N,\), got int32"),
    (lambda: (CLASSES, X, Y.astype(str)), r"int64 \(N,\)"),
    (lambda: (CLASSES, X, Y[:, None]), r"int64 \(N,\), got int64 \(40, 1\)"),
    (lambda: (CLASSES, X, np.eye(2, dtype=np.int64)[Y]), r"int64 \(N,\)"),
    (lambda: (CLASSES, X, Y + 1), "from 0 to 1, got 2 in row"),
    (lambda: (CLASSES, X, replace_row(Y, 7, -1)), "from 0 to 1, got -1 in row 7"),
    (lambda: (CLASSES, X, replace_row(Y, 9, 2**60)), "got 1152921504606846976 in row 9"),
    (lambda: (REGRESSION, X, VALUES[:, 0]), r"\(N, T\).* got float32 \(40,\)"),
    (lambda: (REGRESSION, X, Y), r"\(N, T\).* got int64 \(40,\)"),
    (lambda: (REGRESSION, X, replace_row(VALUES, 3, np.nan)), r"finite numbers, got \[nan\] in row 3"),
    (lambda: (REGRESSION, X, replace_row(VALUES, 4, np.inf)), r"finite numbers, got \[inf\] in row 4"),
    (lambda: (MULTILABEL, X, LABELS[:, :1]), r"float32 \(N, 2\), got float32 \(40, 1\)"),
    (lambda: (MULTILABEL, X, LABELS.astype(np.int64)), r"float32 \(N, 2\)"),
    (lambda: (MULTILABEL, X, replace_row(LABELS, 2, 0.5)), r"0 or 1 for each label, got \[0.5, 0.5\] in row 2"),
    (lambda: (CLASSES, X, Y, np.full(N, 3, np.int8)), "parts must be 0, 1 or 2"),
    (lambda: (CLASSES, X, Y, np.zeros(3, np.int8)), "40 inputs need 40 parts, got 3"),
    (lambda: (CLASSES, X, Y, None, np.full(N, -1, np.float32)), "weights must be 0 or more"),
    (lambda: (CLASSES, X, Y, None, np.full(N, np.nan, np.float32)), "weights must be 0 or more"),
    (lambda: (CLASSES, X, Y, None, None, ("a",)), "40 inputs need 40 rows, got 1"),
]


@pytest.mark.parametrize(("make", "cause"), DATA, ids=[cause for _, cause in DATA])
def test_wrong_arrays_are_refused(make, cause):
    with pytest.raises(DataError, match=cause):
        Dataset("mine", *make())


@pytest.mark.parametrize("row", range(0, N, 3))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused_in_every_part(row, value, tmp_path):
    data = Dataset("mine", CLASSES, replace_row(X, row, value), Y)
    with pytest.raises(DataError, match="infinite values in columns .* of the (training|validation|test) part"):
        yisheng.train(data=data, epochs=1, out=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_parts_may_be_empty(tmp_path):
    data = Dataset("mine", CLASSES, X, Y)
    run = yisheng.train(data=data, epochs=1, validation=0, test=0, out=tmp_path, quiet=True)
    assert run.scores == {}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = Dataset("mine", CLASSES, X, Y)
    return yisheng.train(data=data, model="linear", epochs=1, out=tmp_path_factory.mktemp("runs"), quiet=True)


INPUTS = [
    (3, DataError, "got an int"),
    (None, DataError, "got None"),
    ([], UsageError, "at least one input"),
    ([[1.0, 2.0]], DataError, "2"),
    ([1.0, "two", 3.0], DataError, "two"),
    (["a\0b"], UsageError, "must be a path"),
    ("nowhere.csv", DataError, "does not exist"),
    (Path("nowhere.csv"), DataError, "does not exist"),
    (X[:0], DataError, "inputs must have the shape"),
    (X[:, :2], DataError, "inputs must have the shape"),
    (np.zeros(()), DataError, "inputs must have the shape"),
    (replace_row(X, 0, np.nan), DataError, "NaN"),
    (np.full((1, 3), 1e300), DataError, "too large"),
    (replace_row(X.astype(object), 3, "many"), DataError, "many"),
    (X.astype(complex), DataError, "must be numbers"),
    (pd.DataFrame(X).iloc[:, :2], DataError, "the DataFrame has 2 columns"),
]


@pytest.mark.parametrize(("inputs", "error", "cause"), INPUTS, ids=[f"{n} {i[2]}" for n, i in enumerate(INPUTS)])
def test_wrong_inputs_of_predict_are_refused(inputs, error, cause, run):
    with pytest.raises(error, match=cause):
        run.predict(inputs)


def test_paths_that_are_not_runs_are_refused(tmp_path):
    for path in (3, None, "a\0b", "", "a" * 300, "~no-such-user/run"):
        with pytest.raises(UsageError, match="must be a path|no home folder"):
            yisheng.load(path)
    for path in ("nowhere", tmp_path, __file__):
        with pytest.raises(DataError):
            yisheng.load(path)


def test_numpy_numbers_are_numbers(tmp_path):
    run = yisheng.train(
        data="iris",
        hidden=[np.int64(4)],
        lr=np.float64(0.01),
        epochs=np.int64(1),
        seed=np.int32(3),
        out=tmp_path,
        quiet=True,
    )
    assert run.run.config["seed"] == 3
