"""Precision, over all classes together."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, micro, precision


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    interval=partial(averaged_interval, precision, micro),
)
def precision_micro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of all predictions that are right, over the classes together: sum of right_c / sum of predicted_c.

    With one class per row it is the accuracy; with several labels it is the share of the labels said that hold.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> round(precision_micro(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.75
    """
    return averaged(precision, micro, y, prediction)
