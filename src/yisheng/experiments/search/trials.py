"""The search itself: round after round, a line of the table for each training, a row for each setting."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from yisheng.core import files, registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.signals import signals
from yisheng.core.types import Dataset
from yisheng.estimators.fit import own_chance
from yisheng.experiments.search.settings import Jobs, Study
from yisheng.reporting.formatting import duration, number
from yisheng.reporting.search_facts import word
from yisheng.search import selection, trial_table
from yisheng.search.executors import auto
from yisheng.search.executors.serial import Trainer
from yisheng.search.executors.stacked import chunks
from yisheng.search.importance import importance
from yisheng.search.jobs import Job
from yisheng.search.trials import Trial
from yisheng.training.monitored import score_of
from yisheng.training.setup import Assembly

EVERY, SHARE = 1.0, 10
"""Seconds between two writings of the table at least, and in multiples of what a writing takes: with thousands of rows
it would else take longer than the trainings."""
AT_ONCE = 1000
"""Settings whose trainings are laid out together: enough for one pass, few enough for the memory."""


def require_fit(study: Study, data: Dataset, jobs: Jobs) -> Assembly:
    """Build a network with every value of the space: what does not fit the data shows here.

    Args:
        study: what is searched.
        data: the data.
        jobs: of its trials.

    Returns:
        The first one.

    Raises:
        UsageError: a value does not fit the data.
        DataError: the data does not do for a training.
    """
    trainer, first = Trainer(data), None
    with own_chance():
        for setting in study.space.samples():
            found = trainer.assemble(jobs.of(Trial(0, setting))[0])
            reason = chunks.refused(found.config) or chunks.refused_network(found)
            if study.how == "stacked" and reason:
                raise UsageError(f"how=stacked: these cannot be trained in one pass: {reason}", "leave how= out")
            first = first or found
    assert first is not None  # a space has settings
    return first


def search(folder: Path, study: Study, data: Dataset, jobs: Jobs, stream: TextIO) -> Trial | None:
    """Train all that is not trained yet; gives the chosen trial, or None where all failed.

    Args:
        folder: the study's.
        study: what is searched and how.
        data: the data.
        jobs: of its trials.
        stream: where progress goes.
    """
    with contextlib.closing(trial_table.Journal(folder)) as journal:
        standing = Standing(folder, study, data, jobs, journal, stream)
        try:
            standing.go()
            standing.write(finished=True)
        except BaseException:
            standing.write(finished=False)
            raise
        _best, chosen = standing.choice()
        standing.tell_choice()
        return None if chosen is None else standing.trials[chosen]


@dataclass
class Standing:
    """How far a search is.

    Args:
        folder: the study's.
        study: what is searched and how.
        data: the data.
        jobs: of its trials.
        journal: of the trainings that ended.
        stream: where progress goes.
        trials: by number, those of all rounds so far.
        rows: by number, of the trials that ended.
    """

    folder: Path
    study: Study
    data: Dataset
    jobs: Jobs
    journal: trial_table.Journal
    stream: TextIO
    trials: dict[int, Trial] = field(default_factory=dict)
    rows: dict[int, trial_table.Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trainer = Trainer(self.data)
        first = self._assembled(self.jobs.of(Trial(0, next(self.study.space.samples())))[0])
        self.score = score_of(first)
        self.higher = self.score != "loss" and bool(registry.find("metrics", self.score).meta.get("higher", True))
        assert isinstance(first.config.epochs, int)  # settled
        self.epochs = first.config.epochs
        self.sizes: dict[str, int] = {}
        self.next_writing = 0.0

    def go(self) -> None:
        """Round after round, up to the last."""
        rounds = self.study.rounds(self.epochs)
        trials = next(rounds)
        while True:
            for at in range(0, len(trials), AT_ONCE):
                self._train(trials[at : at + AT_ONCE], trials[at + AT_ONCE :])
            try:
                trials = rounds.send([self._loss(trial) for trial in trials])
            except StopIteration:
                return

    def choice(self) -> tuple[int | None, int | None]:
        """The numbers of the best trial and of the chosen one; of trials of several lengths the longest count."""
        longest = max((row.epochs or 0 for row in self.rows.values() if not row.failure), default=0)
        divided = self.study.divides_epochs
        counted = [row for row in self.rows.values() if not divided or row.epochs == longest]
        return selection.choose(trial_table.plain(counted), self.higher)

    def write(self, *, finished: bool) -> None:
        """Write the table in both forms."""
        began = time.monotonic()
        rows, axes = list(self.rows.values()), self.study.space.axes
        trial_table.write_csv(self.folder, rows, [axis.name for axis in axes], self.score)
        best, chosen = self.choice()
        about = [
            {"name": axis.name, "kind": axis.kind, "values": None if axis.values is None else list(axis.values)}
            | ({"low": axis.low, "high": axis.high} if axis.values is None else {})
            for axis in axes
        ]
        plain = trial_table.plain(rows)
        shortest = min((r["epochs"] for r in plain), default=0)  # where lengths differ: what all began with
        alike = [r for r in plain if r["epochs"] == shortest] if self.study.divides_epochs else plain
        shares = importance(about, [r["setting"] for r in alike], [r["mean"] for r in alike]) if finished else None
        found = {
            "score": self.score,
            "higher": self.higher,
            "search": self.study.search,
            "finished": finished,
            "best": best,
            "chosen": chosen,
            "importance": shares,
            "axes": about,
            "trials": plain,
        }
        files.write_json(self.folder / trial_table.TRIALS, found)
        now = time.monotonic()
        self.next_writing = now + max(EVERY, SHARE * (now - began))

    def tell_choice(self) -> None:
        """Say which setting is the best, and which simpler one was chosen in its place."""
        best, chosen = self.choice()
        if best is None or chosen is None:
            return
        self._say(f"best:   trial {best}: {self._said(best)}")
        why = "the best itself" if best == chosen else "the simplest within one standard error of the best"
        self._say(f"chosen: trial {chosen}: {self._said(chosen)} ({why})")

    def _train(self, trials: Sequence[Trial], later: Sequence[Trial]) -> None:
        """Train the jobs of some trials that are not trained yet; rows are written as they end.

        Args:
            trials: to train.
            later: of the same round, for the time that is left.
        """
        of: dict[str, Trial] = {}
        todo: list[Job] = []
        left: dict[int, int] = {}
        plans: dict[int, list[Job]] = {}
        for trial in trials:
            self.trials[trial.number] = trial
            mine = plans[trial.number] = self.jobs.of(trial)
            missing = [job for job in mine if not self._known(job, trial)]
            of |= {job.key: trial for job in missing}
            todo += missing
            left[trial.number] = len(missing)
        facts = {trial.number: self._facts(plans[trial.number][0]) for trial in trials}
        for trial in trials:
            if not left[trial.number]:
                self._end(trial, plans[trial.number], facts[trial.number])
        if known := sum(map(len, plans.values())) - len(todo):
            self._say(f"{known:,} trainings are known already")
        if not todo:
            return
        began = time.monotonic()
        outcomes = auto.run(todo, self.data, how=self.study.how, processes=self.study.processes, say=self._say)
        for done, outcome in enumerate(outcomes, 1):
            trial = of[outcome.key]
            with signals() as caught:  # the table tells of every training that the journal tells of
                self.journal.add(outcome, trial)
                left[trial.number] -= 1
                if not left[trial.number]:
                    self._end(trial, plans[trial.number], facts[trial.number])
            if caught:
                signal.raise_signal(caught[0])
            if not left[trial.number]:
                rest = (time.monotonic() - began) / done * (len(todo) - done + len(later) * len(self.jobs))
                self._tell(trial.number, (later or trials)[-1].number, rest)
            if time.monotonic() > self.next_writing:
                self.write(finished=False)

    def _known(self, job: Job, trial: Trial) -> bool:
        """Whether a job was trained before; its line must be of this very setting."""
        line = self.journal.lines.get(job.key)
        if line is None:
            return False
        if line.setting != dict(trial.setting):
            raise DataError(
                f"{self.folder / trial_table.JOBS} has {job.key} with {dict(line.setting)}, the search came to "
                f"{dict(trial.setting)}: something that it depends on has changed",
                "bring the versions back that it began with, or search anew",
            )
        return True

    def _end(self, trial: Trial, plan: Sequence[Job], facts: Mapping[str, int]) -> None:
        """A trial's row."""
        lines = [self.journal.lines[job.key] for job in plan]
        self.rows[trial.number] = trial_table.row(trial, lines, self.score, **facts)

    def _facts(self, job: Job) -> dict[str, int]:
        """Parameters and epochs of a trial."""
        config = job.config
        epochs = config.settle(self.data.spec, len(job.split.train)).epochs
        assert isinstance(epochs, int)  # settled
        key = repr((config.model, config.loss, config.scale))
        if key not in self.sizes:
            model = self._assembled(job).state.model
            self.sizes[key] = sum(p.numel() for p in model.parameters())
        return {"parameters": self.sizes[key], "epochs": epochs}

    def _assembled(self, job: Job) -> Assembly:
        with own_chance():
            return self.trainer.assemble(job)

    def _loss(self, trial: Trial) -> float | None:
        """What the search is told of a trial: smaller is better."""
        mean = self.rows[trial.number].mean
        return None if mean is None else -mean if self.higher else mean

    def _tell(self, name: int, last: int, rest: float) -> None:
        """A line about a trial that ended, of a round with this last one."""
        left = f", about {duration(rest)} left" if rest else ""
        self._say(f"trial {name} of {last}: {self._said(name)}  {duration(self.rows[name].seconds)}{left}")

    def _say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def _said(self, name: int) -> str:
        """A trial's setting and score in words."""
        row = self.rows[name]
        setting = " ".join(f"{key}={word(value)}" for key, value in row.setting.items())
        if row.failure:
            return f"{setting}  failed: {row.failure}"
        spread = "" if row.sd is None else f" ± {number(row.sd)}"
        return f"{setting}  {self.score.replace('_', '-')} {number(row.mean)}{spread}"
