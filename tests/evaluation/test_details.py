"""The contents of evaluation.json."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from yisheng.core.errors import NonFiniteError
from yisheng.core.types import Spec
from yisheng.evaluation.calibration import calibration
from yisheng.evaluation.details import MOST_PAIRS, details
from yisheng.evaluation.per_class import per_class
from yisheng.evaluation.png import png_base64
from yisheng.evaluation.predictions import Predictions
from yisheng.metrics.calibration_error import calibration_error

THREE = Spec("classification", (1, 2, 2), classes=("ant", "bee", "cat"))
LABELS = Spec("multilabel", (1,), classes=("p", "q"))
NUMBER = Spec("regression", (1,))


def classified(n: int = 200, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    y = generator.integers(3, size=n)
    powers = np.exp(generator.normal(size=(n, 3)) + 1.5 * np.eye(3)[y])
    p = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return Predictions(y, p, generator.permutation(1000)[:n])


def test_per_class_is_scikit_learns_report() -> None:
    seen = classified()
    said = seen.prediction.argmax(axis=1)
    expected = reference.precision_recall_fscore_support(seen.y, said, labels=range(3))
    table = per_class(THREE, seen.y, seen.prediction)
    assert [line["class"] for line in table] == ["ant", "bee", "cat"]
    for key, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([line[key] for line in table], column)


def test_a_class_without_rows_has_a_line_of_zeros() -> None:
    table = per_class(THREE, np.array([0, 1]), np.eye(3)[:2])
    assert table[2] == {"class": "cat", "support": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_calibration_bins_hold_every_row_and_add_up_to_the_error() -> None:
    seen = classified()
    found = calibration(seen.y, seen.prediction)
    bins = found["bins"]
    assert sum(b["count"] for b in bins) == 200
    total = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / 200
    assert found["error"] == pytest.approx(total) == calibration_error(seen.y, seen.prediction)
    assert all(b["low"] < b["confidence"] <= b["high"] + 1e-12 for b in bins)


def test_form_for_classes() -> None:
    seen = classified()
    found = details(THREE, seen, part="test", worst=5)
    assert list(found) == ["part", "rows", "per_class", "confusion", "calibration", "worst"]
    assert (found["part"], found["rows"]) == ("test", 200)
    said = seen.prediction.argmax(axis=1)
    np.testing.assert_array_equal(found["confusion"], reference.confusion_matrix(seen.y, said))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_worst_are_the_most_confident_mistakes_by_their_own_rows() -> None:
    seen = classified()
    said, sure = seen.prediction.argmax(axis=1), seen.prediction.max(axis=1)
    wrong = np.flatnonzero(said != seen.y)
    found = details(THREE, seen, part="test", worst=5, name=lambda row: f"{row}.png")["worst"]
    assert [item["probability"] for item in found] == sorted(sure[wrong].tolist(), reverse=True)[:5]
    for item in found:
        (at,) = np.flatnonzero(seen.index == item["row"])
        assert list(item) == ["row", "name", "true", "predicted", "probability", "true_probability", "image"]
        assert item["name"] == f"{item['row']}.png"
        assert item["true"] == THREE.classes[seen.y[at]] != item["predicted"] == THREE.classes[said[at]]
        assert item["true_probability"] == seen.prediction[at, seen.y[at]]
        assert item["image"] is None


def test_no_mistakes_no_worst() -> None:
    perfect = Predictions(np.array([0, 2]), np.eye(3)[[0, 2]], np.arange(2))
    assert details(THREE, perfect, part="validation")["worst"] == []


def test_rows_without_a_name_are_named_by_their_number() -> None:
    wrong = Predictions(np.array([0]), np.eye(3)[[2]], np.array([41]))
    assert details(THREE, wrong, part="test")["worst"][0]["name"] == "41"


def test_images_are_those_of_the_rows() -> None:
    wrong = Predictions(np.array([0, 1]), np.eye(3)[[2, 2]], np.array([7, 9]))
    asked = []

    def image(row: int) -> np.ndarray:
        asked.append(row)
        return np.full((1, 2, 3), row, np.uint8)

    found = details(THREE, wrong, part="test", image=image)["worst"]
    for item in found:
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["image"]))))
        np.testing.assert_array_equal(shown, np.full((2, 3), item["row"]))
    assert asked == [7, 9]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA"), (2, "L"), (5, "L")])
def test_png_keeps_every_pixel(channels: int, mode: str) -> None:
    image = np.random.default_rng(0).integers(256, size=(channels, 5, 4), dtype=np.uint8)
    shown = Image.open(io.BytesIO(base64.b64decode(png_base64(image))))
    assert shown.mode == mode
    expected = image[0] if mode == "L" else image.transpose(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(shown), expected)


def test_form_for_numbers() -> None:
    y = np.array([[1.0], [2.0], [3.0]], np.float32)
    seen = Predictions(y, y + np.array([[0.5], [-4.0], [1.0]], np.float32), np.array([5, 6, 7]))
    found = details(NUMBER, seen, part="test", worst=2)
    assert found == {
        "part": "test",
        "rows": 3,
        "pairs": {"true": [1, 2, 3], "predicted": [1.5, -2, 4]},
        "worst": [
            {"row": 6, "name": "6", "true": 2, "predicted": -2, "error": -4},
            {"row": 7, "name": "7", "true": 3, "predicted": 4, "error": 1},
        ],
    }


def test_several_targets_are_compared_in_their_own_units() -> None:
    """An error of 10 where the spread is 100 is smaller than one of 1 where it is 1."""
    y = np.array([[0.0, 0.0], [2.0, 200.0], [0.0, 0.0], [2.0, 200.0]])
    seen = Predictions(y, y + np.array([[0, 10.0], [1.0, 0], [0, 0], [0, 0]]), np.arange(4))
    found = details(Spec("regression", (1,), outputs=2), seen, part="test")
    assert [item["row"] for item in found["worst"][:2]] == [1, 0]
    assert found["worst"][0]["error"] == [1, 0]
    assert found["pairs"]["true"][1] == [2, 200]
    json.dumps(found, allow_nan=False)


def test_pairs_are_at_most_2000_and_belong_together() -> None:
    y = np.arange(5000.0)[:, None]
    pairs = details(NUMBER, Predictions(y, y + 1, np.arange(5000)), part="test")["pairs"]
    assert len(pairs["true"]) == len(set(pairs["true"])) == MOST_PAIRS
    assert [p - t for t, p in zip(pairs["true"], pairs["predicted"], strict=True)] == [1] * MOST_PAIRS
    assert min(pairs["true"]) < 100 < 4900 < max(pairs["true"])


def test_form_for_labels() -> None:
    y = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    p = np.array([[0.4, 0.2], [0.1, 0.2], [0.1, 0.9]], np.float32)
    found = details(LABELS, Predictions(y, p, np.arange(3)), part="test")
    assert list(found) == ["part", "rows", "per_class", "worst"]
    assert [(item["row"], item["true"], item["predicted"]) for item in found["worst"]] == [
        (2, "p, q", "q"),
        (0, "p", "none"),
    ]
    assert found["worst"][1]["probability"] == pytest.approx(0.6 * 0.8)
    assert found["worst"][1]["true_probability"] == pytest.approx(0.4 * 0.8)
    json.dumps(found, allow_nan=False)


def test_certain_mistakes_on_labels_stay_plain_numbers() -> None:
    y, p = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    json.dumps(details(LABELS, Predictions(y, p, np.arange(1)), part="test"), allow_nan=False)


def test_non_finite_predictions_are_refused() -> None:
    with pytest.raises(NonFiniteError):
        details(NUMBER, Predictions(np.zeros((1, 1)), np.full((1, 1), np.inf), np.arange(1)), part="test")
