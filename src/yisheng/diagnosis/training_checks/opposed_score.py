"""A score that falls while training follows its loss."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED

MIN_SCORES = 6
"""Reported scores, fewer of which may fall at random."""
MIN_FALL, MIN_FALL_IN_NOISE = 0.3, 4.0
"""Fall of the score relative to the first one, and in median differences of consecutive ones: what overfitting takes
away it has gained before."""
MAX_GAIN_BEFORE = 0.2
"""Rise above the first score, relative to the fall, of a score that has never become better."""
MIN_LOSS_GAIN = 0.1
"""Fraction of the loss of the same rows that is gone while their score falls."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(_collect_scores(case))
    if case.from_config:
        return Message("a run computes its scores itself")
    return (
        ""
        if count >= MIN_SCORES
        else Message("it needs at least {MIN_SCORES} reported scores, got {count}", MIN_SCORES=MIN_SCORES, count=count)
    )


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("overfitting", "underfitting", "memorization", "plateau"),
)
def opposed_score(case: Case) -> Iterator[Finding]:
    """Find a reported score that falls from the first report on, although training does what its loss demands.

    The loss then has the wrong sign (a policy gradient is the negative of log-probability times reward), or the score
    is an error, of which less is better. If the loss compares outputs with targets, the loss of the same rows must
    fall meanwhile, since a score may also fall by overfitting.

    Args:
        case: the reported scores and losses.

    Source: Sutton and Barto, "Reinforcement learning", 2018, section 13.3 (the sign of the policy gradient).
    """
    scores = _collect_scores(case)
    if not _falls(scores):
        return
    losses = [e.loss for e in case.course.series[REPORTED] if math.isfinite(e.loss)]
    has_losses = len(losses) >= MIN_SCORES
    loss_falls = has_losses and losses[0] - _end(losses) > MIN_LOSS_GAIN * abs(losses[0])
    if has_losses and not loss_falls:
        return
    if not has_losses and not _is_objective(case):
        return
    start, end = scores[0], _end(scores)
    yield Finding(
        "opposed-score",
        "error" if not has_losses else "warning",
        {"first score": start, "at the end": end, "reports": len(scores)},
        Message(
            "the reported score falls from {start} to {end} from the first report on, while training goes on: what the "
            "loss rewards lowers the score",
            start=f"{start:.3g}",
            end=f"{end:.3g}",
        ),
        Message(
            "look at the sign of the loss: a reward is maximized by minimizing -(log_prob * reward).mean(); if the "
            "score is an error, where less is better, report its negative"
        ),
        source=case.sources.get("backward", ""),
    )


def _collect_scores(case: Case) -> list[float]:
    return [e.score for e in case.course.series.get(REPORTED, []) if math.isfinite(e.score)]


def _end(values: Sequence[float]) -> float:
    return statistics.median(values[-max(3, len(values) // 10) :])


def _falls(scores: Sequence[float]) -> bool:
    """Return whether scores fall from the first one on, beyond their noise."""
    fall = scores[0] - _end(scores)
    noise = statistics.median(abs(b - a) for a, b in itertools.pairwise(scores))
    is_large = fall > MIN_FALL * abs(scores[0]) and fall > MIN_FALL_IN_NOISE * noise
    return is_large and max(scores) - scores[0] < MAX_GAIN_BEFORE * fall


def _is_objective(case: Case) -> bool:
    """Return whether the loss weights the program's own numbers, such as rewards, instead of comparing targets."""
    pairing = case.pairing
    return pairing is not None and (not pairing.loss or pairing.is_weighted) and case.nonfinite_loss is None
