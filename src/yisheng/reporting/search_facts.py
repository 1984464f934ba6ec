"""The schema of ``trials.json``, and quantities derived from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.stored_messages import restore_messages
from yisheng.core.validation_texts import describe_invalid
from yisheng.reporting.formatting import decimal_places, format_tick
from yisheng.reporting.text_field import Text

MAX_SCORE = 1e30
"""Larger values come from trainings that diverged."""
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Kind = Literal["log", "uniform", "int", "logint", "choice"]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Axis(_Schema):
    """A parameter of the search: a choice or a range."""

    name: str
    kind: Kind = "choice"
    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None


class Trial(_Schema):
    """A setting and its result.

    Args:
        number: number of the trial, from 1.
        setting: the value of each axis by name.
        mean: mean score over the trial's jobs.
        sd: standard deviation over the jobs; None for a single job.
        se: standard error of the mean.
        jobs: number of trainings: folds times seeds.
        seconds: training time of all jobs together.
        parameters: number of parameters of the model.
        executor: ``serial`` or ``stacked``.
        failure: why the trial has no score; empty if it has one.
        epochs: requested number of epochs.
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
    executor: str = ""
    failure: Text = ""
    epochs: Count | None = None
    curve: list[float | None] = []

    @model_validator(mode="before")
    @classmethod
    def _restore_failure(cls, data: Any) -> Any:
        """Return the data with the failure as a message, which can be shown in another language."""
        return restore_messages(data)

    @property
    def score(self) -> float:
        """Return the mean score, NaN if it is missing or not finite, or 0 if it is too small to be drawn."""
        if self.mean is None or self.failure or not abs(self.mean) < MAX_SCORE:
            return math.nan
        return self.mean if abs(self.mean) > 1 / MAX_SCORE else 0.0

    @property
    def known_sd(self) -> float:
        """Return the standard deviation, or 0 if it is unknown."""
        return self.sd if self.sd is not None and 0 <= self.sd < MAX_SCORE else 0.0

    @property
    def known_se(self) -> float | None:
        """Return the standard error, or None if it is unknown."""
        return self.se if self.se is not None and 0 <= self.se < MAX_SCORE else None


class Search(_Schema):
    """The contents of ``trials.json``; ``data_axes`` are the names of the axes that are options of the data."""

    score: str = "loss"
    higher: bool = False
    axes: list[Axis] = []
    data_axes: list[str] = []
    same_rows: bool = True
    notes: str | None = None
    trials: list[Trial] = []
    best: int | None = None
    chosen: int | None = None
    search: str = ""
    finished: bool = False
    importance: dict[str, float] | None = None

    @cached_property
    def ranked(self) -> list[Trial]:
        """Return the trials with a score, the best first."""
        scored = [trial for trial in self.trials if math.isfinite(trial.score)]
        return sorted(scored, key=lambda t: (-t.score if self.higher else t.score, t.number))

    @cached_property
    def failed(self) -> list[Trial]:
        """Return the trials without a score; in an unfinished search, only those that failed."""
        return [t for t in self.trials if t.failure or (self.finished and not math.isfinite(t.score))]

    @cached_property
    def best_trial(self) -> Trial | None:
        """Return the best trial."""
        return next((t for t in self.ranked if t.number == self.best), next(iter(self.ranked), None))

    @cached_property
    def chosen_trial(self) -> Trial | None:
        """Return the trial chosen by the one-standard-error rule."""
        return next((t for t in self.ranked if t.number == self.chosen), None)

    @cached_property
    def decimals(self) -> int:
        """Return the decimal places of all trials' scores: as many as the error of the best one can distinguish."""
        best = self.best_trial
        if best is None:
            return 3
        error = best.known_se or best.known_sd
        return decimal_places(best.score, best.score - error, best.score + error)

    @cached_property
    def has_rungs(self) -> bool:
        """Return whether the search trained for different numbers of epochs (successive halving)."""
        searched = any(axis.name == "epochs" for axis in self.axes)
        return not searched and len({t.epochs for t in self.trials if t.epochs is not None}) > 1

    def sample_trials(self, count: int) -> list[Trial]:
        """Return about ``count`` trials with a score: the best, the chosen one, and a sample of the remaining ones.

        A quarter of them are the best trials; the sample takes every nth trial after those.
        """
        if len(self.ranked) <= count:
            return self.ranked
        head = self.ranked[: count // 4]
        tail, count = self.ranked[count // 4 :], count - count // 4
        sample = [*head, *(tail[round(i * (len(tail) - 1) / max(1, count - 1))] for i in range(count))]
        marked = [t for t in (self.best_trial, self.chosen_trial) if t and t not in sample]
        return [*marked, *sample]


def read_search(folder: Path) -> Search:
    """Read ``trials.json``.

    Raises:
        DataError: the file is missing, is not JSON, or does not match the schema.
    """
    RunFolder(folder).require_current_format()
    content = files.read_json(folder / RunFolder.TRIALS)
    try:
        return Search.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise DataError(
            Message(
                "{path} is damaged at {location}: {reason}",
                path=folder / RunFolder.TRIALS,
                location=location,
                reason=describe_invalid(first),
            ),
            Message("write it again with `yisheng resume {folder}`", folder=folder),
        ) from None


def format_value(value: Any) -> str:
    """Return a value of a setting as text for people.

    >>> format_value(0.0031622776), format_value([64, 32]), format_value([64]), format_value(64.0)
    ('0.003162', '64,32', '64', '64')
    >>> format_value(True), format_value(None), format_value("relu")
    ('true', 'none', 'relu')
    """
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, float):
        return format_tick(value, 4) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return ",".join(map(format_value, value))
    return str(value)


def format_argument(value: Any) -> str:
    """Return a value of a setting as a command-line argument, with all its digits.

    >>> format_argument(0.0031622776), format_argument([64, 32])
    ('0.0031622776', '64,32')
    """
    if isinstance(value, list | tuple):
        return ",".join(map(format_argument, value))
    return format_value(value) if isinstance(value, bool) or value is None else str(value)


def categories(axis: Axis, trials: Sequence[Trial]) -> list[str]:
    """Return the alternatives of a choice as text: those of the axis, then those of the trials."""
    used = (trial.setting[axis.name] for trial in trials if axis.name in trial.setting)
    return list(dict.fromkeys(map(format_value, [*(axis.values or ()), *used])))


def coordinate(axis: Axis, value: Any) -> float:
    """Return a value as a number on a range, or NaN if it cannot be shown there."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    if not abs(number) < MAX_SCORE or (axis.kind in ("log", "logint") and number < 1 / MAX_SCORE):
        return math.nan
    return number


def score_window(values: Sequence[float], *, higher: bool) -> tuple[float, float]:
    """Return the visible range of scores: all values, except bad ones beyond Tukey's outer fence.

    >>> score_window([1.0, 2.0, 3.0, 4.0, 900.0], higher=False)
    (1.0, 10.0)
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    first, third = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
    reach = 3 * (third - first)
    if reach > 0:
        low, high = (max(low, first - reach), high) if higher else (low, min(high, third + reach))
    return low, high
