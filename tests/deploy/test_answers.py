"""The answer file."""

import csv

import numpy as np
import pandas as pd
import pytest

from yisheng.core.errors import DataError, StorageError, UsageError
from yisheng.deploy.answers import write_submission
from yisheng.deploy.predictor import Answer

CLASSES = [Answer("0", "yes", {"yes": 0.75, "no": 0.25}), Answer("1", "no", {"no": 0.9, "yes": 0.1})]


def written(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def test_values_are_written_in_full(tmp_path):
    values = np.random.default_rng(0).normal(size=50).astype(np.float32) * 1e5
    answers = [Answer(str(n), float(value)) for n, value in enumerate(values)]
    path = tmp_path / "submission.csv"
    write_submission(path, answers, [f"h{n}" for n in range(50)], id_name="Id", target_name="SalePrice")
    found = pd.read_csv(path)
    assert list(found.columns) == ["Id", "SalePrice"]
    assert found["Id"].tolist() == [f"h{n}" for n in range(50)]
    np.testing.assert_array_equal(found["SalePrice"].to_numpy(np.float32), values)
    assert [p.name for p in tmp_path.iterdir()] == ["submission.csv"]


def test_classes_labels_and_several_targets(tmp_path):
    path = tmp_path / "a.csv"
    write_submission(path, CLASSES, ["007", "a,b"], id_name="Id", target_name="paid")
    assert written(path) == [["Id", "paid"], ["007", "yes"], ["a,b", "no"]]
    write_submission(path, CLASSES, None, target_name="paid", classes=("no", "yes"), format="probability")
    assert written(path) == [["row", "paid"], ["1", "0.75"], ["2", "0.1"]]
    labels = [Answer("0", ["cat", "dog"], {"cat": 0.9, "dog": 0.6}), Answer("1", [], {"cat": 0.1, "dog": 0.2})]
    write_submission(path, labels, None, target_name="seen")
    assert written(path) == [["row", "seen"], ["1", "cat dog"], ["2", ""]]
    write_submission(path, labels, None, classes=("cat", "dog"), format="probability")
    assert written(path)[0] == ["row", "cat", "dog"]
    three = [Answer("0", "b", {"b": 0.5, "a": 0.3, "c": 0.2})]
    write_submission(tmp_path / "b.tsv", three, None, classes=("a", "b", "c"), format="probability")
    assert written(tmp_path / "b.tsv") == [["row", "a", "b", "c"], ["1", "0.3", "0.5", "0.2"]]
    write_submission(path, [Answer("0", [1.5, 2.0])], ["x"], id_name="Id", target_name="a, b")
    assert written(path) == [["Id", "a", "b"], ["x", "1.5", "2"]]


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(DataError, match="2 answers do not fit 1 rows"):
        write_submission(path, CLASSES, ["a"])
    with pytest.raises(DataError, match="no answers"):
        write_submission(path, [], None)
    with pytest.raises(UsageError, match="only a model of classes"):
        write_submission(path, [Answer("0", 1.5)], None, format="probability")
    with pytest.raises(UsageError, match="format must be"):
        write_submission(path, CLASSES, None, format="json")
    with pytest.raises(StorageError, match="cannot be written"):
        write_submission(tmp_path / "nowhere" / "a.csv", CLASSES, None)
    assert path.read_text() == "old"
