"""Decimal points and commas: decided by all columns of a file, kept for every later table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tables.text_tables import read, write
from yisheng.core.errors import DataError, UsageError
from yisheng.data import tables
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.dataframes import read_dataframe
from yisheng.inference.rows import parse_rows, read_rows
from yisheng.serving.json_rows import parse_json_rows


def table(column, other="0,5", separator=";"):
    """Return a table whose second column shows how the file writes numbers."""
    header = separator.join(["a", "b", "y"])
    return (
        header
        + "\n"
        + "".join(
            separator.join([text, other if n % 2 else other + "1", f"{n}"]) + "\n" for n, text in enumerate(column)
        )
    )


def checks(data):
    return {finding.check: finding.severity for finding in data.findings}


@pytest.mark.parametrize(
    ("texts", "other", "values"),
    [
        (["0,375", "2", "1,250", "12"], "x", [0.375, 2, 1.25, 12]),  # no group begins with 0
        (["1,25", "2,5"], "x", [1.25, 2.5]),
        (["750", "875", "1.000", "1.125"], "0,5", [750, 875, 1000, 1125]),
        (["750", "875", "1.000", "1.125"], "0.5", [750, 875, 1, 1.125]),
        (["1.234,5", "4.900"], "x", [1234.5, 4900]),
        (["1,234.5", "4,900"], "x", [1234.5, 4900]),
        (["4,900", "1,200"], "0.5", [4900, 1200]),
        (["4,900", "1,200"], "0,5", [4.9, 1.2]),
        (["12.5", "13.25"], "0,5", [12.5, 13.25]),  # its own texts decide
        (["1,23,456", "2"], "x", [123456, 2]),
        (["1’234.5", "2"], "x", [1234.5, 2]),
        (["1,5e-05", "2,5"], "x", [1.5e-05, 2.5]),
        (["１２３", "４．５"], "x", [123, 4.5]),
    ],
)
def test_numbers_are_read_as_the_file_writes_them(tmp_path, texts, other, values):
    data = read(tmp_path, table(texts * 3, other), separator=";", kinds={"a": "number"})
    np.testing.assert_allclose(data.x[: len(values), 0], values)


@pytest.mark.parametrize("texts", [["1.250", "2.375"], ["1,250", "2,375"]])
def test_a_file_that_can_be_read_in_two_ways_is_a_warning(tmp_path, texts):
    content = "a;y\n" + "".join(f"{text};{n % 4}\n" for n, text in enumerate(texts * 5))
    data = read(tmp_path, content)
    assert checks(data)["number form"] == "warning"
    for decimal, value in (("comma", 1250 if "." in texts[0] else 1.25), ("point", 1.25 if "." in texts[0] else 1250)):
        decided = read(tmp_path, content, decimal=decimal)
        assert "number form" not in checks(decided)
        assert decided.x[0, 0] == pytest.approx(value)
    assert read(tmp_path, content, decimal="auto").x[0, 0] == pytest.approx(1.25 if "." in texts[0] else 1250)


def test_other_columns_decide_with_a_note(tmp_path):
    data = read(tmp_path, table(["1.250", "2.375"] * 5, "0,5"))
    assert checks(data)["number form"] == "note"
    assert data.x[:2, 0].tolist() == [1250, 2375]


def test_marks_can_be_given(tmp_path):
    assert read(tmp_path, table(["1.250", "2"] * 5, "x"), thousands="point").x[0, 0] == 1250
    text = table(["1 250,5", "2"] * 5, "x")
    assert read(tmp_path, text, decimal=",", thousands="space").x[0, 0] == 1250.5
    assert read(tmp_path, text, decimal=",", thousands="point").spec.columns[0].kind != "number"
    for options in ({"decimal": "x"}, {"thousands": "-"}, {"decimal": ",", "thousands": ","}):
        with pytest.raises(UsageError):
            read(tmp_path, text, **options)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.900", 4900),
        ("4.800,50", 4800.5),
        ("4900", 4900),
        ("0,5", 0.5),
        ("-1.000", -1000),
        ("4.9", None),
        ("4,900.5", None),
    ],
)
def test_a_later_table_is_read_by_the_form_of_training(tmp_path, text, value):
    """The form is that of the column, not that of the rows that happen to come."""
    data = read(tmp_path, table([f"{n}.{n * 7 % 1000:03d},50" for n in range(1, 20)]))
    assert data.spec.columns[0].format == ","
    later_path = write(tmp_path, f"a;b;y\n{text};0,5;1\n", "one.csv")
    readers = {
        "predict": lambda: read_rows(later_path, data.spec).x,
        "bulk": lambda: next(open_table(later_path, data.spec).chunks(Tally())).x,
        "test": lambda: tables.from_file(tmp_path / "t.csv", target="y", test=later_path).x[-1:],
        "typed": lambda: parse_rows([[text, "0,5"]], data.spec, "rows="),
        "json": lambda: parse_json_rows([{"a": text, "b": "0,5"}], data.spec)[0],
        "frame": lambda: read_dataframe(pd.DataFrame({"a": [text], "b": ["0,5"]}), data.spec).x,
    }
    for name, read_one in readers.items():
        if value is None:
            with pytest.raises(DataError, match=f"'{text}' is not a number as in training"):
                read_one()
        else:
            assert read_one()[0, 0] == pytest.approx(value), name
    assert parse_json_rows([{"a": 4.9, "b": 0.5}], data.spec)[0][0, 0] == pytest.approx(4.9)


def test_whole_numbers_of_a_file_with_decimal_commas_may_have_points_later(tmp_path):
    data = read(tmp_path, table([str(n * 100) for n in range(20)]))
    later_path = write(tmp_path, "a;b\n4.900;0,5\n", "one.csv")
    assert read_rows(later_path, data.spec).x[0, 0] == 4900
    assert data.spec.columns[0].format == ","


def test_a_percent_sign_is_required_where_training_has_it(tmp_path):
    data = read(tmp_path, "a,y\n" + "".join(f"{n}%,{n / 2}\n" for n in range(20)))
    assert read_rows(write(tmp_path, "a\n7%\n", "one.csv"), data.spec).x[0, 0] == 7
    with pytest.raises(DataError, match="as in training, like"):
        read_rows(write(tmp_path, "a\n0.07\n", "one.csv"), data.spec)


def test_another_form_can_be_given_for_a_later_table(tmp_path):
    data = read(tmp_path, table(["1.234,5", "0,5"] * 8))
    path = write(tmp_path, "a,b\n1234.5,0.5\n", "p.csv")
    with pytest.raises(DataError, match="decimal="):
        read_rows(path, data.spec)
    assert read_rows(path, data.spec, options=ReadingOptions(decimal=".")).x.tolist() == [[1234.5, 0.5]]


def test_a_test_table_is_typed_as_the_training_table(tmp_path):
    rows = "".join(f"{version},{n % 5}\n" for n, version in enumerate(["1.9", "1.10", "1.1", "x.1"] * 6))
    path = write(tmp_path, f"version,y\n{rows}")
    test = write(tmp_path, "version,y\n1.10,1\n1.1,2\n", "test.csv")
    data = tables.from_file(path, target="y", test=test)
    categories = data.spec.columns[0].categories
    assert [categories[int(n)] for n in data.x[-2:, 0]] == ["1.10", "1.1"]
    chosen = tables.from_file(
        write(tmp_path, f"version,y\n{rows.replace('x.1', '1.2')}"),
        target="y",
        test=test,
        kinds={"version": "category"},
    )
    categories = chosen.spec.columns[0].categories
    assert "1.10" in categories
    assert [categories[int(n)] for n in chosen.x[-2:, 0]] == ["1.10", "1.1"]


NUMBERS = st.lists(st.decimals(-99_999, 99_999, places=2, allow_nan=False), min_size=8, max_size=20, unique=True)


@settings(max_examples=60, deadline=None)
@given(
    NUMBERS,
    st.sampled_from([(".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", "'")]),
    st.sampled_from(";\t|"),
)
def test_the_second_half_of_a_table_is_read_as_the_first(tmp_path_factory, values, form, separator):
    folder = tmp_path_factory.mktemp("halves")
    decimal, thousands = form
    texts = [f"{value:,}".replace(",", "T").replace(".", decimal).replace("T", thousands) for value in values]
    rows = [f"{text}{separator}1{decimal}5{separator}{n}\n" for n, text in enumerate(texts)]
    header = separator.join("aby") + "\n"
    data = read(folder, header + "".join(rows), kinds={"a": "number", "b": "number"}, task="regression")
    np.testing.assert_allclose(data.x[:, 0], [float(value) for value in values], rtol=1e-6)
    for n, row in enumerate(rows):
        path = write(folder, header + row, "one.csv")
        assert read_rows(path, data.spec).x[0, 0] == data.x[n, 0]
        assert next(open_table(path, data.spec).chunks(Tally())).x[0, 0] == data.x[n, 0]
        assert parse_json_rows([{"a": texts[n], "b": f"1{decimal}5"}], data.spec)[0][0, 0] == data.x[n, 0]
