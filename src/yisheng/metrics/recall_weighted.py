"""Recall, a mean over the classes, weighted by their rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, recall, weighted


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    interval=partial(averaged_interval, recall, weighted),
)
def recall_weighted(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over the classes of their recall, weighted by their rows: sum of n_c right_c / n_c, over N.

    With one class per row it is the accuracy once more; a label without rows counts nothing.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> round(recall_weighted(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.75
    """
    return averaged(recall, weighted, y, prediction)
