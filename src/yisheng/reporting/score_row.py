"""A row of a table of scores."""

from __future__ import annotations

from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.core.score import Score
from yisheng.reporting.formatting import decimal_places, is_higher_better


@dataclass(frozen=True)
class ScoreRow:
    """A score with its baseline.

    Args:
        name: of the metric.
        score: with its interval.
        baseline: the score of a constant prediction, if it is known.
        is_headline: whether the metric chose the best epoch.
    """

    name: str
    score: Score
    baseline: Score | None
    is_headline: bool

    @property
    def places(self) -> int:
        """Return the decimal places of all numbers in the row."""
        return decimal_places(self.score.value, self.score.low, self.score.high)

    @property
    def hint(self) -> str:
        """Return a hint if smaller values of the score are better."""
        return Message("smaller is better") if is_higher_better(self.name) is False else ""
