"""What ``evaluation.json`` holds of a run's prediction intervals: what they are made of, and their coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.evaluation.conformal import find_largest_level, measure_coverage
from yisheng.evaluation.predictions import Predictions
from yisheng.inference.residuals import ConformalIntervals

Source = Literal["validation", "folds", "ensemble"]
LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels whose coverage is reported, as far as there are enough held-out rows."""


def find_out_of_fold_errors(model: nn.Module) -> np.ndarray:
    """Return the sorted errors ``(n, T)`` that an ensemble made on rows outside its folds; empty for other models."""
    errors = getattr(model, "out_of_fold_errors", None)
    return np.zeros((0, 1)) if errors is None else errors.double().cpu().numpy()


def describe_intervals(
    spec: Spec,
    intervals: ConformalIntervals,
    *,
    source: Source,
    chose_epoch: bool,
    test: Predictions | None = None,
    outputs: Sequence[np.ndarray] = (),
    y: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what a run's intervals are made of, and how often they contain the true values of the test part.

    Args:
        spec: the contract.
        intervals: of the run.
        source: what the held-out rows are: the validation part, the folds of a cross-validation, or those in which an
            ensemble was trained.
        chose_epoch: whether the held-out rows also chose the epoch of the weights.
        test: predictions of the test part, or of other data; None without them.
        outputs: predictions of each model for the same rows ``(n, T)``.
        y: their true values, as they were read ``(n, T)``.
    """
    facts: dict[str, Any] = {
        "source": source,
        "rows": intervals.rows,
        "models": len(intervals.held_out),
        "repeats": intervals.repeats,
        "chose_epoch": chose_epoch,
        "largest_level": find_largest_level(intervals.rows),
        "scored": 0 if test is None else len(test),
        "levels": [],
    }
    if test is None or y is None:
        return facts
    for level in LEVELS:
        try:
            bounds = intervals.compute(outputs, test.prediction, level)
        except UsageError:  # too few held-out rows
            break
        targets = [
            {"target": name, **asdict(coverage)}
            for name, coverage in zip(spec.target_names, measure_coverage(bounds, y), strict=True)
        ]
        facts["levels"].append({"level": level, "targets": targets})
    return facts
