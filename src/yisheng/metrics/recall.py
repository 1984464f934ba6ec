"""Recall, averaged over the classes or labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import Variant, register
from yisheng.metrics.class_counts import Average, compute_average, compute_average_interval, recall_per_class


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    requires="classes or labels",
    variants={
        "recall-macro": Variant(
            {"average": "macro"},
            meta={
                "reported": lambda spec: spec.task in ("classification", "multilabel"),
                "interval": partial(compute_average_interval, recall_per_class, "macro"),
            },
        ),
        "recall-micro": Variant(
            {"average": "micro"}, meta={"interval": partial(compute_average_interval, recall_per_class, "micro")}
        ),
        "recall-weighted": Variant(
            {"average": "weighted"},
            meta={"interval": partial(compute_average_interval, recall_per_class, "weighted")},
        ),
    },
)
def recall(y: np.ndarray, prediction: np.ndarray, *, average: Average = "macro") -> float:
    """Compute the recall, the fraction of the rows of a class that are predicted as it, averaged over the classes.

    recall_c = correct_c / n_c, and 0 for a class without rows.

    Variants:
        recall-macro: mean over the classes of the fraction of their rows that are predicted correctly: mean of
            correct_c / n_c, also called balanced accuracy. Classes (or labels) that occur neither as truth nor as
            prediction are left out; one that is predicted but never true has recall 0.
        recall-micro: fraction of all true labels that are predicted, over the classes together: sum of correct_c /
            sum of n_c. With one class per row it is the accuracy.
        recall-weighted: mean over the classes of their recall, weighted by their rows: sum of n_c correct_c / n_c,
            over N. With one class per row it is the accuracy; a label without rows has weight 0.

    Args:
        average: macro counts every class alike; micro and weighted follow the frequent classes.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> y, prediction = np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]
    >>> [round(recall(y, prediction, average=average), 3) for average in ("macro", "micro", "weighted")]
    [0.833, 0.75, 0.75]
    """
    return compute_average(recall_per_class, average, y, prediction)
