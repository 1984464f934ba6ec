"""Mean targets of categories, for training rows from other rows than themselves.

A category's mean is drawn towards the mean of all rows, as if ``SMOOTHING`` further rows had that one. A training row
gets the means of folds that it is not in: otherwise its own target would be among its inputs. scikit-learn's
`TargetEncoder` does the same, but its folds know neither groups nor time, and a fitted one is stored by pickle; the
tests compare both.

Source: Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes", 2001; Prokhorenkova et al.,
"CatBoost: unbiased boosting with categorical features", 2018, section 3.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.data.split import make_folds
from yisheng.models._target_means import UNSEEN, TargetMeans
from yisheng.training.portfolio.appended_columns import append_columns
from yisheng.transforms.log import is_skewed

MIN_CATEGORIES = 10
"""Columns with fewer categories are learned as well without their means."""
MAX_TARGETS = 10
"""With more classes or targets, each with a column of its own, the rows would become wide."""
SMOOTHING = 10.0
ENCODING_FOLDS = 5


def list_encoded_columns(spec: Spec) -> list[int]:
    """Return the positions of the columns that have enough categories.

    >>> from yisheng.core.columns import Column
    >>> table = (Column("a", "category", tuple("abcdefghijkl")), Column("b", "category", ("c", "d")))
    >>> list_encoded_columns(Spec("regression", (2,), columns=table))
    [0]
    """
    values = len(spec.classes) if spec.task == "classification" else spec.outputs
    if values > MAX_TARGETS:
        return []
    return [i for i, c in enumerate(spec.columns) if c.kind == "category" and len(c.categories) >= MIN_CATEGORIES]


def encode_targets(data: Dataset, rows: np.ndarray, seed: int) -> tuple[Dataset, dict[str, Any]]:
    """Return data with the mean targets as further columns, and what `TargetMeans` is built from.

    Args:
        data: rows of which a category is its number, with a spec that `list_encoded_columns` finds columns in.
        rows: the training rows: they get means of other training rows, all other rows those of the training rows.
        seed: of the folds.
    """
    columns = list_encoded_columns(data.spec)
    sizes = [len(data.spec.columns[column].categories) for column in columns]
    targets = _list_targets(data, rows)
    plain = _fit(data, rows, targets, columns, sizes)
    means = TargetMeans(plain)
    x = append_columns(means, data.x)
    part = replace(
        data,
        x=data.x[rows],
        y=data.y[rows],
        part=None,
        rows=None,
        weight=None if data.weight is None else data.weight[rows],
        group=None if data.group is None else data.group[rows],
        time=None,
    )
    units = len(rows) if part.group is None else len(np.unique(part.group))
    for fold in make_folds(part, min(ENCODING_FOLDS, units), test=0, seed=derive(seed, "target encoding")):
        other_rows, held_out = rows[fold.train], rows[fold.validation]
        fold_means = TargetMeans(_fit(data, other_rows, targets, columns, sizes))
        x[held_out] = append_columns(fold_means, data.x[held_out])
    return replace(data, x=x, spec=means.spec(data.spec)), plain


def _list_targets(data: Dataset, rows: np.ndarray) -> np.ndarray:
    """Return the values to be averaged, float64 ``(N, V)``: of classes an indicator for each, of two for the second."""
    if data.spec.task == "classification":
        labels = np.arange(len(data.spec.classes))[1 if len(data.spec.classes) == 2 else 0 :]
        return (data.y[:, None] == labels).astype(np.float64)
    y = data.y.reshape(len(data.y), -1).astype(np.float64)
    if data.spec.task == "regression" and is_skewed(data.y[rows]):
        return np.log(np.maximum(y, y[rows].min()))
    return y


def _fit(data: Dataset, rows: np.ndarray, targets: np.ndarray, columns: list[int], sizes: list[int]) -> dict[str, Any]:
    """Return the smoothed means of some rows, in the form of `TargetMeans`."""
    weight = np.ones(len(rows)) if data.weight is None else data.weight[rows].astype(np.float64)
    prior = np.average(targets[rows], axis=0, weights=weight)
    tables = []
    for column, size in zip(columns, sizes, strict=True):
        codes = data.x[rows, column]
        is_seen = (codes >= 0) & (codes < size)
        entries = np.where(np.isnan(codes), 0, np.where(is_seen, codes + 2, UNSEEN)).astype(np.int64)
        counts = np.bincount(entries, weight, size + 2)
        sums = np.stack([np.bincount(entries, weight * values, size + 2) for values in targets[rows].T], axis=1)
        table = (sums + SMOOTHING * prior) / (counts + SMOOTHING)[:, None]
        table[UNSEEN] = prior
        tables.append(table.tolist())
    return {"columns": columns, "means": tables}
