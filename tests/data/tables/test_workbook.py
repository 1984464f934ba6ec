"""Excel workbooks: typed cells as pandas reads them, titles, sheets, and what is damaged."""

import datetime
import importlib

import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.foreign.tables import kind_of, values_of, warnings_of
from yisheng.core.errors import DataError, MissingPartError
from yisheng.data import tables
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.inference.rows import read_rows

HEADER = ["size", "town", "built", "sold", "zip", "y"]


def make_rows(count=60):
    draw = np.random.default_rng(0)
    return [
        [
            None if n % 9 == 0 else round(float(draw.normal(80, 20)), 2),
            ["Köln", "北京", "Bern"][n % 3],
            datetime.datetime(2020, 1, 1) + datetime.timedelta(days=11 * n),
            bool(n % 2),
            f"0{n % 7}123",
            float(n * 7 % 59),
        ]
        for n in range(count)
    ]


def save(path, rows, others=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, values in others:
        sheet = book.create_sheet(title)
        for row in values:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_have_the_values_that_pandas_reads(tmp_path):
    path = save(tmp_path / "t.xlsx", [HEADER, *make_rows()])
    data = tables.from_file(path, target="y", task="regression")
    frame = pd.read_excel(path, dtype={"zip": str})
    expected = tables.from_frame(frame, target="y", task="regression")
    assert data.spec == expected.spec
    np.testing.assert_array_equal(data.x, expected.x)
    np.testing.assert_array_equal(data.y, expected.y)
    assert [kind_of(data, name) for name in HEADER[:5]] == ["number", "category", "date", "yes/no", "category"]
    assert values_of(data, "zip")[1] == "01123"


@pytest.mark.parametrize("above", [[], [["Report"]], [["Report"], [], ["of 2024"]], [[]]])
def test_rows_to_predict_are_read_as_those_of_training(tmp_path, above):
    data = tables.from_file(save(tmp_path / "t.xlsx", [*above, HEADER, *make_rows()]), target="y", task="regression")
    later = save(tmp_path / "later.xlsx", [*above, HEADER[:-1][::-1], *(row[:-1][::-1] for row in make_rows()[5:9])])
    np.testing.assert_array_equal(read_rows(later, data.spec).x, data.x[5:9])
    np.testing.assert_array_equal(next(open_table(later, data.spec).chunks(Tally())).x, data.x[5:9])
    np.testing.assert_array_equal(read_inputs(str(later), data.spec, None).x, data.x[5:9])
    np.testing.assert_array_equal(read_inputs(later.read_bytes(), data.spec, None).x, data.x[5:9])
    frame = pd.DataFrame(make_rows()[5:9], columns=HEADER)
    np.testing.assert_array_equal(read_inputs(frame, data.spec, None).x, data.x[5:9])


@pytest.mark.parametrize(
    ("rows", "names", "count"),
    [
        ([["a", "y"], [1, 2], [3, 4]], ["a", "y"], 2),
        ([["Report"], ["a", "y"], [1, 2], [3, 4]], ["a", "y"], 2),
        ([[1, 2], [3, 4]], ["column-1", "column-2"], 2),
        ([["region", 2019, 2020], ["Nord", 1.5, 2], ["Süd", 2, 1]], ["region", "2019", "2020"], 2),
        ([["a", None, "y"], [1, 2, 3], [4, 5, 6]], ["a", "column-2", "y"], 2),
        ([["a", "a"], [1, 2], [3, 4]], ["a", "a.1"], 2),
        ([["a", "y"], [1, 2], [None, None], [3, 4], [None, None]], ["a", "y"], 3),
        ([["a", "y"], [1], [3, 4]], ["a", "y"], 2),
        ([["ａ", "y\u200b"], [1, 2], [3, 4]], ["a", "y"], 2),
        ([["y"], [1], [3]], ["y"], 2),
    ],
)
def test_layouts(tmp_path, rows, names, count):
    facts = tables.outline(save(tmp_path / "t.xlsx", rows))
    assert ([column["column"] for column in facts["columns"]], facts["rows"]) == (names, count)


def test_further_sheets_are_a_warning(tmp_path):
    path = save(tmp_path / "t.xlsx", [HEADER, *make_rows()], [("old", [["a"], [1]]), ("empty", [])])
    assert "sheets" in warnings_of(tables.from_file(path, target="y", task="regression"))
    path = save(tmp_path / "t.xlsx", [], [("data", [HEADER, *make_rows()])])
    assert "sheets" not in warnings_of(tables.from_file(path, target="y", task="regression"))


def test_a_mixed_column_is_read_as_texts(tmp_path):
    rows = [[value if n % 50 else "unknown", n] for n, value in enumerate(range(1000, 1100))]
    data = tables.from_file(save(tmp_path / "t.xlsx", [["a", "y"], *rows]), target="y", task="regression")
    assert "odd words" in warnings_of(data)
    assert values_of(data, "a")[1:3] == [1001, 1002]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a workbook", b"PK\x03\x04" + bytes(500)])
def test_a_damaged_workbook_is_refused(tmp_path, content):
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.xlsx"):
        tables.from_file(tmp_path / "t.xlsx", target="y")


@pytest.mark.parametrize("rows", [[], [["a", "y"]]])
def test_a_workbook_without_rows_is_refused(tmp_path, rows):
    with pytest.raises(DataError, match="no values|no rows"):
        tables.from_file(save(tmp_path / "t.xlsx", rows), target="y")
    with pytest.raises(DataError, match="does not exist"):
        tables.from_file(tmp_path / "none.xlsx", target="y")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "t.xlsx", [["a", "y"], [1, 2]])

    def find_nothing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", find_nothing)
    with pytest.raises(MissingPartError, match="openpyxl"):
        tables.from_file(path, target="y")


def test_a_visible_sheet_is_read_before_a_hidden_one(tmp_path):
    path = save(tmp_path / "t.xlsx", [["a", "y"], [1, 2]], [("shown", [HEADER, *make_rows()])])
    book = openpyxl.load_workbook(path)
    book.worksheets[0].sheet_state, book.active = "hidden", 1
    book.save(path)
    data = tables.from_file(path, target="y", task="regression")
    assert len(data.y) == 60
    assert "sheets" in warnings_of(data)


def test_merged_cells_have_the_value_of_their_range(tmp_path):
    rows = make_rows()
    towns = [row[1] for row in rows]
    merged = [
        [row[0], town if n % 4 == 0 else None, *row[2:]] for n, (row, town) in enumerate(zip(rows, towns, strict=True))
    ]
    path = save(tmp_path / "t.xlsx", [["Report"], HEADER, *merged])
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("A1:C1")
    for first in range(3, 63, 4):
        book.active.merge_cells(start_row=first, end_row=first + 3, start_column=2, end_column=2)
    book.save(path)
    data = tables.from_file(path, target="y", task="regression")
    assert values_of(data, "town") == [towns[n - n % 4] for n in range(60)]
    assert any(finding.check == "merged cells" for finding in data.findings)


def test_formulas_without_values_are_a_warning(tmp_path):
    rows = [[row[0], f"=A{n + 2}*2", row[-1]] for n, row in enumerate(make_rows())]
    path = save(tmp_path / "t.xlsx", [["size", "double", "y"], *rows])
    data = tables.from_file(path, target="y", task="regression")
    (finding,) = [finding for finding in data.findings if finding.check == "formulas"]
    assert finding.evidence == {"cells": 60, "row": 2, "column": 2}


def test_times_and_durations_are_numbers_of_seconds(tmp_path):
    times = [datetime.time(n % 24, 15) for n in range(60)]
    spans = [datetime.timedelta(minutes=17 * n) for n in range(60)]
    rows = [[time, span, n * 7 % 59] for n, (time, span) in enumerate(zip(times, spans, strict=True))]
    data = tables.from_file(save(tmp_path / "t.xlsx", [["t", "span", "y"], *rows]), target="y", task="regression")
    np.testing.assert_array_equal(values_of(data, "t"), [time.hour * 3600 + 900 for time in times])
    np.testing.assert_allclose(values_of(data, "span"), [span.total_seconds() for span in spans])
