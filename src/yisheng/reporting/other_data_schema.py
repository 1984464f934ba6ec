"""The schema of ``other_data`` in the ``evaluation.json`` of an evaluation on other data."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from yisheng.core.stored_messages import restore_messages
from yisheng.reporting.text_field import Text

Count = Annotated[int, Field(ge=0)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EvaluatedData(_Schema):
    """The data: its name, the official part (``all`` for all rows), its rows, and how many of them are scored."""

    name: str = "the data"
    part: str = "all"
    rows: Count = 0
    scored: Count = 0
    sha256: str = ""


class OwnScores(_Schema):
    """The run's own scores on its ``part``, by name."""

    part: str = "test"
    scores: dict[str, float] = {}


class MatchedClasses(_Schema):
    """Classes of the run that the data has and has not, and rows of classes that the run does not know."""

    matched: list[str] = []
    absent: list[str] = []
    unknown: dict[str, Count] = {}


class OutOfDistribution(_Schema):
    """How many rows are out of distribution; ``expected`` is the fraction among rows like those of training."""

    rows: Count = 0
    fraction: float = 0.0
    expected: float = 0.005


class OtherData(_Schema):
    """What a run was evaluated on, and how it was matched with the run."""

    data: EvaluatedData = EvaluatedData()
    labels: list[str] = []
    run: OwnScores = OwnScores()
    classes: MatchedClasses | None = None
    out_of_distribution: OutOfDistribution | None = None
    notes: list[Text] = []
    evaluated: str = ""
    seconds: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _restore_notes(cls, data: Any) -> Any:
        """Return the data with the notes as messages, which can be shown in another language."""
        return restore_messages(data)
