"""Folds of an ensemble's candidates as tasks of a cluster; the files of the run folder record what was trained.

A candidate begins with a task that trains its first fold, and further ones while that takes less than a second. Its
other folds follow, each in a task of its own, before the candidates after it begin. So short trainings share a task,
and a candidate that is too slow or fails costs one task.
"""

from __future__ import annotations

import contextlib
import functools
import math
import signal
import time
from collections import deque
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


@dataclass(frozen=True)
class _FoldsTask:
    """Folds to train: the first one, and the others while the task has taken less than `MIN_TASK_SECONDS`.

    Args:
        candidate: its name.
        folds: their numbers.
        seconds: that each of them may take.
        is_bound: whether the candidate is dropped if its epochs are too slow for that.
    """

    candidate: str
    folds: tuple[int, ...]
    seconds: float
    is_bound: bool


@dataclass(frozen=True)
class _Result:
    """A fold that has ended: its number, its seconds, whether it has a model, and the content of its file."""

    fold: int
    seconds: float
    is_fitted: bool
    content: bytes


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
        self._queue: _Queue | None = None
        self._results: Generator[tuple[_FoldsTask, list[_Result]]] | None = None

    def begin(self, plan: FoldPlan) -> None:
        """Begin to train what is missing and not in the journal.

        Raises:
            UsageError: a component of the config exists in this process only, or the data is too large to be sent.
        """
        require_importable([plan.config])
        queue = self._queue = _Queue(plan, self._journal)
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

    def _wait(self) -> tuple[_FoldsTask, list[_Result]] | None:
        """Return the next task that ends, and its trained folds; None if nothing runs any more."""
        try:
            with raise_stop_signals():
                return None if self._results is None else next(self._results, None)
        except StopSignal as stop:
            raise StoppedError(
                stop.number,
                Message("stopped by {name}; the folds that had ended are kept", name=signal.Signals(stop.number).name),
                Message("continue with: yisheng resume {path}", path=self._folder),
            ) from None


@dataclass
class _Progress:
    """A candidate's folds that were not begun, and how long one takes.

    Args:
        candidate: the candidate.
        pending: numbers of the folds, ascending.
        is_first: whether it is the ensemble's first one, which is trained in any case.
        seconds: of a fold; None if none has ended.
        is_probing: whether its first task runs.
    """

    candidate: Candidate
    pending: deque[int]
    is_first: bool
    seconds: float | None = None
    is_probing: bool = False


class _Queue:
    """Chooses what is trained next.

    Args:
        plan: what is to be trained.
        journal: what is trained.
    """

    missing: set[tuple[str, int]]
    """Candidate and number of the folds that wait or run."""

    def __init__(self, plan: FoldPlan, journal: FoldJournal) -> None:
        self._plan, self.missing = plan, set()
        self._progress = {}
        for position, (candidate, first_fold) in enumerate(plan.candidates):
            folds = range(first_fold, len(plan.rows.folds))
            progress = _Progress(candidate, deque(), is_first=first_fold > 0 or (plan.is_new and not position))
            self._progress[candidate.name] = progress
            for fold in folds:
                trained = journal.find(candidate.name, fold)
                if trained is not None and trained.fitted is None:
                    break
                if trained is None:
                    progress.pending.append(fold)
                else:
                    progress.seconds = trained.seconds
            self.missing |= {(candidate.name, fold) for fold in progress.pending}

    def take(self, cores: int) -> _FoldsTask | None:
        """Return the next task; None if there is none now."""
        for progress in self._progress.values():
            if progress.pending and not progress.is_probing and (task := self._take_required(progress, cores)):
                return task
        for progress in self._progress.values():
            if progress.pending and not progress.is_probing and (task := self._take_optional(progress, cores)):
                return task
        return None

    def _take_required(self, progress: _Progress, cores: int) -> _FoldsTask | None:
        """Return a task with folds that a candidate needs; its first one may train all of them."""
        plan = self._plan
        required = sum(fold < plan.required_folds for fold in progress.pending)
        if progress.seconds is None:
            if not progress.is_first and not plan.timetable.may_begin():
                self._give_up(progress)
                return None
            progress.is_probing = True
            return self._make_task(progress, len(progress.pending), required, 1 if required <= 1 else 2, cores)
        if not required:
            return None
        return self._make_task(progress, _count_folds(progress.seconds, required), required, 1, cores)

    def _take_optional(self, progress: _Progress, cores: int) -> _FoldsTask | None:
        """Return a task with folds that no candidate needs, while there is time."""
        if progress.seconds is None:
            return None
        timetable = self._plan.timetable
        if timetable.clock() + progress.seconds > timetable.end:
            self._give_up(progress)
            return None
        return self._make_task(progress, _count_folds(progress.seconds, len(progress.pending)), 1, 1, cores)

    def _make_task(self, progress: _Progress, count: int, required: int, rounds: int, cores: int) -> _FoldsTask:
        folds = tuple(progress.pending.popleft() for _ in range(count))
        candidate = progress.candidate
        seconds = self._plan.timetable.limit_fold_elsewhere(candidate, max(1, required), rounds, cores)
        return _FoldsTask(candidate.name, folds, seconds, is_bound=folds[0] == 0 and not progress.is_first)

    def end(self, task: _FoldsTask, results: Sequence[_Result]) -> None:
        """Record what a task has trained; what it had no time for is begun again."""
        progress = self._progress[task.candidate]
        trained = {result.fold for result in results}
        progress.is_probing = False
        progress.seconds = results[-1].seconds
        progress.pending.extendleft(reversed([fold for fold in task.folds if fold not in trained]))
        self.missing -= {(task.candidate, fold) for fold in trained}
        if not all(result.is_fitted for result in results):
            self._give_up(progress)

    def _give_up(self, progress: _Progress) -> None:
        """Leave a candidate's folds out that were not begun."""
        self.missing -= {(progress.candidate.name, fold) for fold in progress.pending}
        progress.pending.clear()


def _count_folds(seconds: float, pending: int) -> int:
    """Return the number of folds of a task: as many as take a second.

    >>> _count_folds(0.3, 5), _count_folds(0.3, 2), _count_folds(4.0, 5)
    (4, 2, 1)
    """
    return max(1, min(pending, math.ceil(MIN_TASK_SECONDS / max(seconds, 1e-6))))


def _train_folds(shared: _Portfolio, task: _FoldsTask) -> tuple[_FoldsTask, list[_Result]]:
    """Train folds in a process of the cluster."""
    config = receive_config(shared.config)
    rows = FoldData(receive_data(shared.data), list(shared.folds), shared.whole_numbers)
    start, results = time.perf_counter(), list[_Result]()
    for fold in task.folds:
        with hide_messages(progress=False), isolated_generators():
            trained = _train_fold(shared, task, fold, config, rows)
        results.append(_Result(fold, trained.seconds, trained.fitted is not None, trained.to_bytes()))
        if trained.fitted is None or time.perf_counter() - start >= MIN_TASK_SECONDS:
            break
    return task, results


def _train_fold(shared: _Portfolio, task: _FoldsTask, fold: int, config: Config, rows: FoldData) -> TrainedFold:
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
