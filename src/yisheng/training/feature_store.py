"""Tensors kept by row: in memory if they are small, else in a temporary file of the cache folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from yisheng.core.cache_folder import get_cache_folder
from yisheng.core.messages import Message
from yisheng.core.temporary import create_temporary_file, remove_abandoned

MAX_MEMORY_BYTES = 32 << 20
"""Features of more bytes are written to a file: the system drops its pages from memory when it needs them."""
MAX_FILE_BYTES = 16 << 30
MIN_FREE_BYTES = 1 << 30
"""What stays free on the disk of the cache folder."""


class StoreError(Exception):
    """There is no place for the tensors.

    Args:
        reason: a clause that says why.
    """

    def __init__(self, reason: Message) -> None:
        super().__init__(str(reason))
        self.reason = reason


class FeatureStore:
    """Several tensors for each row of a part, in one or more versions.

    The order of a tensor's values in memory is kept, so that kernels round as they would without the store.

    Args:
        rows: the row numbers ``(n,)``.
        versions: of each row.
        examples: tensors ``(B, ...)`` of the shapes, types and memory orders to keep.

    Raises:
        StoreError: they take more than `MAX_FILE_BYTES`, or the disk is too full.

    >>> store = FeatureStore(torch.tensor([7, 3, 5]), 1, [torch.zeros(1, 2)])
    >>> store.add(0, torch.tensor([5, 3]), [torch.tensor([[5.0, 5.5], [3.0, 3.5]])])
    >>> store.take(0, torch.tensor([3, 5]))
    (tensor([[3.0000, 3.5000],
            [5.0000, 5.5000]]),)
    """

    def __init__(self, rows: torch.Tensor, versions: int, examples: Sequence[torch.Tensor]) -> None:
        self._rows = rows.cpu().sort().values
        self._orders = [_find_memory_order(tensor) for tensor in examples]
        shapes = [
            [tensor.shape[axis] for axis in order[1:]] for tensor, order in zip(examples, self._orders, strict=True)
        ]
        count = versions * len(rows)
        self.nbytes = count * sum(tensor[:1].nbytes for tensor in examples)
        in_memory = self.nbytes <= MAX_MEMORY_BYTES
        device = examples[0].device if in_memory else torch.device("cpu")
        self._blocks = [
            torch.empty(count, *shape, dtype=tensor.dtype, device=device)
            if in_memory
            else _map_file(count * tensor[:1].nbytes).view(tensor.dtype).view(count, *shape)
            for tensor, shape in zip(examples, shapes, strict=True)
        ]
        self._device = examples[0].device

    def add(self, version: int, index: torch.Tensor, values: Sequence[torch.Tensor]) -> None:
        """Keep the values of some rows.

        Args:
            version: from 0.
            index: the row numbers ``(B,)``.
            values: the tensors ``(B, ...)``.
        """
        for block, order, tensor in zip(self._blocks, self._orders, values, strict=True):
            block[self._find(version, index, block)] = tensor.detach().permute(order).to(block)

    def take(self, version: int, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return copies of the values of some rows."""
        results = []
        for block, order in zip(self._blocks, self._orders, strict=True):
            values = block.index_select(0, self._find(version, index, block)).to(self._device)
            results.append(values.permute([order.index(axis) for axis in range(len(order))]))
        return tuple(results)

    def _find(self, version: int, index: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
        return (torch.searchsorted(self._rows, index.cpu()) + version * len(self._rows)).to(block.device)


def _find_memory_order(tensor: torch.Tensor) -> list[int]:
    """Return the axes of a tensor ``(B, ...)`` from the largest stride to the smallest, the rows first.

    >>> _find_memory_order(torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last))
    [0, 2, 3, 1]
    """
    return [0, *sorted(range(1, tensor.ndim), key=tensor.stride().__getitem__, reverse=True)]


def _map_file(nbytes: int) -> torch.Tensor:
    """Return bytes in a new file, which is gone when the tensor is.

    Raises:
        StoreError: the file would be too large, or cannot be written.
    """
    values = {"size": f"{nbytes / 2**30:,.1f}"}
    if nbytes > MAX_FILE_BYTES:
        raise StoreError(Message("their features take {size} GiB", **values))
    folder = get_cache_folder() / "features"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        if shutil.disk_usage(folder).free < nbytes + MIN_FREE_BYTES:
            raise StoreError(
                Message("their features take {size} GiB, and the cache folder's disk is nearly full", **values)
            )
        path = create_temporary_file(folder / "features")
        return _allocate(path, nbytes)
    except OSError as error:
        reason = Message("the cache folder cannot be written to: {error}", error=error.strerror or error)
        raise StoreError(reason) from error


def _allocate(path: Path, nbytes: int) -> torch.Tensor:
    """Map a file of a size; a page that has no place on the disk would end the process when it is written."""
    try:
        with path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, nbytes)
            else:
                file.truncate(nbytes)
        return torch.from_file(str(path), shared=True, size=nbytes, dtype=torch.uint8)
    finally:
        with contextlib.suppress(OSError):  # Windows keeps a mapped file; a later run removes it
            path.unlink()
