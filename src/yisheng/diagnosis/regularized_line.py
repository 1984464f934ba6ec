"""Compare a user's linear regression with one whose weights are kept small: overfitting that no curve shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis.case import REGRESSION_LOSSES, Case
from yisheng.diagnosis.given_rows import are_inputs

MAX_ROWS, MAX_COLUMNS, MIN_HELD_OUT = 2000, 1000, 20
"""Rows and columns of a solution in closed form that takes less than a second; held-out rows of a paired comparison."""
STRENGTHS = np.logspace(-3, 4, 22)
"""Strengths of the penalty next to the number of rows, of which cross-validation on the training rows chooses one."""
MAX_ERROR_RATIO, MIN_GAP_IN_ERRORS = 0.8, 3.0
"""Held-out error of the regularized line relative to the network's, and their difference in standard errors."""
MAX_TRAINING_ERROR = 0.5
"""Error of the network on its training rows relative to held-out ones, of one that fits them too well."""


def find_overfitted_line(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that a linear regression with a penalty, chosen on the training rows alone, predicts held-out rows better.

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.

    Source: Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009, sections 3.4.1 and 7.10.
    """
    pairs = (data, validation)
    if not case.is_linear or not all(_is_pair(pair) for pair in pairs) or not are_inputs(case, data, validation):
        return
    pairing = case.pairing
    if pairing is None or pairing.loss not in REGRESSION_LOSSES or pairing.operations or not pairing.is_only_term:
        return
    (x, y), (x_held_out, y_held_out) = ((a.flatten(1).double().numpy(), b.flatten().double().numpy()) for a, b in pairs)
    is_small = len(x) <= MAX_ROWS and x.shape[1] <= MAX_COLUMNS and len(y_held_out) >= MIN_HELD_OUT
    if not is_small or len(y) != len(x) or len(y_held_out) != len(x_held_out):
        return
    errors = [_square_errors(case, pair) for pair in pairs]
    if errors[0] is None or errors[1] is None or not np.isfinite(errors[1]).all():
        return
    gap = errors[1] - (_predict_with_penalty(x, y, x_held_out) - y_held_out) ** 2
    training, held_out = float(errors[0].mean()), float(errors[1].mean())
    regularized = held_out - float(gap.mean())
    standard_error = float(gap.std()) / math.sqrt(len(gap))
    is_better = regularized < MAX_ERROR_RATIO * held_out and gap.mean() > MIN_GAP_IN_ERRORS * standard_error
    if not is_better or training > MAX_TRAINING_ERROR * held_out:
        return
    yield Finding(
        "overfitting",
        "warning",
        {"training error": training, "held-out error": held_out, "with a penalty": regularized, "rows": len(x)},
        Message(
            "the line fits its {rows} training rows with a squared error of {training}, and held-out rows with "
            "{held_out}; one whose weights are kept small by a penalty reaches {regularized}",
            rows=f"{len(x):,}",
            training=f"{training:.3g}",
            held_out=f"{held_out:.3g}",
            regularized=f"{regularized:.3g}",
        ),
        Message("use a weight_decay (try 0.01, 0.1 and 1), fewer columns such as a lower degree, or more rows"),
        source=case.sources.get("optimizer", ""),
    )


def _is_pair(part: Any) -> bool:
    is_pair = isinstance(part, tuple | list) and len(part) == 2
    return is_pair and all(isinstance(v, torch.Tensor) and v.is_cpu and v.is_floating_point() for v in part)


@torch.no_grad()
def _square_errors(case: Case, pair: Sequence[torch.Tensor]) -> np.ndarray | None:
    """Return the squared errors of the network ``(N,)``, or None if it does not predict one number per row."""
    try:
        output = case.model(pair[0]).double().flatten()
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return None
    difference = (output - pair[1].flatten()).numpy() if output.numel() == pair[1].numel() else None
    return None if difference is None else difference**2


def _predict_with_penalty(x: np.ndarray, y: np.ndarray, x_held_out: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS))
    return np.asarray(model.fit(x, y).predict(x_held_out))
