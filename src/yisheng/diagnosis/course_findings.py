"""What the losses of a user's own loop show, between updates and evaluations: overfitting, memorizing, no progress."""

from __future__ import annotations

import itertools
import math
import statistics

from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.history_checks._loss_history import (
    MIN_EPOCHS,
    LossHistory,
    judge_capacity,
    judge_memorization,
    judge_overfitting,
    make_loss_history,
)
from yisheng.diagnosis.history_checks.memorization import REMEDY as CHECK_LABELS
from yisheng.diagnosis.recorder.course import Evaluation

CHECKS = ("overfitting", "memorization", "underfitting")
"""History checks that the losses of a loop can be examined by."""
UNIT = "evaluation"
MIN_UNLEARNED_BY_A_LINE = 0.8
"""Loss relative to the initial one of a linear model that cannot separate the classes; a smaller one may be noise."""
MIN_SCORES, MIN_FALL_IN_NOISE, MIN_FALL = 6, 4.0, 0.05
"""Scores that are required; and their fall from the best one, in their noise and relative to it."""


def find_in_course(case: Case) -> tuple[list[Finding], str]:
    """Return the findings about the evaluations of a loop, and why they could not be examined (else empty)."""
    read = (_read_history(case, series) for series in case.course.series.values())
    histories = [history for history in read if history is not None]
    scores = [
        [evaluation.score for evaluation in series if math.isfinite(evaluation.score)]
        for series in case.course.series.values()
    ]
    scores = [values for values in scores if len(values) >= MIN_SCORES]
    if not histories and not scores:
        count = max((len(series) for series in case.course.series.values()), default=0)
        return [], f"it needs at least {MIN_EPOCHS} evaluations with a loss, got {count}" if count else "not given"
    candidates = [*(_judge(case, history) for history in histories), *map(_judge_scores, scores)]
    findings = [finding for finding in candidates if finding is not None]
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: (order.index(finding.severity), CHECKS.index(finding.check)))
    return findings[:1], ""


def _read_history(case: Case, series: list[Evaluation]) -> LossHistory | None:
    """Return a series with the mean training loss before each evaluation, or None if there are too few."""
    training, validation, previous = [], [], 0
    for evaluation in series:
        losses = [loss for loss in case.losses[previous : evaluation.losses_before] if math.isfinite(loss)]
        if losses and math.isfinite(evaluation.loss):
            training.append(statistics.fmean(losses))
            validation.append(evaluation.loss)
            previous = evaluation.losses_before
    if len(training) < MIN_EPOCHS:
        return None
    first = [loss for loss in case.losses[:1] if math.isfinite(loss)]
    return make_loss_history(training, validation, first, case.baseline_loss, UNIT)


def _judge(case: Case, history: LossHistory) -> Finding | None:
    """Return the finding about one series of losses, or None."""
    memorization = judge_memorization(history)
    if memorization is not None:
        return Finding("memorization", memorization.severity, memorization.evidence, memorization.cause, CHECK_LABELS)
    overfitting = judge_overfitting(history)
    if overfitting is not None:
        decay = max((float(group.get("weight_decay", 0)) for group in case.optimizer.param_groups), default=0.0)
        return Finding(
            "overfitting",
            overfitting.severity,
            overfitting.evidence,
            overfitting.cause,
            f"keep the weights of {UNIT} {history.best + 1} (early stopping); more rows help most, then augmentation, "
            f"dropout or a weight_decay of {max(0.01, 10 * decay):g}",
        )
    capacity = judge_capacity(history)
    if capacity is None:
        return None
    weights = [p for p in case.model.parameters() if p.ndim > 1]
    is_linear = len(weights) == 1 and history.training_end > MIN_UNLEARNED_BY_A_LINE * history.start
    return Finding(
        "underfitting",
        "warning" if is_linear else "note",
        {**capacity.evidence, "weights": len(weights)},
        capacity.cause,
        "add a hidden layer with a nonlinearity: a linear model can only draw a straight line between classes"
        if is_linear
        else "use a larger network, or better inputs; if boosted trees reach the same score, the rest is noise",
    )


def _judge_scores(scores: list[float]) -> Finding | None:
    """Return that reported scores fall again after their best, or None."""
    best = max(range(len(scores)), key=scores.__getitem__)
    end = statistics.median(scores[-max(MIN_EPOCHS, len(scores) // 10) :])
    differences = [abs(b - a) for a, b in itertools.pairwise(scores)]
    fall, noise = scores[best] - end, statistics.median(differences)
    if fall < MIN_FALL * abs(scores[best]) or fall < MIN_FALL_IN_NOISE * noise:
        return None
    return Finding(
        "overfitting",
        "warning",
        {f"best {UNIT}": best + 1, "score": scores[best], "at the end": end},
        f"the validation score fell from {scores[best]:.3g} in {UNIT} {best + 1} of {len(scores)} to {end:.3g} at the "
        "end",
        f"keep the weights of {UNIT} {best + 1} (early stopping); more rows help most, then augmentation or dropout",
    )
