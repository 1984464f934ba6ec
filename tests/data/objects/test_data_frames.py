"""A DataFrame is read as the same table from a file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from yisheng.core.errors import DataError, UsageError
from yisheng.data import tables
from yisheng.data.fingerprint import fingerprint
from yisheng.data.objects import to_dataset

COUNT = 90
RANDOM = np.random.Generator(np.random.PCG64(1))


def make_frame():
    """A table with numbers, categories, dates, yes or no, missing values and a text target."""
    frame = pd.DataFrame(
        {
            "size": RANDOM.normal(50, 9, COUNT).round(2),
            "town": RANDOM.choice(["Ulm", "Bonn", "Köln"], COUNT),
            "new": RANDOM.choice(["yes", "no"], COUNT),
            "sold": pd.date_range("2020-01-01", periods=COUNT).strftime("%Y-%m-%d"),
            "rooms": RANDOM.integers(1, 5, COUNT),
            "kind": RANDOM.choice(["flat", "house"], COUNT),
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame


FRAME = make_frame()


def assert_equal(data, expected):
    assert fingerprint(data) == fingerprint(expected)
    assert data.spec == expected.spec
    assert data.rows == expected.rows
    for name in ("group", "time"):
        np.testing.assert_array_equal(getattr(data, name), getattr(expected, name))


@pytest.mark.parametrize(
    "options",
    [
        {"target": "kind"},
        {"target": "rooms", "task": "regression"},
        {"target": "rooms", "id": "sold", "drop": ("new",)},
        {"target": "kind", "time": "sold"},
        {"target": "kind", "group": "town", "kinds": {"rooms": "category"}},
    ],
)
def test_a_frame_equals_its_file(tmp_path, options):
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    assert_equal(to_dataset(FRAME, **options), tables.from_file(tmp_path / "rows.csv", **options, name="table"))


def test_other_parts_equal_those_of_files(tmp_path):
    FRAME[:60].to_csv(tmp_path / "train.csv", index=False)
    FRAME[60:].to_csv(tmp_path / "test.csv", index=False)
    expected = tables.from_file(tmp_path / "train.csv", target="kind", test=tmp_path / "test.csv", name="table")
    assert_equal(to_dataset(FRAME[:60], target="kind", test=FRAME[60:]), expected)
    assert_equal(to_dataset(FRAME[:60], target="kind", test=tmp_path / "test.csv"), expected)


def test_all_three_parts_may_be_given():
    data = to_dataset(FRAME[:60], target="kind", validation=FRAME[60:75], test=FRAME[75:])
    assert np.bincount(data.part).tolist() == [60, 15, 15]
    column = FRAME.assign(where=["train"] * 60 + ["validation"] * 15 + ["test"] * 15)
    assert_equal(to_dataset(column, target="kind", part="where"), data)
    mixed = column.sample(frac=1, random_state=0)
    assert np.bincount(to_dataset(mixed, target="kind", part="where").part).tolist() == [60, 15, 15]
    assert not any("row-number" in str(finding) for finding in data.findings)


def test_weights_follow_their_rows():
    frame = FRAME.assign(weight=np.arange(COUNT, dtype=float))
    frame.loc[[3, 5], "kind"] = None
    data = to_dataset(frame[:80], target="kind", sample_weight="weight", test=frame[80:].drop(columns="weight"))
    expected = [row for row in range(80) if row not in (3, 5)]
    assert data.weight.tolist() == [*expected, *[1.0] * 10]
    assert [column.source for column in data.spec.columns].count("weight") == 0
    array = to_dataset(FRAME, target="kind", sample_weight=np.arange(COUNT))
    assert array.weight.tolist() == list(range(COUNT))


def test_rows_keep_their_names_when_parts_are_given():
    frame = FRAME.assign(code=[f"r{row}" for row in range(COUNT)])
    data = to_dataset(frame[:60], target="kind", id="code", test=frame[60:])
    assert data.rows == tuple(frame["code"])


def test_columns_may_be_chosen():
    data = to_dataset(FRAME, target="kind", columns=("size", "town"))
    assert {column.source for column in data.spec.columns} == {"size", "town"}


class Frame:
    """A frame of another library."""

    def __init__(self, frame):
        self.frame = frame
        self.columns = list(frame.columns)

    def to_pandas(self):
        return self.frame


class InterchangeFrame:
    """A frame that knows the interchange protocol alone."""

    def __init__(self, frame):
        self.frame = frame
        self.columns = list(frame.columns)

    def __dataframe__(self, **options):
        return self.frame.__dataframe__(**options)


@pytest.mark.filterwarnings("ignore:.*interchange.*")
@pytest.mark.parametrize("kind", [Frame, InterchangeFrame])
def test_frames_of_other_libraries_are_read(kind):
    frame = FRAME[["size", "rooms", "kind"]]
    data = to_dataset(kind(frame), target="kind", test=kind(frame))
    assert_equal(data, to_dataset(frame, target="kind", test=frame))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "price"}, "price"),
        ({}, "target"),
        ({"target": "kind", "part": "where"}, "part=where: there is no such column"),
        ({"target": "kind", "part": ["train"]}, "part has 1 values for 90 rows"),
        ({"target": "kind", "part": ["train"] * COUNT, "test": FRAME}, "contradict"),
        ({"target": "kind", "sample_weight": "w"}, "sample_weight=w: there is no such column"),
        ({"target": "kind", "sample_weight": [1.0]}, "sample_weight has 1 values"),
        ({"target": "kind", "columns": ("sizes",)}, "columns=sizes: there is no such column"),
        ({"target": "kind", "group": np.zeros(COUNT)}, "group= must name a column"),
        ({"target": "kind", "classes": ("a", "b")}, "classes= is not for DataFrames"),
        ({"target": "kind", "test": (np.zeros((2, 6)), [0, 1])}, "test= must be a DataFrame or a file"),
        ({"target": "kind", "test": FRAME.drop(columns="kind")}, "lack the target kind"),
        ({"target": "kind", "test": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_what_does_not_fit_is_said(options, message):
    with pytest.raises((DataError, UsageError), match=message):
        to_dataset(FRAME, **options)


def test_a_frame_is_no_other_part_of_arrays():
    with pytest.raises(UsageError, match="test= is a DataFrame, the data is not"):
        to_dataset((np.zeros((4, 2)), [0, 1, 0, 1]), test=FRAME)


def test_an_index_that_says_more_than_row_numbers_is_noted():
    def notes(frame, **options):
        data = to_dataset(frame, target="kind", **options)
        return [finding.evidence["index"] for finding in data.findings if finding.check == "unused index"]

    frame = make_frame()
    assert notes(frame) == notes(frame.sample(frac=0.9, random_state=0)) == []
    assert notes(frame.set_index("sold")) == [["sold"]]
    assert notes(frame.set_index(pd.date_range("2020-01-01", periods=COUNT))) == [["index"]]
    assert notes(frame.set_index(["sold", "rooms"]), sample_weight=np.ones(COUNT)) == [["sold", "rooms"]]
