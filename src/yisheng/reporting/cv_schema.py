"""The form of ``folds.json``, checked when it is read."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FOLDS = "folds.json"
LARGEST = 1e30
"""Numbers beyond this are those of a run that diverged."""
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rows(_Part):
    """How many rows a member was trained on, and how many of its own it was validated on."""

    train: Count = 0
    validation: Count = 0


class Member(_Part):
    """One model of a study; without scores while it is not trained.

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
    rows: Rows = Rows()
    sha256: str = ""
    scores: dict[str, float] | None = None
    seconds: float | None = None
    epoch: Count | None = None
    chosen: bool | None = None


class Folds(_Part):
    """A study of k folds: every member, and the mean and standard deviation over those that are trained."""

    folds: Count = 0
    repeats: Count = 1
    score: str = "loss"
    mean: dict[str, float] = {}
    sd: dict[str, float | None] = {}
    each: list[Member] = []

    @property
    def trained(self) -> list[Member]:
        """The members that have scores."""
        return [member for member in self.each if member.scores]

    def values(self, score: str) -> list[tuple[Member, float]]:
        """The members that have a score, with their values of it, where these are numbers to reckon with."""
        found = [(member, (member.scores or {}).get(score, math.nan)) for member in self.trained]
        return [(member, value) for member, value in found if abs(value) < LARGEST]
