"""Any CSV gives a data set or a DataError: no other exception, in bounded memory and time.

Set `YISHENG_EXAMPLES=2000` for a thorough test; see CONTRIBUTING.
"""

import gzip
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data import tables
from yisheng.data.tables import sniff
from yisheng.inference import rows

WORDS = (
    *("", "NA", "?", "-", "1", "0", "2.5", "-3e5", "1e999", "inf", "-Infinity", "nan", "007", "1,234", '"1,234"', "$5"),
    *("12%", "yes", "no", "True", "red", "blue", "2020-01-31", "31/12/2020", "13:30", "9" * 25, "9" * 400, '"a ""b"""'),
    *('"un', 'x"y', '"two\nlines"', "\0", "é", "中", "\u2028", "0x1f", "1_000", "(5)", "1.234,5", "=1+1", "\\", " 7 "),
    *('"', '""', ".", "-0", str(2**63), str(-(2**63)), str(2**64), "\ud800", "\x1a", "\ufeff"),
)
COLUMNS = {
    "number": st.floats(-1e9, 1e9).map(str),
    "whole": st.integers(0, 5).map(str),
    "huge": st.integers(-(2**70), 2**70).map(str),
    "words": st.sampled_from(["red", "green", "blue"]),
    "flag": st.sampled_from(["yes", "no"]),
    "date": st.dates().map(str),
    "nothing": st.just(""),
    "constant": st.just("5"),
    "mixed": st.sampled_from(WORDS),
    "text": st.text(st.characters(exclude_characters="\0"), max_size=20),
}
NAMES = st.sampled_from(
    ["a", "b", "y", "", "Id", "class", "x y", '"q,r"', "1", "é", "date", "NA", "column-1"]
) | st.text(max_size=5)


@st.composite
def malformed_csv(draw):
    """Draw a table with common defects: quotes, types, empty columns, headers, encodings, rows."""
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6))
    rows = draw(st.sampled_from([0, 1, 2, 5, 5, 12, 12, 30]))
    if draw(st.booleans()):
        kinds += ["number"]  # usually a target that can be learned
    separator = draw(st.sampled_from(",,,;\t|"))
    columns = [draw(st.lists(COLUMNS[kind], min_size=rows, max_size=rows)) for kind in kinds]
    lines = [list(cells) for cells in zip(*columns, strict=True)]
    if draw(st.integers(0, 9)):
        lines.insert(0, [draw(NAMES) for _ in kinds])
    for _ in range(
        draw(st.sampled_from([0, 0, 1, 2])) if lines else 0
    ):  # a cell that does not belong, a row too short or too long
        line = lines[draw(st.integers(0, len(lines) - 1))]
        change = draw(st.sampled_from(["word", "word", "word", "word", "word", "more", "less"]))
        if change == "more":
            line.append("z")
        elif line:
            place = draw(st.integers(0, len(line) - 1))
            line[place : place + 1] = [draw(st.sampled_from(WORDS))] if change == "word" else []
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = end.join(separator.join(line) for line in lines) + draw(st.sampled_from(["", end, end * 2]))
    encodings = ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-16-le", "utf-32", "gb18030"]
    content = text.encode(draw(st.sampled_from(encodings)), "replace")
    if draw(st.integers(0, 9)) == 0 and content:
        place = draw(st.integers(0, len(content) - 1))
        content = content[:place] + draw(st.binary(max_size=3)) + content[place + 1 :]
    if draw(st.integers(0, 19)) == 0:
        content = gzip.compress(content)[: draw(st.sampled_from([None, 40]))]
    return content


def check_message(error):
    """Check that an error has a problem and a remedy."""
    assert error.problem
    assert len(error.remedy) > 3


@given(malformed_csv() | st.binary(max_size=200), st.sampled_from([None, None, "classification", "regression"]))
@example(content=b"a,b\n1,inf\n2,1.5\n3,1.10\n4,2\n", task="classification")
@example(content=b"a,b\n1,inf\n2,inf\n3,1\n4,1\n", task=None)
def test_tables_are_read_or_refused(tmp_path_factory, content, task):
    path = tmp_path_factory.getbasetemp() / "malformed.csv"
    path.write_bytes(content)
    sniff.lists_images(path)
    try:
        data = tables.from_file(path, target="last", task=task)
    except DataError as error:
        check_message(error)
        with pytest.raises(DataError):
            tables.from_file(path, target="last", task=task)
        return
    assert data.x.dtype == np.float32
    assert len(data.x) == len(data.y) > 1
    assert not np.isinf(data.x).any()
    assert Spec.from_json(json.loads(json.dumps(data.spec.to_json()))) == data.spec
    for column, values in zip(data.spec.columns, data.x.T, strict=True):
        present = values[~np.isnan(values)]
        assert column.source
        assert column.kind == "number" or set(present.tolist()) <= set(range(len(column.categories)))
    described = tables.describe(path)
    assert len(described) == len(data.findings[-1].evidence["columns"])
    json.dumps(described)


@given(malformed_csv(), malformed_csv())
def test_training_tables_are_read_the_same_in_prediction(tmp_path_factory, content, prediction_content):
    """The training table gives the training values in prediction; any other table gives rows or a DataError."""
    path = tmp_path_factory.getbasetemp() / "twice.csv"
    path.write_bytes(content)
    try:
        data = tables.from_file(path, target="last", task="regression")
    except (DataError, UsageError):
        return
    missing = {finding.check for finding in data.findings} & {"missing target"}
    if not missing:
        np.testing.assert_array_equal(rows.read_rows(path, data.spec).x, data.x)
    path.write_bytes(prediction_content)
    try:
        rows_read = rows.read_rows(path, data.spec)
    except DataError as error:
        check_message(error)
        return
    assert rows_read.x.shape[1] == data.x.shape[1]
    assert rows_read.ids is None or len(rows_read.ids) == len(rows_read.x)
