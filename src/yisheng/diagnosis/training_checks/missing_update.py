"""Backward passes without an update."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED
from yisheng.diagnosis.wording import describe_shortage

MIN_LOSSES = 8
"""Backward passes before a missing update is reported: gradients may be accumulated over a few."""
MIN_IDLE = 3
"""Reported evaluations that repeat the one before, without a loss in between: one or two follow when a loop evaluates
at its end once more, or reports two parts."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if _has_only_evaluations(case):
        return ""
    return describe_shortage(MIN_LOSSES, len(case.losses), Message("losses"))


@register(needs=explain_skip, when="first", cause="structure", explains=("no-gradient", "carried-gradients"))
def missing_update(case: Case) -> Iterator[Finding]:
    """Find losses that are propagated back without any update, and epochs without a batch.

    Args:
        case: its backward passes and updates.

    Source: PyTorch documentation, torch.optim, "Taking an optimization step".
    """
    if _has_only_evaluations(case):
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": 0, "updates": 0},
            Message("there were evaluations and no update: the loop over the training rows was never entered"),
            Message(
                "look at len(loader): with drop_last=True and a batch larger than the data there is no batch; an "
                "iterator that is used up gives none either"
            ),
        )
    elif case.steps == 0 and case.begun_updates == 0:
        yield Finding(
            "missing-update",
            "error",
            {"backward passes": len(case.losses), "updates": 0},
            Message("{count} backward passes and no update: optimizer.step() is not called", count=len(case.losses)),
            Message("call optimizer.step() after loss.backward()"),
        )
    elif (idle := _count_idle_evaluations(case)) >= MIN_IDLE:
        count = len(case.course.series[REPORTED])
        yield Finding(
            "missing-update",
            "error",
            {"evaluations": count, "without a loss before": idle, "updates": case.steps},
            Message(
                "the last {idle} of {count} evaluations repeat the one before, without a training loss in between: "
                "all {updates} updates were made before, and the loop over the training rows got no more batches",
                idle=idle,
                count=count,
                updates=case.steps,
            ),
            Message(
                "a generator, zip, map or iter(loader) gives its batches once: build it in each epoch, or go through a "
                "list or a DataLoader"
            ),
        )


def _count_idle_evaluations(case: Case) -> int:
    """Return how many reported evaluations at the end equal the one before, without a training loss in between."""
    evaluations = case.course.series.get(REPORTED, []) if case.is_finished and case.steps else []
    pairs = reversed(list(itertools.pairwise(evaluations)))
    idle = itertools.takewhile(
        lambda pair: pair[0].losses_before == pair[1].losses_before and pair[0].loss == pair[1].loss, pairs
    )
    return sum(1 for _ in idle)


def _has_only_evaluations(case: Case) -> bool:
    is_idle = not case.losses and not case.steps and not case.begun_updates
    return case.is_finished and is_idle and any(case.course.series.values())
