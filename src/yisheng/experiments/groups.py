"""Scores by the values of a column: ``groups=sex``."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.config import Config
from yisheng.core.spec import Spec
from yisheng.evaluation.group_scores import find_column, score_groups
from yisheng.evaluation.predictions import Predictions


def require_groups(config: Config, spec: Spec) -> None:
    """Refuse a column of ``groups=`` that the data does not have, before the training.

    Raises:
        UsageError: there is no such column.
    """
    if config.groups is not None:
        find_column(spec, config.groups)


def score_groups_of_column(spec: Spec, predictions: Predictions, x: np.ndarray, config: Config) -> dict[str, Any]:
    """Score the groups that a config asks for, in the form of ``evaluation.json``.

    Args:
        spec: the contract.
        predictions: of some rows of the data set.
        x: the raw inputs of the data set ``(N, D)``.
        config: with ``groups``.

    Raises:
        UsageError: there is no such column.
    """
    column = config.groups or ""
    values = np.asarray(x[predictions.index, find_column(spec, column)])
    return score_groups(spec, predictions, values, column, extra=config.extra_metrics())
