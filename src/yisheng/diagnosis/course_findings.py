"""What the losses of a user's own loop show, between updates and evaluations: overfitting, memorizing, no progress."""

from __future__ import annotations

import itertools
import math
import statistics

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.history_checks._loss_history import (
    MIN_EPOCHS,
    Judgment,
    LossHistory,
    judge_capacity,
    judge_memorization,
    judge_overfitting,
    make_loss_history,
)
from yisheng.diagnosis.history_checks.memorization import REMEDY as CHECK_LABELS
from yisheng.diagnosis.recorder.course import Evaluation
from yisheng.metrics.wilson import compute_wilson_bounds

CHECKS = ("overfitting", "memorization", "underfitting")
"""History checks that the losses of a loop can be examined by."""
UNIT = "evaluation"
MIN_UNSEPARATED = 0.8
"""Loss relative to the initial one of a linear model that cannot separate the classes; a smaller one may be noise."""
MIN_IMAGE_AXES = 2
"""Axes of a batch, more of which are those of images."""
MAX_LOSS_OF_RESTORED = 1.02
"""Loss of weights that were restored relative to the lowest one: the same rows, perhaps in other batches."""
MAX_FIRST_LOSSES, MIN_SCALE_RATIO = 3, 1.05
"""Losses of the beginning, and how much larger than their mean the best one of all evaluations may be: of labels at
random, which cannot be learned, the first evaluation is as large as the first loss."""
MIN_SCORES, MIN_FALL_IN_NOISE, MIN_FALL = 6, 4.0, 0.05
"""Scores that are required; and their fall from the best one, in their noise and relative to it."""


def find_in_course(case: Case) -> tuple[list[Finding], str]:
    """Return the findings about the evaluations of a loop, and why they could not be examined (else empty)."""
    series_to_read = [] if any(map(_is_restored, case.course.series.values())) else case.course.series.values()
    read = (_read_history(case, series) for series in series_to_read)
    histories = [history for history in read if history is not None]
    scores = [
        [evaluation.score for evaluation in series if math.isfinite(evaluation.score)]
        for series in case.course.series.values()
    ]
    scores = [values for values in scores if len(values) >= MIN_SCORES]
    if not histories and not scores:
        count = max((len(series) for series in case.course.series.values()), default=0)
        if any(_have_two_scales(case, [e.loss for e in s if math.isfinite(e.loss)] or [0.0]) for s in series_to_read):
            return [], Message("the losses of training and evaluation are of two scales from the beginning")
        return [], Message(
            "it needs at least {min_epochs} evaluations with a loss, got {count}", min_epochs=MIN_EPOCHS, count=count
        ) if count else "not given"
    candidates = [*(_judge(case, history) for history in histories), *map(_judge_scores, scores)]
    findings = [finding for finding in candidates if finding is not None]
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: (order.index(finding.severity), CHECKS.index(finding.check)))
    return findings[:1], ""


def _is_restored(series: list[Evaluation]) -> bool:
    """Return whether the last evaluation, without updates before it, has the lowest loss again."""
    losses = [evaluation.loss for evaluation in series]
    if len(series) < MIN_EPOCHS or series[-1].step != series[-2].step or not all(map(math.isfinite, losses)):
        return False
    return losses[-1] < losses[-2] and losses[-1] <= MAX_LOSS_OF_RESTORED * min(losses[:-1])


def _read_history(case: Case, series: list[Evaluation]) -> LossHistory | None:
    """Return a series with the mean training loss before each evaluation, or None if there are too few."""
    training, validation, previous = [], [], 0
    for evaluation in series:
        losses = [loss for loss in case.losses[previous : evaluation.losses_before] if math.isfinite(loss)]
        if losses and math.isfinite(evaluation.loss):
            training.append(statistics.fmean(losses))
            validation.append(evaluation.loss)
            previous = evaluation.losses_before
    if len(training) < MIN_EPOCHS or _have_two_scales(case, validation):
        return None
    first = [loss for loss in case.losses[:1] if math.isfinite(loss)]
    is_error = case.pairing is not None and case.pairing.loss in REGRESSION_LOSSES
    return make_loss_history(training, validation, first, case.baseline_loss, UNIT, is_error=is_error)


def _have_two_scales(case: Case, validation: list[float]) -> bool:
    """Return whether a loss of the user's own is never as small in evaluation as it was before anything was learned.

    A loss that compares the rows of a batch with each other is larger, the more rows there are: the logarithm of their
    number, say. It is another number in evaluation, for the same network.
    """
    first = [loss for loss in case.losses[:MAX_FIRST_LOSSES] if math.isfinite(loss)]
    is_recognized = case.pairing is not None and case.pairing.loss != ""
    if is_recognized or not first or statistics.fmean(first) <= 0:
        return False
    return min(validation) > MIN_SCALE_RATIO * statistics.fmean(first)


def _judge(case: Case, history: LossHistory) -> Finding | None:
    """Return the finding about one series of losses, or None."""
    memorization = judge_memorization(history)
    if memorization is not None and _has_more_columns_than_rows(case):
        return _explain_columns(case, memorization)
    if memorization is not None and not _recognizes_classes(case):
        return Finding("memorization", memorization.severity, memorization.evidence, memorization.cause, CHECK_LABELS)
    overfitting = judge_overfitting(history, is_linear=case.is_linear)
    if overfitting is not None and not (overfitting.severity == "note" and is_line_on_images(case)):
        decay = max((float(group.get("weight_decay", 0)) for group in case.optimizer.param_groups), default=0.0)
        return Finding(
            "overfitting",
            overfitting.severity,
            overfitting.evidence,
            overfitting.cause,
            Message(
                "keep the weights of {UNIT} {best} (early stopping); more rows help most, then augmentation, "
                "dropout or a weight_decay of {max}",
                UNIT=UNIT,
                best=history.best + 1,
                max=f"{max(0.01, 10 * decay):g}",
            ),
        )
    capacity = judge_capacity(history, is_linear=case.is_linear)
    if capacity is None:
        return None
    is_unseparated = case.is_linear and history.training_end > MIN_UNSEPARATED * history.start
    if is_unseparated:
        remedy = Message(
            "add a hidden layer with a nonlinearity: a linear model can only draw a straight line between classes"
        )
    elif case.is_linear:
        remedy = Message("add powers and products of the columns, or a hidden layer: a line can follow no curve")
    else:
        remedy = Message("use a larger network, or better inputs")
    return Finding(
        "underfitting",
        "warning" if is_unseparated else "note",
        {**capacity.evidence, "weights": sum(p.ndim > 1 for p in case.model.parameters())},
        capacity.cause,
        remedy
        if is_unseparated
        else Message("{remedy}; if boosted trees reach the same score, the rest is noise", remedy=remedy),
    )


def is_line_on_images(case: Case) -> bool:
    """Return whether a linear model reads images: it can fit few of their shapes, and fewer columns are no remedy."""
    batch = next((record.inputs for record in case.records if record.inputs is not None), None)
    return case.is_linear and batch is not None and len(batch.shape) > MIN_IMAGE_AXES


def _count_rows_and_columns(case: Case) -> tuple[int, int]:
    """Return the training rows of a linear model, at most those between two evaluations, and its columns."""
    batch = next((record.inputs for record in case.records if record.inputs is not None), None)
    steps = next(([e.step for e in series[:2]] for series in case.course.series.values() if len(series) > 1), [0, 0])
    rows = 0 if batch is None else (steps[1] - steps[0]) * batch.shape[0]
    columns = max((p.shape[1] for p in case.model.parameters() if p.ndim == 2), default=0)
    return case.data_rows or rows, columns


def _has_more_columns_than_rows(case: Case) -> bool:
    """Return whether a linear model has a weight for each training row: it fits them all, and nothing follows."""
    rows, columns = _count_rows_and_columns(case)
    return case.is_linear and 0 < rows <= columns


def _explain_columns(case: Case, memorization: Judgment) -> Finding:
    rows, columns = _count_rows_and_columns(case)
    return Finding(
        "overfitting",
        memorization.severity,
        {**memorization.evidence, "rows": rows, "columns": columns},
        Message(
            "{cause}; {rows} rows cannot determine {columns} weights",
            cause=memorization.cause,
            rows=f"{rows:,}",
            columns=f"{columns:,}",
        ),
        Message(
            "use a strong weight_decay (1 to 10 for a mean loss of so few rows), fewer columns, or more rows",
        ),
    )


def _recognizes_classes(case: Case) -> bool:
    """Return whether the last evaluation predicted more rows correctly than the commonest class has.

    A few rows that are far from all others may have any loss, and the mean with them. If rows of several parts were
    evaluated after the same update, it is not known which of them were counted.
    """
    confusion = case.evaluated.confusion
    if confusion is None or confusion.is_multilabel:
        return False
    evaluations = [series[-1] for series in case.course.series.values() if series[-1].step == confusion.step]
    rows = int(confusion.counts.sum())
    if [evaluation.rows for evaluation in evaluations if evaluation.rows > 1] != [rows]:
        return False
    correct, commonest = int(confusion.counts.diagonal().sum()), int(confusion.counts.sum(1).max())
    return compute_wilson_bounds(correct, rows)[0] > commonest / rows


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
        Message(
            "the validation score fell from {scores} in {UNIT} {best} of {count} to {end} at the end",
            scores=f"{scores[best]:.3g}",
            UNIT=UNIT,
            best=best + 1,
            count=len(scores),
            end=f"{end:.3g}",
        ),
        Message(
            "keep the weights of {UNIT} {best} (early stopping); more rows help most, then augmentation or dropout",
            UNIT=UNIT,
            best=best + 1,
        ),
    )
