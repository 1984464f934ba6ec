"""The table of a study: a line for each job as it ends, and a row for each trial from those lines."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.search.jobs import Outcome
from yisheng.search.trials import Trial

JOBS, TABLE, TRIALS = "jobs.jsonl", "trials.csv", "trials.json"


@dataclass(frozen=True)
class Line:
    """A job that ended, as ``jobs.jsonl`` tells of it: its outcome without weights, and what it was of.

    Args:
        key: the job's.
        setting: of its trial.
        scores: by name; NaN where the rows do not define one.
        epoch: that the scores are of.
        seconds: of training.
        history: training loss by epoch.
        failure: why there are no scores, or empty.
        how: ``serial`` or ``stacked``.
    """

    key: str
    setting: Mapping[str, Any]
    scores: Mapping[str, float]
    epoch: int
    seconds: float
    history: tuple[float, ...] = ()
    failure: str = ""
    how: str = "serial"


class Journal:
    """``jobs.jsonl``: written line by line, so that what was trained is known whatever happens.

    A last line that is torn is dropped: its job is trained again.

    Args:
        folder: the study's.

    Raises:
        DataError: another line is damaged.
        StorageError: the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOBS
        self.lines: dict[str, Line] = {}
        try:
            content = self._path.read_bytes() if self._path.exists() else b""
            whole = content.rfind(b"\n") + 1
            for number, text in enumerate(content[:whole].splitlines(), 1):
                line = _read(text, f"{self._path}, line {number}")
                self.lines[line.key] = line
            self._file = self._path.open("ab", buffering=0)
            if whole < len(content):
                self._file.truncate(whole)
        except OSError as error:
            raise files.storage_error(error, self._path) from error

    def add(self, outcome: Outcome, trial: Trial) -> Line:
        """Write what came of a job."""
        line = Line(
            outcome.key,
            trial.setting,
            dict(outcome.scores),
            outcome.epoch,
            round(outcome.seconds, 4),
            outcome.history,
            outcome.failure,
            outcome.how,
        )
        plain = {
            **vars(line),
            "scores": {name: _number(value) for name, value in line.scores.items()},
            "history": [_number(value) for value in line.history],
        }
        try:
            content = memoryview((json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n").encode())
            while content:
                content = content[self._file.write(content) :]
        except OSError as error:
            raise files.storage_error(error, self._path) from error
        self.lines[line.key] = line
        return line

    def close(self) -> None:
        """Have all lines on the disk."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise files.storage_error(error, self._path) from error


@dataclass(frozen=True)
class Row:
    """A trial in the table.

    Args:
        number: the trial's.
        setting: name of each axis -> value.
        mean: of the score over the jobs; None for a failure.
        sd: standard deviation of the score over the jobs (divided by J - 1); None for a single one.
        se: standard error of the mean, sd / sqrt(J).
        low: the smallest score.
        high: the largest score.
        jobs: how many trainings are behind it: J.
        parameters: of the model.
        seconds: of training, all jobs together.
        how: ``serial`` or ``stacked``, or both.
        failure: why there is no score, or empty.
        epochs: asked for.
        curve: training loss by epoch, mean over the jobs.
    """

    number: int
    setting: Mapping[str, Any]
    mean: float | None
    sd: float | None
    se: float | None
    low: float | None
    high: float | None
    jobs: int
    parameters: int | None
    seconds: float
    how: str
    failure: str = ""
    epochs: int | None = None
    curve: tuple[float, ...] = field(default=(), repr=False)


def row(trial: Trial, lines: Sequence[Line], score: str, *, parameters: int | None, epochs: int | None) -> Row:
    """What came of a trial: of all its jobs, in the order of their keys.

    Args:
        trial: the setting.
        lines: of its jobs.
        score: key of the score.
        parameters: of the model.
        epochs: that each job was asked for.

    >>> lines = [Line(str(k), {}, {"rmse": value}, 1, 0.5) for k, value in enumerate([1.0, 3.0])]
    >>> found = row(Trial(1, {}), lines, "rmse", parameters=2, epochs=1)
    >>> found.mean, found.se, found.low, found.high, found.seconds
    (2.0, 1.0, 1.0, 3.0, 1.0)
    """
    failure = next((line.failure for line in lines if line.failure), "")
    values = [line.scores.get(score, math.nan) for line in lines]
    if not failure and not all(map(math.isfinite, values)):
        failure = f"the score {score} is not a finite number on some validation rows"
    if failure:
        mean = sd = low = high = None
    else:
        mean, low, high = statistics.fmean(values), min(values), max(values)
        sd = statistics.stdev(values) if len(values) > 1 else None
    return Row(
        trial.number,
        trial.setting,
        mean,
        sd,
        None if sd is None else sd / math.sqrt(len(values)),
        low,
        high,
        len(lines),
        parameters,
        round(sum(line.seconds for line in lines), 3),
        ", ".join(sorted({line.how for line in lines})),
        failure,
        epochs,
        _curve(lines),
    )


def write_csv(folder: Path, rows: Sequence[Row], axes: Sequence[str], score: str) -> None:
    """Write ``trials.csv``: a line for each row, by number; the epochs have a column of their own anyway."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [name for name in axes if name != "epochs"]
    table.writerow(["trial", *names, "epochs", "score", *_COLUMNS])
    for found in sorted(rows, key=lambda r: r.number):
        setting = [_cell(found.setting[name]) for name in names]
        values = [_cell(getattr(found, column)) for column in _COLUMNS]
        table.writerow([found.number, *setting, _cell(found.epochs), score, *values])
    files.write(folder / TABLE, text.getvalue(), sync=False)


_COLUMNS = ("mean", "sd", "se", "low", "high", "jobs", "parameters", "seconds", "how", "failure")


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain data for ``trials.json``, by number."""
    return [
        {**vars(found), "setting": dict(found.setting), "curve": list(found.curve)}
        for found in sorted(rows, key=lambda r: r.number)
    ]


def _curve(lines: Sequence[Line]) -> tuple[float, ...]:
    """The mean training loss of the epochs that all jobs trained; empty where one of them is not finite."""
    means = [statistics.fmean(values) for values in zip(*(line.history for line in lines), strict=False)]
    return tuple(means) if all(map(math.isfinite, means)) else ()


def _cell(value: Any) -> str:
    """A value with all its digits; a list as it is typed."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(_cell, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def _read(text: bytes, where: str) -> Line:
    """A line, checked."""
    try:
        found = json.loads(text)
        return Line(
            str(found["key"]),
            dict(found["setting"]),
            {str(k): math.nan if v is None else float(v) for k, v in found["scores"].items()},
            int(found["epoch"]),
            float(found["seconds"]),
            tuple(math.nan if v is None else float(v) for v in found["history"]),
            str(found["failure"]),
            str(found["how"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{where} is damaged: {type(error).__name__} {error}", "delete that line: its job is trained again"
        ) from None
