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


def count_confused(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the cells of the confusion matrix that are not 0, ``(n, 3)``: true class, predicted class, rows.

    There are at most as many as rows, while the matrix grows with the square of the number of classes.

    >>> count_confused(np.array([0, 0, 1]), np.eye(2)[[0, 1, 1]]).tolist()
    [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    """
    classes = prediction.shape[1]
    cells, rows = np.unique(y * classes + predict_class(prediction), return_counts=True)
    return np.stack([*np.divmod(cells, classes), rows], axis=1)
