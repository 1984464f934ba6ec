"""What a data check examines: the rows of a data set in their parts, their names, features and hashes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng import transforms
from yisheng.core import nested
from yisheng.core.dataset import Dataset, Part, Split
from yisheng.core.score import Score
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.data.images.duplicates import hash_images

PART_ORDER: tuple[Part, ...] = ("train", "validation", "test")
MAX_COMPARED_BYTES = 128 << 20
"""Bytes of inputs that are compared completely; of more, rows are drawn."""
CHUNK_BYTES = 1 << 24
"""Bytes of inputs that are read at once."""
MAX_BLANK_STD = 0.01
"""Standard deviation of the pixels of a blank image, relative to the range of values."""
MAX_FEATURE_ROWS = 4000
MAX_HALF_ROWS = 20_000
"""Rows whose halves are compared to find out how often rows coincide."""
MAX_SIDE = 16
"""Pixels per side that images are averaged down to."""
MIN_COLUMNS, MAX_COINCIDING_FRACTION = 4, 0.005
"""Rows of fewer columns may be equal by coincidence, and so may rows of which more are equal in half of the columns."""
MAX_COARSE_DECIMALS = 3
"""Values with more decimals are measurements, which hardly ever coincide."""


class InconclusiveError(Exception):
    """A check ran and could not decide; the message says why."""


@dataclass(frozen=True)
class HeldOutPredictions:
    """What a network predicted for rows before or without being trained on them.

    Args:
        rows: row numbers ``(n,)``.
        probabilities: ``(n, C)``.
        description: which rows they are, for the finding.
        margins: mean distance of each label's score to the largest other one during the training (the area under the
            margin) ``(n,)``, or None.
        noise: fraction of wrong labels, if other rows of the same origin have shown it; None to estimate it.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    description: str
    margins: np.ndarray | None = None
    noise: float | None = None


@dataclass(frozen=True)
class Sample:
    """The rows of a data set in their parts.

    Args:
        spec: the contract between data and model.
        x: raw inputs ``(N, *spec.shape)``; may be memory-mapped.
        y: raw targets ``(N, ...)``.
        split: row numbers of the parts.
        names: a name for each row, or None.
        seed: seed of what is drawn; no global generator is used.
        ordered: whether the parts are in the order of time or of the rows, not drawn at random.
        grouped: whether rows belong to groups of similar rows.
        test_score: accuracy (R² in regression) of the run on its test rows, if known.
        beats_baseline: whether the run is significantly better than its baseline; None if unknown.
        raw: whether a network gets these inputs as they are; a config scales them.
        network: held-out predictions of the network, if there are any.
    """

    spec: Spec
    x: np.ndarray
    y: np.ndarray
    split: Split
    names: tuple[str, ...] | None = None
    seed: int = 0
    ordered: bool = False
    grouped: bool = False
    test_score: Score | None = None
    beats_baseline: bool | None = None
    raw: bool = False
    network: HeldOutPredictions | None = None

    @classmethod
    def from_dataset(
        cls,
        data: Dataset,
        split: Split,
        *,
        seed: int = 0,
        ordered: bool = False,
        raw: bool = False,
        beats_baseline: bool | None = None,
    ) -> Sample:
        """Return the sample of a data set and its split.

        >>> data = Dataset("rows", Spec("regression", (1,)), np.zeros((4, 1), np.float32), np.zeros((4, 1), np.float32))
        >>> sample = Sample.from_dataset(data, Split(np.array([0, 1]), np.array([2]), np.array([3])))
        >>> sample.row_name(3), sample.draw_rows("train", 1).shape
        ('row 3', (1,))
        """
        grouped = data.group is not None
        if len(split.test) and np.array_equal(split.train, split.test):  # a network that is not trained on any row
            split = Split(split.train, split.validation, split.test[:0])
        return cls(
            data.spec,
            data.x,
            data.y,
            split,
            data.rows,
            seed,
            ordered,
            grouped,
            beats_baseline=beats_baseline,
            raw=raw,
        )

    def rows(self, part: Part) -> np.ndarray:
        """Return the row numbers of a part, int64 ``(n,)``."""
        numbers: np.ndarray = getattr(self.split, part)
        return numbers

    def draw_rows(self, part: Part, limit: int = MAX_FEATURE_ROWS) -> np.ndarray:
        """Draw up to this many row numbers of a part by the seed; they are ascending."""
        return self._draw(self.rows(part), limit, part)

    def draw_rows_of_all_parts(self, limit: int = MAX_FEATURE_ROWS) -> np.ndarray:
        """Draw up to this many row numbers of all parts together by the seed; they are ascending."""
        return self._draw(np.sort(np.concatenate([self.rows(part) for part in PART_ORDER])), limit, "all")

    def row_name(self, row: int) -> str:
        """Return the name of a row."""
        return f"row {row}" if self.names is None else self.names[row]

    def column_name(self, number: int) -> str:
        """Return the name of a column."""
        return self.spec.columns[number].name if self.spec.columns else f"column {number + 1}"

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Return rows as features for a quick model, float32 ``(n, D)``, standardized by the training part.

        Images are averaged down to `MAX_SIDE` pixels per side, other arrays are flattened. In a table, missing values
        are filled in and marked, and categories become one-hot columns.

        Args:
            rows: row numbers.

        Raises:
            InconclusiveError: the inputs are ids or bytes, which are no quantities.
        """
        if self.spec.is_row:
            values = nested.from_numpy(self.x[rows])
            return np.asarray(self._columns.apply(values).numpy(), np.float32)
        if not self.spec.is_numeric:
            raise InconclusiveError(f"{self.spec.description} are not numbers that a quick model could learn from")
        mean, std = self._value_statistics
        return (self._flatten(rows) - mean) / std

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features; empty for images."""
        if self.spec.is_image:
            return ()
        if not self.spec.is_row:
            return tuple(f"value {number + 1}" for number in range(int(np.prod(self.spec.shape))))
        return tuple(column.name for column in transforms.transform_spec(self._columns, self.spec).columns)

    @functools.cached_property
    def compared_rows(self) -> np.ndarray:
        """Return the row numbers that are compared with one another: all, or what `MAX_COMPARED_BYTES` can hold."""
        return np.concatenate(self._compared_parts)

    @functools.cached_property
    def compared_parts(self) -> np.ndarray:
        """Return the part of each compared row: 0 train, 1 validation, 2 test."""
        return np.repeat(np.arange(len(PART_ORDER)), [len(rows) for rows in self._compared_parts])

    @functools.cached_property
    def row_hashes(self) -> np.ndarray:
        """Return a hash of each compared row, uint64; equal rows have equal hashes, except for blank images."""
        hashes = hash_rows(self.x, self.compared_rows, slice(None))
        if self.spec.is_image:
            _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
            repeated = np.flatnonzero(counts[inverse] > 1)
            blank = repeated[find_blank_images(self.x, self.compared_rows[repeated])]
            hashes[blank] = np.random.PCG64(derive(self.seed, "blank images")).random_raw(len(blank))
        return hashes

    @functools.cached_property
    def has_equal_rows(self) -> bool:
        """Return whether any two of the compared rows are equal; of most large tables none are."""
        hashes = np.sort(self.row_hashes)
        return bool((hashes[1:] == hashes[:-1]).any())

    @functools.cached_property
    def has_coinciding_rows(self) -> bool:
        """Return whether rows may be equal by coincidence: they have few columns, or few different values.

        Different rows are compared in each half of their columns. If they hardly ever coincide in one half, rows that
        are equal in all columns are copies.
        """
        width = int(np.prod(self.spec.shape))
        if width < MIN_COLUMNS:
            return not self._has_fine_values
        _, first_occurrences = np.unique(self.row_hashes, return_index=True)
        rows = self.compared_rows[np.sort(first_occurrences)][:MAX_HALF_ROWS]
        halves = (hash_rows(self.x, rows, slice(start, None, 2)) for start in (0, 1))
        return any(1 - len(np.unique(half)) / len(rows) > MAX_COINCIDING_FRACTION for half in halves)

    @property
    def comparison_evidence(self) -> dict[str, int]:
        """Return the number of compared rows as evidence, if not all were compared."""
        total = sum(len(self.rows(part)) for part in PART_ORDER)
        return {} if len(self.compared_rows) == total else {"rows compared": len(self.compared_rows), "of": total}

    def _draw(self, rows: np.ndarray, limit: int, name: str) -> np.ndarray:
        if len(rows) <= limit:
            return rows
        keys = np.random.PCG64(derive(self.seed, "rows", name)).random_raw(len(rows))
        largest = np.partition(keys, limit - 1)[limit - 1]  # in a time that grows with the rows, unlike a sort
        drawn = np.concatenate([np.flatnonzero(keys < largest), np.flatnonzero(keys == largest)])
        return np.sort(rows[drawn[:limit]])

    @property
    def _has_fine_values(self) -> bool:
        """Return whether most values have more than `MAX_COARSE_DECIMALS` decimals."""
        values = np.asarray(self.x[self.draw_rows("train")], np.float64)
        values = values[np.isfinite(values)]
        scaled = values * 10**MAX_COARSE_DECIMALS
        coarse = np.abs(scaled - np.rint(scaled)) <= 1e-3 * np.maximum(1, np.abs(values))
        return len(values) > 0 and float(coarse.mean()) < 0.5

    @functools.cached_property
    def _compared_parts(self) -> tuple[np.ndarray, ...]:
        """Return the compared rows of each part; if rows must be drawn, half of them are training rows or more."""
        limit = max(len(PART_ORDER), MAX_COMPARED_BYTES // max(1, self.x[:1].nbytes))
        if sum(len(self.rows(part)) for part in PART_ORDER) <= limit:
            return tuple(self.rows(part) for part in PART_ORDER)
        held_out = [self.draw_rows(part, limit // 4) for part in PART_ORDER[1:]]
        return (self.draw_rows("train", limit - sum(map(len, held_out))), *held_out)

    @functools.cached_property
    def _columns(self) -> Any:
        return transforms.fit("columns", self.x, {}, rows=self.draw_rows("train"), columns=self.spec.columns)

    @functools.cached_property
    def _value_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each averaged pixel, or other value, over training rows."""
        values = self._flatten(self.draw_rows("train", MAX_FEATURE_ROWS // 4))
        std = values.std(0)
        return values.mean(0), np.where(std > 0, std, 1).astype(np.float32)

    def _flatten(self, rows: np.ndarray) -> np.ndarray:
        if self.spec.is_image:
            return average_pool(self.x, rows)
        values = self.x[rows]
        return np.asarray(values, np.promote_types(values.dtype, np.float32)).reshape(len(rows), -1)


def hash_rows(x: np.ndarray, rows: np.ndarray, columns: slice) -> np.ndarray:
    """Return a hash of each row, uint64 ``(n,)``, from the values in some of its columns (or pixels)."""
    width = int(np.prod(x.shape[1:]))
    chunk_rows = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    hashes = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), chunk_rows):
        chunk = x[rows[start : start + chunk_rows]].reshape(-1, width)[:, columns]
        if np.issubdtype(chunk.dtype, np.floating):
            chunk = chunk + 0.0  # negative zero equals zero
        hashes.append(hash_images(np.ascontiguousarray(chunk).view(np.uint8)))
    return np.concatenate(hashes)


def find_blank_images(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return which images are blank or nearly, bool ``(n,)``: their equality says nothing about copies or labels.

    >>> x = np.array([[0, 0, 0], [0, 9, 200], [7, 7, 7]])[:, None, None]
    >>> find_blank_images(x, np.arange(3)).tolist()
    [True, False, True]
    """
    chunk_rows = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    lows, highs, stds = [np.empty(0)], [np.empty(0)], [np.empty(0)]
    for start in range(0, len(rows), chunk_rows):
        chunk = np.asarray(x[rows[start : start + chunk_rows]], np.float64).reshape(-1, int(np.prod(x.shape[1:])))
        lows.append(chunk.min(1))
        highs.append(chunk.max(1))
        stds.append(chunk.std(1))
    if not len(rows):
        return np.empty(0, bool)
    value_range = 255.0 if x.dtype == np.uint8 else float(np.concatenate(highs).max() - np.concatenate(lows).min())
    result: np.ndarray = np.concatenate(stds) <= MAX_BLANK_STD * value_range
    return result


def average_pool(x: np.ndarray, rows: np.ndarray, side: int = MAX_SIDE) -> np.ndarray:
    """Average images down to at most ``side`` pixels per side, float32 ``(n, C * h * w)``.

    >>> average_pool(np.arange(16.0).reshape(1, 1, 4, 4), np.array([0]), side=2).tolist()
    [[2.5, 4.5, 10.5, 12.5]]
    """
    y_edges, x_edges = (np.linspace(0, size, min(size, side) + 1).astype(int) for size in x.shape[2:])
    areas = (np.diff(y_edges)[:, None] * np.diff(x_edges)).astype(np.float32)
    chunk_rows = max(1, CHUNK_BYTES // max(1, 4 * int(np.prod(x.shape[1:]))))
    averages = [np.empty((0, x.shape[1] * areas.size), np.float32)]
    for start in range(0, len(rows), chunk_rows):
        chunk = np.asarray(x[rows[start : start + chunk_rows]], np.float32)
        summed = np.add.reduceat(np.add.reduceat(chunk, y_edges[:-1], axis=2), x_edges[:-1], axis=3)
        averages.append((summed / areas).reshape(len(chunk), -1))
    return np.concatenate(averages)
