"""Folds of an ensemble's candidates as tasks of a cluster; the files of the run folder record what was trained."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yisheng.core import machine
from yisheng.core.choice import IN_MEMORY
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import StoppedError
from yisheng.core.logging import hide_messages, logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import isolated_generators
from yisheng.core.signals import StopSignal, raise_stop_signals
from yisheng.core.spec import Spec
from yisheng.evaluation.scorer import make_scorer
from yisheng.experiments.fold_queue import FoldQueue, FoldResult, FoldsTask
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.models.ensemble import Ensemble
from yisheng.search.executors.cluster import MIN_TASK_SECONDS, Cluster
from yisheng.search.executors.sent_data import (
    SentConfig,
    SentData,
    describe_data,
    receive_config,
    receive_data,
    send_config,
)
from yisheng.search.executors.serial import require_importable
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.fitted import GRADIENT_KEYS
from yisheng.training.portfolio.candidates import Candidate
from yisheng.training.portfolio.fit_fold import DroppedCandidateError, fit_fold
from yisheng.training.portfolio.fit_member import Limits
from yisheng.training.portfolio.fold_data import FoldData, make_fold_data
from yisheng.training.portfolio.fold_pool import FoldJournal, FoldPlan, FoldPool, TrainedFold
from yisheng.training.portfolio.number_codes import WholeNumbers
from yisheng.training.setup import Assembly, assemble

TRAINED_FOLDS: Final = "folds"
"""Their folder in a run's ``checkpoint``."""


@dataclass(frozen=True)
class _Portfolio:
    """What all tasks share.

    Args:
        data: the training rows, scaled.
        folds: their folds.
        whole_numbers: columns of numbers that may be categories.
        config: of the ensemble.
        spec: the contract of its inputs.
        candidates: by name.
        seconds: time of the ensemble, or None.
    """

    data: SentData
    folds: Sequence[Split]
    whole_numbers: tuple[WholeNumbers, ...]
    config: SentConfig
    spec: Spec
    candidates: Mapping[str, Candidate]
    seconds: float | None


class ClusterFolds:
    """Trains the folds of an ensemble's candidates on a cluster, and offers them in the order of the stages.

    Args:
        cluster: where to train.
        journal: the files of trained folds.
        folder: of the run, for messages.
    """

    trains = True

    def __init__(self, cluster: Cluster, journal: FoldJournal, folder: Path) -> None:
        self._cluster, self._journal, self._folder = cluster, journal, folder
        self._queue: FoldQueue | None = None
        self._results: Generator[tuple[FoldsTask, list[FoldResult]]] | None = None

    def begin(self, plan: FoldPlan) -> None:
        """Begin to train what is missing and not in the journal.

        Raises:
            UsageError: a component of the config exists in this process only, or the data is too large to be sent.
        """
        require_importable([plan.config])
        queue = self._queue = FoldQueue(plan, self._journal)
        if not queue.missing:
            return
        config, folds = send_config(plan.config), plan.rows.folds
        load = None if plan.config.data.name == IN_MEMORY else functools.partial(_load_rows, config, len(folds))
        candidates = {candidate.name: candidate for candidate, _ in plan.candidates}
        data = describe_data(plan.rows.data, load)
        sent = _Portfolio(data, folds, plan.rows.whole_numbers, config, plan.spec, candidates, plan.seconds)
        timetable = plan.timetable
        self._results = self._cluster.run(
            _train_folds,
            sent,
            queue.take,
            waiting=0,
            count_seconds_left=lambda: timetable.collection_end - timetable.clock(),
        )
        logger.info(
            Message(
                "cluster: {folds} folds of {candidates} candidates on {cores} cores",
                folds=len(queue.missing),
                candidates=len({name for name, _ in queue.missing}),
                cores=self._cluster.count_cores(),
            )
        )

    def find(self, candidate: str, fold: int) -> TrainedFold | None:
        """Return a fold when it is trained; see `FoldPool.find`."""
        assert self._queue is not None
        while (candidate, fold) in self._queue.missing and (finished := self._wait()) is not None:
            task, results = finished
            for result in results:
                self._journal.keep(task.candidate, result.fold, result.content)
            self._queue.end(task, results)
        return self._journal.find(candidate, fold)

    def close(self) -> None:
        """End the tasks that still run."""
        if self._results is not None:
            self._results.close()

    def discard(self) -> None:
        """Remove the files of trained folds."""
        self._journal.discard()

    def _wait(self) -> tuple[FoldsTask, list[FoldResult]] | None:
        """Return the next task that ends, and its trained folds; None if nothing runs any more."""
        try:
            with raise_stop_signals():
                return None if self._results is None else next(self._results, None)
        except StopSignal as stop:
            raise StoppedError(
                stop.number,
                Message("stopped by {name}; the folds that had ended are kept", name=stop.name),
                Message("continue with: yisheng resume {path}", path=self._folder),
            ) from None


def _train_folds(shared: _Portfolio, task: FoldsTask) -> tuple[FoldsTask, list[FoldResult]]:
    """Train folds in a process of the cluster."""
    config = receive_config(shared.config)
    rows = FoldData(receive_data(shared.data), list(shared.folds), shared.whole_numbers)
    start, results = time.perf_counter(), list[FoldResult]()
    for fold in task.folds:
        with hide_messages(progress=False), isolated_generators():
            trained = _train_fold(shared, task, fold, config, rows)
        results.append(FoldResult(fold, trained.seconds, trained.fitted is not None, trained.to_bytes()))
        if trained.fitted is None or time.perf_counter() - start >= MIN_TASK_SECONDS:
            break
    return task, results


def _train_fold(shared: _Portfolio, task: FoldsTask, fold: int, config: Config, rows: FoldData) -> TrainedFold:
    start, candidate = time.perf_counter(), shared.candidates[task.candidate]
    end = start + task.seconds
    limits = Limits(end, candidate.min_epochs, end if task.is_bound else math.inf, 1)
    fit = functools.partial(fit_assembly, make_scorer=make_scorer)
    device = machine.select_device(config.device)
    try:
        fitted = fit_fold(candidate, rows, fold, config, shared.spec, device, fit, limits, shared.seconds)
    except DroppedCandidateError as error:
        return TrainedFold(candidate.name, fold, time.perf_counter() - start, None, error.status)
    return TrainedFold(candidate.name, fold, time.perf_counter() - start, fitted)


def _load_rows(sent: SentConfig, folds: int) -> Dataset:
    """Return the scaled training rows of data that is too large to be sent."""
    config = receive_config(sent)
    data = load_dataset(config)
    split = split_dataset(config, data)
    defaults = {key: Config.model_fields[key].default for key in GRADIENT_KEYS}  # they are resolved, and do not apply
    device = machine.select_device(config.device)
    assembly = assemble(config.model_copy(update=defaults), data, split, device)
    return make_fold_data(assembly, folds).data


@contextlib.contextmanager
def open_fold_pool(assembly: Assembly, run: RunFolder, cluster: Cluster | None) -> Iterator[FoldPool | None]:
    """Yield the folds that a cluster trains, or has trained before; None if the model is not an ensemble.

    Args:
        assembly: the training.
        run: its folder.
        cluster: where folds are trained; None for this process.
    """
    if not isinstance(assembly.state.model, Ensemble):
        yield None
        return
    folder = run.file(RunFolder.CHECKPOINT) / TRAINED_FOLDS
    journal = FoldJournal(folder, assembly.spec, assembly.train.device)
    if cluster is None:
        yield journal
        return
    with contextlib.closing(ClusterFolds(cluster, journal, run.path)) as pool:
        yield pool
