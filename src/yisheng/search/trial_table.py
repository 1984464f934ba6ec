"""The results of a search: a line of ``jobs.jsonl`` for each finished job, and a row of the table for each trial."""

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
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.stored_messages import add_messages, restore_messages
from yisheng.search.jobs import Outcome
from yisheng.search.trials import Trial


@dataclass(frozen=True)
class JobRecord:
    """A line of ``jobs.jsonl``: the outcome of a job (without weights) and the setting of its trial.

    Args:
        key: key of the job.
        setting: setting of its trial.
        scores: by name; NaN for a score that is undefined on the validation rows.
        epoch: the epoch whose weights were scored.
        seconds: duration of training.
        history: training loss by epoch.
        failure: why there are no scores, or empty.
        executor: ``serial`` or ``stacked``.
    """

    key: str
    setting: Mapping[str, Any]
    scores: Mapping[str, float]
    epoch: int
    seconds: float
    history: tuple[float, ...] = ()
    failure: str = ""
    executor: str = "serial"


class JobLog:
    """The records in ``jobs.jsonl``, which is written line by line, so that finished jobs are never lost.

    An incomplete last line is removed, and its job is trained again.

    Args:
        folder: the folder of the search.

    Raises:
        DataError: a line other than an incomplete last one is damaged.
        StorageError: the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RunFolder.JOBS
        self.records: dict[str, JobRecord] = {}
        try:
            content = self._path.read_bytes() if self._path.exists() else b""
            complete = content.rfind(b"\n") + 1
            for number, line in enumerate(content[:complete].splitlines(), 1):
                record = _parse_record(line, f"{self._path}, line {number}")
                self.records[record.key] = record
            self._file = self._path.open("ab", buffering=0)
            if complete < len(content):
                self._file.truncate(complete)
        except OSError as error:
            raise files.explain_write_error(error, self._path) from error

    def add(self, outcome: Outcome, trial: Trial) -> JobRecord:
        """Write the outcome of a job, and return its record."""
        record = JobRecord(
            outcome.key,
            trial.setting,
            dict(outcome.scores),
            outcome.epoch,
            round(outcome.seconds, 4),
            outcome.history,
            outcome.failure,
            outcome.executor,
        )
        plain = {
            **add_messages(vars(record)),
            "scores": {name: _finite_or_none(value) for name, value in record.scores.items()},
            "history": [_finite_or_none(value) for value in record.history],
        }
        try:
            content = memoryview((json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n").encode())
            while content:
                content = content[self._file.write(content) :]
        except OSError as error:
            raise files.explain_write_error(error, self._path) from error
        self.records[record.key] = record
        return record

    def close(self) -> None:
        """Sync the file to disk and close it."""
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise files.explain_write_error(error, self._path) from error


@dataclass(frozen=True)
class TrialRow:
    """A row of the table of trials.

    Args:
        number: number of the trial.
        setting: value of each axis by name.
        mean: mean score of the jobs; None if a job failed.
        sd: standard deviation of the jobs' scores (divided by J - 1); None for a single job.
        se: standard error of the mean, sd / sqrt(J); None for a single job.
        low: the smallest score.
        high: the largest score.
        jobs: number of jobs J.
        parameters: number of parameters of the model.
        seconds: total training time of the jobs.
        executor: ``serial``, ``stacked``, or both joined by a comma.
        failure: why there is no score, or empty.
        epochs: number of epochs of each job.
        curve: training loss by epoch, averaged over the jobs.
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
    executor: str
    failure: str = ""
    epochs: int | None = None
    curve: tuple[float, ...] = field(default=(), repr=False)


CSV_COLUMNS = ("mean", "sd", "se", "low", "high", "jobs", "parameters", "seconds", "executor", "failure")
"""Fields of `TrialRow` that become columns of ``trials.csv``, after the axes, the epochs and the score's name."""


def summarize_trial(
    trial: Trial, records: Sequence[JobRecord], score: str, *, parameters: int | None, epochs: int | None
) -> TrialRow:
    """Return the table row of a trial, computed over its jobs.

    Args:
        trial: the trial.
        records: records of its jobs, in the order of their keys.
        score: key of the score.
        parameters: number of parameters of the model.
        epochs: number of epochs of each job.

    >>> records = [JobRecord(str(k), {}, {"rmse": value}, 1, 0.5) for k, value in enumerate([1.0, 3.0])]
    >>> row = summarize_trial(Trial(1, {}), records, "rmse", parameters=2, epochs=1)
    >>> row.mean, row.se, row.low, row.high, row.seconds
    (2.0, 1.0, 1.0, 3.0, 1.0)
    """
    failure = next((record.failure for record in records if record.failure), "")
    values = [record.scores.get(score, math.nan) for record in records]
    if not failure and not all(map(math.isfinite, values)):
        failure = Message("the score {score} is not a finite number on some validation rows", score=score)
    if failure:
        mean = sd = low = high = None
    else:
        mean, low, high = statistics.fmean(values), min(values), max(values)
        sd = statistics.stdev(values) if len(values) > 1 else None
    return TrialRow(
        trial.number,
        trial.setting,
        mean,
        sd,
        None if sd is None else sd / math.sqrt(len(values)),
        low,
        high,
        len(records),
        parameters,
        round(sum(record.seconds for record in records), 3),
        ", ".join(sorted({record.executor for record in records})),
        failure,
        epochs,
        _mean_curve(records),
    )


def write_csv(folder: Path, rows: Sequence[TrialRow], axes: Sequence[str], score: str) -> None:
    """Write ``trials.csv``, sorted by trial number; there is one ``epochs`` column even if epochs are an axis."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [name for name in axes if name != "epochs"]
    table.writerow(["trial", *names, "epochs", "score", *CSV_COLUMNS])
    for row in sorted(rows, key=lambda r: r.number):
        setting = [_format_cell(row.setting[name]) for name in names]
        values = [_format_cell(getattr(row, column)) for column in CSV_COLUMNS]
        table.writerow([row.number, *setting, _format_cell(row.epochs), score, *values])
    files.write_file(folder / RunFolder.TRIALS_TABLE, text.getvalue(), sync=False)


def rows_to_plain(rows: Sequence[TrialRow]) -> list[dict[str, Any]]:
    """Return the rows as plain data for ``trials.json``, sorted by trial number."""
    return [
        {**add_messages(vars(row)), "setting": dict(row.setting), "curve": list(row.curve)}
        for row in sorted(rows, key=lambda r: r.number)
    ]


def _require_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _mean_curve(records: Sequence[JobRecord]) -> tuple[float, ...]:
    """Return the mean training loss of each epoch that all jobs reached; empty if a mean is not finite."""
    means = [statistics.fmean(values) for values in zip(*(record.history for record in records), strict=False)]
    return tuple(means) if all(map(math.isfinite, means)) else ()


def _format_cell(value: Any) -> str:
    """Return a value as text with all its digits; a list as it is typed on the command line."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(_format_cell, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _finite_or_none(value: float) -> float | None:
    """Return the number, or None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def _parse_record(line: bytes, source: str) -> JobRecord:
    """Return the checked record of a line of ``jobs.jsonl``.

    Raises:
        DataError: the line is damaged.
    """
    try:
        fields = restore_messages(json.loads(line))
        return JobRecord(
            str(fields["key"]),
            dict(fields["setting"]),
            {str(k): math.nan if v is None else float(v) for k, v in fields["scores"].items()},
            int(fields["epoch"]),
            float(fields["seconds"]),
            tuple(math.nan if v is None else float(v) for v in fields["history"]),
            _require_text(fields["failure"]),
            str(fields["executor"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            Message(
                "{source} is damaged: {type_name} {error}", source=source, type_name=type(error).__name__, error=error
            ),
            Message("delete that line and resume the search, which trains its job again"),
        ) from None
