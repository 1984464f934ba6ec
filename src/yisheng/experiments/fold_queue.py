"""The order in which the folds of an ensemble's candidates are trained on a cluster.

A candidate begins with a task that trains its first fold, and further ones while that takes less than a second. Its
other folds follow, each in a task of its own, before the candidates after it begin. So short trainings share a task,
and a candidate that is too slow or fails costs one task.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from yisheng.search.executors.cluster import MIN_TASK_SECONDS
from yisheng.training.portfolio.candidates import Candidate
from yisheng.training.portfolio.fold_pool import FoldJournal, FoldPlan


@dataclass(frozen=True)
class FoldsTask:
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
class FoldResult:
    """A fold that has ended: its number, its seconds, whether it has a model, and the content of its file."""

    fold: int
    seconds: float
    is_fitted: bool
    content: bytes


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


class FoldQueue:
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

    def take(self, cores: int) -> FoldsTask | None:
        """Return the next task; None if there is none now."""
        for progress in self._progress.values():
            if progress.pending and not progress.is_probing and (task := self._take_required(progress, cores)):
                return task
        for progress in self._progress.values():
            if progress.pending and not progress.is_probing and (task := self._take_optional(progress, cores)):
                return task
        return None

    def _take_required(self, progress: _Progress, cores: int) -> FoldsTask | None:
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

    def _take_optional(self, progress: _Progress, cores: int) -> FoldsTask | None:
        """Return a task with folds that no candidate needs, while there is time."""
        if progress.seconds is None:
            return None
        timetable = self._plan.timetable
        if timetable.clock() + progress.seconds > timetable.end:
            self._give_up(progress)
            return None
        return self._make_task(progress, _count_folds(progress.seconds, len(progress.pending)), 1, 1, cores)

    def _make_task(self, progress: _Progress, count: int, required: int, rounds: int, cores: int) -> FoldsTask:
        folds = tuple(progress.pending.popleft() for _ in range(count))
        candidate = progress.candidate
        seconds = self._plan.timetable.limit_fold_elsewhere(candidate, max(1, required), rounds, cores)
        return FoldsTask(candidate.name, folds, seconds, is_bound=folds[0] == 0 and not progress.is_first)

    def end(self, task: FoldsTask, results: Sequence[FoldResult]) -> None:
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
