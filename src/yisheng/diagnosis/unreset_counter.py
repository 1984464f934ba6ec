"""Find early stopping whose counter is never reset: it counts all evaluations without a better one since the start."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import Case

CHECK = "stopped-too-soon"
MIN_COUNT = 2
"""Patience from which on a counter that is not reset differs from one that is."""


def find_unreset_counter(case: Case) -> Iterator[Finding]:
    """Yield that a counter of the program reached its patience, although the best evaluation is more recent.

    The best value next to the counter must be that of the evaluations, and the counter the number of all evaluations
    that are not better than those before: a training that is short on purpose, or that another score ends, has neither.

    Args:
        case: the finished training.

    Source: Prechelt, "Early stopping: but when?", 1998 (patience counts from the best evaluation).
    """
    if not case.is_finished:
        return
    for evaluations in case.course.series.values():
        is_restored = len(evaluations) > 1 and evaluations[-1].step == evaluations[-2].step
        series = evaluations[:-1] if is_restored else evaluations
        for values in ([e.loss for e in series], [-e.score for e in series]):
            if len(values) <= MIN_COUNT or not all(map(math.isfinite, values)):
                continue
            total, since_best = _count_failures(values)
            for counter in case.course.stopping_counters:
                is_same_value = any(math.isclose(abs(best), abs(min(values))) for best in counter.best.values())
                if is_same_value and MIN_COUNT <= counter.count == total and 0 < since_best < total:
                    yield _describe(counter.name, values, total, since_best)
                    return


def _count_failures(values: Sequence[float]) -> tuple[int, int]:
    """Return how many values are not below all before, and how many of them follow the lowest one.

    >>> _count_failures([3.0, 2.0, 2.5, 1.0, 1.5])
    (2, 1)
    """
    lowest, total, since_best = math.inf, 0, 0
    for value in values:
        is_better = value < lowest
        lowest = min(lowest, value)
        total, since_best = total + (not is_better), 0 if is_better else since_best + 1
    return total, since_best


def _describe(name: str, values: Sequence[float], total: int, since_best: int) -> Finding:
    return Finding(
        CHECK,
        "warning",
        {"counter": total, "evaluations since the best": since_best, "evaluations": len(values)},
        Message(
            "the training stopped after {count} evaluations, only {since} after the best one, since {name} reached the "
            "patience of {patience}: it counts all evaluations without a better value, also those before a better one",
            count=len(values),
            name=name,
            patience=total,
            since=since_best,
        ),
        Message("set {name} = 0 wherever the value is better than the best one", name=name),
    )
