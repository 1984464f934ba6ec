"""Recall, a mean over the classes."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, macro, recall


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=partial(averaged_interval, recall, macro),
)
def recall_macro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over the classes of the share of their rows that are found: mean of right_c / n_c.

    Also called balanced accuracy. Classes (or labels) that occur neither as truth nor as prediction are left
    out; one that is predicted but never true has recall 0.

    Source: Kent et al., "Machine literature searching VIII", American Documentation 6, 1955.

    >>> round(recall_macro(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.833
    """
    return averaged(recall, macro, y, prediction)
