"""Arrays, tensors and lists become data sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.utils.data import DataLoader

from yisheng.core import nested
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data.fingerprint import fingerprint
from yisheng.data.objects import to_dataset

X = np.arange(24.0).reshape(8, 3)
Y = np.array([0, 1] * 4)


def notes(data):
    return " ".join(finding.cause for finding in data.findings)


FORMS = {
    "arrays": (X, Y),
    "tensors": (torch.tensor(X), torch.tensor(Y)),
    "lists": (X.tolist(), Y.tolist()),
    "a list": [X, Y],
    "rows of tensors": ([torch.tensor(row) for row in X], [int(y) for y in Y]),
    "a dict": {"x": X, "y": Y},
    "other keys": {"Inputs": X, "labels": Y},
    "a column": (X, Y[:, None]),
    "bytes": (X, Y.astype(np.uint8)),
    "half precision": (torch.tensor(X).half(), torch.tensor(Y)),
    "with a gradient": (torch.tensor(X, requires_grad=True), torch.tensor(Y)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_rows_is_the_same_data(form):
    data, expected = to_dataset(FORMS[form]), to_dataset((X, Y))
    assert fingerprint(data) == fingerprint(expected)
    assert data.x.dtype == np.float32
    assert data.spec.classes == ("0", "1")


@given(
    hnp.arrays(
        st.sampled_from(["float64", "float32", "float16", "int64", "int16", "uint8", "bool"]),
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=5),
    ).map(lambda array: np.clip(np.nan_to_num(array), -60_000, 60_000) if array.dtype.kind == "f" else array),
    st.booleans(),
)
def test_numbers_of_any_type_and_shape_keep_their_values(x, ids):
    data = to_dataset((x, np.zeros(len(x))), ids=ids)
    expected = x[:, None] if x.ndim == 1 else x
    is_ids = ids and x.dtype.kind in "iu"
    assert data.x.dtype == (np.int64 if is_ids else np.uint8 if x.dtype == np.uint8 else np.float32)
    assert data.spec.dtype == ("int64" if is_ids else "float32")
    assert data.spec.shape == expected.shape[1:]
    np.testing.assert_array_equal(data.x, expected.astype(data.x.dtype))


@pytest.mark.parametrize(
    ("y", "task", "classes", "expected"),
    [
        (Y, "classification", ("0", "1"), Y),
        (Y == 1, "classification", ("False", "True"), Y),
        (np.array([7, 5] * 4), "classification", ("5", "7"), 1 - Y),
        (np.array(["b", "a"] * 4), "classification", ("a", "b"), 1 - Y),
        (["b", "a"] * 4, "classification", ("a", "b"), 1 - Y),
        (np.array(["x10", "x9"] * 4), "classification", ("x9", "x10"), 1 - Y),
        (Y * 1.5, "regression", (), Y[:, None] * 1.5),
        (np.stack([Y, Y + 0.5], 1), "regression", (), np.stack([Y, Y + 0.5], 1)),
        (np.stack([Y, Y], 1), "multilabel", ("0", "1"), np.stack([Y, Y], 1)),
        (np.stack([Y, Y], 1) == 1, "multilabel", ("0", "1"), np.stack([Y, Y], 1)),
        (np.stack([1 - Y, Y], 1), "classification", ("0", "1"), Y),
        (np.stack([1 - Y, Y], 1).astype(float), "classification", ("0", "1"), Y),
        (np.stack([Y, Y + 3], 1), "regression", (), np.stack([Y, Y + 3], 1)),
    ],
)
def test_targets_decide_what_is_learned(y, task, classes, expected):
    data = to_dataset((X, y))
    assert (data.spec.task, data.spec.classes) == (task, classes)
    np.testing.assert_array_equal(data.y, expected)


@pytest.mark.parametrize(
    ("y", "options", "task"),
    [
        (Y, {"task": "regression"}, "regression"),
        (Y * 1.0, {"task": "classification"}, "classification"),
        (np.stack([1 - Y, Y], 1), {"task": "multilabel"}, "multilabel"),
        (np.stack([1 - Y, Y], 1), {"task": "regression"}, "regression"),
        (Y[:, None], {"task": "multilabel"}, "multilabel"),
    ],
)
def test_the_user_may_say_what_is_learned(y, options, task):
    assert to_dataset((X, y), **options).spec.task == task


@given(
    st.lists(st.one_of(st.integers(-50, 50), st.booleans()), min_size=40, max_size=60).filter(lambda y: len(set(y)) > 1)
)
def test_class_numbers_name_the_values(y):
    if len({str(value) for value in y}) != len(set(y)) or len(set(y)) > 20:
        return
    array = np.array(y)
    data = to_dataset((np.zeros((len(y), 1)), array))
    assert [data.spec.classes[number] for number in data.y] == [str(value) for value in array.tolist()]
    assert list(data.spec.classes) == [str(value) for value in np.unique(array).tolist()]


def test_classes_may_be_named():
    data = to_dataset((X, Y), classes=("cat", "dog", "eel"))
    assert data.spec.classes == ("cat", "dog", "eel")
    np.testing.assert_array_equal(data.y, Y)
    labels = to_dataset((X, np.stack([Y, Y], 1)), classes=("red", "round"))
    assert labels.spec.classes == ("red", "round")


def test_other_parts_are_read_as_the_training_rows():
    data = to_dataset(
        (X, np.array(["a", "b"] * 4)),
        validation=(X[:2], ["b", "a"]),
        test={"x": X[:1].tolist(), "y": ["b"]},
    )
    assert data.part.tolist() == [0] * 8 + [1] * 2 + [2]
    assert data.y[8:].tolist() == [1, 0, 1]


def test_a_part_may_be_named_for_each_row():
    data = to_dataset((X, Y), part=["train"] * 5 + ["val", "TEST", "test"])
    assert data.part.tolist() == [0] * 5 + [1, 2, 2]
    assert to_dataset((X, Y), part=np.array([0, 0, 0, 0, 1, 1, 2, 2.0])).part.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_a_data_set_of_ours_gives_rows_to_test_on():
    spec = Spec("classification", (3,), classes=("1", "0"))
    test = Dataset("other", spec, X[:2].astype(np.float32), np.array([0, 1]))
    data = to_dataset((X, Y), test=test)
    assert data.y[8:].tolist() == [1, 0]  # matched by name


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_a_file_gives_rows_to_test_on(tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        lines = ["a,b,c,y", *(f"{','.join(map(str, row))},{y}" for row, y in zip(X, Y, strict=True))]
        path.write_text("\n".join(lines))
    else:
        np.savez(path, x=X, y=Y)
    data = to_dataset((X, Y), test=path)
    np.testing.assert_array_equal(data.x[8:], X)
    np.testing.assert_array_equal(data.y[8:], Y)


def test_weights_groups_and_times_are_kept():
    data = to_dataset(
        (X, Y),
        test=(X[:2], Y[:2]),
        sample_weight=np.arange(8),
        group=["a", "b"] * 5,
        time=np.array("2020-01-01", "datetime64[D]") + np.arange(10),
    )
    assert data.weight.tolist() == [*range(8), 1, 1]
    assert data.group.tolist() == [0, 1] * 5
    np.testing.assert_array_equal(np.diff(data.time), 1)


def test_several_inputs_are_kept_by_name_or_position():
    ids = np.arange(16).reshape(8, 2)
    by_name = to_dataset({"x": {"ids": ids, "size": X}, "y": Y})
    assert [(item.name, item.dtype) for item in by_name.spec.inputs] == [("ids", "int64"), ("size", "float32")]
    parts = nested.unpack(torch.from_numpy(by_name.x), by_name.spec.inputs)
    np.testing.assert_array_equal(parts["ids"], ids)
    by_position = to_dataset(((ids, X), Y), test=((ids[:2], X[:2]), Y[:2]))
    assert len(by_position) == 10
    np.testing.assert_array_equal(nested.unpack(torch.from_numpy(by_position.x), by_position.spec.inputs)[1][8:], X[:2])
    swapped = to_dataset({"x": {"ids": ids, "size": X}, "y": Y}, test=({"size": X[:1], "ids": ids[:1]}, Y[:1]))
    np.testing.assert_array_equal(swapped.x[8], swapped.x[0])


def test_whole_numbers_are_ids_only_where_they_can_be():
    ids = np.arange(16).reshape(8, 2)
    data = to_dataset((ids, Y))
    assert data.spec.dtype == "int64"
    assert "ids=false" in data.findings[0].remedy
    assert to_dataset((ids, Y), ids=False).spec.dtype == "float32"
    assert to_dataset((ids - 3, Y)).spec.dtype == "float32"
    assert to_dataset((ids[:, None], Y)).spec.dtype == "float32"
    assert to_dataset((ids[:, None], Y), ids=True).spec.dtype == "int64"


def test_what_is_changed_is_said():
    assert "float32 rounds x in column 1" in notes(to_dataset((X[:, :2] + [0, 1e9], Y)))
    assert "rounds" not in notes(to_dataset((X, Y)))
    assert "one-hot" in notes(to_dataset((X, np.eye(2)[Y])))
    assert "0.0 and 1.0" in notes(to_dataset((X, Y * 1.0)))
    pixels = np.zeros((8, 16, 16, 3), np.uint8)
    assert "the last axis" in notes(to_dataset((pixels, Y)))


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (X, {}, "the targets are missing"),
        (torch.tensor(X), {}, "the targets are missing"),
        (42, {}, "data cannot be read from int"),
        ("digits", {}, "data cannot be read from str"),
        ((X,), {}, "data must be \\(x, y\\), got 1"),
        ((X, Y, Y), {}, "data must be \\(x, y\\), got 3"),
        ({"x": X}, {}, "has the keys x"),
        ({"x": X, "y": Y, "z": Y}, {}, "has the keys x, y, z"),
        ((X, Y[:5]), {}, "x has 8 rows .* y has 5"),
        (((X, X[:4]), Y), {}, "x has 8, 4 rows"),
        ((3.0, 1), {}, "a batch axis is missing"),
        (([], []), {}, "has no rows"),
        (([[1, 2], [3]], [0, 1]), {}, "different shapes: \\(2,\\), \\(1,\\)"),
        (([torch.zeros(2), torch.zeros(3)], [0, 1]), {}, "different shapes"),
        ((np.array(["a"] * 8), Y), {}, "must hold numbers, got text"),
        ((np.array([{}] * 8), Y), {}, "must hold numbers, got objects such as"),
        ((X * 1j, Y), {}, "must hold numbers, got complex128"),
        ((X * np.nan, Y), {}, "x contains NaN, infinite or too large values, first in row 0"),
        ((X * 1e300, Y), {}, "too large values, first in row 0"),
        ((X, np.full(8, np.nan)), {}, "y is missing or not finite in row 0"),
        ((X, ["a", None] * 4), {}, "y is missing or not finite in row 1"),
        ((X, np.zeros((8, 2, 2))), {}, "got the shape \\(8, 2, 2\\)"),
        ((X, np.arange(8)), {"classes": ("a", "b")}, "goes from 0 to 7"),
        ((X, Y * 0), {}, "y is 0 in every row"),
        ((np.zeros((60, 1)), np.arange(60)), {}, "60 different values in 60 rows"),
        ((X, np.array(["2020-01-01"] * 8, "datetime64[D]")), {}, "y holds dates"),
        ((X, ["a", "b"] * 4), {"task": "regression"}, "y must hold numbers for this task"),
        ((X, np.stack([Y, Y], 1)), {"task": "classification"}, "not one-hot"),
        ((X, X), {"task": "multilabel"}, "not zeros and ones"),
        ((X, Y), {"validation": (X[:2], [0, 5])}, "validation y has classes that the training rows do not have: 5"),
        ((X, Y), {"test": (X[:2, :2], Y[:2])}, "test x has rows of shape \\(2,\\), the training rows have \\(3,\\)"),
        ((X, Y), {"test": ((X, X), Y)}, "test x has the inputs 2 by position"),
        ((X, Y), {"test": 3}, "data cannot be read from int"),
        ((X, Y), {"part": ["train"] * 7}, "part has 7 values for 8 rows"),
        ((X, Y), {"part": ["train"] * 7 + ["later"]}, "part must be train, validation or test"),
        ((X, Y), {"part": ["test"] * 8}, "leaves no rows for training"),
        ((X, Y), {"part": "column"}, "the data is not a table"),
        ((X, Y), {"part": [0] * 8, "test": (X, Y)}, "contradict"),
        ((X, Y), {"sample_weight": [1.0]}, "sample_weight has 1 values for 8"),
        ((X, Y), {"group": ["a"]}, "group has 1 values for 8 rows"),
        ((X, Y), {"group": "town"}, "the data is not a table"),
        ((X, Y), {"time": ["a"] * 8}, "time must hold numbers or dates"),
        ((X, Y), {"colour": 3}, "colour"),
        ((X, Y), {"workers": -1}, "workers"),
        (iter([(X, Y)]), {}, "an iterator, which can be read only once"),
        ((torch.tensor(X).to_sparse(), Y), {}, "sparse"),
    ],
)
def test_what_cannot_be_read_is_said_in_two_parts(data, options, message):
    with pytest.raises((DataError, UsageError), match=message) as caught:
        to_dataset(data, **options)
    assert caught.value.remedy


@pytest.mark.parametrize("several", [False, True])
def test_a_data_set_works_in_a_data_loader(several):
    data = to_dataset(((X, X[:, :1]), Y) if several else (X, Y))
    assert len(data) == 8
    x, y = data[-1]
    assert y == 1
    loader = DataLoader(data, batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(0))
    rows = 0
    for x, y in loader:
        first = x[0] if several else x
        assert first.dtype is torch.float32
        rows += len(y)
        assert torch.equal(y, (first[:, 0] // 3 % 2).long())
    assert rows == 8
    with pytest.raises(IndexError):
        data[8]
    assert len(list(data)) == 8


def test_items_are_copies():
    data = to_dataset((X, Y))
    data[0][0][0] = 99
    assert data.x[0, 0] == 0
