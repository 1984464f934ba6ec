"""The forms of a file of answers."""

import csv
import io
import json

import numpy as np
import pytest

from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.inference.prediction_file import PredictionTable, format_json_lines
from yisheng.inference.predictor import Prediction

PAID = Spec("classification", (2,), classes=("no", "yes"), target="paid")
CLASSES = [Prediction("0", "yes", {"yes": 0.75, "no": 0.25}), Prediction("1", "no", {"no": 0.9, "yes": 0.1})]


def written(form, answers, ids, errors=None):
    text = form.header() + form.lines(answers, ids, errors or [None] * len(answers))
    return list(csv.reader(io.StringIO(text), delimiter=form.separator))


def test_values_are_written_in_full():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32) * 1e5
    answers = [Prediction(str(n), float(value)) for n, value in enumerate(values)]
    head, *found = written(
        PredictionTable(Spec("regression", (2,), target="SalePrice"), "Id"), answers, [f"h{n}" for n in range(50)]
    )
    assert head == ["Id", "SalePrice"]
    assert [row[0] for row in found] == [f"h{n}" for n in range(50)]
    np.testing.assert_array_equal(np.array([float(row[1]) for row in found], np.float32), values)


def test_classes_labels_and_several_targets():
    assert written(PredictionTable(PAID, "Id"), CLASSES, ["007", "a,b"]) == [["Id", "paid"], ["007", "yes"], ["a,b", "no"]]
    assert written(PredictionTable(PAID, format="probability"), CLASSES, "12") == [["row", "paid"], ["1", "0.75"], ["2", "0.1"]]
    labels = [Prediction("0", ["cat", "dog"], {"cat": 0.9, "dog": 0.6}), Prediction("1", [], {"cat": 0.1, "dog": 0.2})]
    seen = Spec("multilabel", (2,), classes=("cat", "dog"), target="seen")
    assert written(PredictionTable(seen), labels, "12") == [["row", "seen"], ["1", "cat dog"], ["2", ""]]
    assert written(PredictionTable(seen, format="probability"), labels, "12")[:2] == [["row", "cat", "dog"], ["1", "0.9", "0.6"]]
    three = Spec("classification", (2,), classes=("a", "b", "c"))
    form = PredictionTable(three, format="probability", separator="\t")
    answers = [Prediction("0", "b", {"b": 0.5, "a": 0.3, "c": 0.2})]
    assert written(form, answers, "1") == [["row", "a", "b", "c"], ["1", "0.3", "0.5", "0.2"]]
    two = Spec("regression", (2,), target="a, b", outputs=2)
    assert written(PredictionTable(two, "Id"), [Prediction("0", [1.5, 2.0])], ["x"]) == [["Id", "a", "b"], ["x", "1.5", "2"]]
    assert PredictionTable(Spec("regression", (2,), target="a", outputs=2)).target_columns == ("a-1", "a-2")


def test_what_could_not_be_read_has_an_error_instead_of_an_answer():
    form = PredictionTable(PAID, "file", has_errors=True)
    found = written(form, [CLASSES[0], None], ["a.png", "b.png"], [None, 'damaged, "b"'])
    assert found == [["file", "paid", "error"], ["a.png", "yes", ""], ["b.png", "", 'damaged, "b"']]


def test_lines_of_json_hold_all_that_is_known():
    text = format_json_lines([CLASSES[0], None], ["a", "b"], ["1", "2"], [None, "damaged"])
    first, second = map(json.loads, text.splitlines())
    assert (first["id"], first["input"], first["prediction"], first["error"]) == ("1", "0", "yes", None)
    assert first["probabilities"] == {"yes": 0.75, "no": 0.25}
    assert (second["input"], second["prediction"], second["error"]) == ("b", None, "damaged")
    assert "error" not in json.loads(format_json_lines(CLASSES[:1], ["a"], None))


def test_a_form_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="only a model of classes"):
        PredictionTable(Spec("regression", (2,)), format="probability")
    with pytest.raises(UsageError, match="format must be"):
        PredictionTable(PAID, format="json")
