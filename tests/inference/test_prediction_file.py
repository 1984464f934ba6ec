"""The formats of a file of predictions."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.evaluation.conformal import IntervalBounds
from yisheng.inference.prediction import Prediction
from yisheng.inference.prediction_file import PredictionTable, format_json_lines

PAID = Spec("classification", (2,), classes=("no", "yes"), target="paid")
PREDICTIONS = [Prediction("0", "yes", {"yes": 0.75, "no": 0.25}), Prediction("1", "no", {"no": 0.9, "yes": 0.1})]


OUTPUTS = np.array([[0.25, 0.75], [0.9, 0.1]])


def write_and_read(table, outputs, ids, errors=None, bounds=None):
    text = table.format_header() + table.format_rows(np.asarray(outputs), ids, errors or {}, bounds)
    return list(csv.reader(io.StringIO(text), delimiter=table.separator))


def test_numbers_are_written_in_full_precision():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32) * 1e5
    table = PredictionTable(Spec("regression", (2,), target="SalePrice"), "Id")
    header, *rows = write_and_read(table, values[:, None], [f"h{n}" for n in range(50)])
    assert header == ["Id", "SalePrice"]
    assert [row[0] for row in rows] == [f"h{n}" for n in range(50)]
    np.testing.assert_array_equal(np.array([float(row[1]) for row in rows], np.float32), values)


def test_classes_are_written_by_name_or_probability():
    rows = write_and_read(PredictionTable(PAID, "Id"), OUTPUTS, ["007", "a,b"])
    assert rows == [["Id", "paid"], ["007", "yes"], ["a,b", "no"]]
    rows = write_and_read(PredictionTable(PAID, format="probability"), OUTPUTS, "12")
    assert rows == [["row", "paid"], ["1", "0.75"], ["2", "0.1"]]
    three_classes = Spec("classification", (2,), classes=("a", "b", "c"))
    table = PredictionTable(three_classes, format="probability", separator="\t")
    assert write_and_read(table, [[0.3, 0.5, 0.2]], "1") == [["row", "a", "b", "c"], ["1", "0.3", "0.5", "0.2"]]


def test_labels_are_written_with_spaces_between_them():
    spec = Spec("multilabel", (2,), classes=("cat", "dog"), target="animals")
    outputs = [[0.6, 0.9], [0.1, 0.2]]
    rows = write_and_read(PredictionTable(spec), outputs, "12")
    assert rows == [["row", "animals"], ["1", "dog cat"], ["2", ""]]
    rows = write_and_read(PredictionTable(spec, format="probability"), outputs, "12")
    assert rows[:2] == [["row", "cat", "dog"], ["1", "0.6", "0.9"]]


def test_several_targets_have_a_column_each():
    two_targets = Spec("regression", (2,), target="a, b", outputs=2)
    rows = write_and_read(PredictionTable(two_targets, "Id"), [[1.5, 2.0]], ["x"])
    assert rows == [["Id", "a", "b"], ["x", "1.5", "2"]]
    assert PredictionTable(Spec("regression", (2,), target="a", outputs=2)).target_columns == ("a-1", "a-2")


def test_an_unreadable_input_has_an_error_instead_of_a_prediction():
    table = PredictionTable(PAID, "file", has_errors=True)
    rows = write_and_read(table, OUTPUTS[:1], ["a.png", "b.png"], {1: 'damaged, "b"'})
    assert rows == [["file", "paid", "error"], ["a.png", "yes", ""], ["b.png", "", 'damaged, "b"']]


def test_json_lines_contain_everything_in_a_prediction():
    text = format_json_lines([PREDICTIONS[0], None], ["a", "b"], ["1", "2"], [None, "damaged"])
    readable, unreadable = map(json.loads, text.splitlines())
    assert readable == {
        "id": "1",
        "input": "0",
        "prediction": "yes",
        "probabilities": {"yes": 0.75, "no": 0.25},
        "notes": [],
        "ood_score": None,
        "interval": None,
        "error": None,
    }
    assert (unreadable["input"], unreadable["prediction"], unreadable["error"]) == ("b", None, "damaged")
    assert unreadable.keys() == readable.keys()
    assert "error" not in json.loads(format_json_lines(PREDICTIONS[:1], ["a"], None))


def test_a_format_that_does_not_fit_the_model_is_refused():
    with pytest.raises(UsageError, match="only a model of classes"):
        PredictionTable(Spec("regression", (2,)), format="probability")
    with pytest.raises(UsageError, match="format must be"):
        PredictionTable(PAID, format="json")


def test_formulas_are_text_to_a_spreadsheet():
    names = ["=1+1", "+x", "-1.5", "@a", "\t=x", "cat", "-5e3", "-a"]
    outputs = [[1.0, 0.0]] * len(names)
    spec = Spec("classification", (1,), classes=("=cmd|' /C calc'!A0", "b"), target="=t")
    rows = write_and_read(PredictionTable(spec, "Id", excel_safe=True), outputs, names)
    assert rows[0] == ["Id", "'=t"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+x", "-1.5", "'@a", "'\t=x", "cat", "-5e3", "'-a"]
    assert {row[1] for row in rows[1:]} == {"'=cmd|' /C calc'!A0"}
    rows = write_and_read(PredictionTable(spec, "Id"), outputs, names)
    assert [row[0] for row in rows[1:]] == names


FLOATS = st.floats(width=32) | st.floats() | st.sampled_from([0.1, -0.0, 1e39, 16777217.0])


@given(st.lists(FLOATS, min_size=1, max_size=20), st.sampled_from([np.float32, np.float64]))
def test_a_number_is_read_back_in_its_precision(values, dtype):
    with np.errstate(over="ignore"):
        outputs = np.array(values, np.float64).astype(dtype)[:, None]
    rows = write_and_read(PredictionTable(Spec("regression", (1,), target="y")), outputs, list(map(str, values)))
    read, written = np.array([float(row[1]) for row in rows[1:]]), outputs[:, 0].astype(np.float64)
    with np.errstate(over="ignore"):
        is_single = written.astype(np.float32) == written
        np.testing.assert_array_equal(read.astype(np.float32)[is_single], written.astype(np.float32)[is_single])
    np.testing.assert_allclose(read[~is_single], written[~is_single], rtol=5e-15)


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.just(3)), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75])))
def test_classes_and_labels_are_those_of_single_predictions(probabilities):
    expected = []
    for row in probabilities.tolist():
        order = sorted(range(3), key=lambda n, row=row: -row[n])
        expected.append(("abc"[order[0]], ["abc"[n] for n in order if row[n] >= 0.5]))
    ids = [str(n) for n in range(len(probabilities))]
    single_class = PredictionTable(Spec("classification", (1,), classes=("a", "b", "c"), target="y"))
    assert [row[1] for row in write_and_read(single_class, probabilities, ids)[1:]] == [name for name, _ in expected]
    several_labels = PredictionTable(Spec("multilabel", (1,), classes=("a", "b", "c"), target="y"))
    assert [row[1].split() for row in write_and_read(several_labels, probabilities, ids)[1:]] == [
        names for _, names in expected
    ]


def test_bounds_follow_their_value():
    values = np.array([[1.5, 2.0], [0.1, 3.0]])
    bounds = IntervalBounds(0.9, values - 0.5, values + 0.25)
    table = PredictionTable(Spec("regression", (1,), target="a, b", outputs=2), has_errors=True, has_intervals=True)
    rows = write_and_read(table, values, "123", {1: "damaged"}, bounds)
    assert rows[0] == ["row", "a", "a_low", "a_high", "b", "b_low", "b_high", "error"]
    assert rows[1] == ["1", "1.5", "1", "1.75", "2", "1.5", "2.25", ""]
    assert rows[2] == ["2", *[""] * 6, "damaged"]
    assert rows[3] == ["3", "0.1", "-0.4", "0.35", "3", "2.5", "3.25", ""]
