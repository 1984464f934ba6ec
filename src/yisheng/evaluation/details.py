"""The contents of ``evaluation.json``: what the report shows besides the scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.dataset import Part
from yisheng.core.spec import Spec
from yisheng.evaluation.calibration import compute_calibration
from yisheng.evaluation.per_class import compute_per_class
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.worst_rows import Image, Name, Unusual, find_worst_rows, to_plain
from yisheng.metrics.confusion_matrix import confusion_matrix, count_confused

MAX_PAIRS = 2000
"""Points of the scatter plot of a regression: more would not be visible, and would make the report large."""

MAX_MATRIX_CLASSES = 100
"""Classes up to which the complete confusion matrix is written; of more, only the cells that are not 0."""


def collect_details(
    spec: Spec,
    predictions: Predictions,
    *,
    part: Part,
    image: Image | None = None,
    name: Name | None = None,
    unusual: Unusual | None = None,
    worst: int = 24,
) -> dict[str, Any]:
    """Collect the per-class table, confusion matrix, calibration and worst mistakes as plain data.

    The form is that of ``evaluation.json`` in docs/architecture.md.

    Args:
        spec: the contract.
        predictions: the predictions.
        part: the part that the rows belong to.
        image: row number in the data set -> uint8 ``(C, H, W)`` to show; None (default) for rows of a table.
        name: row number -> its name (a file, an id); None (default) for the number itself.
        unusual: row number -> its unusual values (`TypicalValues.describe`); None (default) for images.
        worst: mistakes to list; 24 fill a screen of thumbnails.

    Raises:
        NonFiniteError: a prediction is NaN or infinite.

    >>> spec = Spec("classification", (1,), classes=("a", "b"))
    >>> predictions = Predictions(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([7, 9]))
    >>> collect_details(spec, predictions, part="test")["worst"][0]["row"]
    9
    """
    predictions.require_finite()
    y, prediction = predictions.y, predictions.prediction
    evaluation: dict[str, Any] = {"part": part, "rows": len(predictions)}
    if spec.task == "regression":
        evaluation["pairs"] = _sample_pairs(predictions)
    else:
        evaluation["per_class"] = compute_per_class(spec, y, prediction)
    if spec.task == "classification":
        classes = len(spec.classes)
        evaluation["confusion"] = (
            confusion_matrix(y, prediction).tolist()
            if classes <= MAX_MATRIX_CLASSES
            else {"classes": classes, "cells": count_confused(y, prediction).tolist()}
        )
        evaluation["calibration"] = compute_calibration(y, prediction)
    return evaluation | {"worst": find_worst_rows(spec, predictions, worst, image, name, unusual)}


def _sample_pairs(predictions: Predictions) -> dict[str, Any]:
    """Return the true and predicted values of all rows, or of 2,000 rows drawn with a fixed seed."""
    rows = np.arange(len(predictions))
    if len(rows) > MAX_PAIRS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_PAIRS, replace=False))
    return {"true": to_plain(predictions.y[rows]), "predicted": to_plain(predictions.prediction[rows])}
