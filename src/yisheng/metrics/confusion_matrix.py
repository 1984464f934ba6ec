"""The confusion matrix of a classification."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics.class_counts import predict_class


@register(fits=lambda spec: spec.task == "classification", requires="classes", scalar=False)
def confusion_matrix(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Count the rows, int64 ``(C, C)``: one row for each true class, one column for each predicted class.

    >>> confusion_matrix(np.array([0, 0, 1]), np.eye(2)[[0, 1, 1]])
    array([[1, 1],
           [0, 1]])
    """
    classes = prediction.shape[1]
    cells = y * classes + predict_class(prediction)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
