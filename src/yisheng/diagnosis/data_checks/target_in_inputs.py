"""A column that determines the target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, plural_message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.diagnosis.data_checks._class_fills import find_class_fills
from yisheng.diagnosis.data_checks._target_sums import TargetSum, find_target_sum
from yisheng.diagnosis.data_checks._target_windows import MAX_ROWS, TargetWindow, find_target_window
from yisheng.diagnosis.sample import PART_ORDER, Sample
from yisheng.diagnosis.wording import join_names

MAX_VALUES, MIN_DRAWN_ROWS = 400_000, 300
"""Values that are examined, with at least this many rows."""
MIN_ROWS = 20
"""Rows without which a column determines the target at random."""
MAX_LEAK_ERRORS, MIN_OTHER_ERRORS = 0.01, 0.2
"""Errors relative to those of a constant guess: of a column that determines the class, and of every other column."""
MIN_LEAK_CORRELATION, MAX_OTHER_CORRELATION = 0.999, 0.99
"""Correlation with a numeric target: of a column that determines it, and of every other column."""
BINS = 16
"""Intervals of a column with many values: enough for a threshold, and 20 rows in each of 300."""
MIN_ROWS_PER_VALUE = 10
"""A column with fewer rows per distinct value is examined in intervals."""
Leak = tuple[list[int], dict[str, float]]
"""Numbers of the columns that determine the target, and evidence."""


def _fits(spec: Spec) -> bool:
    return spec.is_row and spec.shape[0] > 1 and spec.task != "multilabel"


@register(cost="cheap", fits=_fits)
def target_in_inputs(sample: Sample) -> Iterator[Finding]:
    """Find columns that contain the target: one that determines it alone, several together, summaries, filled values.

    Such columns may not be known before the target. Classes: the errors left when each distinct value, or each of at
    most 2 C intervals, predicts its most common class, relative to those of a constant guess. Numbers: Pearson's or
    Spearman's correlation; a sum or product of columns; a mean or an extreme of the targets of successive rows, the
    present one included. Both: numbers filled in for missing ones, each of which belongs to one class or to one
    interval of the target.

    Args:
        sample: its training rows.

    Source: Kapoor and Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science", 2023,
    section 3 (L2, illegitimate features).
    """
    rows = sample.draw_rows("train", max(MIN_DRAWN_ROWS, MAX_VALUES // sample.spec.shape[0]))
    if len(rows) < MIN_ROWS:
        return
    x = np.asarray(sample.x[rows], np.float64)
    targets = np.atleast_2d(sample.y[rows].T)
    for number, (target, y) in enumerate(zip(sample.spec.target_names, targets, strict=True)):
        if y.min() == y.max():
            continue
        is_classification = sample.spec.task == "classification"
        leak = _find_class_leak(x, y.astype(np.int64)) if is_classification else _find_numeric_leak(x, y)
        if leak is None:
            yield from _find_hidden_leak(sample, rows, x, y, number)
            continue
        columns, evidence = leak
        names = [sample.column_name(i) for i in columns]
        yield Finding(
            "target-in-inputs",
            "warning",
            {"columns": names, **evidence, "rows": len(rows)},
            plural_message(
                len(names),
                "{names} determines {target} alone, and no other column comes close",
                "{names} determine {target} alone, and no other column comes close",
                names=join_names(names),
                target=target,
            ),
            Message(
                "if it is not known before {target} is, remove it with drop={names}",
                target=target,
                names=",".join(names),
            ),
        )


def _find_hidden_leak(sample: Sample, rows: np.ndarray, x: np.ndarray, y: np.ndarray, number: int) -> Iterator[Finding]:
    """Yield that columns contain the target without determining it alone."""
    target, is_classification = sample.spec.target_names[number], sample.spec.task == "classification"
    filled, count = find_class_fills(x, y, is_classification=is_classification)
    if filled:
        yield _explain_fills(sample, filled, count, len(rows), target)
        return
    if is_classification:
        return
    successive = _select_successive(sample)
    targets = np.asarray(sample.y[successive], np.float64).reshape(len(successive), -1)[:, number]
    window = find_target_window(np.asarray(sample.x[successive], np.float64), targets)
    if window is not None:
        yield _explain_window(sample, window, len(successive), target)
        return
    # Of several targets, as of a state that is to be predicted from the one before, a sum may be the law to be learned.
    total = find_target_sum(x, np.asarray(y, np.float64)) if sample.spec.outputs == 1 else None
    if total is not None:
        yield _explain_sum(sample, total, len(rows), target)


def _select_successive(sample: Sample) -> np.ndarray:
    """Return training rows that follow one another, or rows of all parts if these were drawn at random; else none."""
    all_parts = np.sort(np.concatenate([sample.rows(part) for part in PART_ORDER]))
    for rows in (sample.rows("train"), all_parts):
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
            return rows[:MAX_ROWS]
    return all_parts[:0]


def _explain_fills(sample: Sample, columns: list[int], count: int, rows: int, target: str) -> Finding:
    names = [sample.column_name(i) for i in columns]
    is_classification = sample.spec.task == "classification"
    facts = {"names": join_names(names), "count": f"{count:,}", "target": target}
    return Finding(
        "target-in-inputs",
        "error",
        {"columns": names, "values filled in": count, "rows": rows},
        Message(
            "{count} values of {names} are numbers that recur among measurements, and each of these numbers belongs to "
            "one class of {target} only: missing values were filled in with the mean of the row's class, which tells "
            "the class",
            **facts,
        )
        if is_classification
        else Message(
            "{count} values of {names} are numbers that recur among measurements, and each of these numbers belongs to "
            "one interval of {target} only: missing values were filled in with the mean of rows with similar targets",
            **facts,
        ),
        Message(
            "fill them in with the mean of all training rows, whatever their target (df.fillna(train.mean())), and add "
            "a column that marks them: of a new row the target is not known"
        ),
    )


def _explain_window(sample: Sample, window: TargetWindow, rows: int, target: str) -> Finding:
    name = sample.column_name(window.column)
    return Finding(
        "target-in-inputs",
        "error",
        {"columns": [name], "length of the window": window.length, "rows": rows},
        Message(
            "{name} is the {summary} of {target} in {length} successive rows, the present row among them: it contains "
            "the number that is to be predicted",
            name=name,
            summary=window.summary,
            target=target,
            length=window.length,
        )
        if window.length
        else Message(
            "{name} is the {summary} of {target} up to the present row: it contains the number that is to be predicted",
            name=name,
            summary=window.summary,
            target=target,
        ),
        Message("end the window at the row before: df[column].rolling(3).mean().shift(1)"),
    )


def _explain_sum(sample: Sample, total: TargetSum, rows: int, target: str) -> Finding:
    names = [sample.column_name(i) for i in total.columns]
    facts = {"target": target, "names": join_names(names), "remaining": f"{total.remaining_r2:.2f}"}
    return Finding(
        "target-in-inputs",
        "warning",
        {"columns": names, "R² of the other columns": total.remaining_r2, "rows": rows},
        Message(
            "{target} is exactly a product or ratio of {names}, and no other columns determine it (R² {remaining})",
            **facts,
        )
        if total.is_product
        else Message(
            "{target} is exactly a sum or difference of {names}, and no other columns determine it (R² {remaining}): "
            "one of them was computed from it",
            **facts,
        ),
        Message(
            "if one of them is not known before {target} is, remove it with drop=, or compute it without the present "
            "row",
            target=target,
        ),
    )


def _find_class_leak(x: np.ndarray, y: np.ndarray) -> Leak | None:
    """Return the columns that determine the class, or None if there is none or too many."""
    classes = int(y.max()) + 1
    guess_error = 1 - np.bincount(y).max() / len(y)
    errors = [_error_by_value(column, y, classes) / guess_error for column in x.T]
    leaks = [i for i, error in enumerate(errors) if error <= MAX_LEAK_ERRORS]
    if not leaks or len(leaks) > max(1, len(errors) // 4):
        return None
    other_columns = (i for i in range(len(errors)) if i not in leaks)
    best_other = min((_error_by_bin(x[:, i], y, classes) / guess_error for i in other_columns), default=1.0)
    if best_other < MIN_OTHER_ERRORS:
        return None
    return leaks, {
        "errors left of those of guessing": max(errors[i] for i in leaks),
        "best other column": best_other,
    }


def _error_by_value(column: np.ndarray, y: np.ndarray, classes: int) -> float:
    """Return the error rate when each value, or interval, predicts its most common class; 1 if there are too many."""
    values, value_index = np.unique(column, return_inverse=True)  # NaN is a value like any other
    counts = np.zeros((len(values), classes), np.int64)
    np.add.at(counts, (value_index, y), 1)
    intervals = 1 + int((np.diff(counts.argmax(1)) != 0).sum())
    if len(values) > len(y) / MIN_ROWS_PER_VALUE and intervals > 2 * classes:
        return 1.0
    return float(1 - counts.max(1).sum() / len(y))


def _error_by_bin(column: np.ndarray, y: np.ndarray, classes: int) -> float:
    """Return the error rate when each of 16 intervals of equal size predicts its most common class."""
    filled = np.where(np.isnan(column), -np.inf, column)
    finite = filled[np.isfinite(filled)]
    if not len(finite):
        return float(1 - np.bincount(y).max() / len(y))
    edges = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = np.zeros((BINS + 1, classes), np.int64)
    np.add.at(counts, (np.searchsorted(edges, filled), y), 1)
    return float(1 - counts.max(1).sum() / len(y))


def _find_numeric_leak(x: np.ndarray, y: np.ndarray) -> Leak | None:
    """Return the columns that determine a numeric target, or None if there is none or another one comes close."""
    pearson, spearman = _correlations(x, y), _correlations(_ranks(x), _ranks(y[:, None])[:, 0])
    correlations = np.maximum(pearson, spearman)
    leaks = np.flatnonzero(correlations > MIN_LEAK_CORRELATION)
    other_correlations = np.delete(correlations, leaks)
    if not len(leaks) or not len(other_correlations) or other_correlations.max() > MAX_OTHER_CORRELATION:
        return None
    return leaks.tolist(), {
        "correlation": float(correlations[leaks].min()),
        "best other column": float(other_correlations.max()),
    }


def _correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the absolute correlation of each column with y; 0 if a column is constant or has missing values."""
    with np.errstate(all="ignore"):
        a, b = x - x.mean(0), y - y.mean()
        correlations = np.abs(a.T @ b) / np.sqrt((a**2).sum(0) * (b**2).sum())
    return np.where(np.isfinite(correlations), correlations, 0.0)


def _ranks(x: np.ndarray) -> np.ndarray:
    """Return the ranks within each column; equal values get the mean of their ranks."""
    ranks = np.empty(x.shape)
    for i, column in enumerate(x.T):
        _, value_index, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:, i] = (np.cumsum(counts) - (counts - 1) / 2)[value_index]
    return ranks
