"""Rows that a user gave the doctor, next to what the network saw of them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F  # its common name

from yisheng.diagnosis.case import Case

MIN_MATCHED = 0.9
"""Fraction of the recorded inputs that are given rows, from which on the loop passes them on as they are."""
MAX_SCALE_CHANGE = 0.2
"""Difference of means and of standard deviations, relative to the standard deviation, of one batch of the given rows:
scaling changes them by more."""
MAX_VALUES = 1 << 25
"""Values of given rows that are compared one by one: 0.1 s."""


def has_tensors(rows: Any) -> bool:
    """Return whether rows are a pair ``(x, y)`` whose inputs are a tensor."""
    return isinstance(rows, tuple | list) and len(rows) == 2 and isinstance(rows[0], torch.Tensor)


def find_passed_fraction(case: Case, x: Any) -> float:
    """Return which fraction of the recorded training inputs are rows that were given; NaN if it is unknown.

    It is small if the loop scales or augments the rows.

    Args:
        case: the finished training.
        x: the given inputs ``(N, ...)``.
    """
    if case.example is None or not isinstance(x, torch.Tensor) or not 0 < x.numel() <= MAX_VALUES:
        return math.nan
    recorded = [record.rows[0] for record in case.records if record.rows is not None] or [case.example[0]]
    if recorded[-1][:1].numel() != x[:1].numel():
        return 0.0
    rows = set(_to_bytes(x))
    is_given = [row in rows for inputs in recorded for row in _to_bytes(inputs)]
    return sum(is_given) / len(is_given)


def find_given_fraction(sample: torch.Tensor, x: Any) -> float:
    """Return which fraction of some rows are given ones; 0 if it is unknown.

    >>> find_given_fraction(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [2.0]]))
    0.5
    """
    if not isinstance(x, torch.Tensor) or not 0 < x.numel() <= MAX_VALUES or sample.shape[1:] != x.shape[1:]:
        return 0.0
    rows = set(_to_bytes(x))
    return sum(row in rows for row in _to_bytes(sample)) / max(1, len(sample))


def are_inputs(case: Case, data: Any, validation: Any) -> bool:
    """Return whether the network reads the given rows as they are, in training or at least in evaluation.

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.
    """
    fraction = find_passed_fraction(case, data[0])
    if math.isnan(fraction) or fraction >= MIN_MATCHED:
        return True
    inputs = case.evaluated.inputs
    if not inputs or not isinstance(validation[0], torch.Tensor):
        return fraction > 0
    x = validation[0].float()
    limit = MAX_SCALE_CHANGE * max(float(x.std()), 1e-12)
    return abs(inputs[0].mean - float(x.mean())) < limit and abs(inputs[0].std - float(x.std())) < limit


def compare(loss: Any, output: Any, target: torch.Tensor) -> torch.Tensor:
    """Return a loss; ``(N, 1)`` and ``(N,)`` are compared row by row, and not each row with all others.

    Raises:
        ValueError: the network returns several values, or numbers are compared, and there is another number of outputs
            than of targets; or the scores of classes ``(N, C, C)`` do not show which axis is that of the classes.

    >>> output = torch.tensor([[0.0], [1.0]])
    >>> compare(torch.nn.functional.mse_loss, output, torch.tensor([0.0, 1.0])).item()
    0.0
    """
    if not isinstance(output, torch.Tensor):
        raise ValueError("the network does not return one tensor")
    if target.is_floating_point() and output.numel() != target.numel():
        raise ValueError("outputs and targets have different shapes")
    if loss is F.cross_entropy and output.ndim > 2 and output.shape[1] == output.shape[2]:
        raise ValueError("two axes may be that of the classes")
    is_same = output.shape != target.shape and output.numel() == target.numel()
    return loss(output.view_as(target) if is_same else output, target)


def _to_bytes(x: torch.Tensor) -> list[bytes]:
    return [row.tobytes() for row in x.detach().cpu().float().flatten(1).contiguous().numpy()]
