"""Kinds of columns: inferred, given, and the values that are made of them."""

import json

import numpy as np
import pandas as pd
import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.data.tables.column_kinds import UNNAMED_INDEX

N = 40
DRAW = np.random.default_rng(0)
Y = DRAW.normal(size=N).round(4).tolist()


def infer_kinds(**columns):
    """Return the kind of each column from `describe`."""
    return {row["column"]: row["kind"] for row in tables.describe(pd.DataFrame(columns))}


def infer_kind(values, name="a"):
    second = [1.5, 2.5] * (len(values) // 2) + [0.5] * (len(values) % 2)
    return infer_kinds(**{name: values, "second": second})[name]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.5, 2.5, np.nan] * 5, "number"),
        ([3, 1, 2] * 5, "number"),  # a few whole numbers stay numbers
        (["1", "2.5", None] * 5, "number"),
        (["$1,200", "$3", "$7,000"] * 5, "number"),
        (["1,5", "2,25", "3"] * 5, "number"),
        (["12%", "7%", "9%"] * 5, "number"),
        (["red", "blue", "green"] * 5, "category"),
        (["red", None, None] * 5, "category"),  # whether it is present may be informative
        ([7, None, None] * 5, "category"),
        (["1", "2", "x"] * 5, "category"),
        (["007", "010", "100"] * 5, "category"),  # codes, not numbers
        (["12%", "7", "9%"] * 5, "category"),
        (["yes", "no", None] * 5, "yes/no"),
        ([True, False, True] * 5, "yes/no"),
        ([0, 1, None] * 5, "yes/no"),
        (["male", "female", "male"] * 5, "yes/no"),
        (["Yes", "YES", "no"] * 5, "yes/no"),
        ([1, 2, 1] * 5, "number"),
        (["2020-01-31", "2021-02-28", None] * 5, "date"),
        (pd.to_datetime(["2020-01-31", "2021-02-28", None] * 5), "date"),
        (pd.to_datetime(["2020-01-31T12:00", "2021-02-28T13:00"] * 5, utc=True), "date"),
        (["7"] * 15, "constant"),
        ([7.5] * 15, "constant"),
        ([None] * 15, "empty"),
        (["NA", "?", "-"] * 5, "empty"),
        ([f"a{n}" for n in range(15)], "identifier"),
        ([f"This is sentence number {n}." for n in range(15)], "text"),
        ([f"Braund, Mr. Owen {n // 2}" for n in range(60)], "category"),
        ([f"Braund, Mr. Owen {n * 2 // 3}" for n in range(60)], "text"),
        (list(range(15)), "number"),
        (list(range(1, 61)), "identifier"),  # counts the rows
        (list(range(1990, 2050)), "number"),
        ((np.arange(60) * 1.37).tolist(), "number"),
        ([2**60 + n for n in range(15)], "number"),
        (pd.Categorical(["low", "high", "mid"] * 5), "category"),
        ([1 + 2j, 3j, 4] * 5, "category"),
        ([[1], [2], [3]] * 5, "category"),
        (pd.array([1, None, 3] * 5, dtype="Int64"), "number"),
        (pd.array([True, None, False] * 5, dtype="boolean"), "yes/no"),
        (pd.to_timedelta([1, 2, 3] * 5, unit="D"), "number"),
    ],
)
def test_kinds_are_inferred(values, expected):
    assert infer_kind(values) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Id", "identifier"),
        ("user_id", "identifier"),
        ("PassengerId", "identifier"),
        ("paid", "number"),
        ("v", "number"),
    ],
)
def test_distinct_numbers_are_an_identifier_only_with_such_a_name(name, expected):
    values = DRAW.permutation(1000)[:50].tolist()
    assert infer_kind(values, name) == expected
    assert infer_kind([value + 0.5 for value in values], name) == "number"  # a measurement is not an identifier
    assert infer_kind([values[0], *values[:-1]], name) == "number"  # not unique


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (DRAW.permutation(200)[:60], "identifier"),  # a shuffled part of a file that pandas wrote with its index
        (DRAW.permutation(200)[:60] * 1000, "number"),  # far beyond the number of rows: a measurement
        (DRAW.permutation(200)[:60] - 100, "number"),
        (DRAW.permutation(200)[:15], "number"),  # too few to tell
        (np.repeat(DRAW.permutation(200)[:30], 2), "number"),
    ],
)
def test_row_numbers_in_a_first_column_without_a_name_are_an_identifier(values, expected):
    assert infer_kind([int(value) for value in values], UNNAMED_INDEX) == expected
    assert infer_kind([int(value) for value in values], "size") == "number"


def test_the_only_column_is_kept_even_if_it_counts_the_rows():
    assert infer_kinds(x=list(range(1, 61)))["x"] == "number"


def test_digits_are_a_date_only_with_the_name_of_one():
    values = [20200131, 20200228, 20210301] * 4
    assert infer_kind(values, "Date") == "date"
    assert infer_kind(values, "amount") == "number"
    assert infer_kind([*values, 20201345], "Date") == "number"


def test_categories_are_complete_and_sorted_naturally():
    frame = pd.DataFrame({"size": ["10", "9", "x", None] * 10, "grade": ["b10", "b9", "A", "b9"] * 10, "y": Y})
    size, grade = tables.from_frame(frame).spec.columns
    assert size.categories == ("9", "10", "x")
    assert grade.categories == ("A", "b9", "b10")
    frame["grade"] = pd.Categorical(frame["grade"], ["b10", "A", "b9"], ordered=True)
    assert tables.from_frame(frame).spec.columns[1].categories == ("b10", "A", "b9")


def test_values_of_every_kind_are_encoded():
    frame = pd.DataFrame(
        {
            "number": [1.5, None, 3.0, 4.0],
            "price": ["$1,200", "$3", None, "$5"],
            "color": ["red", "blue", None, "green"],
            "paid": ["yes", None, "no", "no"],
            "day": ["2020-02-29", "2021-03-01", None, "2021-03-02"],
            "y": [1.0, 2.0, 3.0, 4.5],
        }
    )
    data = tables.from_frame(frame, target="y")
    assert data.y[:, 0].tolist() == [1.0, 2.0, 3.0, 4.5]
    values = {column.name: data.x[:, n].tolist() for n, column in enumerate(data.spec.columns)}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert values["number"] == [1.5, nan, 3, 4]
    assert values["price"] == [1200, 3, nan, 5]
    assert values["color"] == [2, 0, nan, 1]
    assert values["paid"] == [1, nan, 0, 0]
    assert values["day.year"] == [2020, 2021, nan, 2021]
    assert values["day.day-of-year"] == [60, 60, nan, 61]
    assert values["day.weekday"] == [5, 0, nan, 1]
    assert "day.hour" not in values  # there is no time of day
    assert {column.source for column in data.spec.columns if column.date_part} == {"day"}
    assert Spec.from_json(json.loads(json.dumps(data.spec.to_json()))) == data.spec


def test_kinds_can_be_given():
    frame = pd.DataFrame({"year": [1999, 2000, 2001, 2000] * 10, "code": ["1", "2", "x", "2"] * 10, "y": Y})
    data = tables.from_frame(frame, kinds={"year": "category", "code": "identifier"})
    assert [(c.name, c.kind, c.categories) for c in data.spec.columns] == [
        ("year", "category", ("1999", "2000", "2001"))
    ]
    frame["when"] = ["01/02/2020", "03/04/2020"] * 20
    american, german = (tables.from_frame(frame, kinds=kinds) for kinds in ({}, ["when:date:%d/%m/%Y"]))
    assert [f.check for f in american.findings].count("ambiguous dates") == 1
    month = [c.name for c in american.spec.columns].index("when.month")
    assert american.x[:2, month].tolist() == [1, 3]
    assert german.x[:2, [c.name for c in german.spec.columns].index("when.month")].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("kinds", "error", "cause"),
    [
        ({"a": "numbr"}, UsageError, "numbr"),
        ({"b": "number"}, UsageError, "no such column"),
        ({"a": "number"}, DataError, "'x' in row 3 is not a number"),
        ({"a": "date"}, DataError, "is not a date"),
        ({"a": "date:%d"}, UsageError, "is not a date format"),
        ({"a": "yes/no"}, DataError, "3 different values"),
        (["a"], UsageError, "NAME:KIND"),
        ({"a": "identifier"}, DataError, "no column left"),
    ],
)
def test_impossible_kinds_are_refused(kinds, error, cause):
    with pytest.raises(error, match=cause):
        tables.from_frame(pd.DataFrame({"a": ["1", "2", "x", "2"] * 10, "y": Y}), kinds=kinds)


def test_words_among_numbers_are_missing_with_a_warning(tmp_path):
    values = [*map(str, range(100, 160)), "broken"]
    frame = pd.DataFrame({"a": values, "b": np.arange(61) % 7, "y": np.arange(61) * 0.5})
    data = tables.from_frame(frame)
    assert np.isnan(data.x[60, 0])
    assert data.spec.columns[0].missing_words == ("broken",)
    warning = {finding.check: finding for finding in data.findings}["odd words"]
    assert warning.severity == "warning"
    assert warning.evidence["words"] == ["broken"]


def test_infinite_values_are_missing_with_a_warning():
    frame = pd.DataFrame({"a": [1.0, np.inf, 1e300, -np.inf] * 10, "b": np.arange(N) % 7, "y": Y})
    data = tables.from_frame(frame)
    assert np.isnan(data.x[:, 0]).sum() == 30
    warning = {finding.check: finding for finding in data.findings}["infinite values"]
    assert warning.evidence == {"column": "a", "values": 30, "row": 2}


def test_numbers_that_are_equal_in_single_precision_are_kept_in_double():
    stamp = 1_600_000_000 + np.arange(N) % 5
    data = tables.from_frame(pd.DataFrame({"stamp": stamp, "y": Y}))
    assert data.x.dtype == np.float64
    assert data.spec.columns[0].double
    np.testing.assert_array_equal(data.x[:, 0], stamp)
