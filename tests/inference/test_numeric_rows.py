"""Rows of finite numbers, for models that were not trained on a table file."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.inference.bulk.chunk import Tally
from yisheng.inference.bulk.rows import open_table
from yisheng.inference.inputs.table_files import read_tables
from yisheng.inference.rows import read_rows

SPEC = Spec("regression", (3,), columns=(Column("a"), Column("b b"), Column("c")))


def read(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path, SPEC).x


def test_columns_are_matched_by_name_or_taken_in_order(tmp_path):
    expected = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    assert np.array_equal(read(tmp_path, "1,2,3\n4,5,6\n"), expected)
    (tmp_path / "rows.tsv").write_text("1\t2\t3\n4\t5\t6\n")
    assert np.array_equal(read_rows(tmp_path / "rows.tsv", SPEC).x, expected)
    assert np.array_equal(read(tmp_path, "c,extra,a,b b\n3,x,1,2\n6,,4,5\n"), expected)
    assert np.array_equal(read(tmp_path, "\ufeffa,b b,c\r\n1,2,3\r\n4,5,6\r\n"), expected)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("a,b b,c\n", "no rows"),
        ("a,c\n1,2\n", "lacks the column b b"),
        ("1,2\n", "has 2 values, the model takes 3"),
        ("1,2,3\n4,x,6\n", "row 2, b b: 'x' is not a number"),
        ("1,2,nan\n", "row 1, c: the value is missing"),
        ("x,y,z\n1,2,3\n", "lacks the columns a, b b, c"),
        ("5_1,2,3\n", "row 1, a: '5_1' is not a number"),
        ("1,2,3\n1,,3\n", "row 2, b b: the value is missing"),
        ("1,2,3\n1,2,1e99\n", "row 2, c: the value is missing or too large"),
        ("1,2,3\n1,2,3,4\n", "line 2 has 4 values"),
        ("a;b b;c\n1,5;2;3\n", "row 1, a: '1,5' is not a number"),
        (b"\xff\xfe\x00a", "cannot be read|row 1|no rows"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, content, problem):
    with pytest.raises(DataError, match=problem):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a;b b;c\n1,5;2;3.000\n", {"decimal": "comma"}, [1.5, 2, 3000]),
        ("1,5;2;3.000\n", {"decimal": "comma", "separator": ";"}, [1.5, 2, 3000]),
        ("a,b b,c\n1.5,2,3.250\n", {"decimal": "point"}, [1.5, 2, 3.25]),
        ('a,b b,c\n"1,500",2,3.5\n', {"thousands": ","}, [1500, 2, 3.5]),
        ("title\n\na\tb b\tc\n1\t2\t3\n", {}, [1, 2, 3]),
        ("x,y,z\n1,2,3\n", {"names": "a,b b,c"}, [1, 2, 3]),
        ("x,y,z\n1,2,3\n", {"skip": "1"}, [1, 2, 3]),
        ("a,b b,c\n1,2,3\n".encode("utf-16"), {}, [1, 2, 3]),
        ("ä,a,b b,c\n9,1,2,3\n".encode("cp1252"), {"encoding": "cp1252"}, [1, 2, 3]),
    ],
)
def test_files_are_read_as_the_user_says(tmp_path, content, options, expected):
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    reading = ReadingOptions.parse(options)
    assert read_rows(path, SPEC, "", reading).x.tolist() == [expected]
    assert next(open_table(path, SPEC, "", reading).chunks(Tally())).x.tolist() == [expected]
    for inputs in (str(path), path, [path], path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert read_tables(inputs, SPEC, reading).x.tolist() == [expected]


def test_a_model_without_names_takes_columns_in_order(tmp_path):
    spec = Spec("regression", (2,))
    for content in ("1,2\n3,4\n", "x,y\n1,2\n3,4\n"):
        path = tmp_path / "rows.csv"
        path.write_text(content)
        assert read_rows(path, spec).x.tolist() == [[1, 2], [3, 4]]
    path.write_text("1,2,3\n")
    with pytest.raises(DataError, match="lacks|has 3 values"):
        read_rows(path, spec)


@pytest.mark.parametrize("inputs", [[[1, 2, 3]], np.zeros((1, 3)), pd.DataFrame([[1, 2, 3]]), {"a": 1}, [], 5])
def test_options_are_for_files(inputs):
    with pytest.raises(UsageError, match="files of tables"):
        read_tables(inputs, SPEC, ReadingOptions(decimal=","))


@settings(max_examples=300, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), st.text("0123456789.,e-+\n\"' abnifx;", max_size=80).map(str.encode)))
def test_any_bytes_are_rows_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        x = read_rows(path, SPEC).x
    except DataError:
        return
    assert x.shape[1] == 3
    assert np.isfinite(x).all()
