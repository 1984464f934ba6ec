"""F1, averaged over the classes or labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import Variant, register
from yisheng.metrics.class_counts import Average, compute_average, compute_average_interval, f1_per_class


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    requires="classes or labels",
    variants={
        "f1-macro": Variant(
            {"average": "macro"},
            meta={
                "default_for": lambda spec: spec.task == "multilabel",
                "reported": lambda spec: spec.task in ("classification", "multilabel"),
                "interval": partial(compute_average_interval, f1_per_class, "macro"),
            },
        ),
        "f1-micro": Variant(
            {"average": "micro"},
            meta={
                "reported": lambda spec: spec.task == "multilabel",
                "interval": partial(compute_average_interval, f1_per_class, "micro"),
            },
        ),
        "f1-weighted": Variant(
            {"average": "weighted"}, meta={"interval": partial(compute_average_interval, f1_per_class, "weighted")}
        ),
    },
)
def f1(y: np.ndarray, prediction: np.ndarray, *, average: Average = "macro") -> float:
    """Compute F1, the harmonic mean of precision and recall, averaged over the classes.

    F1_c = 2 correct_c / (predicted_c + n_c)

    Variants:
        f1-macro: mean over the classes of F1, the harmonic mean of precision and recall: mean of 2 correct_c /
            (predicted_c + n_c). A mean of F1 scores, not the F1 of the mean precision and recall. Classes (or labels)
            that occur neither as truth nor as prediction are left out.
        f1-micro: F1 over the classes together: sum of 2 correct_c / sum of (predicted_c + n_c). With one class per
            row it is the accuracy; with several labels frequent labels count most.
        f1-weighted: mean over the classes of F1, weighted by their rows: sum of n_c F1_c, over N. It follows the
            frequent classes; `f1-macro` shows the rare ones as well.

    Args:
        average: macro counts every class alike; micro and weighted follow the frequent classes.

    Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7; Opitz and Burst, "Macro F1 and macro F1",
    2019 (macro).

    >>> y, prediction = np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]
    >>> [round(f1(y, prediction, average=average), 3) for average in ("macro", "micro", "weighted")]
    [0.733, 0.75, 0.767]
    """
    return compute_average(f1_per_class, average, y, prediction)
