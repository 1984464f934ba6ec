"""Precision, a mean over the classes, weighted by their rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, precision, weighted


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    interval=partial(averaged_interval, precision, weighted),
)
def precision_weighted(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over the classes of their precision, weighted by their rows: sum of n_c right_c / predicted_c, over
    N.

    A class that is never predicted has precision 0; a class without rows counts nothing.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> round(precision_weighted(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.875
    """
    return averaged(precision, weighted, y, prediction)
