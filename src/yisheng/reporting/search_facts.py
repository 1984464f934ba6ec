"""The form of ``trials.json``, checked when it is read, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.reporting.formatting import places, short

TRIALS = "trials.json"
LARGEST = 1e30
"""Numbers beyond this are those of a training that diverged."""
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Kind = Literal["log", "uniform", "int", "logint", "choice"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Axis(_Part):
    """A parameter of the search: alternatives, or a range."""

    name: str
    kind: Kind = "choice"
    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None


class Trial(_Part):
    """A setting and what came of it.

    Args:
        number: of the trial, from 1.
        setting: name of each axis -> its value.
        mean: score over the trial's jobs.
        sd: standard deviation over them; None for a single one.
        se: standard error of the mean.
        jobs: trainings of it: folds times seeds.
        seconds: of training, all jobs together.
        parameters: of the model.
        how: ``serial`` or ``stacked``.
        failure: why there is no score.
        epochs: asked for.
        curve: training loss by epoch, mean over the jobs.
    """

    number: Count
    setting: dict[str, Any] = {}
    mean: float | None = None
    sd: float | None = None
    se: float | None = None
    jobs: Count = 0
    seconds: float | None = None
    parameters: Count | None = None
    how: str = ""
    failure: str = ""
    epochs: Count | None = None
    curve: list[float | None] = []

    @property
    def score(self) -> float:
        """The mean where there is one to reckon with, else NaN; 0 for what no axis can tell from it."""
        if self.mean is None or self.failure or not abs(self.mean) < LARGEST:
            return math.nan
        return self.mean if abs(self.mean) > 1 / LARGEST else 0.0

    @property
    def spread(self) -> float:
        """The standard deviation, 0 where it is not known."""
        return self.sd if self.sd is not None and 0 <= self.sd < LARGEST else 0.0

    @property
    def error(self) -> float | None:
        """The standard error where it is a number to reckon with."""
        return self.se if self.se is not None and 0 <= self.se < LARGEST else None


class Search(_Part):
    """A whole search."""

    score: str = "loss"
    higher: bool = False
    axes: list[Axis] = []
    trials: list[Trial] = []
    best: int | None = None
    chosen: int | None = None
    search: str = ""
    finished: bool = False
    importance: dict[str, float] | None = None

    @cached_property
    def ranked(self) -> list[Trial]:
        """The trials with a score, the best first."""
        scored = [trial for trial in self.trials if math.isfinite(trial.score)]
        return sorted(scored, key=lambda t: (-t.score if self.higher else t.score, t.number))

    @cached_property
    def failed(self) -> list[Trial]:
        """The trials that ended without a score."""
        return [t for t in self.trials if t.failure or (self.finished and not math.isfinite(t.score))]

    @cached_property
    def winner(self) -> Trial | None:
        """The best trial."""
        return next((t for t in self.ranked if t.number == self.best), next(iter(self.ranked), None))

    @cached_property
    def pick(self) -> Trial | None:
        """The trial that the one-standard-error rule chose."""
        return next((t for t in self.ranked if t.number == self.chosen), None)

    @cached_property
    def decimals(self) -> int:
        """Decimal places of a score, the same for all trials: as many as the best one's spread can tell apart."""
        best = self.winner
        if best is None:
            return 3
        spread = best.error or best.spread
        return places(best.score, best.score - spread, best.score + spread)

    @cached_property
    def rungs(self) -> bool:
        """Whether the search itself trained for different numbers of epochs (successive halving)."""
        searched = any(axis.name == "epochs" for axis in self.axes)
        return not searched and len({t.epochs for t in self.trials if t.epochs is not None}) > 1

    def some(self, most: int) -> list[Trial]:
        """At most so many of the trials with a score: a quarter of them the best, and of the rest every nth."""
        if len(self.ranked) <= most:
            return self.ranked
        head = self.ranked[: most // 4]
        tail, count = self.ranked[most // 4 :], most - most // 4
        shown = [*head, *(tail[round(i * (len(tail) - 1) / max(1, count - 1))] for i in range(count))]
        marked = [t for t in (self.winner, self.pick) if t and t not in shown]
        return [*marked, *shown]


def read(folder: Path) -> Search:
    """Read ``trials.json``.

    Raises:
        DataError: it is missing, no JSON, or not of the form.
    """
    found = files.read_json(folder / TRIALS)
    try:
        return Search.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataError(
            f"{folder / TRIALS} is damaged at {where}: {first['msg']}", "`yisheng resume` of the study writes it anew"
        ) from None


def word(value: Any) -> str:
    """A value of a setting for people to read.

    >>> word(0.0031622776), word([64, 32]), word([64]), word(True), word(None), word("relu"), word(64.0)
    ('0.003162', '64,32', '64', 'true', 'none', 'relu', '64')
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, float):
        return short(value, 4) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ",".join(map(word, value))
    return str(value)


def typed(value: Any) -> str:
    """A value of a setting as it is typed on the command line, with all its digits.

    >>> typed(0.0031622776), typed([64, 32])
    ('0.0031622776', '64,32')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(typed, value))
    return word(value) if isinstance(value, bool) or value is None else str(value)


def levels(axis: Axis, trials: Sequence[Trial]) -> list[str]:
    """The alternatives of a choice in words: those of the search, and others that trials have."""
    used = (trial.setting[axis.name] for trial in trials if axis.name in trial.setting)
    return list(dict.fromkeys(map(word, [*(axis.values or ()), *used])))


def coordinate(axis: Axis, value: Any) -> float:
    """Where a value lies on a range; NaN where it has no place there."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        found = float(value)
    except OverflowError:
        return math.nan
    if not abs(found) < LARGEST or (axis.kind in ("log", "logint") and found < 1 / LARGEST):
        return math.nan
    return found


def window(values: Sequence[float], *, higher: bool) -> tuple[float, float]:
    """The part of the score's axis that is shown: all values, but for the bad side beyond Tukey's outer fence.

    >>> window([1.0, 2.0, 3.0, 4.0, 900.0], higher=False)
    (1.0, 10.0)
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    first, third = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    reach = 3 * (third - first)
    if reach > 0:
        low, high = (max(low, first - reach), high) if higher else (low, min(high, third + reach))
    return low, high
