"""The rows with the worst predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from yisheng.core.spec import Spec
from yisheng.evaluation.png import encode_png
from yisheng.evaluation.predictions import Predictions
from yisheng.metrics.class_counts import predict_class

Image = Callable[[int], np.ndarray]
Name = Callable[[int], str]
Unusual = Callable[[int], list[dict[str, str]]]
"""Row number in the data set -> name, value and typical value of the row's most unusual values."""


def find_worst_rows(
    spec: Spec,
    predictions: Predictions,
    count: int,
    image: Image | None = None,
    name: Name | None = None,
    unusual: Unusual | None = None,
) -> list[dict[str, Any]]:
    """Find the rows of a task with the worst predictions, in the form of ``evaluation.json``.

    Args:
        spec: the contract.
        predictions: the predictions.
        count: number of rows to list at most.
        image: row number in the data set -> uint8 ``(C, H, W)`` to show; None for rows of a table.
        name: row number -> its name; None for the number itself.
        unusual: row number -> its unusual values; None for images.
    """
    if spec.task == "regression":
        rows = worst_regressions(predictions, count, image, name)
    else:
        find = worst_multilabel if spec.task == "multilabel" else worst_classifications
        rows = find(spec, predictions, count, image, name)
    return rows if unusual is None else [{**row, "unusual": unusual(row["row"])} for row in rows]


def worst_classifications(
    spec: Spec, predictions: Predictions, count: int, image: Image | None, name: Name | None
) -> list[dict[str, Any]]:
    """Return the misclassified rows, the most confident first."""
    y, probabilities = predictions.y, predictions.prediction
    predicted = predict_class(probabilities)
    confidence = probabilities[np.arange(len(y)), predicted]
    order = np.argsort(-confidence, kind="stable")
    return [
        {
            **_describe_row(predictions, i, name),
            "true": spec.classes[y[i]],
            "predicted": spec.classes[predicted[i]],
            "probability": float(probabilities[i, predicted[i]]),
            "true_probability": float(probabilities[i, y[i]]),
            "image": _encode_image(predictions, i, image),
        }
        for i in order[(predicted != y)[order]][:count].tolist()
    ]


def worst_multilabel(
    spec: Spec, predictions: Predictions, count: int, image: Image | None, name: Name | None
) -> list[dict[str, Any]]:
    """Return the rows with a wrong label, those with the least probable true labels first.

    The probability of a set of labels is the product of its labels' probabilities. A set is written ``"a, b"``, an
    empty one ``"none"``.
    """
    true, predicted = predictions.y > 0.5, predictions.prediction >= 0.5
    log_probability = _log_probability(true, predictions.prediction)
    order = np.argsort(log_probability, kind="stable")
    return [
        {
            **_describe_row(predictions, i, name),
            "true": _join_labels(spec, true[i]),
            "predicted": _join_labels(spec, predicted[i]),
            "probability": float(np.exp(_log_probability(predicted[i], predictions.prediction[i]))),
            "true_probability": float(np.exp(log_probability[i])),
            "image": _encode_image(predictions, i, image),
        }
        for i in order[(predicted != true).any(axis=1)[order]][:count].tolist()
    ]


def worst_regressions(
    predictions: Predictions, count: int, image: Image | None, name: Name | None
) -> list[dict[str, Any]]:
    """Return the rows with the largest errors (prediction - target).

    Several targets are lists, ordered by the root mean square of the errors in units of the targets' standard
    deviations.
    """
    error = np.subtract(predictions.prediction, predictions.y, dtype=np.float64)
    std = predictions.y.std(axis=0, dtype=np.float64) if error.shape[1] > 1 else np.ones(1)
    size = ((error / np.where(std > 0, std, 1.0)) ** 2).mean(axis=1)
    return [
        {
            **_describe_row(predictions, i, name),
            "true": to_plain(predictions.y[i]),
            "predicted": to_plain(predictions.prediction[i]),
            "error": to_plain(error[i]),
            "image": _encode_image(predictions, i, image),
        }
        for i in np.argsort(-size, kind="stable")[:count].tolist()
    ]


def to_plain(targets: np.ndarray) -> Any:
    """Convert targets ``(..., T)`` to plain numbers, or to lists of them if T > 1."""
    return (targets[..., 0] if targets.shape[-1] == 1 else targets).tolist()


def _describe_row(predictions: Predictions, i: int, name: Name | None) -> dict[str, Any]:
    row = int(predictions.index[i])
    return {"row": row, "name": name(row) if name else str(row)}


def _encode_image(predictions: Predictions, i: int, image: Image | None) -> str | None:
    return encode_png(image(int(predictions.index[i]))) if image else None


def _log_probability(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability that exactly these labels are true."""
    tiny = np.finfo(probabilities.dtype).tiny
    return np.log(np.maximum(np.where(labels, probabilities, 1 - probabilities), tiny)).sum(axis=-1, dtype=np.float64)


def _join_labels(spec: Spec, true: np.ndarray) -> str:
    return ", ".join(spec.classes[label] for label in np.flatnonzero(true)) or "none"
