"""F1, over all classes together."""

from __future__ import annotations

from functools import partial

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._counts import averaged, averaged_interval, f1, micro


@register(
    fits=lambda spec: spec.task in ("classification", "multilabel"),
    wants="classes or labels",
    reported=lambda spec: spec.task == "multilabel",
    interval=partial(averaged_interval, f1, micro),
)
def f1_micro(y: np.ndarray, prediction: np.ndarray) -> float:
    """F1 over the classes together: sum of 2 right_c / sum of (predicted_c + n_c).

    With one class per row it is the accuracy; with several labels frequent labels count most.

    Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7.

    >>> round(f1_micro(np.array([0, 0, 0, 1]), np.eye(2)[[0, 0, 1, 1]]), 3)
    0.75
    """
    return averaged(f1, micro, y, prediction)
