"""The form of ``cv.json``, checked when it is read."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 1e30
"""Numbers beyond this are those of a run that diverged."""
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RowCounts(_Part):
    """The number of rows that a fold model was trained on and validated on."""

    train: Count = 0
    validation: Count = 0


class FoldModel(_Part):
    """One model of a cross-validation; it has no scores until it is trained.

    Args:
        folder: its run folder in the study.
        fold: which of how many, as ``2/5``.
        repeat: of which draw of the folds.
        rows: of its parts.
        sha256: of the numbers of its rows: the same fold has the same.
        scores: on its validation part.
        seconds: of its training.
        epoch: of its weights.
        chosen: whether its validation part chose that epoch.
    """

    folder: Annotated[str, Field(pattern=r"^fold-[0-9]{2,7}$")]
    fold: str = ""
    repeat: Count = 1
    rows: RowCounts = RowCounts()
    sha256: str = ""
    scores: dict[str, float] | None = None
    seconds: float | None = None
    epoch: Count | None = None
    chosen: bool | None = None


class CrossValidation(_Part):
    """A cross-validation of k folds: its fold models, and the mean and standard deviation over those that are
    trained."""

    folds: Count = 0
    repeats: Count = 1
    score: str = "loss"
    mean: dict[str, float] = {}
    sd: dict[str, float | None] = {}
    models: list[FoldModel] = []

    @property
    def trained(self) -> list[FoldModel]:
        """Return the fold models that have scores."""
        return [member for member in self.models if member.scores]

    def values(self, score: str) -> list[tuple[FoldModel, float]]:
        """Return the fold models that have a finite value of a score, with that value."""
        found = [(member, (member.scores or {}).get(score, math.nan)) for member in self.trained]
        return [(member, value) for member, value in found if abs(value) < LARGEST]
