"""The schema of ``cv.json``."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_SCORE = 1e30
"""Larger scores come from runs that diverged and are left out."""
Count = Annotated[int, Field(ge=0)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RowCounts(_Schema):
    """The numbers of training and validation rows of a fold model."""

    train: Count = 0
    validation: Count = 0


class FoldModel(_Schema):
    """One model of a cross-validation; it has no scores until it is trained.

    Args:
        folder: its run folder in the folder of the cross-validation.
        fold: the number of the fold and of all folds, such as ``2/5``.
        repeat: the number of the draw of the folds, from 1.
        rows: the sizes of its parts.
        sha256: hash of its validation row numbers; equal folds have equal hashes.
        scores: validation scores by name; None before it is trained.
        seconds: training time.
        epoch: the epoch of its weights.
        chosen: whether the validation part chose that epoch.
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


class CrossValidation(_Schema):
    """A cross-validation of k folds: its fold models, with the mean and standard deviation over the trained ones."""

    folds: Count = 0
    repeats: Count = 1
    score: str = "loss"
    mean: dict[str, float] = {}
    sd: dict[str, float | None] = {}
    models: list[FoldModel] = []

    @property
    def trained_models(self) -> list[FoldModel]:
        """Return the fold models that have scores."""
        return [fold_model for fold_model in self.models if fold_model.scores]

    def values(self, score: str) -> list[tuple[FoldModel, float]]:
        """Return the fold models that have a finite value of a score, with that value."""
        values = [(fold_model, (fold_model.scores or {}).get(score, math.nan)) for fold_model in self.trained_models]
        return [(fold_model, value) for fold_model, value in values if abs(value) < MAX_SCORE]
