"""F1, a mean over the classes, weighted by their rows."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, f1, weighted


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    interval=partial(averaged_interval, f1, weighted),
)
def f1_weighted(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over the classes of F1, weighted by their rows: sum of n_c F1_c, over N.

    It follows the frequent classes; `f1-macro` shows the rare ones as well.

    Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7.

    >>> round(f1_weighted(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.767
    """
    return averaged(f1, weighted, y, prediction)
