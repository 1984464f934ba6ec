"""Find a reported score that contradicts the network's predictions for the validation rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.averaged_scores import AveragedScore, find_averaged_score
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import find_given_fraction
from yisheng.diagnosis.recorder.course import REPORTED, Evaluation
from yisheng.diagnosis.validation_rows import measure_loss, predict_rows

CHECK = "evaluated-scores"
MAX_RATIO = 0.85
"""Reported score relative to the smallest of accuracy, recalls, precisions, F1, Jaccard's index and Cohen's kappa."""
MAX_RATIO_OF_BOXES, MIN_OVERLAP = 0.6, 0.4
"""Likewise of mean overlap and fraction of the boxes that overlap by one half; and mean overlap that tells boxes."""
MAX_DIFFERENCE = 0.02
"""Relative difference of the reported loss and that of the validation rows, up to which they are the same rows."""
BOX = 4
MAX_Z_OF_CHANCE = 4.0
"""Distance of a score from that of predictions in random order, in standard errors, that is at random."""
MIN_GIVEN = 0.9
"""Fraction of the evaluated rows that must be given ones if no loss shows that they are."""


def find_wrong_score(case: Case, validation: Any) -> Iterator[Finding]:
    """Yield that the last reported score is far below all usual scores of the trained network on the same rows.

    A score that equals the mean of the scores of batches, and not that of all rows, is named by what it is.

    Args:
        case: the finished training.
        validation: the held-out rows ``(x, y)``.
    """
    reports = case.course.series.get(REPORTED, [])
    last = reports[-1] if reports else None
    if last is None or last.step != case.steps or case.is_restored or math.isnan(last.score):
        return
    predicted = predict_rows(case, validation)
    if predicted is None:
        return
    outputs, targets = predicted
    for batch in sorted({record.shape[0] for record in case.evaluated.inputs if record.shape}):
        averaged = find_averaged_score(last.score, outputs, targets, batch)
        if averaged is not None:
            yield _describe_average(case, last.score, averaged)
            return
    if last.score < 0:
        return
    score = score_classes(outputs, targets)
    is_low = score is not None and last.score < MAX_RATIO * score.lowest
    if score is not None and is_low and score.is_chance(last.score) and _are_given_rows(case, validation):
        yield _describe_order(case, last.score, score)
        return
    if not _are_same_rows(case, last, validation):
        return
    if score is not None and is_low:
        yield _describe_classes(case, last.score, score.accuracy, score.lowest)
        return
    overlap = score_boxes(outputs, targets)
    if overlap is not None and overlap[0] >= MIN_OVERLAP and last.score < MAX_RATIO_OF_BOXES * min(overlap):
        yield _describe_boxes(case, last.score, *overlap)


def _are_same_rows(case: Case, last: Evaluation, validation: Any) -> bool:
    """Return whether the reported loss is that of the validation rows, or as near as a loss of another kind allows."""
    loss = measure_loss(case, validation)
    if not math.isfinite(last.loss) or not math.isfinite(loss):
        return False
    is_scaled = case.pairing is not None and case.pairing.loss in ("smooth_l1", "huber")  # it has a width
    return is_scaled or abs(loss - last.loss) <= MAX_DIFFERENCE * abs(loss)


def _are_given_rows(case: Case, validation: Any) -> bool:
    """Return whether all rows that were evaluated are validation rows, which are equally often there."""
    samples = case.evaluated.samples.list_samples()
    return bool(samples) and all(find_given_fraction(sample, validation[0]) >= MIN_GIVEN for sample in samples)


@dataclass(frozen=True)
class ClassScores:
    """Scores of predicted classes.

    Args:
        accuracy: of the predictions.
        lowest: the smallest usual score.
        expected: accuracy of the same predictions in random order.
        rows: number of rows.
    """

    accuracy: float
    lowest: float
    expected: float
    rows: int

    def is_chance(self, score: float) -> bool:
        """Return whether a score is that of predictions in random order."""
        error = math.sqrt(max(self.expected * (1 - self.expected), 1e-12) / self.rows)
        return abs(score - self.expected) <= MAX_Z_OF_CHANCE * error


def score_classes(outputs: torch.Tensor, targets: torch.Tensor) -> ClassScores | None:
    """Return the scores of predicted classes, or None if these are no classes.

    Args:
        outputs: scores ``(N, C)``, or of one class ``(N, 1)`` or ``(N,)``, above 0 if it is more likely.
        targets: class numbers ``(N,)``, or 0 and 1 like the outputs.

    >>> score_classes(torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    ClassScores(accuracy=1.0, lowest=1.0, expected=0.5, rows=2)
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1 and not targets.is_floating_point() and targets.ndim == 1:
        predicted, true, classes = outputs.argmax(1), targets.long(), outputs.shape[1]
    elif outputs.numel() == targets.numel() == len(outputs) and bool(((targets == 0) | (targets == 1)).all()):
        predicted, true, classes = (outputs.flatten() > 0).long(), targets.flatten().long(), 2
    else:
        return None
    if int(true.min()) < 0 or int(true.max()) >= classes:
        return None
    counts = torch.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes).double()
    rows, columns, hits, total = counts.sum(1), counts.sum(0), counts.diagonal(), counts.sum()
    accuracy, expected = hits.sum() / total, (rows * columns).sum() / total**2
    kappa = (accuracy - expected) / (1 - expected).clamp(min=1e-12)
    jaccard = hits / (rows + columns - hits).clamp(min=1)
    lowest = torch.stack([accuracy, kappa, *jaccard[rows > 0]])  # no recall, precision or F1 is below Jaccard's index
    return ClassScores(float(accuracy), float(lowest.min()), float(expected), int(total))


def score_boxes(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float] | None:
    """Return mean overlap and the fraction of boxes that overlap by one half, or None if the targets are not corners.

    Args:
        outputs: boxes ``(N, 4)`` as two corners.
        targets: likewise.

    >>> box = torch.tensor([[0.0, 0.0, 2.0, 2.0]]).expand(2, 4)
    >>> score_boxes(box, box)
    (1.0, 1.0)
    """
    is_box = targets.is_floating_point() and targets.ndim == 2 and outputs.shape == targets.shape == (len(targets), BOX)
    if not is_box or not bool((targets[:, 2:] > targets[:, :2]).all()):
        return None
    low, high = torch.maximum(outputs[:, :2], targets[:, :2]), torch.minimum(outputs[:, 2:], targets[:, 2:])
    overlap = (high - low).clamp(min=0).prod(1)
    areas = (outputs[:, 2:] - outputs[:, :2]).clamp(min=0).prod(1) + (targets[:, 2:] - targets[:, :2]).prod(1)
    ratio = overlap / (areas - overlap).clamp(min=1e-12)
    return float(ratio.mean()), float((ratio > 0.5).float().mean())


def _describe_order(case: Case, score: float, scores: ClassScores) -> Finding:
    return Finding(
        CHECK,
        "error",
        {"score": score, "accuracy": scores.accuracy, "accuracy in random order": scores.expected},
        Message(
            "the reported score is {score}, that of predictions in random order ({expected}), but the network predicts "
            "{accuracy} of the validation rows correctly: predictions and labels are not in the same order",
            score=f"{score:.3g}",
            expected=f"{scores.expected:.3g}",
            accuracy=f"{scores.accuracy:.0%}",
        ),
        Message(
            "take predictions and labels from the same batch, for x, y in loader: ..., or read the rows to predict "
            "with shuffle=False"
        ),
        source=case.sources.get("validation", "") or case.sources.get("evaluation", ""),
    )


def _describe_average(case: Case, score: float, averaged: AveragedScore) -> Finding:
    return Finding(
        CHECK,
        "warning",
        {"score": score, "of all rows": averaged.total, "rows of a batch": averaged.batch},
        Message(
            "the reported score of {score} is the mean of the {name} of {count} batches of {rows} rows, but the {name} "
            "of all rows is {total}: it is not the mean of those of parts",
            score=f"{score:.3g}",
            name=averaged.name,
            count=averaged.batches,
            rows=averaged.batch,
            total=f"{averaged.total:.3g}",
        ),
        Message(
            "collect predictions and targets of all batches, torch.cat(predictions), and compute the score once; or "
            "add up the counts that it is computed from"
        ),
        source=case.sources.get("validation", ""),
    )


def _describe_classes(case: Case, score: float, accuracy: float, lowest: float) -> Finding:
    return Finding(
        CHECK,
        "warning",
        {"score": score, "accuracy": accuracy, "smallest usual score": lowest},
        Message(
            "the reported score is {score}, but the network predicts {accuracy} of the validation rows correctly: the "
            "score is computed in another way",
            score=f"{score:.3g}",
            accuracy=f"{accuracy:.0%}",
        ),
        Message(
            "look at how it is computed: the class of raw scores is their argmax over dim=1, and that of a single one "
            "is output > 0; rounding is for probabilities, after a sigmoid"
        ),
        source=case.sources.get("validation", ""),
    )


def _describe_boxes(case: Case, score: float, overlap: float, fraction: float) -> Finding:
    return Finding(
        CHECK,
        "warning",
        {"score": score, "mean overlap": overlap, "overlap of one half": fraction},
        Message(
            "the reported score is {score}, but the boxes of the network, read as the corners that the targets are, "
            "overlap these by {overlap} on average: the score reads them in another format",
            score=f"{score:.3g}",
            overlap=f"{overlap:.0%}",
        ),
        Message(
            "use one format: (x1, y1, x2, y2) are corners, (cx, cy, w, h) center and size; convert the targets as well"
        ),
        source=case.sources.get("validation", ""),
    )
