"""Recognize F1, recall and other scores, or R², that are the mean of those of batches instead of that of all rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.messages import Message

MIN_BATCHES = 3
MAX_DIFFERENCE = 1e-5
"""Difference of the reported score from the mean of the batches, relative to 1 or to the score: rounding in float32."""
MIN_GAP, MIN_RELATIVE_GAP = 0.03, 0.05
"""Difference of that mean from the score of all rows: below it the average does no harm."""
MAX_CLASSES = 200


@dataclass(frozen=True)
class AveragedScore:
    """A score that is the mean of those of batches.

    Args:
        name: of the score.
        mean: of the batches.
        total: score of all rows.
        batch: rows of a batch.
        batches: their number.
    """

    name: str
    mean: float
    total: float
    batch: int
    batches: int


def find_averaged_score(score: float, outputs: torch.Tensor, targets: torch.Tensor, batch: int) -> AveragedScore | None:
    """Return which score of batches a reported score is the mean of, or None if it is none of them.

    Args:
        score: the reported one.
        outputs: scores of classes ``(N, C)``, of one class ``(N, 1)`` or ``(N,)``, or numbers ``(N, K)``.
        targets: class numbers ``(N,)``, 0 and 1, or numbers like the outputs.
        batch: rows of a batch.

    >>> targets = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    >>> find_averaged_score(1 / 3, 2 * targets - 1, targets, 2)
    AveragedScore(name='F1', mean=0.3333333333333333, total=1.0, batch=2, batches=3)
    """
    batches = -(-len(outputs) // max(1, batch))
    if batches < MIN_BATCHES or not math.isfinite(score):
        return None
    numbers = torch.arange(len(outputs)) // batch
    parts, totals = (list(_list_scores(outputs, targets, group)) for group in (numbers, torch.zeros_like(numbers)))
    limit = MAX_DIFFERENCE * max(1.0, abs(score))
    for (name, values), (_, total_values) in zip(parts, totals, strict=True):
        mean, total = float(values.nanmean()), float(total_values.nanmean())
        gap = max(MIN_GAP, MIN_RELATIVE_GAP * abs(total))
        if abs(mean - score) <= limit and abs(mean - total) > gap and not _is_score_of_rows(score, outputs, targets):
            return AveragedScore(name, mean, total, batch, batches)
    return None


def _is_score_of_rows(score: float, outputs: torch.Tensor, targets: torch.Tensor) -> bool:
    """Return whether a score is one of the usual scores of all rows: fractions of few rows are often equal."""
    labels = _read_classes(outputs, targets)
    if labels is None:
        return False
    from sklearn import metrics

    predicted, true, classes = labels[0].numpy(), labels[1].numpy(), labels[2]
    scores = [metrics.accuracy_score(true, predicted), metrics.cohen_kappa_score(true, predicted)]
    scores.append(metrics.matthews_corrcoef(true, predicted))
    for average in (None, "macro", "micro", "weighted"):
        options = {"average": average, "zero_division": 0}
        for function in (metrics.f1_score, metrics.recall_score, metrics.precision_score, metrics.jaccard_score):
            scores += np.ravel(function(true, predicted, **options)).tolist()
    if classes == 2 and len(set(true.tolist())) == 2:
        margin = (outputs[:, 1] - outputs[:, 0] if outputs.numel() > len(outputs) else outputs).flatten().numpy()
        scores += [metrics.roc_auc_score(true, margin), metrics.average_precision_score(true, margin)]
    elif outputs.ndim == 2:
        ranks = (outputs > outputs.gather(1, torch.as_tensor(true)[:, None])).sum(1)
        scores += [float((ranks < k).double().mean()) for k in (2, 3, 5, 10)]
    return any(abs(value - score) <= MAX_DIFFERENCE for value in scores)


def _list_scores(
    outputs: torch.Tensor, targets: torch.Tensor, numbers: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield names of scores and their values by batch ``(batches,)``.

    Args:
        outputs: as for `find_averaged_score`.
        targets: likewise.
        numbers: of the batch of each row ``(N,)``.
    """
    labels = _read_classes(outputs, targets)
    if labels is not None:
        yield from _list_scores_of_classes(*labels, numbers)
    elif outputs.numel() == targets.numel() and targets.is_floating_point():
        yield "R²", _compute_r2(outputs.reshape(len(outputs), -1), targets.reshape(len(outputs), -1), numbers)


def _read_classes(outputs: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int] | None:
    """Return predicted classes, classes and their number, or None if these are no classes."""
    is_scores = outputs.ndim == 2 and 2 <= outputs.shape[1] <= MAX_CLASSES
    if is_scores and targets.ndim == 1 and not targets.is_floating_point():
        predicted, true, classes = outputs.argmax(1), targets.long(), outputs.shape[1]
    elif outputs.numel() == targets.numel() == len(outputs) and bool(((targets == 0) | (targets == 1)).all()):
        predicted, true, classes = (outputs.flatten() > 0).long(), targets.flatten().long(), 2
    else:
        return None
    return (predicted, true, classes) if int(true.min()) >= 0 and int(true.max()) < classes else None


def _list_scores_of_classes(
    predicted: torch.Tensor, true: torch.Tensor, classes: int, numbers: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield F1, recall, precision and Jaccard's index: of class 1 of two, and as means of the classes.

    Where a score is 0 / 0 it is 0, 1, or left out.
    """
    batches = int(numbers.max()) + 1
    index = (numbers * classes + true) * classes + predicted
    counts = torch.bincount(index, minlength=batches * classes**2).reshape(batches, classes, classes).double()
    rows, columns, hits = counts.sum(2), counts.sum(1), counts.diagonal(dim1=1, dim2=2)
    quotients = {
        "F1": (2 * hits, rows + columns),
        Message("recall"): (hits, rows),
        Message("precision"): (hits, columns),
        Message("Jaccard index"): (hits, rows + columns - hits),
    }
    for name, (numerator, denominator) in quotients.items():
        value, macro_name = numerator / denominator, Message("macro {name}", name=name)
        is_absent = rows + columns == 0
        for substitute in (0.0, 1.0):
            filled = torch.where(denominator > 0, value, substitute)
            if classes == 2:
                yield name, filled[:, 1]
            yield macro_name, filled.mean(1)
            yield macro_name, torch.where(is_absent, math.nan, filled).nanmean(1)
        if classes == 2 and bool((denominator[:, 1] > 0).any()):
            yield name, value[:, 1][denominator[:, 1] > 0]
        yield macro_name, value.nanmean(1)


def _compute_r2(outputs: torch.Tensor, targets: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Return the mean R² of the columns by batch ``(batches,)``."""
    values = []
    for number in range(int(numbers.max()) + 1):
        rows = numbers == number
        y, out = targets[rows].double(), outputs[rows].double()
        values.append((1 - (y - out).square().sum(0) / (y - y.mean(0)).square().sum(0)).mean())
    return torch.stack(values)
