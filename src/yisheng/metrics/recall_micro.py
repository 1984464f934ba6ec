"""Recall, over all classes together."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, micro, recall


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    interval=partial(averaged_interval, recall, micro),
)
def recall_micro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of all that is true that is found, over the classes together: sum of right_c / sum of n_c.

    With one class per row it is the accuracy; with several labels it is the share of the labels that hold which
    are said.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> round(recall_micro(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.75
    """
    return averaged(recall, micro, y, prediction)
