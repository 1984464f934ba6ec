"""A plain file, whose lines are its records, is read by several threads to the same table as by one."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core import machine
from yisheng.core.errors import DataError
from yisheng.data.tables import delimited, scan
from yisheng.data.tables.delimited import read_delimited
from yisheng.data.tables.scan import scan_file
from yisheng.data.tables.sniff import sniff_layout

PLAIN_CELLS = st.sampled_from(
    ["1", "2.5", "-3e4", "", "NA", "007", " 4", "red", "blue", "True", "9007199254740993", "1,5", "é", "-", "1e400"]
)
CELLS = PLAIN_CELLS | st.sampled_from(['a"b', "two\nlines", 'q""', "a,b"])


def write(path, rows, *, end="\n", separator=","):
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    path.write_bytes(file.getvalue().removesuffix("\n").replace("\n", end).encode() + end.encode())
    return path


def read(path, *, threads):
    """Return the columns of a file as plain data, read by some number of threads; or the error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "count_cores", lambda: threads)
        patch.setattr(delimited, "CHUNK_VALUES", 6)
        patch.setattr(delimited, "MIN_CHUNK_ROWS", 1)
        try:
            table = read_delimited(path)
        except DataError as error:
            return str(error)
    return {
        name: (
            None if raw.numbers is None else (raw.numbers.dtype.str, raw.numbers.tobytes()),
            None if raw.codes is None else raw.codes.tolist(),
            raw.categories,
        )
        for name, raw in table.columns.items()
    }


@given(
    st.lists(st.tuples(CELLS, CELLS, PLAIN_CELLS), min_size=1, max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([";", "\t"]),
)
@settings(max_examples=80)
def test_threads_change_nothing(tmp_path_factory, rows, end, separator):
    path = write(tmp_path_factory.mktemp("t") / "rows.csv", [("a", "b", "c"), *rows], end=end, separator=separator)
    layout = sniff_layout(path)
    if not any("," in cell and layout.separator == "," for row in rows for cell in row):
        assert read(path, threads=1) == read(path, threads=3)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=9), st.booleans())
@settings(max_examples=80)
def test_a_pass_by_lines_and_one_by_records_agree(tmp_path_factory, rows, ends_with_newline):
    path = write(tmp_path_factory.mktemp("t") / "rows.csv", [("first", "second"), *rows])
    if not ends_with_newline:
        path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    layout = sniff_layout(path)
    if len(layout.names) != 2:
        return
    results = []
    for function in (scan._scan, scan._scan_exactly):
        try:
            result = function(path, layout, "utf-8")
            results.append((result.row_count, result.code_columns, result.blank_count))
        except DataError as error:
            results.append(error.problem)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        (b"a,b\n1,2\n", True),
        (b"a,b\r\n1,2\r\n3,4", True),
        (b"a,b\n1,\n,\n", True),
        (b'a,b\n1,"2"\n', True),
        (b'"a","b"\n1,"2, 3"\n', True),
        (b'a,b\n1,"2\n3"\n', False),
        (b"a,b\n\n1,2\n", False),
        (b"a,b\n1,2\n  \n", False),
        (b"a\n1\n2\n", False),
    ],
)
def test_a_file_is_plain_without_blank_lines_and_lines_between_quotes(tmp_path, text, is_plain):
    path = tmp_path / "rows.csv"
    path.write_bytes(text)
    assert scan_file(path, sniff_layout(path)).is_plain == is_plain


@given(st.lists(st.binary(max_size=6).map(lambda part: part.replace(b"\r", b"\n")), max_size=8), st.integers(1, 4))
def test_lines_are_cut_as_by_python(parts, count):
    text = b"".join(parts)
    blocks = list(delimited._cut_lines(iter([part for part in parts if part]), count, skip=1))
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    lines = [line for line in lines[1:] if line]
    assert blocks == [b"".join(lines[start : start + count]) for start in range(0, len(lines), count)]


def test_a_large_plain_file_is_parsed_in_its_chunks(tmp_path):
    draw = np.random.default_rng(0)
    values = draw.normal(size=(3000, 4))
    path = write(tmp_path / "rows.csv", [list("abcd"), *values.tolist()])
    table = read_delimited(path)
    import pandas as pd

    frame = pd.read_csv(path)
    for name in "abcd":
        np.testing.assert_array_equal(table.columns[name].numbers, frame[name])
