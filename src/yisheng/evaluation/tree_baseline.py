"""The tree baseline of a table: gradient-boosted trees on the same rows as the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from yisheng.core.dataset import Dataset, Part, Split
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.score import Score
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import compute_scores

MAX_TRAINING_ROWS = 100_000
"""Rows that the trees are fitted on at most: more would take minutes and change the third digit."""
MAX_TREES = 1_200
"""Trees at most, over all classes."""
MAX_CATEGORIES = 255
"""Categories of a column that scikit-learn's trees can distinguish."""
SCORED_PARTS: tuple[Part, ...] = ("test", "validation")

Predict = Callable[[np.ndarray], np.ndarray]


class TargetTransform(Protocol):
    """A fitted target transform."""

    def apply(self, x: torch.Tensor) -> torch.Tensor: ...

    def invert(self, x: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class TreeBaseline:
    """Scores and predictions of the trees.

    Args:
        scores: by part (``test``, ``validation``; those that have rows) and metric.
        predictions: by part, in the original units.
        description: one sentence: how the trees were fitted, and on which rows.
        seconds: duration of the fit and the predictions.
    """

    scores: Mapping[str, Mapping[str, Score]]
    predictions: Mapping[str, Predictions]
    description: str
    seconds: float


def train_tree_baseline(
    dataset: Dataset, split: Split, *, target: TargetTransform | None = None, seed: int = 0
) -> TreeBaseline:
    """Fit gradient-boosted trees on the raw columns of the training part, and score the other parts.

    scikit-learn's histogram gradient boosting; missing values and categories enter as they are. 600 rounds at a
    learning rate of 0.05, fewer rounds at a higher rate for many classes; a leaf for about 150 rows, from 8 to 31;
    each split considers a random third of the columns, at least three. From 10,000 rows on, a tenth of them decides
    about early stopping. The trees are not tuned: they are the baseline that costs no thought.

    Args:
        dataset: a table.
        split: its parts; the trees learn from the training part only, from 100,000 rows of it at most.
        target: the fitted transform of a regression's target, so that the trees learn, for example, the logarithm of
            a price if the network does.
        seed: seed of the random columns and rows.

    Raises:
        UsageError: the inputs are not rows of numbers.

    Source: Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", 2017; Grinsztajn, Oyallon
    and Varoquaux, "Why do tree-based models still outperform deep learning on typical tabular data?", 2022.

    >>> x = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    >>> dataset = Dataset("steps", Spec("regression", (1,)), x, (x > 0.5).astype(np.float32))
    >>> rows = np.arange(90)
    >>> trees = train_tree_baseline(dataset, Split(rows[rows % 3 > 0], rows[:0], rows[rows % 3 == 0]))
    >>> trees.scores["test"]["rmse"].value < 0.2
    True
    """
    spec = dataset.spec
    if not spec.is_row:
        raise UsageError(
            Message("gradient boosting needs rows of numbers, got {description}", description=spec.description),
            Message("remove boosting="),
        )
    start = time.perf_counter()
    rows = _sample_rows(split.train, seed)
    boosting = _GradientBoosting(spec, seed, len(rows))
    transform = target if spec.task == "regression" else None
    y = dataset.y[rows]
    if transform is not None:
        y = transform.apply(torch.from_numpy(y.astype(np.float64))).numpy()
    predict = boosting.fit(dataset.x[rows], y, None if dataset.weight is None else dataset.weight[rows])
    predictions: dict[str, Predictions] = {}
    for part in SCORED_PARTS:
        index = getattr(split, part)
        if len(index):
            prediction = predict(dataset.x[index])
            if transform is not None:
                prediction = transform.invert(torch.from_numpy(prediction)).numpy()
            predictions[part] = Predictions(dataset.y[index], prediction, index)
    description = Message("gradient boosting, {rounds} rounds", rounds=boosting.rounds)
    if len(rows) < len(split.train):
        description = Message(
            "gradient boosting, {rounds} rounds, grown on {count} of {total} rows",
            rounds=boosting.rounds,
            count=f"{len(rows):,}",
            total=f"{len(split.train):,}",
        )
    scores = {part: compute_scores(spec, values) for part, values in predictions.items()}
    return TreeBaseline(scores, predictions, description, time.perf_counter() - start)


def _sample_rows(rows: np.ndarray, seed: int) -> np.ndarray:
    """Return the rows, or a random subset of ``MAX_TRAINING_ROWS`` of them."""
    if len(rows) <= MAX_TRAINING_ROWS:
        return rows
    keys = np.random.PCG64(derive(seed, "boosting")).random_raw(len(rows))
    return np.sort(rows[np.lexsort((keys,))[:MAX_TRAINING_ROWS]])


class _GradientBoosting:
    """Gradient-boosted trees for a task: one ensemble, or one for each of several targets or labels.

    Args:
        spec: the contract of the table.
        seed: seed of the trees.
        n: number of training rows.
    """

    def __init__(self, spec: Spec, seed: int, n: int) -> None:
        self.spec = spec
        binary = spec.task == "classification" and len(spec.classes) == 2
        trees_per_round = 1 if binary else len(spec.classes) or spec.outputs
        self.rounds = int(np.clip(MAX_TREES // trees_per_round, 20, 600))
        # No column has more distinct numbers than rows: with fewer bins the trees are the same, the histograms smaller.
        category_counts = [0, *(len(c.categories) for c in spec.columns)]
        categorical = [c.kind == "category" and len(c.categories) <= MAX_CATEGORIES for c in spec.columns]
        self.options: dict[str, Any] = {
            "max_iter": self.rounds,
            "learning_rate": min(0.2, 30 / self.rounds),
            "max_leaf_nodes": int(np.clip(n // 150, 8, 31)),
            "max_features": max(0.3, min(1.0, 3 / spec.shape[0])),
            "categorical_features": categorical or None,
            "max_bins": int(np.clip(max(n, *category_counts), 2, MAX_CATEGORIES)),
            "early_stopping": n >= 10_000,
            "n_iter_no_change": 20,
            "random_state": derive(seed, "trees") % 2**31,
        }

    def fit(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> Predict:
        """Fit the trees; return a function from rows to predictions in the form of `Predictions`."""
        x = self._mark_missing(x)
        x[:, np.isnan(x).all(axis=0)] = 0.0  # scikit-learn cannot bin a column without values
        if self.spec.task == "classification":
            predict = self._fit_classes(x, y, len(self.spec.classes), weight)
            return lambda rows: predict(self._mark_missing(rows))
        if self.spec.task == "multilabel":
            labels = [self._fit_classes(x, column.astype(np.int64), 2, weight) for column in y.T]
            return lambda rows: np.stack([label(self._mark_missing(rows))[:, 1] for label in labels], axis=1)
        from sklearn.ensemble import HistGradientBoostingRegressor

        trees = [HistGradientBoostingRegressor(**self.options).fit(x, t, weight) for t in y.T.astype(np.float64)]
        return lambda rows: np.stack([tree.predict(self._mark_missing(rows)) for tree in trees], axis=1)

    def _fit_classes(self, x: np.ndarray, y: np.ndarray, C: int, weight: np.ndarray | None) -> Predict:
        """Fit a classifier; return a function from rows to probabilities ``(N, C)``, 0 for classes without rows."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        classes = np.unique(y)
        if len(classes) == 1:
            return lambda rows: np.tile(np.eye(C)[classes[0]], (len(rows), 1))
        options = dict(self.options)
        if options["early_stopping"] and np.bincount(y)[classes].min() < 2:
            options["early_stopping"] = False  # its validation rows are stratified, which needs two rows of each class
        trees = HistGradientBoostingClassifier(**options).fit(x, y, weight)

        def predict(rows: np.ndarray) -> np.ndarray:
            probabilities = np.zeros((len(rows), C))
            probabilities[:, classes] = trees.predict_proba(rows)
            return probabilities

        return predict

    def _mark_missing(self, x: np.ndarray) -> np.ndarray:
        """Replace infinite values and unknown categories by NaN, as for the network."""
        x = x.astype(np.float32)
        x[~np.isfinite(x)] = np.nan
        for i, column in enumerate(self.spec.columns):
            if column.kind == "category":
                x[~((x[:, i] >= 0) & (x[:, i] < len(column.categories))), i] = np.nan
        return x
