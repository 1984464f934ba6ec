"""What a network on a table should beat: gradient-boosted trees on the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from yisheng.core.errors import UsageError
from yisheng.core.seeds import derive
from yisheng.core.types import Dataset, Part, Score, Spec, Split
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import scores

ROWS = 100_000
"""Rows that the trees are grown on at most: more would take minutes, and change the third digit."""
TREES = 1_200
"""Trees at most, over all classes."""
LEVELS = 255
"""Levels of a category that scikit-learn's trees can tell apart."""
PARTS: tuple[Part, ...] = ("test", "validation")


class Target(Protocol):
    """A fitted target transform."""

    def apply(self, x: torch.Tensor) -> torch.Tensor: ...

    def invert(self, x: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Boosted:
    """What the trees came to.

    Args:
        scores: by part (``test``, ``validation``; those that have rows) and metric.
        predictions: by part, in the original units.
        about: in one sentence: how they were grown, and what was left out of them.
        seconds: what growing them took.
    """

    scores: Mapping[str, Mapping[str, Score]]
    predictions: Mapping[str, Predictions]
    about: str
    seconds: float


def boosting(dataset: Dataset, split: Split, *, target: Target | None = None, seed: int = 0) -> Boosted:
    """Scores of gradient boosting on the columns as they are: missing values stay missing, levels stay levels.

    scikit-learn's histogram gradient boosting, grown on the training part (on 100,000 rows of it where it has
    more). 600 rounds at a learning rate of 0.05, fewer and faster ones where there are many classes; a leaf for
    about 150 rows, from 8 to 31; each split looks at a third of the columns, three at least, chosen by chance.
    From 10,000 rows on a tenth of them says when to stop. It is not tuned: it is what can be had without thinking.

    Args:
        dataset: a table.
        split: its parts; nothing but the training part is learnt from.
        target: the fitted transform of a regression's target: where prices are learnt by their logarithm, so they
            should be here.
        seed: of the choice of columns and rows.

    Raises:
        UsageError: the inputs are images.

    Source: Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", 2017; Grinsztajn, Oyallon
    and Varoquaux, "Why do tree-based models still outperform deep learning on typical tabular data?", 2022.

    >>> x = np.linspace(0, 1, 90, dtype=np.float32)[:, None]
    >>> dataset = Dataset("steps", Spec("regression", (1,)), x, (x > 0.5).astype(np.float32))
    >>> rows = np.arange(90)
    >>> found = boosting(dataset, Split(rows[rows % 3 > 0], rows[:0], rows[rows % 3 == 0]))
    >>> found.scores["test"]["rmse"].value < 0.2
    True
    """
    spec = dataset.spec
    if spec.is_image:
        raise UsageError(f"gradient boosting needs rows, got images of shape {spec.shape}", "leave it out")
    began = time.perf_counter()
    rows, notes = split.train, []
    if len(rows) > ROWS:
        rows = np.sort(rows[np.lexsort((np.random.PCG64(derive(seed, "boosting")).random_raw(len(rows)),))[:ROWS]])
        notes.append(f"grown on {ROWS:,} of {len(split.train):,} rows")
    x, y = dataset.x[rows], dataset.y[rows]
    weight = None if dataset.weight is None else dataset.weight[rows]
    learners = _Learners(spec, seed, len(rows))
    if spec.task == "regression" and target is not None:
        y = target.apply(torch.from_numpy(y.astype(np.float64))).numpy()
    answer = learners.fit(x, y, weight)
    predicted: dict[str, Predictions] = {}
    for part in PARTS:
        where = getattr(split, part)
        if len(where):
            given = answer(dataset.x[where])
            if spec.task == "regression" and target is not None:
                given = target.invert(torch.from_numpy(given)).numpy()
            predicted[part] = Predictions(dataset.y[where], given, where)
    notes.insert(0, learners.about)
    return Boosted(
        {part: scores(spec, found) for part, found in predicted.items()},
        predicted,
        ", ".join(notes),
        time.perf_counter() - began,
    )


Answer = Callable[[np.ndarray], np.ndarray]


class _Learners:
    """One set of trees for a class or a target; several for several targets or labels."""

    def __init__(self, spec: Spec, seed: int, n: int) -> None:
        self.spec = spec
        columns = len(spec.columns)
        coded = [c.kind == "category" and len(c.levels) <= LEVELS for c in spec.columns]
        many = {"classification": len(spec.classes) if len(spec.classes) > 2 else 1}.get(spec.task, spec.outputs)
        rounds = int(np.clip(TREES // many, 20, 600))
        self.options: dict[str, Any] = {
            "max_iter": rounds,
            "learning_rate": min(0.2, 30 / rounds),
            "max_leaf_nodes": int(np.clip(n // 150, 8, 31)),
            "max_features": max(0.3, min(1.0, 3 / spec.shape[0])),
            "categorical_features": coded if columns else None,
            "early_stopping": n >= 10_000,
            "n_iter_no_change": 20,
            "random_state": derive(seed, "trees") % 2**31,
        }
        self.about = f"gradient boosting, {rounds} rounds"

    def fit(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> Answer:
        """Grow the trees; gives what answers for rows in the form of `Predictions`."""
        x = self._tame(x)
        if self.spec.task == "classification":
            answer = self._classes(x, y, len(self.spec.classes), weight)
            return lambda rows: answer(self._tame(rows))
        if self.spec.task == "multilabel":
            labels = [self._classes(x, column.astype(np.int64), 2, weight) for column in y.T]
            return lambda rows: np.stack([label(self._tame(rows))[:, 1] for label in labels], axis=1)
        from sklearn.ensemble import HistGradientBoostingRegressor

        trees = [HistGradientBoostingRegressor(**self.options).fit(x, t, weight) for t in y.T.astype(np.float64)]
        return lambda rows: np.stack([tree.predict(self._tame(rows)) for tree in trees], axis=1)

    def _classes(self, x: np.ndarray, y: np.ndarray, C: int, weight: np.ndarray | None) -> Answer:
        """Probabilities of all classes; a class that is not in the training rows has none."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        seen = np.unique(y)
        if len(seen) == 1:
            return lambda rows: np.tile(np.eye(C)[seen[0]], (len(rows), 1))
        options = dict(self.options)
        if options["early_stopping"] and np.bincount(y)[seen].min() < 2:
            options["early_stopping"] = False  # its own part is drawn by class, and needs two rows of each
        trees = HistGradientBoostingClassifier(**options).fit(x, y, weight)

        def answer(rows: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(rows), C))
            whole[:, seen] = trees.predict_proba(rows)
            return whole

        return answer

    def _tame(self, x: np.ndarray) -> np.ndarray:
        """Infinite values and levels never seen are missing, as for the network."""
        x = x.astype(np.float32)
        x[~np.isfinite(x)] = np.nan
        for i, column in enumerate(self.spec.columns):
            if column.kind == "category":
                x[~((x[:, i] >= 0) & (x[:, i] < len(column.levels))), i] = np.nan
        return x
