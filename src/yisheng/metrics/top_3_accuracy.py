"""Share of rows whose class is among the three most probable."""

from __future__ import annotations

import numpy as np

from yisheng.core.registry import register
from yisheng.metrics._bootstrap import Bounds
from yisheng.metrics._top_k import among_top
from yisheng.metrics._wilson import wilson


def _interval(y: np.ndarray, prediction: np.ndarray) -> Bounds:
    return wilson(among_top(y, prediction, 3))


@register(
    fits=lambda spec: spec.task == "classification" and len(spec.classes) > 3,
    wants="more than 3 classes",
    interval=_interval,
)
def top_3_accuracy(y: np.ndarray, prediction: np.ndarray) -> float:
    """Share of rows whose class is among the 3 most probable.

    Of equally probable classes the first comes first. The interval is Wilson's.

    Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015, section 4.

    >>> top_3_accuracy(np.array([0, 9]), np.tile(np.arange(10.0) / 45, (2, 1)))
    0.5
    """
    return float(among_top(y, prediction, 3).mean()) if len(y) else float("nan")
