"""A score with its confidence interval, and the scores of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yisheng.core.messages import Message, translate


@dataclass(frozen=True)
class Score:
    """A score with its 95% confidence interval; ``low`` and ``high`` are None if there is no interval.

    >>> print(Score(0.98765, 0.9, 0.99321))
    0.9877 (0.9 to 0.9932)
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        interval = translate(Message("{low} to {high}", low=f"{self.low:.4g}", high=f"{self.high:.4g}"))
        return f"{self.value:.4g} ({interval})"


Scores = Mapping[str, Mapping[str, Score]]
"""Scores by part (``test``, ``validation``, ``baseline``) and metric, as in ``scores.json``."""
