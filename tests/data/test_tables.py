"""From a table to a data set: what columns mean, which is the target, what is left out."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Spec
from yisheng.data import tables

N = 40
DRAW = np.random.default_rng(0)
Y = DRAW.normal(size=N).round(4).tolist()


def from_text(folder, text, **options):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return tables.from_file(path, **options)


def kinds(**columns):
    """Kind of each column, as `describe` has it."""
    return {row["column"]: row["kind"] for row in tables.describe(pd.DataFrame(columns))}


def kind(values, name="a"):
    other = [1.5, 2.5] * (len(values) // 2) + [0.5] * (len(values) % 2)
    return kinds(**{name: values, "other": other})[name]


# --- kinds ---


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1.5, 2.5, np.nan] * 5, "number"),
        ([3, 1, 2] * 5, "number"),  # few whole numbers stay numbers
        (["1", "2.5", None] * 5, "number"),
        (["$1,200", "$3", "$7,000"] * 5, "number"),
        (["1,5", "2,25", "3"] * 5, "number"),
        (["12%", "7%", "9%"] * 5, "number"),
        (["red", "blue", "green"] * 5, "category"),
        (["red", None, None] * 5, "category"),  # that it is there tells something
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
        (pd.to_timedelta([1, 2, 3] * 5, unit="D"), "category"),
    ],
)
def test_kinds_that_are_found(values, wanted):
    assert kind(values) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Id", "identifier"),
        ("user_id", "identifier"),
        ("PassengerId", "identifier"),
        ("paid", "number"),
        ("v", "number"),
    ],
)
def test_unique_numbers_are_an_identifier_only_if_they_are_called_so(name, wanted):
    values = DRAW.permutation(1000)[:50].tolist()
    assert kind(values, name) == wanted
    assert kind([value + 0.5 for value in values], name) == "number"  # a measurement is no name
    assert kind([values[0], *values[:-1]], name) == "number"  # not unique


def test_the_only_column_is_kept_even_if_it_counts_the_rows():
    assert kinds(x=list(range(1, 61)))["x"] == "number"


def test_digits_are_a_date_only_where_the_name_says_so():
    values = [20200131, 20200228, 20210301] * 4
    assert kind(values, "Date") == "date"
    assert kind(values, "amount") == "number"
    assert kind([*values, 20201345], "Date") == "number"


def test_levels_are_sorted_as_people_sort_and_all_there():
    frame = pd.DataFrame({"size": ["10", "9", "x", None] * 10, "grade": ["b10", "b9", "A", "b9"] * 10, "y": Y})
    size, grade = tables.from_frame(frame).spec.columns
    assert size.levels == ("9", "10", "x")
    assert grade.levels == ("A", "b9", "b10")
    frame["grade"] = pd.Categorical(frame["grade"], ["b10", "A", "b9"], ordered=True)
    assert tables.from_frame(frame).spec.columns[1].levels == ("b10", "A", "b9")


def test_values_of_every_kind():
    frame = pd.DataFrame(
        {
            "number": [1.5, None, 3.0, 4.0],
            "price": ["$1,200", "$3", None, "$5"],
            "colour": ["red", "blue", None, "green"],
            "paid": ["yes", None, "no", "no"],
            "day": ["2020-02-29", "2021-03-01", None, "2021-03-02"],
            "y": [1.0, 2.0, 3.0, 4.5],
        }
    )
    data = tables.from_frame(frame, target="y")
    assert data.y[:, 0].tolist() == [1.0, 2.0, 3.0, 4.5]
    found = {column.name: data.x[:, n].tolist() for n, column in enumerate(data.spec.columns)}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert found["number"] == [1.5, nan, 3, 4]
    assert found["price"] == [1200, 3, nan, 5]
    assert found["colour"] == [2, 0, nan, 1]
    assert found["paid"] == [1, nan, 0, 0]
    assert found["day.year"] == [2020, 2021, nan, 2021]
    assert found["day.day-of-year"] == [60, 60, nan, 61]
    assert found["day.weekday"] == [5, 0, nan, 1]
    assert "day.hour" not in found  # there is no time of day
    assert {column.source for column in data.spec.columns if column.part} == {"day"}
    assert Spec.from_json(json.loads(json.dumps(data.spec.to_json()))) == data.spec


def test_the_user_says_otherwise():
    frame = pd.DataFrame({"year": [1999, 2000, 2001, 2000] * 10, "code": ["1", "2", "x", "2"] * 10, "y": Y})
    data = tables.from_frame(frame, kinds={"year": "category", "code": "identifier"})
    assert [(c.name, c.kind, c.levels) for c in data.spec.columns] == [("year", "category", ("1999", "2000", "2001"))]
    frame["when"] = ["01/02/2020", "03/04/2020"] * 20
    american, german = (tables.from_frame(frame, kinds=said) for said in ({}, ["when:date:%d/%m/%Y"]))
    assert [f.check for f in american.findings].count("ambiguous dates") == 1
    month = [c.name for c in american.spec.columns].index("when.month")
    assert american.x[:2, month].tolist() == [1, 3]
    assert german.x[:2, [c.name for c in german.spec.columns].index("when.month")].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("said", "error", "cause"),
    [
        ({"a": "numbr"}, UsageError, "numbr"),
        ({"b": "number"}, UsageError, "no such column"),
        ({"a": "number"}, DataError, "'x' in row 3 is not a number"),
        ({"a": "date"}, DataError, "is not a date"),
        ({"a": "date:%d"}, UsageError, "no form of a date"),
        ({"a": "yes/no"}, DataError, "3 different values"),
        (["a"], UsageError, "NAME:KIND"),
        ({"a": "text"}, DataError, "no column left"),
    ],
)
def test_wishes_that_cannot_be(said, error, cause):
    with pytest.raises(error, match=cause):
        tables.from_frame(pd.DataFrame({"a": ["1", "2", "x", "2"] * 10, "y": Y}), kinds=said)


def test_words_among_numbers_are_missing_and_told(tmp_path):
    values = [*map(str, range(100, 160)), "broken"]
    frame = pd.DataFrame({"a": values, "b": np.arange(61) % 7, "y": np.arange(61) * 0.5})
    data = tables.from_frame(frame)
    assert np.isnan(data.x[60, 0])
    assert data.spec.columns[0].unknown == ("broken",)
    told = {finding.check: finding for finding in data.findings}["odd words"]
    assert told.severity == "warning"
    assert told.evidence["words"] == ["broken"]


def test_infinite_values_are_missing_and_told():
    frame = pd.DataFrame({"a": [1.0, np.inf, 1e300, -np.inf] * 10, "b": np.arange(N) % 7, "y": Y})
    data = tables.from_frame(frame)
    assert np.isnan(data.x[:, 0]).sum() == 30
    told = {finding.check: finding for finding in data.findings}["infinite values"]
    assert told.evidence == {"column": "a", "values": 30, "row": 2}


def test_numbers_that_single_precision_cannot_tell_apart_are_told():
    frame = pd.DataFrame({"stamp": 1_600_000_000 + np.arange(N) % 5, "y": Y})
    assert "precision" in {finding.check for finding in tables.from_frame(frame).findings}


# --- targets ---


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
def test_tasks_that_are_found(values, task, classes):
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
    theirs = type_of_target(np.asarray(values))
    assert (data.spec.task == "regression") == theirs.startswith("continuous")


def test_several_targets():
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
def test_targets_that_cannot_be_learned(values, task, cause):
    with pytest.raises(DataError, match=cause):
        tables.from_frame(pd.DataFrame({"x": Y, "t": values}), target="t", task=task)


def test_rows_without_a_target_are_left_out_and_told():
    frame = pd.DataFrame({"x": Y, "name": [f"r{n}" for n in range(N)], "c": ["a", "b"] * 20, "t": ["u", None] * 20})
    frame.loc[0, "t"] = "v"
    data = tables.from_frame(frame, target="t", id="name", drop=["c"])
    assert len(data) == 20
    assert data.rows is not None
    assert data.rows[:2] == ("r0", "r2")
    assert data.x[:, 0].tolist() == np.float32(Y[::2]).tolist()
    told = {finding.check: finding for finding in data.findings}["missing target"]
    assert (told.evidence["rows"], told.evidence["first"]) == (20, 2)


# --- roles ---


def test_the_target_that_need_not_be_said():
    frame = pd.DataFrame({"Label": ["a", "b"] * 20, "x": Y})
    assert tables.from_frame(frame).spec.target == "Label"
    frame["y"] = Y
    with pytest.raises(UsageError, match="which column") as told:
        tables.from_frame(frame)
    assert "Label, x, y" in told.value.remedy
    assert tables.from_frame(frame, target="last").spec.target == "y"
    assert tables.from_frame(frame, target="1").spec.target == "Label"
    assert tables.from_frame(frame, test=frame[["x", "Label"]]).spec.target == "y"  # the test table lacks it
    with pytest.raises(UsageError, match="no such column") as told:
        tables.from_frame(frame, target="Labell")
    assert "did you mean Label" in told.value.remedy
    for wrong in ({"id": "y"}, {"drop": ["y"]}, {"time": "y"}, {"group": "y"}):
        with pytest.raises(UsageError, match="is the target"):
            tables.from_frame(frame, target="y", **wrong)
    with pytest.raises(UsageError, match="no such column"):
        tables.from_frame(frame, target="y", id="nowhere")


def test_a_test_table_is_read_as_in_prediction():
    train = pd.DataFrame({"c": ["a", "b", "d"] * 10, "n": Y[:30], "y": Y[:30]})
    test = pd.DataFrame({"y": Y[:4], "n": [1.0, None, 2, 3], "c": ["b", "new", None, "a"], "more": [1, 2, 3, 4]})
    data = tables.from_frame(train, test=test, target="y")
    assert data.part is not None
    assert data.part.tolist() == [0] * 30 + [2] * 4
    assert data.spec.columns[0].levels == ("a", "b", "d")
    assert data.x[30:, 0].tolist() == [1, -1, pytest.approx(np.nan, nan_ok=True), 0]
    assert any("'new' was never seen" in finding.cause for finding in data.findings)
    assert tables.from_frame(train, test=test.drop(columns="y"), target="y").part is None
    with pytest.raises(DataError, match="lacks the column c"):
        tables.from_frame(train, test=test[["y", "n"]], target="y")


def test_a_class_of_the_test_table_alone_is_a_class():
    train = pd.DataFrame({"x": Y, "t": ["a", "b"] * 20})
    data = tables.from_frame(train, test=pd.DataFrame({"x": [1.0, 2], "t": ["c", "a"]}), target="t")
    assert data.spec.classes == ("a", "b", "c")
    assert data.y[-2:].tolist() == [2, 0]


def test_time_orders_the_rows_and_what_only_grows_is_no_feature():
    days = pd.date_range("2020-01-01", periods=N).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": days, "x": Y, "y": Y})
    data = tables.from_frame(frame, target="y", time="day")
    assert data.time is not None
    assert data.time.tolist() == list(range(18262, 18262 + N))
    assert [column.name for column in data.spec.columns] == [
        "day.month",
        "day.day",
        "day.weekday",
        "day.day-of-year",
        "x",
    ]
    dropped = tables.from_frame(frame, target="y", time="day", drop=["day"])
    assert dropped.time is not None
    assert [column.name for column in dropped.spec.columns] == ["x"]
    numbers = tables.from_frame(frame.assign(day=np.arange(N) * 0.5), target="y", time="day")
    assert numbers.time is not None
    assert numbers.time[:2].tolist() == [0, 0.5]
    assert [column.name for column in numbers.spec.columns] == ["x"]
    frame.loc[3, "day"] = None
    late = tables.from_frame(frame, target="y", time="day")
    assert len(late) == N - 1
    assert "missing time" in {finding.check for finding in late.findings}
    with pytest.raises(DataError, match="must hold dates or finite numbers"):
        tables.from_frame(frame.assign(day=["a", "b"] * 20), target="y", time="day")


def test_groups_are_numbered_and_no_feature():
    frame = pd.DataFrame({"who": ["a", "b", None, None] * 10, "x": Y, "y": Y})
    data = tables.from_frame(frame, target="y", group="who")
    assert data.group is not None
    assert data.group[0] == data.group[4] != data.group[1]
    assert len(set(data.group.tolist())) == 2 + 20  # a row without a group is one of its own
    assert [column.name for column in data.spec.columns] == ["x"]


def test_the_whole_table_is_described():
    frame = pd.DataFrame(
        {"Id": range(1, N + 1), "a": ["x", None, "z", "w"] * 10, "d": ["2020-01-01", "2021-01-01"] * 20, "y": Y}
    )
    without = tables.describe(frame)
    assert [list(row) for row in without] == [["column", "kind", "missing", "values", "becomes"]] * 4
    assert [row["becomes"] for row in without][1:] == ["a category of 3", "numbers: year, weekday, days", "a number"]
    assert without[0]["becomes"].startswith("left out")
    assert (without[1]["missing"], without[1]["values"]) == (10, "3 levels: w, x, z")
    described = tables.describe(frame, target="y", id="Id", drop=["a"])
    assert [row["becomes"] for row in described] == [
        "the names of the rows",
        "left out, as you say",
        "numbers: year, weekday, days",
        "the target",
    ]
    data = tables.from_frame(frame, target="y", id="Id", drop=["a"])
    shown = data.findings[-1]
    assert shown.check == "columns"
    assert shown.evidence["columns"] == described
    json.dumps(shown.evidence)


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (pd.DataFrame(), "0 rows"),
        (pd.DataFrame({"y": []}), "0 rows"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "several columns named a"),
        (pd.DataFrame({"y": [1, 0, 1]}), "no column left"),
        (pd.DataFrame({"a": [1, 1, 1], "y": [1, 0, 1]}), "no column left.*constant|same value"),
        (pd.DataFrame({"a": [5.0], "y": [1.0]}), "every row"),
    ],
)
def test_frames_that_are_no_data(frame, cause):
    with pytest.raises(DataError, match=cause):
        tables.from_frame(frame, target="last")


# --- the same table as text ---

CELLS = {
    "number": st.floats(-1e6, 1e6, width=32).map(str),
    "whole": st.integers(-(10**6), 10**6).map(str),
    "category": st.sampled_from(["red", "a, b", 'say "x"', "é", "two\nlines", "gr;een", "a\tb"]),
    "date": st.dates().map(str),
    "flag": st.sampled_from(["yes", "no"]),
}


@given(
    st.data(),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_as_text_is_the_table_as_a_frame(tmp_path_factory, data, separator, encoding, ending):
    """Whatever the separator, encoding, quotes and line ends: the same data set as from pandas' own reading."""
    wanted = data.draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    rows = data.draw(st.integers(2, 30))
    columns = {
        f"c{n} {kind}": data.draw(st.lists(CELLS[kind] | st.just(""), min_size=rows, max_size=rows))
        for n, kind in enumerate(wanted)
    }
    columns["y"] = [str(n * 0.5) for n in range(rows)]
    held = io.StringIO()
    writer = csv.writer(held, delimiter=separator, lineterminator=ending)
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    path = tmp_path_factory.getbasetemp() / "same.csv"
    path.write_bytes(held.getvalue().encode(encoding))
    frame = pd.read_csv(path, sep=separator, encoding=encoding, keep_default_na=False, na_values=[""])
    if all(row["becomes"].startswith("left out") for row in tables.describe(frame)[:-1]):
        for read, what in ((tables.from_frame, frame), (tables.from_file, path)):
            with pytest.raises(DataError, match="no column left"):
                read(what, target="y")
        return
    theirs = tables.from_frame(frame, target="y")
    ours = tables.from_file(path, target="y")
    assert ours.spec == theirs.spec
    np.testing.assert_array_equal(ours.x, theirs.x)
    np.testing.assert_array_equal(ours.y, theirs.y)
    for name, values in columns.items():
        number = [n for n, c in enumerate(ours.spec.columns) if c.name == name and c.kind == "number"]
        if number and not ours.spec.columns[number[0]].form:
            there = [value for value in values if value]
            read = ours.x[:, number[0]]
            assert read[~np.isnan(read)].tolist() == [np.float32(float(value)) for value in there]
