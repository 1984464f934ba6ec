"""Targets of tables: tasks, classes, labels and numbers."""

import numpy as np
import pandas as pd
import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.data import tables

N = 40
Y = np.random.default_rng(0).normal(size=N).round(4).tolist()


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["a", "b", "c", "a"] * 10, "classification", ("a", "b", "c")),
        (["yes", "no"] * 20, "classification", ("no", "yes")),
        (["Yes", "YES", "no", "no"] * 10, "classification", None),
        ([True, False] * 20, "classification", ("False", "True")),
        ([1, 0] * 20, "classification", ("0", "1")),
        ([1.0, 0.0] * 20, "classification", ("0", "1")),
        ([-1, 1] * 20, "classification", ("-1", "1")),
        ([10, 9, 2, 1] * 10, "classification", ("1", "2", "9", "10")),
        ([0.5, 1.5] * 20, "regression", ()),
        (list(range(40)), "regression", ()),
        ([n % 10 for n in range(40)], "regression", ()),  # four rows each
        (["$1,200", "$3", "$5.5", "$7"] * 10, "regression", ()),
        (["007", "008"] * 20, "classification", ("007", "008")),
    ],
)
def test_tasks_are_inferred(values, task, classes):
    data = tables.from_frame(pd.DataFrame({"x": Y, "t": values}), target="t")
    assert data.spec.task == task
    assert classes is None or data.spec.classes == classes
    if task == "classification" and classes:
        written = [str(v).removesuffix(".0") for v in values]
        assert [classes[number] for number in data.y] == written


@pytest.mark.parametrize("values", [[0, 1] * 20, [1, 2, 3, 4] * 10, ["a", "b"] * 20, Y, [n % 2 for n in range(40)]])
def test_tasks_agree_with_scikit_learn(values):
    from sklearn.utils.multiclass import type_of_target

    data = tables.from_frame(pd.DataFrame({"x": Y, "t": values}), target="t")
    expected = type_of_target(np.asarray(values))
    assert (data.spec.task == "regression") == expected.startswith("continuous")


def test_several_targets_are_labels_or_numbers():
    frame = pd.DataFrame({"x": Y, "a": [0, 1] * 20, "b": ["yes", "no"] * 20, "c": Y, "d": np.arange(N) * 2.0})
    labels = tables.from_frame(frame, target=("a", "b"), drop=("c", "d"))
    assert (labels.spec.task, labels.spec.classes) == ("multilabel", ("a", "b"))
    assert labels.y[:2].tolist() == [[0, 1], [1, 0]]
    numbers = tables.from_frame(frame, target=("c", "d"))
    assert (numbers.spec.task, numbers.y.shape, numbers.spec.target) == ("regression", (N, 2), "c, d")
    with pytest.raises(UsageError, match="predicts one column"):
        tables.from_frame(frame, target=("a", "b"), task="classification")
    with pytest.raises(DataError, match="must be yes or no"):
        tables.from_frame(frame, target=("a", "d"), task="multilabel")


@pytest.mark.parametrize(
    ("values", "task", "cause"),
    [
        (["a"] * N, None, "the same|in every row"),
        ([1.5] * N, None, "1.5 in every row"),
        ([None] * N, None, "missing in every row"),
        ([f"name {n}" for n in range(N)], None, "too many for classes"),
        (["1.5"] * 3 + [f"{n}.25" for n in range(36)] + ["x"], None, "'x' in row 40: not a number"),
        (["a", "b"] * 20, "regression", "'a' in row 1: not a number"),
        ([*Y[:-1], np.inf], None, "inf in row 40"),
        ([*Y[:-1], 1e300], None, "1e\\+300 in row 40"),
        (["2020-01-01", "2020-01-02"] * 20, None, "holds dates"),
        (Y, "classification", "too many for classes"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(values, task, cause):
    with pytest.raises(DataError, match=cause):
        tables.from_frame(pd.DataFrame({"x": Y, "t": values}), target="t", task=task)


def test_rows_without_a_target_are_left_out_with_a_warning():
    frame = pd.DataFrame({"x": Y, "name": [f"r{n}" for n in range(N)], "c": ["a", "b"] * 20, "t": ["u", None] * 20})
    frame.loc[0, "t"] = "v"
    data = tables.from_frame(frame, target="t", id="name", drop=["c"])
    assert len(data) == 20
    assert data.rows is not None
    assert data.rows[:2] == ("r0", "r2")
    assert data.x[:, 0].tolist() == np.float32(Y[::2]).tolist()
    warning = {finding.check: finding for finding in data.findings}["missing target"]
    assert (warning.evidence["rows"], warning.evidence["first"]) == (20, 2)
