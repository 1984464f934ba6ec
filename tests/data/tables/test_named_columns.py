"""Columns that the user names: in Python by text or number, and on the command line with commas in their names."""

import numpy as np
import pandas as pd
import pytest

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.data import tables
from yisheng.data.objects import to_dataset

NUMBERS = np.arange(30) * 0.5
FRAME = pd.DataFrame({"size": NUMBERS, "town, zip": ["a", "b", "c"] * 10, "Price, EUR": NUMBERS**2})


@pytest.mark.parametrize("target", ["Price, EUR", "last", 3, np.int64(3), ["Price, EUR"], (3,)])
def test_a_target_is_a_name_or_a_number(target):
    assert tables.from_frame(FRAME, target=target).spec.target_names == ("Price, EUR",)


def test_columns_of_a_frame_that_are_called_by_numbers():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)))
    assert tables.from_frame(frame, target=2).spec.target_names == ("2",)


@pytest.mark.parametrize(
    "options",
    [
        {"target": object()},
        {"target": True},
        {"target": [None]},
        {"target": 99},
        {"target": None},
        {"target": "size", "id": ["size", "town, zip"]},
        {"target": "size", "drop": {"a": 1}, "kinds": 3},
        {"target": "size", "drop": 7.5},
        {"target": "size", "kinds": [("size", "number")]},
        {"target": "size", "task": "regress"},
    ],
)
def test_anything_else_is_refused_with_a_remedy(options):
    with pytest.raises(UsageError) as error:
        tables.from_frame(FRAME, **options)
    assert error.value.remedy


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Price, EUR", ("Price, EUR",)),
        ("Price,EUR", ("Price, EUR",)),
        ("size,Price, EUR", ("size", "Price, EUR")),
        ("Price, EUR,size", ("Price, EUR", "size")),
        ("3,1", ("Price, EUR", "size")),
    ],
)
def test_a_comma_in_a_name_on_the_command_line(tmp_path, text, names):
    path = tmp_path / "houses.csv"
    FRAME.to_csv(path, index=False)
    config = merge_settings([("data", str(path), "command line"), ("target", text, "command line")]).config
    options = config.data.options
    assert tables.from_file(path, target=options["target"]).spec.target_names == names


def test_commas_in_names_of_dropped_columns_and_kinds(tmp_path):
    path = tmp_path / "houses.csv"
    FRAME.to_csv(path, index=False)
    pairs = [("data", path), ("target", "Price, EUR"), ("kinds", "size:category,town, zip:category"), ("drop", "size")]
    options = merge_settings([(key, str(value), "command line") for key, value in pairs]).config.data.options
    data = tables.from_file(path, target=options["target"], kinds=options["kinds"])
    assert [column.kind for column in data.spec.columns] == ["category", "category"]
    data = tables.from_file(path, target="size", drop=("town", "zip"))
    assert {column.source for column in data.spec.columns} == {"Price, EUR"}


@pytest.mark.parametrize(
    "y", [[None] + [1.0] * 9, [None] + ["a"] * 9, [[1, None]] * 10, [{}] * 10, [{"a": 1}] * 10, None, [b"a", None] * 5]
)
def test_targets_that_are_no_targets_are_refused(y):
    with pytest.raises(DataError) as error:
        to_dataset((np.zeros((10, 3)), y))
    assert error.value.remedy


def test_the_public_function_takes_numbers_too(tmp_path):
    run = yisheng.train(data=FRAME, target=3, model="linear", epochs=1, out=tmp_path, quiet=True)
    assert run.run.spec.target == "Price, EUR"
