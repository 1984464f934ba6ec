"""The results of a search: a row of the table for each trial that ended, and the choice among them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from yisheng.core import files
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.search.plan import SearchPlan
from yisheng.experiments.search.trial_jobs import TrialJobs
from yisheng.reporting.formatting import format_number
from yisheng.reporting.search_facts import format_value
from yisheng.search import selection, trial_table
from yisheng.search.importance import compute_importance
from yisheng.search.trials import Trial

MIN_SECONDS_BETWEEN_TABLES: Final = 1.0
TABLE_INTERVAL_FACTOR: Final = 10
"""Seconds between two writings of the table, in multiples of what a writing takes: with thousands of rows writing would
otherwise take longer than training."""


@dataclass
class TrialResults:
    """The trials of a search that ended: their table, and which of them is chosen.

    Args:
        folder: of the search.
        plan: of the search.
        jobs: of its trials.
        score: the name of the validation score that trials are compared by.
        higher: whether larger values of it are better.
        rows: by number, of the trials that ended.
    """

    folder: RunFolder
    plan: SearchPlan
    jobs: TrialJobs
    score: str
    higher: bool
    rows: dict[int, trial_table.TrialRow] = field(default_factory=dict)
    _next_table: float = field(default=0.0, init=False)

    def add(self, trial: Trial, records: Sequence[trial_table.JobRecord], sizes: Mapping[str, int]) -> None:
        """Add a trial of which all jobs ended.

        Args:
            trial: the trial.
            records: of its jobs.
            sizes: its numbers of parameters and epochs.
        """
        self.rows[trial.number] = trial_table.summarize_trial(trial, records, self.score, **sizes)

    @property
    def is_table_due(self) -> bool:
        """Return whether the last table is old enough to write it again."""
        return time.monotonic() > self._next_table

    def choose(self) -> tuple[int | None, int | None]:
        """Return the numbers of the best trial and of the chosen one.

        If trials have different numbers of epochs, only the longest ones can be chosen.
        """
        longest = max((row.epochs or 0 for row in self.rows.values() if not row.failure), default=0)
        candidates = [row for row in self.rows.values() if not self.plan.divides_epochs or row.epochs == longest]
        return selection.choose_trial(trial_table.rows_to_plain(candidates), self.higher)

    def write(self, *, finished: bool) -> None:
        """Write ``trials.csv`` and ``trials.json``."""
        start = time.monotonic()
        rows, axes = list(self.rows.values()), self.plan.space.axes
        trial_table.write_csv(self.folder.path, rows, [axis.name for axis in axes], self.score)
        best, chosen = self.choose()
        plain_axes = [
            {"name": axis.name, "kind": axis.kind, "values": None if axis.values is None else list(axis.values)}
            | ({"low": axis.low, "high": axis.high} if axis.values is None else {})
            for axis in axes
        ]
        plain_rows = trial_table.rows_to_plain(rows)
        content = {
            "score": self.score,
            "higher": self.higher,
            "search": self.plan.sampler,
            "finished": finished,
            "best": best,
            "chosen": chosen,
            "importance": self._importance(plain_axes, plain_rows) if finished else None,
            "axes": plain_axes,
            "data_axes": [axis.name for axis in self.plan.space.data_axes],
            "same_rows": self.jobs.have_same_rows(),
            "notes": self.plan.config.notes,
            "trials": plain_rows,
        }
        files.write_json(self.folder.file(RunFolder.TRIALS), content)
        end = time.monotonic()
        self._next_table = end + max(MIN_SECONDS_BETWEEN_TABLES, TABLE_INTERVAL_FACTOR * (end - start))

    def _importance(
        self, axes: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, float] | None:
        """Return the importance of each axis; if numbers of epochs differ, over the shortest trials of all settings."""
        if self.plan.divides_epochs:
            shortest = min((row["epochs"] for row in rows), default=0)
            rows = [row for row in rows if row["epochs"] == shortest]
        return compute_importance(axes, [row["setting"] for row in rows], [row["mean"] for row in rows])

    def log_choice(self) -> None:
        """Log which setting is the best, and which simpler one was chosen instead."""
        best, chosen = self.choose()
        if best is None or chosen is None:
            return
        logger.info(Message("best:   trial {trial}: {setting}", trial=best, setting=self.describe(best)))
        values = {"trial": chosen, "setting": self.describe(chosen)}
        if best == chosen:
            logger.info(Message("chosen: trial {trial}: {setting} (the best itself)", **values))
        else:
            logger.info(
                Message(
                    "chosen: trial {trial}: {setting} (the simplest within one standard error of the best)", **values
                )
            )

    def find_loss(self, trial: Trial) -> float | None:
        """Return the loss of a trial for the sampler: smaller is better; None for a failure."""
        mean = self.rows[trial.number].mean
        return None if mean is None else -mean if self.higher else mean

    def describe(self, trial_number: int) -> str:
        """Return a trial's setting and score as text."""
        row = self.rows[trial_number]
        setting = " ".join(f"{key}={format_value(value)}" for key, value in row.setting.items())
        if row.failure:
            return Message("{setting}  failed: {reason}", setting=setting, reason=row.failure)
        deviation = "" if row.sd is None else f" ± {format_number(row.sd)}"
        return f"{setting}  {self.score.replace('_', '-')} {format_number(row.mean)}{deviation}"
