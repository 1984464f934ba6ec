"""Groups of rows by a column: what they are, and their scores."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.evaluation.group_scores import (
    MAX_GROUPS,
    MAX_VALUES,
    MIN_GROUP_ROWS,
    find_column,
    make_groups,
    score_groups,
)
from yisheng.evaluation.predictions import Predictions

COLUMNS = (
    Column("sex", "category", ("f", "m"), source="sex"),
    Column("age", source="age"),
    Column("born year", source="born", date_part="year"),
    Column("born month", source="born", date_part="month"),
)
SPEC = Spec("classification", (4,), classes=("no", "yes"), columns=COLUMNS)


def test_categories_are_groups_the_largest_first_and_missing_values_too():
    values = np.array([0.0, 1, 1, np.nan, 1, -1])
    groups = make_groups(SPEC, values, 0)
    assert [(group.name, group.rows.tolist()) for group in groups] == [
        ("m", [1, 2, 4]),
        ("unknown", [5]),
        ("f", [0]),
        ("missing", [3]),
    ]


@pytest.mark.parametrize("n", [40, 1001])
def test_many_numbers_are_divided_at_their_quartiles(n):
    values = np.random.default_rng(n).normal(size=n)
    groups = make_groups(SPEC, values, 1)
    assert len(groups) == 4
    assert sorted(np.concatenate([group.rows for group in groups]).tolist()) == list(range(n))
    assert all(abs(len(group.rows) - n / 4) <= 2 for group in groups)
    highest = [values[group.rows].max() for group in groups]
    assert highest == sorted(highest)
    groups = make_groups(SPEC, np.arange(n) % MAX_VALUES, 1)
    assert [group.name for group in groups] == list(map(str, range(MAX_VALUES)))


def test_a_number_that_is_mostly_one_value_loses_no_row():
    values = np.concatenate([np.zeros(90), np.arange(1, 31)]).astype(float)
    groups = make_groups(SPEC, values, 1)
    assert sorted(np.concatenate([group.rows for group in groups]).tolist()) == list(range(120))


def test_scores_are_those_of_the_rows_of_each_group():
    rng = np.random.default_rng(0)
    n = 400
    sex = rng.integers(0, 2, n).astype(float)
    y = rng.integers(0, 2, n)
    is_right = rng.random(n) < np.where(sex == 0, 0.95, 0.6)
    probability = np.where(is_right == (y == 1), 0.8, 0.2)
    predictions = Predictions(y, np.column_stack([1 - probability, probability]), np.arange(n))
    scored = score_groups(SPEC, predictions, sex, "sex")
    assert (scored["column"], scored["omitted"], scored["few_rows"]) == ("sex", 0, MIN_GROUP_ROWS)
    by_name = {group["group"]: group for group in scored["groups"]}
    for number, name in enumerate("fm"):
        rows = sex == number
        accuracy = by_name[name]["scores"]["accuracy"]
        assert by_name[name]["rows"] == rows.sum()
        assert accuracy["value"] == pytest.approx(accuracy_score(y[rows], probability[rows] > 0.5))
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert by_name["m"]["scores"]["accuracy"]["high"] < by_name["f"]["scores"]["accuracy"]["low"]


def test_a_group_of_one_class_or_one_row_has_the_scores_that_are_defined():
    y = np.array([0, 0, 0, 1])
    predictions = Predictions(y, np.eye(2)[[0, 0, 1, 1]], np.arange(4))
    scored = score_groups(SPEC, predictions, np.array([0.0, 0, 0, 1]), "sex")
    assert [group["rows"] for group in scored["groups"]] == [3, 1]
    assert all("accuracy" in group["scores"] for group in scored["groups"])
    assert scored["groups"][1]["scores"]["accuracy"]["low"] is None


def test_very_many_groups_are_limited():
    columns = (Column("town", "category", tuple(map(str, range(50))), source="town"),)
    spec = Spec("regression", (1,), columns=columns)
    values = np.repeat(np.arange(50.0), 3)
    y = np.zeros((150, 1))
    scored = score_groups(spec, Predictions(y, y + 1, np.arange(150)), values, "town")
    assert (len(scored["groups"]), scored["omitted"]) == (MAX_GROUPS, 30)


@pytest.mark.parametrize(("name", "problem"), [("gender", "no column 'gender'"), ("born", "is a date")])
def test_other_columns_are_refused(name, problem):
    with pytest.raises(UsageError, match=problem):
        find_column(SPEC, name)
    with pytest.raises(UsageError, match="needs rows of a table"):
        find_column(Spec("regression", (1, 8, 8)), name)
