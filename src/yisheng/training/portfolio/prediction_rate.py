"""How many rows a model predicts in a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

MIN_TIMED_ROWS, MAX_TIMED_ROWS = 256, 16_384
MIN_SECONDS = 0.03
"""A prediction that takes this long is timed well enough; the time comes off that of an ensemble."""
REPEATED_SECONDS = 0.5
"""Shorter predictions are timed again, and the shortest time counts: other programs only make them longer."""
REPEATS = 3


def measure_rate(predict: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    """Return the number of rows that a function predicts in a second, in blocks as a bulk prediction has them.

    Args:
        predict: of rows ``(n, D)``.
        x: rows to predict, repeated if they are few.

    >>> measure_rate(lambda rows: rows, np.zeros((10, 2))) > 1000
    True
    """
    predict(x[:16])  # the first call prepares the trees
    count = MIN_TIMED_ROWS
    while True:
        rows = np.resize(x, (count, *x.shape[1:]))
        seconds = _time(predict, rows)
        if seconds > MIN_SECONDS or count >= MAX_TIMED_ROWS:
            break
        count *= 4
    for _ in range(REPEATS - 1):
        if seconds <= REPEATED_SECONDS:
            seconds = min(seconds, _time(predict, rows))
    return count / max(seconds, 1e-9)


def _time(predict: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> float:
    """Return the seconds of a prediction."""
    start = time.perf_counter()
    predict(rows)
    return time.perf_counter() - start
