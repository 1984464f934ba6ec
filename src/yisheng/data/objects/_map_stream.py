"""The rows of a random map-style data set, read again in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng.data.objects._map_reader import ItemReader, read_batches


@dataclass(frozen=True)
class MapStream:
    """Items of a map-style data set, each under a seed derived from (seed, epoch, row).

    Args:
        dataset: the data set; its rows have the same numbers as in the block that was read first.
        reader: makes blocks of the data set's form.
        workers: processes that read.
    """

    dataset: Any
    reader: ItemReader
    workers: int
    keeps_order: bool = False

    def read(
        self, batches: Sequence[np.ndarray], *, seed: int, epoch: int, start: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Yield inputs, targets and weights of each batch of rows, from batch number ``start`` on."""
        rows = [batch.tolist() for batch in batches[start:]]
        yield from read_batches(self.dataset, self.reader, rows, seed=seed, epoch=epoch, workers=self.workers)
