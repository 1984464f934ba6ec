"""How the time of an ensemble is divided among its candidates and their folds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from yisheng.training.portfolio.candidates import Candidate
from yisheng.training.portfolio.fit_member import Limits

USED_FRACTION = 0.92
"""Fraction of the time in which candidates are trained; then follow weights, evaluation and report."""
DISTILLATION_FRACTION = 0.25
"""Fraction of the time in which an ensemble is distilled, if it is."""
MIN_START_FRACTION = 0.05
"""A candidate is not begun if less than this fraction of the time is left."""
COLLECTION_FRACTION = 0.03
"""After the candidates' end a process waits for those that others train for this fraction of the time."""
MIN_SHARE = 0.12
"""A candidate may use this fraction of all time, if it is left."""
MIN_COMMON_ROWS = 500
"""A candidate predicts at least so many rows out of fold, or all: with fewer the weights would be random."""


@dataclass
class Timetable:
    """The time of an ensemble in this process.

    Args:
        seconds: for all candidates, or None if there is no limit.
        start: the clock's value when the training began; earlier if a run that was stopped continues.
        reserved: fraction of the time that is for what follows the candidates.
        clock: returns the time in seconds.
    """

    seconds: float | None
    start: float
    reserved: float = 0.0
    clock: Callable[[], float] = time.perf_counter
    _candidate_end: float | None = field(default=None, init=False)

    @property
    def elapsed(self) -> float:
        """Return the time that is used, in seconds."""
        return self.clock() - self.start

    @property
    def end(self) -> float:
        """Return the clock's value at which all candidates must have ended."""
        return math.inf if self.seconds is None else self.start + (USED_FRACTION - self.reserved) * self.seconds

    @property
    def last_end(self) -> float:
        """Return the clock's value at which the training must have ended."""
        return math.inf if self.seconds is None else self.start + USED_FRACTION * self.seconds

    @property
    def collection_end(self) -> float:
        """Return the clock's value after which no other process is waited for."""
        return math.inf if self.seconds is None else self.end + COLLECTION_FRACTION * self.seconds

    def may_begin(self) -> bool:
        """Return whether there is time for another candidate."""
        return self.seconds is None or self.end - self.clock() > MIN_START_FRACTION * self.seconds

    def limit_fold(self, candidate: Candidate, fold: int, required: int, *, is_first: bool) -> Limits:
        """Return the time of a candidate's fold.

        Args:
            candidate: it may use a fraction of the time that is left when it begins.
            fold: number of the fold.
            required: folds that it needs, which share the time; further ones are trained if any is left.
            is_first: whether it is the first candidate, which ends in any case.
        """
        if self.seconds is None:
            return Limits(math.inf, candidate.min_epochs, math.inf, 1, self.clock)
        seconds = self.clock()
        if fold == 0 or self._candidate_end is None:
            remaining = max(0.0, self.end - seconds)
            allowed = max(candidate.max_fraction * remaining, MIN_SHARE * self.seconds)
            self._candidate_end = seconds + min(remaining, allowed)
        end = min(self.end, self._candidate_end)
        folds = max(1, required - fold)
        deadline = seconds + max(0.0, end - seconds) / folds
        is_bound = fold == 0 and not is_first
        return Limits(deadline, candidate.min_epochs, end if is_bound else math.inf, folds, self.clock)

    def limit_fold_elsewhere(self, candidate: Candidate, folds: int, rounds: int, cores: int) -> float:
        """Return the seconds that a fold may take in another process, while others are trained in further ones.

        With one core they are those of `limit_fold`; with more, a candidate may use its fraction of all of them.

        Args:
            candidate: the candidate.
            folds: number of its folds that share its time.
            rounds: how often its folds wait for one another before all have ended.
            cores: number of folds that are trained at once.
        """
        if self.seconds is None:
            return math.inf
        remaining = max(0.0, self.end - self.clock())
        allowed = max(candidate.max_fraction * remaining, MIN_SHARE * self.seconds)
        return min(remaining / rounds, cores * min(remaining, allowed) / folds)

    def has_time_for_fold(self, seconds_per_fold: float) -> bool:
        """Return whether a fold that no candidate needs fits into the candidate's time."""
        if self.seconds is None:
            return True
        end = self.end if self._candidate_end is None else min(self.end, self._candidate_end)
        return self.clock() + seconds_per_fold <= end


def count_required_folds(rows_per_fold: list[int]) -> int:
    """Return how many of the first folds have enough rows together to choose weights by; all if all have too few.

    >>> count_required_folds([4000, 4000, 4000]), count_required_folds([200, 200, 200, 200, 200])
    (1, 3)
    """
    total = 0
    for number, rows in enumerate(rows_per_fold, 1):
        total += rows
        if total >= MIN_COMMON_ROWS:
            return number
    return len(rows_per_fold)
