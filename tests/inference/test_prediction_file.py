"""The formats of a file of predictions."""

import csv
import io
import json

import numpy as np
import pytest

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.inference.prediction import Prediction
from yisheng.inference.prediction_file import PredictionTable, format_json_lines

PAID = Spec("classification", (2,), classes=("no", "yes"), target="paid")
PREDICTIONS = [Prediction("0", "yes", {"yes": 0.75, "no": 0.25}), Prediction("1", "no", {"no": 0.9, "yes": 0.1})]


def write_and_read(table, predictions, ids, errors=None):
    text = table.format_header() + table.format_rows(predictions, ids, errors or [None] * len(predictions))
    return list(csv.reader(io.StringIO(text), delimiter=table.separator))


def test_numbers_are_written_in_full_precision():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32) * 1e5
    predictions = [Prediction(str(n), float(value)) for n, value in enumerate(values)]
    table = PredictionTable(Spec("regression", (2,), target="SalePrice"), "Id")
    header, *rows = write_and_read(table, predictions, [f"h{n}" for n in range(50)])
    assert header == ["Id", "SalePrice"]
    assert [row[0] for row in rows] == [f"h{n}" for n in range(50)]
    np.testing.assert_array_equal(np.array([float(row[1]) for row in rows], np.float32), values)


def test_classes_are_written_by_name_or_probability():
    rows = write_and_read(PredictionTable(PAID, "Id"), PREDICTIONS, ["007", "a,b"])
    assert rows == [["Id", "paid"], ["007", "yes"], ["a,b", "no"]]
    rows = write_and_read(PredictionTable(PAID, format="probability"), PREDICTIONS, "12")
    assert rows == [["row", "paid"], ["1", "0.75"], ["2", "0.1"]]
    three_classes = Spec("classification", (2,), classes=("a", "b", "c"))
    table = PredictionTable(three_classes, format="probability", separator="\t")
    predictions = [Prediction("0", "b", {"b": 0.5, "a": 0.3, "c": 0.2})]
    assert write_and_read(table, predictions, "1") == [["row", "a", "b", "c"], ["1", "0.3", "0.5", "0.2"]]


def test_labels_are_written_with_spaces_between_them():
    spec = Spec("multilabel", (2,), classes=("cat", "dog"), target="animals")
    predictions = [
        Prediction("0", ["cat", "dog"], {"cat": 0.9, "dog": 0.6}),
        Prediction("1", [], {"cat": 0.1, "dog": 0.2}),
    ]
    rows = write_and_read(PredictionTable(spec), predictions, "12")
    assert rows == [["row", "animals"], ["1", "cat dog"], ["2", ""]]
    rows = write_and_read(PredictionTable(spec, format="probability"), predictions, "12")
    assert rows[:2] == [["row", "cat", "dog"], ["1", "0.9", "0.6"]]


def test_several_targets_have_a_column_each():
    two_targets = Spec("regression", (2,), target="a, b", outputs=2)
    rows = write_and_read(PredictionTable(two_targets, "Id"), [Prediction("0", {"a": 1.5, "b": 2.0})], ["x"])
    assert rows == [["Id", "a", "b"], ["x", "1.5", "2"]]
    assert PredictionTable(Spec("regression", (2,), target="a", outputs=2)).target_columns == ("a-1", "a-2")


def test_an_unreadable_input_has_an_error_instead_of_a_prediction():
    table = PredictionTable(PAID, "file", has_errors=True)
    rows = write_and_read(table, [PREDICTIONS[0], None], ["a.png", "b.png"], [None, 'damaged, "b"'])
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
    predictions = [Prediction(name, "=cmd|' /C calc'!A0") for name in names]
    spec = Spec("classification", (1,), classes=("=cmd|' /C calc'!A0", "b"), target="=t")
    rows = write_and_read(PredictionTable(spec, "Id", excel_safe=True), predictions, names)
    assert rows[0] == ["Id", "'=t"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+x", "-1.5", "'@a", "'\t=x", "cat", "-5e3", "'-a"]
    assert {row[1] for row in rows[1:]} == {"'=cmd|' /C calc'!A0"}
    rows = write_and_read(PredictionTable(spec, "Id"), predictions, names)
    assert [row[0] for row in rows[1:]] == names
