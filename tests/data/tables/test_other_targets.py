"""The targets of a test table: read as those of training, classes matched by name."""

import numpy as np
import pandas as pd
import pytest

from yisheng import DataError
from yisheng.data import tables

RANDOM = np.random.default_rng(0)


def frame(y, n=None):
    n = n or len(y)
    return pd.DataFrame({"x": RANDOM.normal(size=n), "y": list(y)})


def build(train, test, **options):
    return tables.from_frame(frame(train), test=frame(test), target="y", **options)


def test_labels_of_another_form_are_refused_and_the_form_fixes_it():
    train, test = ["<=50K", ">50K"] * 10, ["<=50K.", ">50K."] * 3
    with pytest.raises(DataError, match="no label of the test rows") as error:
        build(train, test)
    assert "labels=strip-dot" in error.value.remedy
    data = build(train, test, labels="strip-dot")
    assert data.spec.classes == ("<=50K", ">50K")
    assert data.spec.label_forms == ("strip-dot",)
    assert data.y[-6:].tolist() == [0, 1] * 3


def test_the_forms_apply_to_training_labels_too():
    data = build(["Cat", "cat.", "dog", "DOG "] * 5, ["dog."], labels=["strip-dot", "casefold"])
    assert data.spec.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("train", "test", "classes", "numbers"),
    [
        ([0, 1] * 10, ["1.0", "0", "1"], ("0", "1"), [1, 0, 1]),
        (["0", "1", "2"] * 10, [2.0, 0.0], ("0", "1", "2"), [2, 0]),
        (["Yes", "No"] * 10, ["yes", "NO", "YES"], ("No", "Yes"), [1, 0, 1]),
        (["007", "7"] * 10, ["7", "007"], ("007", "7"), [1, 0]),
    ],
)
def test_numbers_and_yes_and_no_match_in_every_spelling(train, test, classes, numbers):
    data = build(train, test)
    assert data.spec.classes == classes
    assert data.y[len(train) :].tolist() == numbers


def test_two_spellings_of_a_number_are_one_class_of_training():
    data = tables.from_frame(frame(["1", "1.0", "b", "b"] * 5), target="y")
    assert data.spec.classes == ("1", "b")


def test_the_task_is_that_of_the_training_table():
    data = build(RANDOM.normal(size=30), [1, 2])
    assert data.spec.task == "regression"
    with pytest.raises(DataError, match=r"test table\): the target y is 'many' in row 2"):
        build(RANDOM.normal(size=30), ["1.5", "many"])


def test_numbers_of_a_test_table_have_the_format_of_training():
    data = build(["1.234,5", "0,5", "2,5"], ["1.234", "7"])
    assert data.spec.target_columns[0].format == ","
    assert data.y[:, 0].tolist() == [1234.5, 0.5, 2.5, 1234.0, 7.0]


def test_labels_in_columns_may_hold_one_of_two_words():
    train = pd.DataFrame({"x": RANDOM.normal(size=20), "sea": ["no", "yes"] * 10, "sky": [0, 1] * 10})
    test = pd.DataFrame({"x": [1.0, 2.0], "sea": ["NO", "no"], "sky": ["1.0", "0"]})
    data = tables.from_frame(train, test=test, target=["sea", "sky"])
    assert data.y[-2:].tolist() == [[0, 1], [0, 0]]
    with pytest.raises(DataError, match="must be yes or no"):
        tables.from_frame(train, test=test.assign(sea=["maybe", "no"]), target=["sea", "sky"])


def test_missing_targets_of_either_table_are_left_out():
    data = build(["a", None, "b", "a", "b"] * 5, ["b", None, "a"])
    assert (len(data), data.y[-2:].tolist()) == (22, [1, 0])


def test_a_test_target_of_nearly_the_same_name_is_reported():
    test = pd.DataFrame({"x": [1.0, 2.0], "Y": ["a", "b"]})
    data = tables.from_frame(frame(["a", "b"] * 10), test=test, target="y")
    assert data.part is None
    finding = next(finding for finding in data.findings if finding.check == "test target")
    assert "'Y' for 'y'" in finding.cause
