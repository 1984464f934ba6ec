"""Run a search in a folder, resume it, and train the model of the chosen setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yisheng.core import files, machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import NonFiniteError, StoppedError, UsageError
from yisheng.core.launch import require_one_process
from yisheng.core.logging import log_findings, logger
from yisheng.core.messages import Message, plural_message
from yisheng.core.new_folder import require_space
from yisheng.core.resolved_config import resolve_config
from yisheng.core.run_environment import describe_environment
from yisheng.core.run_folder import RunFolder
from yisheng.core.signals import StopSignal, raise_stop_signals
from yisheng.experiments import complete_run
from yisheng.experiments.search.buildable import require_buildable
from yisheng.experiments.search.plan import SearchPlan, read_plan, write_plan
from yisheng.experiments.search.run_trials import run_trials
from yisheng.experiments.search.search_data import SearchData
from yisheng.experiments.search.trial_jobs import TrialJobs
from yisheng.loggers.tensorboard import hparams
from yisheng.reporting import search_page
from yisheng.search.executors.cluster import Cluster, open_if_given, require_cluster
from yisheng.search.jobs import Job


def tune(plan: SearchPlan, *, data: Dataset | None = None, out: Path, cluster: str | None = None) -> Path:
    """Search, and train the model of the chosen setting; return the folder of the search.

    Args:
        plan: what is searched and how.
        data: the data set, if the config cannot name it.
        out: folder of runs.
        cluster: where the trials are trained; see `yisheng.search.executors.cluster.require_cluster`. None for this
            machine.

    Raises:
        StoppedError: a signal came; all trainings that had ended are kept.
        NonFiniteError: no setting has a score.
        StorageError: there is too little space on the disk, or it became full.
        ProcessError: the cluster cannot be reached, or a training was lost there again and again.
        UsageError: a value does not fit the data, or a launcher started this process with others.
    """
    require_one_process(Message("a search"))
    _require_usable(cluster, plan)
    config = plan.config
    search_data = SearchData(plan, data)
    data = search_data.first
    jobs = TrialJobs(plan, search_data)
    device = machine.select_device(config.device)
    assembly = require_buildable(plan, search_data, jobs)
    require_space(out, sum(value.nbytes for value in assembly.state.model.state_dict().values()))
    model = assembly.config.model.name if all(axis.key != "model" for axis in plan.space.axes) else "models"
    environment = describe_environment(config, data, search_data.fingerprint(), device)

    def begin(folder: RunFolder) -> None:
        files.write_json(folder.file(RunFolder.ENVIRONMENT), environment)
        write_plan(folder, plan)

    with open_if_given(cluster) as opened:
        folder = RunFolder.create(out, data.name, f"{model}-search", config.name, write=begin)
        with folder.lock():
            axes = " x ".join(axis.name for axis in plan.space.axes)
            logger.info(
                plural_message(
                    len(jobs),
                    "{sampler} search on {data}: {axes}; {count} training each, on {device}",
                    "{sampler} search on {data}: {axes}; {count} trainings each, on {device}",
                    sampler=plan.sampler,
                    data=data.name,
                    axes=axes,
                    count=f"{len(jobs):,}",
                    device=device,
                )
            )
            log_findings(data.findings)
            if note := _optimistic_test_note(plan, data, jobs):
                logger.info(note)
            if plan.space.data_axes:
                logger.info(_describe_data_axes(plan, jobs))
            _Search(folder, plan, search_data, jobs, opened).complete()
    return folder.path


def resume(
    folder: Path,
    *,
    epochs: int | None = None,
    force: bool = False,
    data: Dataset | None = None,
    cluster: str | None = None,
) -> Path:
    """Continue a search: what was trained is kept, and the table ends as if the search had never stopped.

    Args:
        folder: of the search.
        epochs: refused: trials of different lengths cannot be compared.
        force: continue although the data or the versions of the code changed.
        data: the data set, if the config cannot name it.
        cluster: as in `tune`; the trials may have begun elsewhere.

    Raises:
        DataError: a file of the search is damaged, or the data changed.
        UsageError: the code changed, ``epochs`` is given, or another process is training in it.
    """
    search_folder = RunFolder(folder)
    plan = read_plan(search_folder)
    if epochs is not None:
        raise UsageError(Message("a search cannot be made longer"), Message("search again with another epochs="))
    _require_usable(cluster, plan)
    with search_folder.lock():
        if search_folder.environment.get("finished"):
            logger.info(Message("the search is finished; there is nothing to do"))
            return folder
        search_data = SearchData(plan, data)
        if not force:
            search_folder.require_unchanged(search_data.fingerprint(), plan.config)
        with open_if_given(cluster) as opened:
            logger.info(Message("continuing {folder}", folder=folder))
            _Search(search_folder, plan, search_data, TrialJobs(plan, search_data), opened, force=force).complete()
    return folder


def _require_usable(cluster: str | None, plan: SearchPlan) -> None:
    """Refuse a cluster that cannot be used, or not with this plan."""
    if cluster is None:
        return
    require_cluster(cluster)
    for name, value, default in (("executor", plan.executor, "serial"), ("processes", plan.processes, 1)):
        if value not in (default, "auto"):
            raise UsageError(
                Message(
                    "{name}={value} and cluster={cluster} contradict: the cluster trains each job by itself",
                    name=name,
                    value=value,
                    cluster=cluster,
                ),
                Message("leave one of them out"),
            )


def _optimistic_test_note(plan: SearchPlan, data: Dataset, jobs: TrialJobs) -> str:
    """Return a note if the test rows of the final model helped to choose its setting."""
    has_official_test = data.part is not None and bool((data.part == 2).any())
    if plan.seeds > 1 and len(jobs.build_example().split.test) and not has_official_test:
        return Message(
            "note: each seed draws its own test part, so rows that the final model is tested on helped to choose its "
            "setting; its test scores are a little too optimistic (test=0 leaves no test part)"
        )
    return ""


def _describe_data_axes(plan: SearchPlan, jobs: TrialJobs) -> str:
    """Return which options of the data vary, and whether that changes the rows."""
    names = ", ".join(axis.name for axis in plan.space.data_axes)
    if jobs.have_same_rows():
        return Message(
            "note: the data is loaded for each {names}; all settings are trained and scored on the same rows",
            names=names,
        )
    return Message(
        "note: the data is loaded for each {names}, with other rows: part of a difference may be due to the rows",
        names=names,
    )


@dataclass(frozen=True)
class _Search:
    """A search in its folder: run the remaining trials, then train the model of the chosen setting."""

    folder: RunFolder
    plan: SearchPlan
    data: SearchData
    jobs: TrialJobs
    cluster: Cluster | None = None
    force: bool = False

    def complete(self) -> None:
        """Run the trials that are not trained yet, then train the chosen setting. An interrupted one gets a report."""
        try:
            with raise_stop_signals():
                chosen = run_trials(self.folder, self.plan, self.data, self.jobs, self.cluster)
        except StopSignal as stop:
            self._write_report()
            raise StoppedError(
                stop.number,
                Message("stopped by {name}; all trainings that had ended are kept", name=stop.name),
                Message("continue with: yisheng resume {path}", path=self.folder.path),
            ) from None
        self._write_report()
        if chosen is None:
            table = self.folder.file(RunFolder.TRIALS_TABLE)
            raise NonFiniteError(
                Message("no setting has a score: all of them failed"), Message("see {table}", table=table)
            )
        self._train_chosen(self.jobs.build(chosen)[0])
        self.folder.update_environment(finished=True)

    def _write_report(self) -> None:
        search_page.write_search_page(self.folder.path)
        if self.plan.tensorboard:
            hparams.write_hparams(self.folder.path)

    def _train_chosen(self, job: Job) -> None:
        """Train the chosen setting as an ordinary run, or continue it."""
        best = RunFolder(self.folder.file(RunFolder.BEST))
        logger.info(Message("training the chosen setting: {folder}", folder=best.path))
        data = self.data.load(job.config)
        try:
            if best.is_begun:
                complete_run.resume(best.path, data=data, force=self.force)
            else:
                best.path.mkdir(exist_ok=True)
                config = self._final_config(job)
                complete_run.train(config, data=data, out=self.folder.path, folder=best.path)
        except StoppedError as error:
            raise StoppedError(
                error.signal,
                Message(
                    "stopped by {name} while the chosen setting was trained; all trials are done",
                    name=error.signal_name,
                ),
                Message("continue with: yisheng resume {path}", path=self.folder.path),
            ) from None

    def _final_config(self, job: Job) -> Config:
        """Return the config of the final model.

        With folds it learns from all rows outside the test part, for as many epochs and with the same batch size as
        its first fold. Without, it repeats the first of its trainings.
        """
        config = job.config
        if self.plan.config.folds is None:
            return config
        data = self.data.load(config)
        resolved = resolve_config(config, data.spec, len(job.split.train))
        has_official_validation = data.part is not None and bool((data.part == 1).any())
        validation = config.validation if has_official_validation else 0
        return config.model_copy(
            update={
                "fold": None,
                "repeat": 1,
                "validation": validation,
                "epochs": resolved.epochs,
                "batch": resolved.batch,
            }
        )
