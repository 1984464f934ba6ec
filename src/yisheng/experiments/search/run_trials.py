"""Train the trials of a search round after round: a line of the log for each job, a row of the table for each trial."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from yisheng.core import files
from yisheng.core.durations import format_duration, format_remaining
from yisheng.core.errors import DataError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.remote.sessions import publish
from yisheng.core.resolved_config import resolve_config
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.signals import collect_signals
from yisheng.experiments.search.plan import SearchPlan
from yisheng.experiments.search.search_data import SearchData
from yisheng.experiments.search.trial_jobs import TrialJobs
from yisheng.reporting.formatting import format_number
from yisheng.reporting.search_facts import format_value
from yisheng.search import selection, trial_table
from yisheng.search.executors import auto
from yisheng.search.executors.cluster import Cluster
from yisheng.search.executors.stacked import chunks
from yisheng.search.importance import compute_importance
from yisheng.search.jobs import Job, Outcome
from yisheng.search.trials import Trial
from yisheng.training.setup import Assembly

MIN_SECONDS_BETWEEN_TABLES: Final = 1.0
TABLE_INTERVAL_FACTOR: Final = 10
"""Seconds between two writings of the table, in multiples of what a writing takes: with thousands of rows writing would
otherwise take longer than training."""
TRIALS_AT_ONCE: Final = 1000
"""Trials whose jobs are planned together: enough to stack them, few enough for the memory."""


def require_buildable(plan: SearchPlan, data: SearchData, jobs: TrialJobs) -> Assembly:
    """Build a network with every value of the space, to report values that do not fit before any training.

    Args:
        plan: of the search.
        data: of the search.
        jobs: of its trials.

    Returns:
        The first training setup.

    Raises:
        UsageError: a value does not fit the data.
        DataError: the data cannot be trained on.
    """
    first: Assembly | None = None
    with isolated_generators():
        for setting in plan.space.settings_to_check():
            job = jobs.build(Trial(0, setting))[0]
            assembly = data.trainer(job.config).assemble(job)
            _require_comparable(first or assembly, assembly, setting)
            reason = chunks.explain_refused_config(assembly.config) or chunks.explain_refused_network(assembly)
            if plan.executor == "stacked" and reason:
                raise UsageError(
                    Message("executor=stacked: these cannot be trained together: {reason}", reason=reason),
                    Message("remove executor="),
                )
            first = first or assembly
    assert first is not None  # a space has settings
    return first


def _require_comparable(first: Assembly, assembly: Assembly, setting: Mapping[str, Any]) -> None:
    """Refuse data with other classes or another score than the first: the scores could not be compared."""
    for name, expected, actual in (
        ("task", first.spec.task, assembly.spec.task),
        ("classes", first.spec.classes, assembly.spec.classes),
        ("score", first.score_key, assembly.score_key),
    ):
        if expected != actual:
            values = " ".join(f"{key}={format_value(value)}" for key, value in setting.items())
            raise UsageError(
                Message(
                    "{values}: its {name} differs from the first setting's, and the scores cannot be compared",
                    values=values,
                    name=name,
                ),
                Message("search over options of the data that change its inputs only"),
            )


def run_trials(
    folder: RunFolder, plan: SearchPlan, data: SearchData, jobs: TrialJobs, cluster: Cluster | None = None
) -> Trial | None:
    """Train every job that is not trained yet; return the chosen trial, or None if all trials failed.

    Args:
        folder: of the search.
        plan: of the search.
        data: of the search.
        jobs: of its trials.
        cluster: where to train, or None for this machine.
    """
    with contextlib.closing(trial_table.JobLog(folder.path)) as job_log:
        search = TrialRunner(folder, plan, data, jobs, job_log, cluster)
        finished = False
        try:
            search.run_rounds()
            finished = True
        finally:
            search.write_table(finished=finished)
        search.log_choice()
        return search.chosen_trial()


@dataclass
class TrialRunner:
    """The state of a search.

    Args:
        folder: of the search.
        plan: of the search.
        data: of the search.
        jobs: of its trials.
        job_log: of the jobs that ended.
        cluster: where to train, or None for this machine.
        trials: by number, those of all rounds so far.
        rows: by number, of the trials that ended.
    """

    folder: RunFolder
    plan: SearchPlan
    data: SearchData
    jobs: TrialJobs
    job_log: trial_table.JobLog
    cluster: Cluster | None = None
    trials: dict[int, Trial] = field(default_factory=dict)
    rows: dict[int, trial_table.TrialRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        example = self._assemble(self.jobs.build_example())
        self.score, self.epochs = example.score_key, example.config.epochs
        self.higher = example.higher_is_better
        self._parameter_counts: dict[str, int] = {}
        self._next_table = 0.0

    def run_rounds(self) -> None:
        """Train one round of trials after the other, to the last."""
        rounds = self.plan.rounds(self.epochs)
        trials = next(rounds)
        while True:
            for start in range(0, len(trials), TRIALS_AT_ONCE):
                self._train(trials[start : start + TRIALS_AT_ONCE], trials[start + TRIALS_AT_ONCE :])
            try:
                trials = rounds.send([self._loss(trial) for trial in trials])
            except StopIteration:
                return

    def choose(self) -> tuple[int | None, int | None]:
        """Return the numbers of the best trial and of the chosen one.

        If trials have different numbers of epochs, only the longest ones can be chosen.
        """
        longest = max((row.epochs or 0 for row in self.rows.values() if not row.failure), default=0)
        candidates = [row for row in self.rows.values() if not self.plan.divides_epochs or row.epochs == longest]
        return selection.choose_trial(trial_table.rows_to_plain(candidates), self.higher)

    def chosen_trial(self) -> Trial | None:
        """Return the chosen trial, or None if all trials failed."""
        chosen = self.choose()[1]
        return None if chosen is None else self.trials[chosen]

    def write_table(self, *, finished: bool) -> None:
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
        logger.info(Message("best:   trial {trial}: {setting}", trial=best, setting=self._describe(best)))
        values = {"trial": chosen, "setting": self._describe(chosen)}
        if best == chosen:
            logger.info(Message("chosen: trial {trial}: {setting} (the best itself)", **values))
        else:
            logger.info(
                Message(
                    "chosen: trial {trial}: {setting} (the simplest within one standard error of the best)", **values
                )
            )

    def _train(self, trials: Sequence[Trial], later_trials: Sequence[Trial]) -> None:
        """Train the jobs of some trials that are not trained yet; rows are written as the trials end.

        Args:
            trials: to train.
            later_trials: of the same round, for the estimate of the remaining time.
        """
        planned = {trial.number: self.jobs.build(trial) for trial in trials}
        missing: list[Job] = []
        trial_of_job: dict[str, Trial] = {}
        remaining_jobs: dict[int, int] = {}
        for trial in trials:
            self.trials[trial.number] = trial
            untrained = [job for job in planned[trial.number] if not self._is_trained(job, trial)]
            missing += untrained
            trial_of_job |= {job.key: trial for job in untrained}
            remaining_jobs[trial.number] = len(untrained)
        sizes = {trial.number: self._sizes(planned[trial.number][0]) for trial in trials}
        for trial in trials:
            if not remaining_jobs[trial.number]:
                self._add_row(trial, planned[trial.number], sizes[trial.number])
        if trained := sum(map(len, planned.values())) - len(missing):
            logger.info(Message("{count} trainings are done already", count=f"{trained:,}"))
        if not missing:
            return
        start = time.monotonic()
        for trained_jobs, outcome in enumerate(self._run_jobs(missing), 1):
            trial = trial_of_job[outcome.key]
            with collect_signals() as caught:  # the table must list every job that the log lists
                self.job_log.add(outcome, trial)
                remaining_jobs[trial.number] -= 1
                if not remaining_jobs[trial.number]:
                    self._add_row(trial, planned[trial.number], sizes[trial.number])
            if caught:
                signal.raise_signal(caught[0])
            if not remaining_jobs[trial.number]:
                jobs_to_do = len(missing) - trained_jobs + len(later_trials) * len(self.jobs)
                remaining_seconds = (time.monotonic() - start) / trained_jobs * jobs_to_do
                self._log_trial(trial.number, (later_trials or trials)[-1].number, remaining_seconds)
            if time.monotonic() > self._next_table:
                self.write_table(finished=False)
                publish(self.folder.path)

    def _run_jobs(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Train jobs, one data set after the other; yield the outcomes as they come."""
        jobs_by_data: dict[str, list[Job]] = {}
        for job in jobs:
            jobs_by_data.setdefault(self.data.key(job.config), []).append(job)
        for group in jobs_by_data.values():
            data, load = self.data.load(group[0].config), self.data.loader(group[0].config)
            yield from auto.run_jobs(
                group,
                data,
                executor=self.plan.executor,
                processes=self.plan.processes,
                cluster=self.cluster,
                load=load,
            )

    def _is_trained(self, job: Job, trial: Trial) -> bool:
        """Return whether a job was trained before.

        Raises:
            DataError: it was trained with another setting.
        """
        record = self.job_log.records.get(job.key)
        if record is None:
            return False
        if record.setting != dict(trial.setting):
            raise DataError(
                Message(
                    "{JOBS} has {key} with {setting}, the search came to {new_setting}: something that it depends "
                    "on has changed",
                    JOBS=self.folder.file(RunFolder.JOBS),
                    key=job.key,
                    setting=dict(record.setting),
                    new_setting=dict(trial.setting),
                ),
                Message("restore the versions that it began with, or search again"),
            )
        return True

    def _add_row(self, trial: Trial, jobs: Sequence[Job], sizes: Mapping[str, int]) -> None:
        records = [self.job_log.records[job.key] for job in jobs]
        self.rows[trial.number] = trial_table.summarize_trial(trial, records, self.score, **sizes)

    def _sizes(self, job: Job) -> dict[str, int]:
        """Return the numbers of parameters and epochs of a trial."""
        config = job.config
        epochs = resolve_config(config, self.data.load(config).spec, len(job.split.train)).epochs
        network = repr((config.model, config.loss, config.scale, config.data))
        if network not in self._parameter_counts:
            model = self._assemble(job).state.model
            self._parameter_counts[network] = sum(parameter.numel() for parameter in model.parameters())
        return {"parameters": self._parameter_counts[network], "epochs": epochs}

    def _assemble(self, job: Job) -> Assembly:
        with isolated_generators():
            return self.data.trainer(job.config).assemble(job)

    def _loss(self, trial: Trial) -> float | None:
        """Return the loss of a trial for the sampler: smaller is better; None for a failure."""
        mean = self.rows[trial.number].mean
        return None if mean is None else -mean if self.higher else mean

    def _log_trial(self, trial_number: int, last_number: int, remaining_seconds: float) -> None:
        values = {
            "trial": trial_number,
            "last": last_number,
            "setting": self._describe(trial_number),
            "duration": format_duration(self.rows[trial_number].seconds),
            "remaining": format_remaining(remaining_seconds),
        }
        if remaining_seconds:
            logger.info(Message("trial {trial} of {last}: {setting}  {duration}, {remaining}", **values))
        else:
            logger.info(Message("trial {trial} of {last}: {setting}  {duration}", **values))

    def _describe(self, trial_number: int) -> str:
        """Return a trial's setting and score as text."""
        row = self.rows[trial_number]
        setting = " ".join(f"{key}={format_value(value)}" for key, value in row.setting.items())
        if row.failure:
            return Message("{setting}  failed: {reason}", setting=setting, reason=row.failure)
        deviation = "" if row.sd is None else f" ± {format_number(row.sd)}"
        return f"{setting}  {self.score.replace('_', '-')} {format_number(row.mean)}{deviation}"
