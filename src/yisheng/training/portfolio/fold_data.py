"""The rows that an ensemble is trained on, and their folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from yisheng.core.dataset import Dataset, Split
from yisheng.core.seeds import derive
from yisheng.data.split import make_folds
from yisheng.training.portfolio.number_codes import WholeNumbers, find_whole_numbers
from yisheng.training.setup import Assembly

ROWS_PER_CHUNK = 65_536
MIN_ROWS_PER_FOLD = 5
MAX_FOLD_ROWS = 10_000
"""Rows of a fold that are predicted at most: more would take time and change no weight."""
MIN_CLASS_ROWS = 20


@dataclass(frozen=True)
class FoldData:
    """Training rows as the ensemble receives them.

    Args:
        data: the rows of the training part, with scaled inputs.
        folds: training and validation rows of each fold.
        whole_numbers: columns of numbers that may be categories.
    """

    data: Dataset
    folds: list[Split]
    whole_numbers: tuple[WholeNumbers, ...] = ()

    @property
    def validation_rows(self) -> list[np.ndarray]:
        """Return the row numbers of each fold."""
        return [fold.validation for fold in self.folds]


def make_fold_data(assembly: Assembly, folds: int) -> FoldData:
    """Return the training part of an assembly in folds, which keep groups together and times in order.

    Args:
        assembly: the training of an ensemble.
        folds: their number; fewer if there are few rows.

    Raises:
        UsageError: the rows cannot be divided into folds.
    """
    source, rows = assembly.dataset, assembly.train.rows.cpu().numpy()
    assert source is not None
    scale = assembly.transforms["input"]
    chunks = [
        scale.apply(torch.from_numpy(np.ascontiguousarray(source.x[part]))).float().numpy()
        for part in np.split(rows, range(ROWS_PER_CHUNK, len(rows), ROWS_PER_CHUNK))
    ]

    def take(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[rows]

    y = source.y[rows]
    weight, group, time = take(source.weight), take(source.group), take(source.time)
    x = np.concatenate(chunks)
    data = Dataset(source.name, source.spec, x, y, weight=weight, group=group, time=time)
    count = max(2, min(folds, len(rows) // MIN_ROWS_PER_FOLD))
    if group is not None:
        count = max(2, min(count, len(np.unique(group))))
    config = assembly.config
    folded = make_folds(data, count, test=0, seed=config.seed, method=config.split)
    if time is not None and config.split in ("auto", "time"):
        folded.reverse()  # the last rows are predicted from most of the others, and are most like later ones
    limited = [_limit_validation(fold, config.seed) for fold in folded]
    return FoldData(data, limited, find_whole_numbers(source, rows, x))


def draw_rows(rows: np.ndarray, count: int, seed: int, classes: np.ndarray | None = None) -> np.ndarray:
    """Return some of the rows at random, ascending, with up to 20 of each class.

    Args:
        rows: row numbers.
        count: how many are drawn.
        seed: of the draw.
        classes: class of each row number, or None.

    >>> draw_rows(np.arange(1000), 3, seed=0).shape
    (3,)
    """
    order = np.random.default_rng(seed % 2**32).permutation(rows)
    if classes is None:
        return np.sort(order[:count])
    firsts = [order[classes[order] == label][:MIN_CLASS_ROWS] for label in np.unique(classes[order])]
    first = np.concatenate(firsts)[:count]
    further_rows = order[~np.isin(order, first)]
    return np.sort(np.concatenate([first, further_rows[: count - len(first)]]))


def _limit_validation(fold: Split, seed: int) -> Split:
    if len(fold.validation) <= MAX_FOLD_ROWS:
        return fold
    return replace(fold, validation=draw_rows(fold.validation, MAX_FOLD_ROWS, derive(seed, "fold rows")))
