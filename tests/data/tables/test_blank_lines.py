"""Blank lines separate nothing in a file of several columns, and are rows without a value in a file of one."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.data.tables.delimited import read_delimited


def read(folder, text):
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_delimited(path)


def count_rows(table):
    return len(next(iter(table.columns.values())))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(cells=st.lists(st.sampled_from(["1", "2.5", "", "-3"]), min_size=2, max_size=30), ends=st.booleans())
def test_one_column_has_a_row_for_each_line(folder, cells, ends):
    cells = ["7", *cells]
    table = read(folder, "\n".join(["x", *cells]) + "\n" * (ends or not cells[-1]))
    assert count_rows(table) == len(cells)
    warned = [finding.evidence["lines"] for finding in table.findings if finding.check == "blank lines"]
    assert warned == ([cells.count("")] if "" in cells else [])


@given(cells=st.lists(st.sampled_from(["a", "b c", "", 'say "x"', "two\n\nlines"]), min_size=2, max_size=30))
def test_one_column_of_words_as_pandas_writes_it(folder, cells):
    cells = ["first", *cells]
    path = folder / "pandas.csv"
    pd.DataFrame({"word": cells}).to_csv(path, index=False)
    assert count_rows(read_delimited(path)) == len(cells)


def test_several_columns(folder):
    table = read(folder, "x,y\n1,2\n\n3,4\n\n\n5,6\n\n")
    assert count_rows(table) == 3
    assert not [finding for finding in table.findings if finding.check == "blank lines"]
