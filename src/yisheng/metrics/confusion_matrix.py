"""Which class is taken for which."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import predicted_class


@register(fits=lambda spec: spec.task == "classification", wants="classes", scalar=False)
def confusion_matrix(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Numbers of rows, int64 ``(C, C)``: true classes down, predicted classes across.

    >>> confusion_matrix(np.array([0, 0, 1]), np.eye(2)[[0, 1, 1]])
    array([[1, 1],
           [0, 1]])
    """
    classes = prediction.shape[1]
    cells = y * classes + predicted_class(prediction)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)
