"""The values of a row of a table that differ most from the typical ones: what a number of a row does not say."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.evaluation.column_values import format_cell, name_column

MAX_VALUES = 1 << 20
"""Values of the training rows that typical values are estimated from."""
MIN_ROWS = 200
"""Rows that they are estimated from at least, if there are so many."""
MIN_DISTANCE = 1.5
"""Values that are closer to the typical one, in standard deviations, are not unusual: 13% of a normal distribution are
farther."""
NORMAL_IQR = 1.349
"""Interquartile range of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class TypicalValues:
    """The typical value and the range of each column of a table, for `describe`.

    Args:
        spec: the contract of the raw data.
        sample: training rows, float32 ``(n, D)``; NaN is a missing value.
        center: median of each column ``(D,)``.
        scale: standard deviation of each column ``(D,)``, estimated from the quartiles; 0 for a column of which more
            than half of the values are the same.
    """

    spec: Spec
    sample: np.ndarray
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, spec: Spec, x: np.ndarray, rows: np.ndarray) -> TypicalValues | None:
        """Return the typical values of training rows, or None if the inputs are not rows of numbers.

        Args:
            spec: the contract of the raw data.
            x: all rows ``(N, D)``.
            rows: the training rows.
        """
        return cls.fit_rows(spec, lambda chosen_rows: x[chosen_rows], rows)

    @classmethod
    def fit_rows(cls, spec: Spec, read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> TypicalValues | None:
        """Return the typical values of rows that are read, or None if the inputs are not rows of numbers.

        Args:
            spec: the contract of the raw data.
            read: row numbers -> raw values ``(n, D)``.
            rows: the rows; not more of them are read than are needed.
        """
        if not spec.is_row or not len(rows):
            return None
        count = min(len(rows), max(MIN_ROWS, MAX_VALUES // spec.shape[0]))
        sample = np.asarray(read(rows[np.arange(count) * len(rows) // count]), dtype=np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            first, center, third = np.nanquantile(sample, [0.25, 0.5, 0.75], axis=0)
        return cls(spec, sample, center, (third - first) / NORMAL_IQR)

    def describe(self, row: np.ndarray, count: int = 3) -> list[dict[str, str]]:
        """Return name, value and typical value of the row's most unusual values, the most unusual first.

        Numbers are compared with the median; categories, and missing values, by how rare they are: one of a fraction p
        counts as a normal value would that is reached with the probability p.

        Args:
            row: raw values ``(D,)``.
            count: number of values at most.

        >>> sample = np.array([[n % 7, 5.0] for n in range(70)], np.float32)
        >>> typical = TypicalValues.fit(Spec("regression", (2,)), sample, np.arange(70))
        >>> typical.describe(np.array([3.0, 90.0]))
        [{'column': 'x2', 'value': '90', 'typical': '5'}]
        """
        distances = self._distances(row)
        order = np.argsort(-distances, kind="stable")[:count]
        return [self._describe_value(i, row[i]) for i in order.tolist() if distances[i] >= MIN_DISTANCE]

    def _distances(self, row: np.ndarray) -> np.ndarray:
        """Return the distance of each value from the typical one, in standard deviations of a normal distribution."""
        equal = (self.sample == row) | (np.isnan(self.sample) & np.isnan(row))
        fraction = np.maximum(equal.mean(axis=0), 0.5 / len(self.sample))
        distance = np.sqrt(-2 * np.log(fraction))
        is_number = np.array([column.kind in ("number", "date") for column in self.spec.columns] or [True] * len(row))
        measured = is_number & (self.scale > 0) & np.isfinite(row)
        distance[measured] = np.abs(row[measured] - self.center[measured]) / self.scale[measured]
        return distance

    def _describe_value(self, i: int, value: Any) -> dict[str, str]:
        """Return name, value and typical value of a column."""
        typical = format_cell(self.spec, i, self._typical(i))
        return {"column": name_column(self.spec, i), "value": format_cell(self.spec, i, value), "typical": typical}

    def _typical(self, i: int) -> float:
        """Return the median of a number, the most frequent value of a category."""
        if not self.spec.columns or self.spec.columns[i].kind in ("number", "date"):
            return float(self.center[i])
        values, counts = np.unique(self.sample[:, i], return_counts=True)
        return float(values[np.argmax(counts)])


def describe_unusual_values(data: Dataset, rows: np.ndarray) -> Callable[[int], list[dict[str, str]]] | None:
    """Return a function from a row number to its unusual values, or None if the data set is not a table.

    Args:
        data: the data set.
        rows: the rows that tell what is typical: those of the training part.
    """
    typical = TypicalValues.fit(data.spec, data.x, rows)
    if typical is None:
        return None
    return lambda row: typical.describe(np.asarray(data.x[row], dtype=np.float32))
