"""Train the trials of a search round after round: a line of the log for each job, a row of the table for each trial."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from yisheng.core.durations import format_duration, format_remaining
from yisheng.core.errors import DataError
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
from yisheng.experiments.search.trial_results import TrialResults
from yisheng.search import trial_table
from yisheng.search.executors import auto
from yisheng.search.executors.cluster import Cluster
from yisheng.search.jobs import Job, Outcome
from yisheng.search.trials import Trial
from yisheng.training.setup import Assembly

TRIALS_AT_ONCE: Final = 1000
"""Trials whose jobs are planned together: enough to stack them, few enough for the memory."""


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
            search.results.write(finished=finished)
        search.results.log_choice()
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

    Attributes:
        results: of the trials that ended.
    """

    folder: RunFolder
    plan: SearchPlan
    data: SearchData
    jobs: TrialJobs
    job_log: trial_table.JobLog
    cluster: Cluster | None = None
    trials: dict[int, Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        example = self._assemble(self.jobs.build_example())
        self.epochs = example.config.epochs
        self.results = TrialResults(self.folder, self.plan, self.jobs, example.score_key, example.higher_is_better)
        self._parameter_counts: dict[str, int] = {}

    def run_rounds(self) -> None:
        """Train one round of trials after the other, to the last."""
        rounds = self.plan.rounds(self.epochs)
        trials = next(rounds)
        while True:
            for start in range(0, len(trials), TRIALS_AT_ONCE):
                self._train(trials[start : start + TRIALS_AT_ONCE], trials[start + TRIALS_AT_ONCE :])
            try:
                trials = rounds.send([self.results.find_loss(trial) for trial in trials])
            except StopIteration:
                return

    def chosen_trial(self) -> Trial | None:
        """Return the chosen trial, or None if all trials failed."""
        chosen = self.results.choose()[1]
        return None if chosen is None else self.trials[chosen]

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
            if self.results.is_table_due:
                self.results.write(finished=False)
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
        self.results.add(trial, [self.job_log.records[job.key] for job in jobs], sizes)

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

    def _log_trial(self, trial_number: int, last_number: int, remaining_seconds: float) -> None:
        values = {
            "trial": trial_number,
            "last": last_number,
            "setting": self.results.describe(trial_number),
            "duration": format_duration(self.results.rows[trial_number].seconds),
            "remaining": format_remaining(remaining_seconds),
        }
        if remaining_seconds:
            logger.info(Message("trial {trial} of {last}: {setting}  {duration}, {remaining}", **values))
        else:
            logger.info(Message("trial {trial} of {last}: {setting}  {duration}", **values))
