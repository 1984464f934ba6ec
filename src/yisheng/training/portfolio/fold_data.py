"""The rows that an ensemble is trained on, and their folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from yisheng.core.types import Dataset, Split
from yisheng.data.split import make_folds
from yisheng.training.setup import Assembly

ROWS_PER_CHUNK = 65_536
MIN_ROWS_PER_FOLD = 5


@dataclass(frozen=True)
class FoldData:
    """Training rows as the ensemble receives them.

    Args:
        data: the rows of the training part, with scaled inputs.
        folds: training and validation rows of each fold.
    """

    data: Dataset
    folds: list[Split]

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
    return FoldData(data, make_folds(data, count, test=0, seed=config.seed, method=config.split))
