"""Find classes whose numbers a network learns as amounts, though their order means nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.validation_rows import predict_rows

CHECK = "target-kind"
MIN_CLASSES, MAX_CLASSES = 3, 100
"""Different whole numbers that may be classes; of two classes the order means nothing either way."""
MIN_ROWS, MAX_ROWS, MAX_COLUMNS = 100, 5000, 4096
"""Rows of training, without which a line is not known, and values that it is computed from."""
MIN_GAIN, MIN_ACCURACY = 0.15, 0.5
"""By how much lines of one output for each class predict more rows than the network and than a line of the numbers, and
how many rows at least: of amounts, a line predicts as many."""
MAX_ORDER = 0.5
"""Correlation of the distances of the classes' mean rows with those of their numbers: near 1 for grades and stars."""
PENALTY = 0.01
"""Of the squared weights, relative to the number of rows: the columns are standardized."""


def find_class_numbers(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that the targets are classes: lines of one output for each predict far more rows than the network.

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, section 4.2 (linear
    regression of an indicator matrix).
    """
    pairing = case.pairing
    if pairing is None or pairing.loss not in REGRESSION_LOSSES or not pairing.is_only_term:
        return
    train, held_out = _read_rows(data), _read_rows(validation)
    predicted = predict_rows(case, validation)
    if train is None or held_out is None or predicted is None or predicted[0].numel() != len(predicted[1]):
        return
    (x, y), (x_held_out, y_held_out) = train, held_out
    classes = y.unique()
    is_number = bool((y == y.round()).all()) and MIN_CLASSES <= len(classes) <= MAX_CLASSES
    if len(x) < MIN_ROWS or not is_number or x.shape[1] != x_held_out.shape[1]:
        return
    if _correlate_distances(x, y, classes) > MAX_ORDER:
        return
    scores = _predict_by_line(x, (y[:, None] == classes).float(), x_held_out)
    amounts = _predict_by_line(x, y[:, None], x_held_out)
    by_class = float((classes[scores.argmax(1)] == y_held_out).float().mean())
    by_amount = float((amounts.squeeze(1).round() == y_held_out).float().mean())
    network = float((predicted[0].flatten().round() == predicted[1].flatten()).float().mean())
    if by_class < max(MIN_ACCURACY, MIN_GAIN + max(by_amount, network)):
        return
    yield Finding(
        CHECK,
        "warning",
        {"network": network, "a line for each class": by_class, "a line of the numbers": by_amount},
        Message(
            "the {count} different targets are classes, and the loss compares their numbers as amounts: rounded, the "
            "network predicts {network} of the validation rows, and lines with one output for each class {line}",
            count=len(classes),
            network=f"{network:.0%}",
            line=f"{by_class:.0%}",
        ),
        Message(
            "give the last layer {count} outputs, use F.cross_entropy(output, y.long()), and predict output.argmax(1)",
            count=len(classes),
        ),
        source=case.sources.get("loss", ""),
    )


def _read_rows(pair: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return some rows of numbers ``(N, D)`` and their targets ``(N,)``, or None if they are something else."""
    is_pair = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, torch.Tensor) for part in pair)
    if not is_pair or not pair[0].is_floating_point() or len(pair[0]) != pair[1].numel() or pair[0].ndim < 2:
        return None
    interval = -(-len(pair[0]) // MAX_ROWS)
    x, y = (part.detach()[::interval].cpu().float() for part in pair)
    x = x.flatten(1)  # columns of all axes
    is_complete = x.shape[1] <= MAX_COLUMNS and len(x) > 0 and bool(torch.isfinite(x).all() & torch.isfinite(y).all())
    return (x, y.flatten()) if is_complete else None


def _predict_by_line(x: torch.Tensor, y: torch.Tensor, x_held_out: torch.Tensor) -> torch.Tensor:
    """Return what ridge regression of targets ``(N, K)`` predicts for other rows ``(M, K)``."""
    mean, std = x.mean(0), _measure_deviations(x)
    a, b = ((part - mean) / std for part in (x, x_held_out))
    matrix = a.T @ a + PENALTY * len(a) * torch.eye(a.shape[1])
    return b @ torch.linalg.solve(matrix, a.T @ (y - y.mean(0))) + y.mean(0)


def _measure_deviations(x: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of each column, 1 for constant ones."""
    std = x.std(0)
    return torch.where(std > 1e-6 * std.max(), std, torch.ones_like(std))


def _correlate_distances(x: torch.Tensor, y: torch.Tensor, classes: torch.Tensor) -> float:
    """Return the correlation of the distances of the classes' mean rows with the differences of their numbers."""
    z = x / _measure_deviations(x)
    means = torch.stack([z[y == number].mean(0) for number in classes])
    distances, differences = torch.pdist(means), torch.pdist(classes[:, None])
    return float(torch.corrcoef(torch.stack([distances, differences]))[0, 1])
