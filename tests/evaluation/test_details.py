"""The contents of ``evaluation.json``."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from yisheng.core.errors import NonFiniteError
from yisheng.core.spec import Spec
from yisheng.evaluation.calibration import compute_calibration
from yisheng.evaluation.details import MAX_MATRIX_CLASSES, MAX_PAIRS, collect_details
from yisheng.evaluation.per_class import compute_per_class
from yisheng.evaluation.png import encode_png
from yisheng.evaluation.predictions import Predictions
from yisheng.metrics.calibration_error import calibration_error
from yisheng.reporting.evaluation_schema import Evaluation
from yisheng.reporting.sections.confusion import most_confused

THREE = Spec("classification", (1, 2, 2), classes=("ant", "bee", "cat"))
LABELS = Spec("multilabel", (1,), classes=("p", "q"))
NUMBER = Spec("regression", (1,))


def classified(n: int = 200, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    y = generator.integers(3, size=n)
    exponentials = np.exp(generator.normal(size=(n, 3)) + 1.5 * np.eye(3)[y])
    p = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return Predictions(y, p, generator.permutation(1000)[:n])


def test_per_class_matches_scikit_learn() -> None:
    predictions = classified()
    predicted = predictions.prediction.argmax(axis=1)
    expected = reference.precision_recall_fscore_support(predictions.y, predicted, labels=range(3))
    table = compute_per_class(THREE, predictions.y, predictions.prediction)
    assert [line["class"] for line in table] == ["ant", "bee", "cat"]
    for key, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([line[key] for line in table], column)


def test_class_without_rows_has_zeros() -> None:
    table = compute_per_class(THREE, np.array([0, 1]), np.eye(3)[:2])
    assert table[2] == {"class": "cat", "support": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_calibration_bins_contain_every_row_and_add_up_to_the_error() -> None:
    predictions = classified()
    evaluation = compute_calibration(predictions.y, predictions.prediction)
    bins = evaluation["bins"]
    assert sum(b["count"] for b in bins) == 200
    total = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / 200
    assert evaluation["error"] == pytest.approx(total) == calibration_error(predictions.y, predictions.prediction)
    assert all(b["low"] < b["confidence"] <= b["high"] + 1e-12 for b in bins)


def test_classification_contents() -> None:
    predictions = classified()
    evaluation = collect_details(THREE, predictions, part="test", worst=5)
    assert list(evaluation) == ["part", "rows", "per_class", "confusion", "calibration", "worst"]
    assert (evaluation["part"], evaluation["rows"]) == ("test", 200)
    predicted = predictions.prediction.argmax(axis=1)
    np.testing.assert_array_equal(evaluation["confusion"], reference.confusion_matrix(predictions.y, predicted))
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == evaluation


def test_confusion_of_many_classes_takes_memory_of_the_rows() -> None:
    draw = np.random.default_rng(0)
    classes = MAX_MATRIX_CLASSES + 1
    y, prediction = draw.integers(0, classes, 300), draw.dirichlet(np.ones(classes), 300)
    spec = Spec("classification", (1,), classes=tuple(map(str, range(classes))))
    details = collect_details(spec, Predictions(y, prediction, np.arange(300)), part="test")
    assert len(details["confusion"]["cells"]) <= 300
    evaluation = Evaluation.model_validate(json.loads(json.dumps(details)))
    expected = reference.confusion_matrix(y, prediction.argmax(1), labels=range(classes))
    np.testing.assert_array_equal(evaluation.confusion_matrix, expected)
    names = list(spec.classes)
    full = Evaluation(confusion=expected.tolist())
    assert most_confused(evaluation.confusion_cells, names) == most_confused(full.confusion_cells, names)
    with pytest.raises(ValueError, match="class for each"):
        Evaluation.model_validate({"confusion": {"classes": 2, "cells": [[0, 2, 1]]}})


def test_worst_rows_are_the_most_confident_mistakes() -> None:
    predictions = classified()
    predicted, confidence = predictions.prediction.argmax(axis=1), predictions.prediction.max(axis=1)
    wrong = np.flatnonzero(predicted != predictions.y)
    rows = collect_details(THREE, predictions, part="test", worst=5, name=lambda row: f"{row}.png")["worst"]
    assert [item["probability"] for item in rows] == sorted(confidence[wrong].tolist(), reverse=True)[:5]
    for item in rows:
        (i,) = np.flatnonzero(predictions.index == item["row"])
        assert list(item) == ["row", "name", "true", "predicted", "probability", "true_probability", "image"]
        assert item["name"] == f"{item['row']}.png"
        assert item["true"] == THREE.classes[predictions.y[i]] != item["predicted"] == THREE.classes[predicted[i]]
        assert item["true_probability"] == predictions.prediction[i, predictions.y[i]]
        assert item["image"] is None


def test_no_mistakes_give_no_worst_rows() -> None:
    perfect = Predictions(np.array([0, 2]), np.eye(3)[[0, 2]], np.arange(2))
    assert collect_details(THREE, perfect, part="validation")["worst"] == []


def test_rows_without_a_name_are_named_by_their_number() -> None:
    wrong = Predictions(np.array([0]), np.eye(3)[[2]], np.array([41]))
    assert collect_details(THREE, wrong, part="test")["worst"][0]["name"] == "41"


def test_worst_rows_have_their_images() -> None:
    wrong = Predictions(np.array([0, 1]), np.eye(3)[[2, 2]], np.array([7, 9]))
    requested = []

    def image(row: int) -> np.ndarray:
        requested.append(row)
        return np.full((1, 2, 3), row, np.uint8)

    evaluation = collect_details(THREE, wrong, part="test", image=image)["worst"]
    for item in evaluation:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["image"]))))
        np.testing.assert_array_equal(shown, np.full((2, 3), item["row"]))
    assert requested == [7, 9]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA"), (2, "L"), (5, "L")])
def test_png_keeps_every_pixel(channels: int, mode: str) -> None:
    image = np.random.default_rng(0).integers(256, size=(channels, 5, 4), dtype=np.uint8)
    shown = Image.open(io.BytesIO(base64.b64decode(encode_png(image))))
    assert shown.mode == mode
    expected = image[0] if mode == "L" else image.transpose(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(shown), expected)


def test_regression_contents() -> None:
    y = np.array([[1.0], [2.0], [3.0]], np.float32)
    predictions = Predictions(y, y + np.array([[0.5], [-4.0], [1.0]], np.float32), np.array([5, 6, 7]))
    evaluation = collect_details(NUMBER, predictions, part="test", worst=2)
    assert evaluation == {
        "part": "test",
        "rows": 3,
        "pairs": {"true": [1, 2, 3], "predicted": [1.5, -2, 4]},
        "worst": [
            {"row": 6, "name": "6", "true": 2, "predicted": -2, "error": -4, "image": None},
            {"row": 7, "name": "7", "true": 3, "predicted": 4, "error": 1, "image": None},
        ],
    }


def test_several_targets_are_compared_by_their_standard_deviations() -> None:
    """An error of 10 at a standard deviation of 100 is smaller than one of 1 at 1."""
    y = np.array([[0.0, 0.0], [2.0, 200.0], [0.0, 0.0], [2.0, 200.0]])
    predictions = Predictions(y, y + np.array([[0, 10.0], [1.0, 0], [0, 0], [0, 0]]), np.arange(4))
    evaluation = collect_details(Spec("regression", (1,), outputs=2), predictions, part="test")
    assert [item["row"] for item in evaluation["worst"][:2]] == [1, 0]
    assert evaluation["worst"][0]["error"] == [1, 0]
    assert evaluation["pairs"]["true"][1] == [2, 200]
    json.dumps(evaluation, allow_nan=False)


def test_at_most_2000_pairs_are_sampled() -> None:
    y = np.arange(5000.0)[:, None]
    pairs = collect_details(NUMBER, Predictions(y, y + 1, np.arange(5000)), part="test")["pairs"]
    assert len(pairs["true"]) == len(set(pairs["true"])) == MAX_PAIRS
    assert [p - t for t, p in zip(pairs["true"], pairs["predicted"], strict=True)] == [1] * MAX_PAIRS
    assert min(pairs["true"]) < 100 < 4900 < max(pairs["true"])


def test_multilabel_contents() -> None:
    y = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    p = np.array([[0.4, 0.2], [0.1, 0.2], [0.1, 0.9]], np.float32)
    evaluation = collect_details(LABELS, Predictions(y, p, np.arange(3)), part="test")
    assert list(evaluation) == ["part", "rows", "per_class", "worst"]
    assert [(item["row"], item["true"], item["predicted"]) for item in evaluation["worst"]] == [
        (2, "p, q", "q"),
        (0, "p", "none"),
    ]
    assert evaluation["worst"][1]["probability"] == pytest.approx(0.6 * 0.8)
    assert evaluation["worst"][1]["true_probability"] == pytest.approx(0.4 * 0.8)
    json.dumps(evaluation, allow_nan=False)


def test_certain_multilabel_mistakes_are_finite() -> None:
    y, p = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    json.dumps(collect_details(LABELS, Predictions(y, p, np.arange(1)), part="test"), allow_nan=False)


def test_non_finite_predictions_are_refused() -> None:
    with pytest.raises(NonFiniteError):
        collect_details(NUMBER, Predictions(np.zeros((1, 1)), np.full((1, 1), np.inf), np.arange(1)), part="test")
