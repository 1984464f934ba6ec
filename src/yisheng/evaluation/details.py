"""What the report shows besides the scores: the contents of ``evaluation.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.types import Part, Spec
from yisheng.evaluation.calibration import calibration
from yisheng.evaluation.per_class import per_class
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.worst_rows import Image, Name, plain, worst_rows
from yisheng.metrics.confusion_matrix import confusion_matrix

MOST_PAIRS = 2000
"""Points of a scatter plot that an eye can use, and a report can carry."""


def details(
    spec: Spec,
    predictions: Predictions,
    *,
    part: Part,
    image: Image | None = None,
    name: Name | None = None,
    worst: int = 24,
) -> dict[str, Any]:
    """Per-class table, confusion matrix, calibration and worst mistakes, as plain data.

    The form is that of ``evaluation.json`` in docs/architecture.md.

    Args:
        spec: the contract.
        predictions: what was predicted.
        part: the part that the rows are of.
        image: row number in the data set -> uint8 ``(C, H, W)`` to show; None (default) for rows of a table.
        name: row number -> its name (a file, an id); None (default) for the number itself.
        worst: mistakes to list; 24 fill a screen of thumbnails.

    Raises:
        NonFiniteError: a prediction is NaN or infinite.

    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> seen = Predictions(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([7, 9]))
    >>> details(spec, seen, part="test")["worst"][0]["row"]
    9
    """
    predictions.require_finite()
    y, prediction = predictions.y, predictions.prediction
    found: dict[str, Any] = {"part": part, "rows": len(predictions)}
    if spec.task == "regression":
        found["pairs"] = _pairs(predictions)
    else:
        found["per_class"] = per_class(spec, y, prediction)
    if spec.task == "classification":
        found |= {"confusion": confusion_matrix(y, prediction).tolist(), "calibration": calibration(y, prediction)}
    return found | {"worst": worst_rows(spec, predictions, worst, image, name)}


def _pairs(predictions: Predictions) -> dict[str, Any]:
    """True and predicted values of all rows, or of 2,000 drawn with a fixed seed."""
    rows = np.arange(len(predictions))
    if len(rows) > MOST_PAIRS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_PAIRS, replace=False))
    return {"true": plain(predictions.y[rows]), "predicted": plain(predictions.prediction[rows])}
