"""The rows on which the model is most wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from yisheng.core.types import Spec
from yisheng.evaluation.png import png_base64
from yisheng.evaluation.predictions import Predictions
from yisheng.metrics._counts import predicted_class

Image = Callable[[int], np.ndarray]
Name = Callable[[int], str]


def worst_rows(
    spec: Spec, predictions: Predictions, most: int, image: Image | None = None, name: Name | None = None
) -> list[dict[str, Any]]:
    """The rows of a task on which the model is most wrong, in the form of ``evaluation.json``.

    Args:
        spec: the contract.
        predictions: what was predicted.
        most: rows that are listed.
        image: row number in the data set -> uint8 ``(C, H, W)`` to show; None for rows of a table.
        name: row number -> its name; None for the number itself.
    """
    if spec.task == "regression":
        return worst_numbers(predictions, most, name)
    listed = worst_labels if spec.task == "multilabel" else worst_classes
    return listed(spec, predictions, most, image, name)


def worst_classes(
    spec: Spec, predictions: Predictions, most: int, image: Image | None, name: Name | None
) -> list[dict[str, Any]]:
    """The mistakes, the most confident first."""
    y, probabilities = predictions.y, predictions.prediction
    at, said = np.arange(len(y)), predicted_class(probabilities)
    surest = np.argsort(-probabilities[at, said], kind="stable")
    return [
        {
            **_row(predictions, i, name),
            "true": spec.classes[y[i]],
            "predicted": spec.classes[said[i]],
            "probability": float(probabilities[i, said[i]]),
            "true_probability": float(probabilities[i, y[i]]),
            "image": _shown(predictions, i, image),
        }
        for i in surest[(said != y)[surest]][:most].tolist()
    ]


def worst_labels(
    spec: Spec, predictions: Predictions, most: int, image: Image | None, name: Name | None
) -> list[dict[str, Any]]:
    """The rows with a wrong label, the least probable truth first.

    A set of labels has the product of its labels' probabilities; its labels are written ``"a, b"``, no label
    as ``"none"``.
    """
    holds, said = predictions.y > 0.5, predictions.prediction >= 0.5
    truth = _chance(holds, predictions.prediction)
    least = np.argsort(truth, kind="stable")
    return [
        {
            **_row(predictions, i, name),
            "true": _labels(spec, holds[i]),
            "predicted": _labels(spec, said[i]),
            "probability": float(np.exp(_chance(said[i], predictions.prediction[i]))),
            "true_probability": float(np.exp(truth[i])),
            "image": _shown(predictions, i, image),
        }
        for i in least[(said != holds).any(axis=1)[least]][:most].tolist()
    ]


def worst_numbers(predictions: Predictions, most: int, name: Name | None) -> list[dict[str, Any]]:
    """The largest errors (prediction - truth), by size.

    Several targets are lists, ordered by the root mean square of the errors in units of the targets' spread.
    """
    error = np.subtract(predictions.prediction, predictions.y, dtype=np.float64)
    spread = predictions.y.std(axis=0, dtype=np.float64) if error.shape[1] > 1 else np.ones(1)
    size = ((error / np.where(spread > 0, spread, 1.0)) ** 2).mean(axis=1)
    return [
        {
            **_row(predictions, i, name),
            "true": plain(predictions.y[i]),
            "predicted": plain(predictions.prediction[i]),
            "error": plain(error[i]),
        }
        for i in np.argsort(-size, kind="stable")[:most].tolist()
    ]


def plain(numbers: np.ndarray) -> Any:
    """Targets ``(..., T)`` as plain numbers, as lists only where T > 1."""
    return (numbers[..., 0] if numbers.shape[-1] == 1 else numbers).tolist()


def _row(predictions: Predictions, i: int, name: Name | None) -> dict[str, Any]:
    row = int(predictions.index[i])
    return {"row": row, "name": name(row) if name else str(row)}


def _shown(predictions: Predictions, i: int, image: Image | None) -> str | None:
    return png_base64(image(int(predictions.index[i]))) if image else None


def _chance(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Logarithm of the probability that just these labels hold."""
    least = np.finfo(probabilities.dtype).tiny
    return np.log(np.maximum(np.where(labels, probabilities, 1 - probabilities), least)).sum(axis=-1, dtype=np.float64)


def _labels(spec: Spec, holds: np.ndarray) -> str:
    return ", ".join(spec.classes[label] for label in np.flatnonzero(holds)) or "none"
