"""Rows of finite numbers, for models that were not trained on a table file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.core.types import Column, Spec
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
        ("", "cannot be read as CSV"),
        ("a,b b,c\n", "no rows"),
        ("a,c\n1,2\n", "lacks the column b b"),
        ("1,2\n", "has 2 values, the model takes 3"),
        ("1,2,3\n4,x,6\n", "row 2, b b: 'x' is not a number"),
        ("1,2,nan\n", "row 1, c: 'nan' is not a number"),
        ("x,y,z\n1,2,3\n", "lacks the columns a, b b, c"),
        ("5_1,2,3\n", "row 1, a: '5_1' is not a number"),
        ("1,2,3\n1,,3\n", "is not a number"),
        ("1,2,3\n1,2,1e99\n", "is not a number"),
        ("1,2,3\n1,2,3,4\n", "cannot be read as CSV"),
        (b"\xff\xfe\x00a", "cannot be read as CSV"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, content, problem):
    with pytest.raises(DataError, match=problem):
        read(tmp_path, content)


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
