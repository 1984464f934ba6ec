"""Find that a loop ends with the weights of its worst epoch: the comparison that selects the best one is reversed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from yisheng.core.messages import Message
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation
from yisheng.diagnosis.validation_rows import measure_loss

CHECK = "reversed-selection"
MIN_EVALUATIONS = 4
"""Evaluations before the weights were restored."""
MIN_RANGE, MAX_DISTANCE, MIN_GAIN = 0.1, 0.05, 0.7
"""Range of the losses relative to the largest one; distance of the restored loss from the largest one, relative to the
range; and fall after that epoch, likewise. Overfitting has its worst losses at the end and not before the
best ones."""
MAX_DIFFERENCE = 1e-3
"""Relative difference of two losses of the same weights and rows."""


def find_reversed_selection(case: Case, validation: Any) -> Iterator[Finding]:
    """Yield that the weights at the end are those of the epoch with the largest loss (the smallest score).

    Args:
        case: the finished training.
        validation: the held-out rows ``(x, y)``, or None.
    """
    if not case.is_restored:
        return
    for key, series in case.course.series.items():
        evaluations = [e for e in series if math.isfinite(_rate(e))]
        is_reported = key == REPORTED and len(evaluations) > 1 and evaluations[-1].step == evaluations[-2].step
        restored = _rate(evaluations.pop()) if is_reported else measure_loss(case, validation)
        if len(evaluations) < MIN_EVALUATIONS or not math.isfinite(restored):
            continue
        if _is_worst([_rate(e) for e in evaluations], [e.score for e in evaluations], restored, is_certain=is_reported):
            yield _describe([_rate(e) for e in evaluations], restored)
            return


def _rate(evaluation: Evaluation) -> float:
    """Return the loss of an evaluation, or the negative score if it has no loss."""
    return evaluation.loss if math.isfinite(evaluation.loss) else -evaluation.score


def _is_worst(losses: Sequence[float], scores: Sequence[float], restored: float, *, is_certain: bool) -> bool:
    """Return whether restored weights have the worst loss of the epochs, or an even larger one.

    Args:
        losses: by epoch.
        scores: by epoch; NaN without them.
        restored: loss of the weights at the end.
        is_certain: whether the rows of both are the same, so that a larger loss shows the initial weights.
    """
    low, high = min(losses), max(losses)
    if high - low < MIN_RANGE * abs(high) or restored < high - MAX_DISTANCE * (high - low):
        return False
    epoch = min(range(len(losses)), key=lambda k: abs(losses[k] - restored))
    if abs(losses[epoch] - restored) > MAX_DIFFERENCE * abs(restored):
        return is_certain and restored > high
    falls = any(loss < high - MIN_GAIN * (high - low) for loss in losses[epoch + 1 :])
    has_scores = all(map(math.isfinite, scores))
    return falls and not (has_scores and scores[epoch] > statistics.median(scores))


def _describe(losses: Sequence[float], restored: float) -> Finding:
    return Finding(
        CHECK,
        "error",
        {"at the end": restored, "best epoch": min(losses), "worst epoch": max(losses), "epochs": len(losses)},
        Message(
            "after the last update other weights were loaded, and they are the worst of {count} evaluations: their "
            "validation loss is {restored}, the best one was {best}",
            count=len(losses),
            restored=f"{restored:.3g}",
            best=f"{min(losses):.3g}",
        )
        if max(losses) >= 0
        else Message(
            "after the last update other weights were loaded, and they are the worst of {count} evaluations: their "
            "score is {restored}, the best one was {best}",
            count=len(losses),
            restored=f"{-restored:.3g}",
            best=f"{-min(losses):.3g}",
        ),
        Message(
            "keep the weights if the loss is below the best one (which begins at infinity), or if the score is above "
            "it (which begins at minus infinity); copy them by copy.deepcopy(model.state_dict())"
        ),
    )
