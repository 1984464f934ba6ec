"""The schema of ``leaderboard.json``: what an ensemble tried."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from yisheng.core.stored_messages import restore_messages
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.text_field import Text


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Interval(_Schema):
    """A score of out-of-fold predictions with its 95% interval; None where it is undefined."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


class Candidate(Interval):
    """A setting that was tried.

    Args:
        name: its name.
        model: the model whose settings it has.
        status: ``trained``, or why it was not.
        seconds: time that it took.
        weight: its weight in the ensemble.
    """

    name: str
    model: str = ""
    status: Text
    seconds: float
    weight: float | None = 0.0

    @model_validator(mode="before")
    @classmethod
    def _restore_status(cls, data: Any) -> Any:
        """Return the data with the status as a message, which can be shown in another language."""
        return restore_messages(data)


class Student(Interval):
    """A model that imitates the ensemble, and its score on a fold that it does not know.

    Args:
        name: its name.
        rows_per_second: how many rows it predicts.
    """

    name: str
    rows_per_second: float


class Leaderboard(_Schema):
    """The candidates of an ensemble in the order in which they were tried.

    Args:
        score: key of the score.
        ensemble: the score of the weighted mean.
        candidates: what was tried.
        temperature: divides the logits of the weighted mean.
        offsets: added to the classes' logits; empty without.
        rows_per_second: how many rows the ensemble predicts.
        student: the model that replaced it, if it was distilled.
    """

    score: str
    ensemble: Interval | None = None
    candidates: list[Candidate] = []
    temperature: float = 1.0
    offsets: list[float] = []
    rows_per_second: float | None = None
    student: Student | None = None

    def sort(self) -> list[Candidate]:
        """Return the candidates, the best first, those without a score last."""
        sign = -1.0 if is_higher_better(self.score) else 1.0
        return sorted(self.candidates, key=lambda c: (c.value is None, sign * (c.value or 0.0)))
