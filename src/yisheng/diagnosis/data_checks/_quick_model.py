"""The quick model of the checks that train: extremely randomized trees with out-of-bag predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.diagnosis.sample import InconclusiveError, Sample

MAX_FEATURES = 2000
"""More features would take minutes."""
MIN_CLASSIFIED_ROWS = 20
"""Rows with out-of-bag predictions without which no error rate is known."""


def has_single_target(spec: Spec) -> bool:
    """Return whether each row has one target."""
    return spec.task == "classification" or (spec.task == "regression" and spec.outputs == 1)


def explain_skip(sample: Sample, min_rows: int = 60) -> str:
    """Return why the quick model cannot be trained; empty if it can."""
    return (
        ""
        if len(sample.rows("train")) >= min_rows
        else Message("it needs at least {min_rows} training rows", min_rows=min_rows)
    )


def extract_features(sample: Sample, rows: np.ndarray) -> np.ndarray:
    """Return the features of rows, float32 ``(n, D)``.

    Raises:
        InconclusiveError: there are more than `MAX_FEATURES`.
    """
    features = sample.features(rows)
    if features.shape[1] > MAX_FEATURES:
        raise InconclusiveError(
            f"{features.shape[1]:,} features are too many for the quick model (at most {MAX_FEATURES:,})"
        )
    return features


def predict_probabilities(x: np.ndarray, y: np.ndarray, seed: int, *, trees: int = 100) -> np.ndarray:
    """Return out-of-bag probabilities ``(N, C)``: each row's are from the trees that were grown without it.

    Args:
        x: features ``(N, D)``.
        y: class numbers ``(N,)``, in which each of 0 to C - 1 occurs.
        seed: seed of the trees.
        trees: number of trees; about 37% of them predict a row.

    Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", 2006; Breiman, "Out-of-bag estimation", 1996.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    model = ExtraTreesClassifier(trees, **_forest_options(seed)).fit(x, y)
    probabilities: np.ndarray = model.oob_decision_function_
    return probabilities


def predict_values(x: np.ndarray, y: np.ndarray, seed: int, *, trees: int = 100) -> np.ndarray:
    """Return out-of-bag predictions ``(N,)`` of numeric targets."""
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(trees, max_features=1 / 3, **_forest_options(seed)).fit(x, y)
    values: np.ndarray = model.oob_prediction_
    return values


def select_learnable(sample: Sample, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, their features and their targets; classes are numbered from 0 without gaps.

    Classes of fewer than two of the rows are left out: no tree could predict them out of bag.
    """
    if sample.spec.task == "regression":
        return rows, extract_features(sample, rows), sample.y[rows, 0].astype(np.float64)
    counts = np.bincount(sample.y[rows], minlength=len(sample.spec.classes))
    rows = rows[counts[sample.y[rows]] > 1]
    _, y = np.unique(sample.y[rows], return_inverse=True)
    if len(rows) < MIN_CLASSIFIED_ROWS or y.max() < 1:
        raise InconclusiveError("there are too few rows of two or more classes")
    return rows, extract_features(sample, rows), y


def r2(y: np.ndarray, prediction: np.ndarray) -> float:
    """Return the fraction of the variance that a prediction explains.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - prediction) ** 2).sum()) / total if total else 0.0


def _forest_options(seed: int) -> dict[str, Any]:
    return {"bootstrap": True, "oob_score": True, "random_state": derive(seed, "forest") % 2**31}
