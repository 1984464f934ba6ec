"""Precision, averaged over the classes or labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import Variant, register
from yisheng.metrics.class_counts import Average, compute_average, compute_average_interval, precision_per_class


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    requires="classes or labels",
    variants={
        "precision-macro": Variant(
            {"average": "macro"},
            meta={
                "reported": lambda spec: spec.task in ("classification", "multilabel"),
                "interval": partial(compute_average_interval, precision_per_class, "macro"),
            },
        ),
        "precision-micro": Variant(
            {"average": "micro"}, meta={"interval": partial(compute_average_interval, precision_per_class, "micro")}
        ),
        "precision-weighted": Variant(
            {"average": "weighted"},
            meta={"interval": partial(compute_average_interval, precision_per_class, "weighted")},
        ),
    },
)
def precision(y: np.ndarray, prediction: np.ndarray, *, average: Average = "macro") -> float:
    """Compute the precision, the fraction of the predictions of a class that are correct, averaged over the classes.

    precision_c = correct_c / predicted_c, and 0 for a class that is never predicted.

    Variants:
        precision-macro: mean over the classes of the fraction of their predictions that are correct: mean of
            correct_c / predicted_c. Classes (or labels) that occur neither as truth nor as prediction are left out.
        precision-micro: fraction of all predictions that are correct, over the classes together: sum of correct_c /
            sum of predicted_c. With one class per row it is the accuracy; with several labels it is the fraction of
            the predicted labels that are true.
        precision-weighted: mean over the classes of their precision, weighted by their rows: sum of n_c correct_c /
            predicted_c, over N. A class without rows has weight 0.

    Args:
        average: macro counts every class alike; micro and weighted follow the frequent classes.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> y, prediction = np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]
    >>> [round(precision(y, prediction, average=average), 3) for average in ("macro", "micro", "weighted")]
    [0.75, 0.75, 0.875]
    """
    return compute_average(precision_per_class, average, y, prediction)
