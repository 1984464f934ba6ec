"""From a table to a data set: roles of columns, the test table, the description."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.data import tables

N = 40
Y = np.random.default_rng(0).normal(size=N).round(4).tolist()


def test_an_obvious_target_is_the_default():
    frame = pd.DataFrame({"Label": ["a", "b"] * 20, "x": Y})
    assert tables.from_frame(frame).spec.target == "Label"
    frame["y"] = Y
    with pytest.raises(UsageError, match="which column") as error:
        tables.from_frame(frame)
    assert "Label, x, y" in error.value.remedy
    assert tables.from_frame(frame, target="last").spec.target == "y"
    assert tables.from_frame(frame, target="1").spec.target == "Label"
    assert tables.from_frame(frame, test=frame[["x", "Label"]]).spec.target == "y"  # the test table lacks it
    with pytest.raises(UsageError, match="no such column") as error:
        tables.from_frame(frame, target="Labell")
    assert "did you mean Label" in error.value.remedy
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
    assert data.spec.columns[0].categories == ("a", "b", "d")
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


def test_time_orders_the_rows_and_parts_that_only_grow_are_left_out():
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
    incomplete = tables.from_frame(frame, target="y", time="day")
    assert len(incomplete) == N - 1
    assert "missing time" in {finding.check for finding in incomplete.findings}
    with pytest.raises(DataError, match="must hold dates or finite numbers"):
        tables.from_frame(frame.assign(day=["a", "b"] * 20), target="y", time="day")


def test_groups_are_numbered_and_not_features():
    frame = pd.DataFrame({"who": ["a", "b", None, None] * 10, "x": Y, "y": Y})
    data = tables.from_frame(frame, target="y", group="who")
    assert data.group is not None
    assert data.group[0] == data.group[4] != data.group[1]
    assert len(set(data.group.tolist())) == 2 + 20  # each row without a group is a group
    assert [column.name for column in data.spec.columns] == ["x"]


def test_all_columns_are_described():
    frame = pd.DataFrame(
        {"Id": range(1, N + 1), "a": ["x", None, "z", "w"] * 10, "d": ["2020-01-01", "2021-01-01"] * 20, "y": Y}
    )
    without = tables.describe(frame)
    assert [list(row) for row in without] == [["column", "kind", "missing", "values", "becomes"]] * 4
    assert [row["becomes"] for row in without][1:] == ["a category of 3", "numbers: year, weekday, days", "a number"]
    assert without[0]["becomes"].startswith("left out")
    assert (without[1]["missing"], without[1]["values"]) == (10, "3 categories: w, x, z")
    described = tables.describe(frame, target="y", id="Id", drop=["a"])
    assert [row["becomes"] for row in described] == [
        "the names of the rows",
        "left out by drop=",
        "numbers: year, weekday, days",
        "the target",
    ]
    data = tables.from_frame(frame, target="y", id="Id", drop=["a"])
    summary = data.findings[-1]
    assert summary.check == "columns"
    assert summary.evidence["columns"] == described
    json.dumps(summary.evidence)


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
def test_frames_without_data_are_refused(frame, cause):
    with pytest.raises(DataError, match=cause):
        tables.from_frame(frame, target="last")


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
def test_a_table_as_text_gives_the_data_set_of_the_frame(tmp_path_factory, data, separator, encoding, ending):
    """Whatever the separator, encoding, quotes and line ends: the same data set as with pandas."""
    kinds = data.draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    rows = data.draw(st.integers(2, 30))
    columns = {
        f"c{n} {kind}": data.draw(st.lists(CELLS[kind] | st.just(""), min_size=rows, max_size=rows))
        for n, kind in enumerate(kinds)
    }
    columns["y"] = [str(n * 0.5) for n in range(rows)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator=ending)
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    path = tmp_path_factory.getbasetemp() / "same.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    frame = pd.read_csv(path, sep=separator, encoding=encoding, keep_default_na=False, na_values=[""])
    if all(row["becomes"].startswith("left out") for row in tables.describe(frame)[:-1]):
        for read, source in ((tables.from_frame, frame), (tables.from_file, path)):
            with pytest.raises(DataError, match="no column left"):
                read(source, target="y")
        return
    expected = tables.from_frame(frame, target="y")
    result = tables.from_file(path, target="y")
    assert result.spec == expected.spec
    np.testing.assert_array_equal(result.x, expected.x)
    np.testing.assert_array_equal(result.y, expected.y)
    for name, values in columns.items():
        number = [n for n, c in enumerate(result.spec.columns) if c.name == name and c.kind == "number"]
        if number and not result.spec.columns[number[0]].format:
            present = [value for value in values if value]
            column = result.x[:, number[0]]
            assert column[~np.isnan(column)].tolist() == [np.float32(float(value)) for value in present]
