"""Blocks that grow while they are read: in memory, and above a limit in a file of the cache folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, StorageError
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

MAX_BYTES_IN_MEMORY = 1 << 30
"""A larger block is memory-mapped from a file."""
FOLDER = "blocks"
_COPIED_BYTES = 1 << 26


class GrowingBlock:
    """Rows that are appended until `finish`.

    Args:
        name: of the data set, for errors.
        keeps_double: store floats as they are.

    >>> block = GrowingBlock("data")
    >>> block.append(np.ones((2, 3), np.float32))
    >>> block.finish().shape
    (2, 3)
    """

    def __init__(self, name: str, *, keeps_double: bool = False) -> None:
        self._name, self._keeps_double = name, keeps_double
        self._chunks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._bytes, self._rows = 0, 0
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.float32)

    def append(self, rows: np.ndarray) -> None:
        """Add rows ``(n, ...)``; floats are stored as float32, unless the block keeps doubles.

        Raises:
            DataError: the rows have another type than those that are in the file already.
            StorageError: the disk of the cache folder is full.
        """
        if rows.dtype.kind == "f" and rows.dtype != np.float32 and not self._keeps_double:
            with np.errstate(over="ignore"):
                rows = rows.astype(np.float32)
        rows = np.ascontiguousarray(rows)
        self._shape = rows.shape[1:]
        self._bytes, self._rows = self._bytes + rows.nbytes, self._rows + len(rows)
        self._chunks.append(rows)
        if self._file is None and self._bytes > MAX_BYTES_IN_MEMORY and rows.dtype.kind in "fiub":
            self._file = _open_file()
            self._dtype = np.result_type(*self._chunks)
        if self._file is not None:
            for chunk in self._chunks:
                self._write(chunk)
            self._chunks.clear()

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """Return the shape of a row, or None before the first one."""
        return self._shape if self._rows else None

    def finish(self) -> np.ndarray:
        """Return all rows; those in a file as a read-only memory map."""
        if self._file is None:
            return self._chunks[0] if len(self._chunks) == 1 else np.concatenate(self._chunks)
        self._file.flush()
        mapped = np.memmap(self._file.name, self._dtype, "r", shape=(self._rows, *self._shape))
        self._file.close()
        _delete_later(Path(self._file.name), mapped)
        return mapped

    def _write(self, rows: np.ndarray) -> None:
        assert self._file is not None
        if not np.can_cast(rows.dtype, self._dtype):
            raise DataError(
                Message(
                    "{name} has {dtype} values after {previous_dtype} ones",
                    name=self._name,
                    dtype=rows.dtype,
                    previous_dtype=self._dtype,
                ),
                Message("return one type for every row"),
            )
        rows = rows.astype(self._dtype, copy=False)
        try:
            self._file.write(rows.data.cast("B") if rows.size else b"")
        except OSError as error:
            path = Path(self._file.name)
            self._file.close()
            path.unlink(missing_ok=True)
            raise StorageError(
                Message(
                    "the rows of {name} do not fit into {parent}: {reason}",
                    name=self._name,
                    parent=path.parent,
                    reason=describe_os_error(error),
                ),
                Message("free space, or name another folder with YISHENG_HOME"),
            ) from None


def concatenate_blocks(blocks: Sequence[np.ndarray], name: str) -> np.ndarray:
    """Return the rows of all blocks, memory-mapped if they are many."""
    if len(blocks) == 1:
        return blocks[0]
    if sum(block.nbytes for block in blocks) <= MAX_BYTES_IN_MEMORY:
        return np.concatenate(blocks)
    result = GrowingBlock(name)
    for block in blocks:
        rows = max(1, _COPIED_BYTES // max(1, block[:1].nbytes))
        for start in range(0, len(block), rows):
            result.append(block[start : start + rows])
    return result.finish()


def _open_file() -> IO[bytes]:
    folder = cache_folder.get_cache_folder() / FOLDER
    with cache_folder.explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=folder, delete=False)


def _delete_later(path: Path, mapped: np.ndarray) -> None:
    """Delete a file whose map needs no name: at once, and on Windows when the map is gone."""
    if os.name == "posix":
        path.unlink()
        return

    def delete() -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    weakref.finalize(mapped, delete)
