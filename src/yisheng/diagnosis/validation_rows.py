"""What the trained network makes of the validation rows that a user gave the doctor: outputs, loss and overlap."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F  # its common name

from yisheng.diagnosis.batched_outputs import predict_in_batches
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import compare

MAX_ROWS, MIN_ROWS = 20_000, 40
LOSSES = {
    ("nll", ("log_softmax",)): F.cross_entropy,
    ("mse", ()): F.mse_loss,
    ("smooth_l1", ()): F.smooth_l1_loss,
    ("binary_cross_entropy_with_logits", ()): F.binary_cross_entropy_with_logits,
}
"""Losses by name and by what is applied to the outputs before."""


def predict_rows(case: Case, rows: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return outputs and targets of rows in evaluation mode, or None if the network does not take them as they are.

    Args:
        case: the finished training.
        rows: tensors ``(x, y)``.
    """
    is_pair = isinstance(rows, tuple | list) and len(rows) == 2 and all(isinstance(part, torch.Tensor) for part in rows)
    if not is_pair or not MIN_ROWS <= len(rows[0]) <= MAX_ROWS or len(rows[0]) != len(rows[1]):
        return None
    outputs = predict_in_batches(case.model, rows[0])
    return None if outputs is None else (outputs, rows[1].cpu())


def measure_loss(case: Case, rows: Any) -> float:
    """Return the mean loss of rows, or NaN if the loss or what it compares is unknown.

    Args:
        case: the finished training.
        rows: tensors ``(x, y)``.
    """
    pairing = case.pairing
    loss = None if pairing is None or not pairing.is_only_term else LOSSES.get((pairing.loss, pairing.operations))
    if loss is None or pairing is None or pairing.has_weights or not case.is_mean:
        return math.nan
    predicted = predict_rows(case, rows)
    if predicted is None:
        return math.nan
    try:
        return float(compare(loss, *predicted))
    except (RuntimeError, ValueError, IndexError):
        return math.nan
