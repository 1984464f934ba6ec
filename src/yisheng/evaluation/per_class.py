"""Precision, recall and F1 of each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.spec import Spec
from yisheng.metrics.class_counts import count_by_class, f1_per_class, precision_per_class, recall_per_class


def compute_per_class(spec: Spec, y: np.ndarray, prediction: np.ndarray) -> list[dict[str, Any]]:
    """Return a dict for each class or label: name, number of rows (``support``), precision, recall, F1.

    An undefined fraction (of a class that is never predicted, or has no rows) is 0.

    >>> compute_per_class(Spec("classification", (1,), classes=("a", "b")), np.array([0, 1]), np.eye(2))[0]
    {'class': 'a', 'support': 1, 'precision': 1.0, 'recall': 1.0, 'f1': 1.0}
    """
    counts = count_by_class(y, prediction)
    columns = (
        counts.true.tolist(),
        precision_per_class(counts).tolist(),
        recall_per_class(counts).tolist(),
        f1_per_class(counts).tolist(),
    )
    keys = ("class", "support", "precision", "recall", "f1")
    return [dict(zip(keys, row, strict=True)) for row in zip(spec.classes, *columns, strict=True)]
