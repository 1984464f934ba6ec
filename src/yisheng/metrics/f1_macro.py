"""F1, a mean over the classes."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, f1, macro


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    default_for=lambda spec: spec.task == "multilabel",
    reported=lambda spec: spec.task in ("classification", "multilabel"),
    interval=partial(averaged_interval, f1, macro),
)
def f1_macro(y: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over the classes of F1, the harmonic mean of precision and recall: mean of 2 right_c / (predicted_c
    + n_c).

    A mean of F1 scores, not the F1 of the mean precision and recall. Classes (or labels) that occur neither as
    truth nor as prediction are left out.

    Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7; Opitz and Burst, "Macro F1 and macro F1",
    2019.

    >>> round(f1_macro(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.733
    """
    return averaged(f1, macro, y, prediction)
