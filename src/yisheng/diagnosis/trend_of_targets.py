"""Find held-out targets beyond all training targets, which the trained network does not reach: a trend goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.validation_rows import predict_rows

CHECK = "shifted-targets"
MIN_TRAINING_ROWS, MIN_ROWS, MIN_FRACTION = 100, 20, 0.2
"""Training rows; and held-out rows beyond all of their targets, and their fraction. Of parts that are drawn at random
2 of 101 are expected there, and a fifth never occurs."""
MIN_ERROR_RATIO, MIN_ERROR_IN_STDS = 3.0, 0.2
"""Mean error of these rows, in one direction, relative to the root mean square of the errors of the training rows, and
to the standard deviation of the training targets: a network that goes on with the trend has none."""

MAX_TRAINING_ERROR = 0.5
"""Error of the training rows in standard deviations of their targets: above it the network does not take the given rows
and targets as they are, since the loop scales them or learns differences, or it has learned little."""


def find_unreached_targets(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that many held-out targets are larger (or smaller) than all of training, and are predicted too low (high).

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Hyndman and Athanasopoulos, "Forecasting: principles and practice", 2021, section 9.1 (stationarity and
    differencing).
    """
    if case.pairing is None or case.pairing.loss not in REGRESSION_LOSSES or case.is_restored:
        return
    parts = [predict_rows(case, part) for part in (data, validation)]
    if parts[0] is None or parts[1] is None or len(parts[0][0]) < MIN_TRAINING_ROWS:
        return
    (output, y), (held_out_output, held_out_y) = ([part.double().flatten(1) for part in _as_columns(pair)]
                                                  for pair in parts if pair is not None)  # fmt: skip
    if not y.shape[1] == held_out_y.shape[1] == output.shape[1] == held_out_output.shape[1]:
        return
    for number in range(y.shape[1]):
        target, held_out = y[:, number], held_out_y[:, number]
        training_error = float((target - output[:, number]).square().mean().sqrt())
        if not training_error <= MAX_TRAINING_ERROR * float(target.std()):
            continue
        for sign in (1, -1):
            is_beyond = sign * held_out > (sign * target).max()
            count = int(is_beyond.sum())
            if count < MIN_ROWS or count < MIN_FRACTION * len(held_out):
                continue
            error = float(sign * (held_out - held_out_output[:, number])[is_beyond].mean())
            if error > MIN_ERROR_RATIO * training_error and error > MIN_ERROR_IN_STDS * float(target.std()):
                yield _describe(count / len(held_out), sign, error, training_error, number)
                return


def _as_columns(pair: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
    """Return outputs and targets with at least one column ``(N, K)``."""
    return [part[:, None] if part.ndim == 1 else part for part in pair]


def _describe(fraction: float, sign: int, error: float, training_error: float, number: int) -> Finding:
    values = {
        "fraction": f"{fraction:.0%}",
        "error": f"{error:.3g}",
        "training_error": f"{training_error:.3g}",
    }
    return Finding(
        CHECK,
        "warning",
        {"fraction": fraction, "mean error": error, "error of training rows": training_error, "target": number},
        Message(
            "{fraction} of the held-out targets are larger than all training targets, and the network predicts them "
            "too low by {error} on average (error of the training rows: {training_error}): it does not go on with a "
            "trend",
            **values,
        )
        if sign > 0
        else Message(
            "{fraction} of the held-out targets are smaller than all training targets, and the network predicts them "
            "too high by {error} on average (error of the training rows: {training_error}): it does not go on with a "
            "trend",
            **values,
        ),
        Message(
            "predict the difference from the last known value, or the ratio, and scale each window by its own level; "
            "a network learns nothing about numbers that it has never seen. If the rows are in no order, draw the "
            "parts at random"
        ),
    )
