"""The rows of a data set as checks of the data look at them: parts, names, features, which rows are twins."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng import transforms
from yisheng.core.seeds import derive
from yisheng.core.types import Dataset, Part, Score, Spec, Split
from yisheng.data.images.duplicates import hash_images

PART_ORDER: tuple[Part, ...] = ("train", "validation", "test")
BYTES = 128 << 20
"""Of inputs that are compared in full; of more, rows are drawn."""
PIECE = 1 << 24
"""Bytes of inputs that are read at a time."""
ROWS = 4000
"""Rows that features are made of at most."""
SIDE = 16
"""Images are averaged down to this many pixels a side at most."""
FEW, COINCIDE = 4, 0.005
"""Rows of fewer columns, or that coincide in half of their columns more often than that, are alike by chance."""


class InconclusiveError(Exception):
    """A check has looked and cannot tell; the text says why."""


@dataclass(frozen=True)
class Sample:
    """A data set in its parts, to be looked at row by row.

    Args:
        spec: the contract.
        x: inputs as they are, ``(N, *spec.shape)``; may be memory-mapped.
        y: targets as they are, ``(N, ...)``.
        split: row numbers of the parts.
        names: a name for each row, or None.
        seed: of what is drawn; no global generator is touched.
        ordered: whether the parts were cut in the order of time or of the rows, not by chance.
        grouped: whether rows belong to groups that are alike among themselves.
        reached: accuracy (R² of numbers) of the run on its test rows, where it is known.
        learnt: whether the run is surely better than its baseline; None where that is not known.
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

    @classmethod
    def from_dataset(cls, data: Dataset, split: Split, *, seed: int = 0, ordered: bool = False) -> Sample:
        """Of a data set in its parts.

        >>> data = Dataset("rows", Spec("regression", (1,)), np.zeros((4, 1), np.float32), np.zeros((4, 1), np.float32))
        >>> sample = Sample.of(data, Split(np.array([0, 1]), np.array([2]), np.array([3])))
        >>> sample.name(3), sample.drawn("train", 1).shape
        ('row 3', (1,))
        """
        grouped = data.group is not None
        return cls(data.spec, data.x, data.y, split, data.rows, seed, ordered, grouped)

    def rows(self, part: Part) -> np.ndarray:
        """Row numbers of a part, int64 ``(n,)``."""
        found: np.ndarray = getattr(self.split, part)
        return found

    def draw_rows(self, part: Part, limit: int = ROWS) -> np.ndarray:
        """At most so many row numbers of a part, drawn by the seed, ascending."""
        return self._some(self.rows(part), limit, part)

    def draw_rows_of_all_parts(self, most: int = ROWS) -> np.ndarray:
        """The same of all parts together."""
        return self._some(np.sort(np.concatenate([self.rows(part) for part in PART_ORDER])), most, "all")

    def row_name(self, row: int) -> str:
        """What a row is called."""
        return f"row {row}" if self.names is None else self.names[row]

    def column_name(self, number: int) -> str:
        """What a column is called."""
        return self.spec.columns[number].name if self.spec.columns else f"column {number + 1}"

    def features(self, rows: np.ndarray) -> np.ndarray:
        """Rows as numbers to learn from, float32 ``(n, D)``, standardised by the training part.

        Images are averaged down to `SIDE` pixels a side. Of a table missing values are filled in and marked, and
        categories become columns of zeros and ones.

        Args:
            rows: row numbers.
        """
        if not self.spec.is_image:
            given = torch.from_numpy(np.asarray(self.x[rows], np.float32))
            return np.asarray(self._columns.apply(given).numpy(), np.float32)
        mean, std = self._pixels
        return (average_pool(self.x, rows) - mean) / std

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features of a table; empty for images."""
        if self.spec.is_image:
            return ()
        return tuple(column.name for column in transforms.transform_spec(self._columns, self.spec).columns)

    @functools.cached_property
    def compared_rows(self) -> np.ndarray:
        """Row numbers that are compared with one another: all, or as many of each part as `BYTES` hold."""
        return np.concatenate(self._parts)

    @functools.cached_property
    def compared_parts(self) -> np.ndarray:
        """Part of each compared row: 0 train, 1 validation, 2 test."""
        return np.repeat(np.arange(len(PART_ORDER)), [len(rows) for rows in self._parts])

    @functools.cached_property
    def row_hashes(self) -> np.ndarray:
        """A number for each compared row, uint64; rows that are the same have the same."""
        return hash_rows(self.x, self.compared_rows, slice(None))

    @functools.cached_property
    def has_coinciding_rows(self) -> bool:
        """Whether rows may be the same by coincidence: few columns, or few values.

        Rows that differ are looked at in one half of their columns and in the other. Where they hardly ever coincide
        in half of them, rows that are the same in all are copies.
        """
        width = int(np.prod(self.spec.shape))
        if width < FEW:
            return not self._fine
        _, first = np.unique(self.row_hashes, return_index=True)
        rows = self.compared_rows[np.sort(first)][:20_000]
        halves = (hash_rows(self.x, rows, slice(start, None, 2)) for start in (0, 1))
        return any(1 - len(np.unique(half)) / len(rows) > COINCIDE for half in halves)

    @property
    def comparison_evidence(self) -> dict[str, int]:
        """As evidence: how many rows were compared, where it was not all."""
        whole = sum(len(self.rows(part)) for part in PART_ORDER)
        return {} if len(self.compared_rows) == whole else {"rows compared": len(self.compared_rows), "of": whole}

    def _some(self, rows: np.ndarray, most: int, name: str) -> np.ndarray:
        if len(rows) <= most:
            return rows
        keys = np.random.PCG64(derive(self.seed, "rows", name)).random_raw(len(rows))
        return np.sort(rows[np.argsort(keys, kind="stable")[:most]])

    @property
    def _fine(self) -> bool:
        """Whether most values have more than three decimals."""
        values = np.asarray(self.x[self.draw_rows("train")], np.float64)
        values = values[np.isfinite(values)]
        coarse = np.abs(values * 1e3 - np.rint(values * 1e3)) <= 1e-3 * np.maximum(1, np.abs(values))
        return len(values) > 0 and float(coarse.mean()) < 0.5

    @functools.cached_property
    def _parts(self) -> tuple[np.ndarray, ...]:
        """The compared rows of each part."""
        most = max(len(PART_ORDER), BYTES // max(1, self.x[:1].nbytes))
        if sum(len(self.rows(part)) for part in PART_ORDER) <= most:
            return tuple(self.rows(part) for part in PART_ORDER)
        later = [self.draw_rows(part, most // 4) for part in PART_ORDER[1:]]
        return (self.draw_rows("train", most - sum(map(len, later))), *later)

    @functools.cached_property
    def _columns(self) -> Any:
        return transforms.fit("columns", self.x, {}, rows=self.draw_rows("train"), columns=self.spec.columns)

    @functools.cached_property
    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        some = average_pool(self.x, self.draw_rows("train", ROWS // 4))
        std = some.std(0)
        return some.mean(0), np.where(std > 0, std, 1).astype(np.float32)


def hash_rows(x: np.ndarray, rows: np.ndarray, columns: slice) -> np.ndarray:
    """A number for each row, uint64 ``(n,)``, from the values in some of its columns (or pixels)."""
    width = int(np.prod(x.shape[1:]))
    step = max(1, PIECE // max(1, x[:1].nbytes))
    found = [np.empty(0, np.uint64)]
    for at in range(0, len(rows), step):
        piece = x[rows[at : at + step]].reshape(-1, width)[:, columns]
        if np.issubdtype(piece.dtype, np.floating):
            piece = piece + 0.0  # a negative zero is the same value
        found.append(hash_images(np.ascontiguousarray(piece).view(np.uint8)))
    return np.concatenate(found)


def average_pool(x: np.ndarray, rows: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Images averaged down to at most ``side`` pixels a side, float32 ``(n, C * h * w)``.

    >>> pooled(np.arange(16.0).reshape(1, 1, 4, 4), np.array([0]), side=2).tolist()
    [[2.5, 4.5, 10.5, 12.5]]
    """
    h, w = x.shape[2:]
    tall, wide = (np.linspace(0, n, min(n, side) + 1).astype(int) for n in (h, w))
    areas = (np.diff(tall)[:, None] * np.diff(wide)).astype(np.float32)
    step = max(1, PIECE // max(1, 4 * int(np.prod(x.shape[1:]))))
    found = [np.empty((0, x.shape[1] * areas.size), np.float32)]
    for at in range(0, len(rows), step):
        piece = np.asarray(x[rows[at : at + step]], np.float32)
        summed = np.add.reduceat(np.add.reduceat(piece, tall[:-1], axis=2), wide[:-1], axis=3)
        found.append((summed / areas).reshape(len(piece), -1))
    return np.concatenate(found)
