"""Permutation importance: how much worse a model's score becomes if a column's values are exchanged between rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from yisheng.core.entry import Entry
from yisheng.core.messages import Message, translate
from yisheng.core.notebook_html import render_table
from yisheng.core.score import Score
from yisheng.core.score_keys import display_score_key
from yisheng.core.text_tables import format_interval, format_number, format_table
from yisheng.evaluation.intervals import MAX_RESAMPLED_VALUES, bootstrap_intervals
from yisheng.metrics.bootstrap import Bounds
from yisheng.metrics.row_statistic import RowStatistic

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[np.ndarray], np.ndarray]
"""Raw rows ``(N, D)`` to predictions ``(N, ...)``; the rows are always all rows, in the same order."""
RESAMPLES = 200
"""Resamples of an interval: there is one for each column."""


@dataclass(frozen=True)
class ColumnImportance:
    """The importance of one column.

    Args:
        column: its name.
        importance: by how much the score becomes worse without it, the mean over the repeats; above 0 if the column
            helps.
        deviation: standard deviation over the repeats.
    """

    column: str
    importance: Score
    deviation: float


class ImportanceTable(list[ColumnImportance]):
    """The importance of columns, the most important first; it prints as a table.

    Args:
        columns: in any order.
        score: name of the score.
        value: the score with all columns in place.
        part: the part that the rows belong to.
        rows: number of rows.

    >>> table = ImportanceTable([ColumnImportance("age", Score(0.25, 0.125, 0.5), 0.01)], "accuracy", 0.9, "test", 80)
    >>> table
    column  importance (accuracy)  95% interval
    ------  ---------------------  ----------------
    age     0.2500                 0.1250 to 0.5000
    accuracy 0.9000 on 80 rows of the test part
    >>> table.to_frame()["low"].tolist()
    [0.125]
    """

    def __init__(self, columns: Iterable[ColumnImportance], score: str, value: float, part: str, rows: int) -> None:
        super().__init__(sorted(columns, key=lambda column: -column.importance.value))
        self.score, self.value, self.part, self.rows = score, value, part, rows

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each column."""
        import pandas as pd

        return pd.DataFrame(
            {
                "column": [column.column for column in self],
                "importance": [column.importance.value for column in self],
                "low": [column.importance.low for column in self],
                "high": [column.importance.high for column in self],
                "deviation": [column.deviation for column in self],
            }
        )

    def __repr__(self) -> str:
        name = display_score_key(self.score)
        about = translate(
            Message(
                "{score} {value} on {rows} rows of the {part} part",
                score=name,
                value=format_number(self.value),
                rows=f"{self.rows:,}",
                part=self.part,
            )
        )
        return f"{format_table(self._tabulate())}\n{about}"

    def _repr_html_(self) -> str:
        return render_table(self._tabulate(), numeric=(1, 2))

    def _tabulate(self) -> list[list[str]]:
        rows = [["column", f"importance ({display_score_key(self.score)})", "95% interval"]]
        return [*rows, *([c.column, format_number(c.importance.value), format_interval(c.importance)] for c in self)]


def permutation_importance(
    predict: Predict,
    x: np.ndarray,
    y: np.ndarray,
    columns: Mapping[str, Sequence[int]],
    metric: Entry,
    *,
    repeats: int = 5,
    seed: int = 0,
    blocks: np.ndarray | None = None,
    with_interval: int | None = None,
) -> list[ColumnImportance]:
    """Compute the permutation importance of columns, the most important first.

    importance = score(f(x)) - mean over repeats of score(f(x with the column's values permuted)), with the other sign
    for scores of which less is better. The values of several input columns that are one column of the table (the parts
    of a date) are permuted together. A column that tells the same as another has a low importance, because the model
    still has the other.

    The interval is that of the paired bootstrap over rows: the same resampled rows are scored with and without the
    column. It covers the sampled rows, not another training.

    Args:
        predict: the model.
        x: raw rows ``(N, D)``; unchanged afterwards.
        y: targets ``(N, ...)``.
        columns: positions of the input columns, by the name of the column that they are made of.
        metric: the score.
        repeats: permutations of each column.
        seed: of the permutations.
        blocks: number of the block of each row ``(N,)``, for fold models: values are exchanged within blocks.
        with_interval: only this number of the most important columns get an interval; all by default.

    Source: Breiman, "Random forests", Machine Learning 45, 2001; Fisher, Rudin and Dominici, "All models are wrong, but
    many are useful", JMLR 20, 2019.

    >>> from yisheng.core import registry
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> mse = registry.find("metrics", "mse")
    >>> result = permutation_importance(lambda rows: rows[:, :1], x, x[:, :1], {"a": [0], "b": [1]}, mse)
    >>> [column.column for column in result], result[1].importance.value
    (['a', 'b'], 0.0)
    """
    sign = 1 if metric.meta.get("higher", True) else -1
    plain = predict(x)
    value = float(metric.build(y, plain))
    generator = np.random.default_rng(seed)
    orders = [_permute(len(x), blocks, generator) for _ in range(repeats)]
    results: list[ColumnImportance] = []
    permuted: dict[str, list[np.ndarray]] = {}
    for name, positions in columns.items():
        changed = np.array(x)
        permuted[name] = []
        for order in orders:
            changed[:, positions] = x[order][:, positions]
            permuted[name].append(predict(changed))
        losses = [sign * (value - float(metric.build(y, prediction))) for prediction in permuted[name]]
        results.append(ColumnImportance(name, Score(float(np.mean(losses))), float(np.std(losses))))
        if with_interval is not None and len(permuted) > with_interval:  # keep the predictions of the best only
            results.sort(key=lambda column: -column.importance.value)
            permuted = {column.column: permuted[column.column] for column in results[:with_interval]}
    results.sort(key=lambda column: -column.importance.value)
    with_intervals = [permuted[column.column] for column in results if column.column in permuted]
    intervals = iter(_compute_intervals(metric, y, plain, with_intervals, sign))
    return [_add_interval(column, next(intervals)) if column.column in permuted else column for column in results]


def _permute(n: int, blocks: np.ndarray | None, generator: np.random.Generator) -> np.ndarray:
    """Return a random order of n rows, within their blocks."""
    if blocks is None:
        return generator.permutation(n)
    order = np.arange(n)
    for block in np.unique(blocks):
        rows = np.flatnonzero(blocks == block)
        order[rows] = generator.permutation(rows)
    return order


def _compute_intervals(
    metric: Entry, y: np.ndarray, plain: np.ndarray, permuted: Sequence[Sequence[np.ndarray]], sign: int
) -> list[Bounds]:
    """Return the interval of each column's importance, by the paired bootstrap over rows; NaN where it is undefined.

    Args:
        metric: the score.
        y: targets ``(N, ...)``.
        plain: predictions with all columns in place.
        permuted: for each column the predictions of its repeats.
        sign: 1 if more of the score is better, otherwise -1.
    """
    if len(y) < 2 or not permuted:
        return [(math.nan, math.nan)] * len(permuted)
    score = _make_row_score(metric, y)
    score_plain, score_permuted = score(plain), [[score(prediction) for prediction in column] for column in permuted]

    def resampled_importances(rows: np.ndarray) -> list[float]:
        value = score_plain(rows)
        return [sign * float(np.mean([value - score(rows) for score in column])) for column in score_permuted]

    size = max(plain.size * len(permuted[0]), MAX_RESAMPLED_VALUES // RESAMPLES)
    return bootstrap_intervals(resampled_importances, len(permuted), len(y), size)


def _make_row_score(metric: Entry, y: np.ndarray) -> Callable[[np.ndarray], Callable[[np.ndarray], float]]:
    """Return what makes of predictions the score of some rows of them; what single rows give is computed once."""
    statistic: RowStatistic | None = metric.meta.get("rows")
    if statistic is None:
        return lambda prediction: lambda rows: metric.build(y[rows], prediction[rows])

    def make_score(prediction: np.ndarray) -> Callable[[np.ndarray], float]:
        values = statistic.values(y, prediction)
        return lambda rows: statistic.reduce(values[rows])

    return make_score


def _add_interval(column: ColumnImportance, bounds: Bounds) -> ColumnImportance:
    """Return the importance with its interval, if that is defined."""
    low, high = bounds
    if not np.isfinite([low, high]).all():
        return column
    value = column.importance.value
    return ColumnImportance(column.column, Score(value, min(low, value), max(high, value)), column.deviation)
