"""A column that tells the target by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.registry import register
from yisheng.core.types import Finding, Spec
from yisheng.diagnosis.data_checks._formatting import listed
from yisheng.diagnosis.sample import Sample

VALUES, LEAST = 400_000, 300
"""Values that are looked at at most, but so many rows at least."""
PURE, OTHERS = 0.01, 0.2
"""Share of the errors of guessing that is left by a column that tells the target, and by the best other column."""
ALIKE, LESS = 0.999, 0.99
"""Correlation with a target of numbers: of a column that tells it, and of the best other column at most."""
BINS = 16


def _fits(spec: Spec) -> bool:
    return not spec.is_image and spec.shape[0] > 1 and spec.task != "multilabel"


@register(cost="cheap", fits=_fits)
def target_in_inputs(sample: Sample) -> Iterator[Finding]:
    """One column tells the target all but perfectly, and no other comes near: it may not be known before the target.

    Classes: the share of the errors of guessing that is left when each distinct value, or each of at most 2 C
    intervals, answers with its commonest class. Numbers: Pearson's correlation, or Spearman's.

    Args:
        sample: its training rows.

    Source: Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", 2023,
    section 3 (L2, illegitimate features).
    """
    D = sample.spec.shape[0]
    rows = sample.draw_rows("train", max(LEAST, VALUES // D))
    if len(rows) < 20:
        return
    x = np.asarray(sample.x[rows], np.float64)
    for number, y in enumerate(np.atleast_2d(sample.y[rows].T)):
        if y.min() == y.max():
            continue
        left = _of_classes(x, y.astype(np.int64)) if sample.spec.task == "classification" else _of_numbers(x, y)
        if left is None:
            continue
        telling, evidence = left
        names = [sample.column_name(i) for i in telling]
        target = sample.spec.target + (f" {number + 1}" if sample.y.ndim > 1 and sample.y.shape[1] > 1 else "")
        yield Finding(
            "target-in-inputs",
            "warning",
            {"columns": names, **evidence, "rows": len(rows)},
            f"{listed(names)} {'tells' if len(names) == 1 else 'tell'} {target} alone, and no other column comes near",
            f"if it is not known before {target} is, leave it out: drop={','.join(names)}",
        )


def _of_classes(x: np.ndarray, y: np.ndarray) -> tuple[list[int], dict[str, float]] | None:
    C = int(y.max()) + 1
    guessing = 1 - np.bincount(y).max() / len(y)
    left = [_left(column, y, C) / guessing for column in x.T]
    telling = [i for i, value in enumerate(left) if value <= PURE]
    if not telling or len(telling) > max(1, len(left) // 4):
        return None
    others = min((_binned(x[:, i], y, C) / guessing for i in range(len(left)) if i not in telling), default=1.0)
    if others < OTHERS:
        return None
    return telling, {"errors left of those of guessing": max(left[i] for i in telling), "best other column": others}


def _left(column: np.ndarray, y: np.ndarray, C: int) -> float:
    """Share of rows that are wrong when values, or few intervals, answer with their commonest class; 1: too many."""
    values, at = np.unique(column, return_inverse=True)  # NaN is a value like any other
    counts = np.zeros((len(values), C), np.int64)
    np.add.at(counts, (at, y), 1)
    answer = counts.argmax(1)
    intervals = 1 + int((np.diff(answer) != 0).sum())
    if len(values) > len(y) / 10 and intervals > 2 * C:
        return 1.0
    return float(1 - counts.max(1).sum() / len(y))


def _binned(column: np.ndarray, y: np.ndarray, C: int) -> float:
    """Share of rows that are wrong when 16 intervals with as many rows each answer with their commonest class."""
    known = np.where(np.isnan(column), -np.inf, column)
    finite = known[np.isfinite(known)]
    if not len(finite):
        return float(1 - np.bincount(y).max() / len(y))
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.zeros((BINS + 1, C), np.int64)
    np.add.at(counts, (np.searchsorted(edges, known), y), 1)
    return float(1 - counts.max(1).sum() / len(y))


def _of_numbers(x: np.ndarray, y: np.ndarray) -> tuple[list[int], dict[str, float]] | None:
    plain, ranked = _correlation(x, y), _correlation(_ranks(x), _ranks(y[:, None])[:, 0])
    alike = np.maximum(plain, ranked)
    telling = np.flatnonzero(alike > ALIKE)
    others = np.delete(alike, telling)
    if not len(telling) or not len(others) or others.max() > LESS:
        return None
    return telling.tolist(), {"correlation": float(alike[telling].min()), "best other column": float(others.max())}


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each column with the target, without its sign; 0 where a column is constant or has missing values."""
    with np.errstate(all="ignore"):
        a, b = x - x.mean(0), y - y.mean()
        found = np.abs(a.T @ b) / np.sqrt((a**2).sum(0) * (b**2).sum())
    return np.where(np.isfinite(found), found, 0.0)


def _ranks(x: np.ndarray) -> np.ndarray:
    """Ranks within each column; equal values share the middle of theirs."""
    ranks = np.empty(x.shape)
    for i, column in enumerate(x.T):
        _, at, counts = np.unique(column, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks[:, i] = (ends - (counts - 1) / 2)[at]
    return ranks
