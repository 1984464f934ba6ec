"""Image files and folders as a stream: two workers read and decode while the network runs."""

from __future__ import annotations

import collections
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.data.images import decode, folder_files
from yisheng.data.images.file_listing import readable
from yisheng.data.images.folder_labels import natural
from yisheng.data.tables.files import is_table
from yisheng.inference import images
from yisheng.inference.bulk.chunk import Chunk, Tally, stamp

WORKERS = 2
BYTES = 64 << 20
"""Decoded images of a chunk take so much memory at most; there are `WORKERS` + 1 chunks at a time."""


class Images:
    """Images, in the order in which they were named; a folder's in natural order, those of its folders too.

    Args:
        inputs: files and folders.
        spec: a contract for images.
        strict: an image that cannot be read is an error, instead of being left out.

    Raises:
        DataError: a file is missing or is a table, a folder cannot be read or holds no images.
    """

    id_name = "file"

    def __init__(self, inputs: Sequence[Path], spec: Spec, *, strict: bool = False) -> None:
        self.spec, self.strict = spec, strict
        self.paths: list[Path] = []
        self.notes: list[str] = []
        stamps = []
        for path in inputs:
            if os.path.isdir(path):  # noqa: PTH112  # never raises
                stamps.append(self._folder(path))
            elif is_table(path):
                raise DataError(f"the model wants images of shape {spec.shape}, {path} is a table", "give images")
            elif not os.path.exists(path):  # noqa: PTH110  # likewise
                raise DataError(f"{path} does not exist", "check the path")
            else:
                self.paths.append(path)
                stamps.append(stamp(path))
        self.total = len(self.paths)
        self.stamp = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
        self.size = max(1, min(256, BYTES // int(np.prod(spec.shape))))

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """See `chunk.Source.chunks`.

        Raises:
            DataError: an image cannot be read, and ``strict`` was said.
        """
        waiting: collections.deque[Future[Chunk]] = collections.deque()
        with decode.quiet(), ThreadPoolExecutor(WORKERS) as pool:
            try:
                for at in range(tally.rows, self.total, self.size):
                    waiting.append(pool.submit(self._read, self.paths[at : at + self.size]))
                    if len(waiting) > WORKERS:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def _folder(self, path: Path) -> str:
        """Take the images of a folder; gives what changes when one of them does."""
        found = folder_files.listing(path)
        if not found.names:
            there = f"; there are {len(found.others)} other files" if found.others else ""
            raise DataError(f"{path} holds no images{there}", "give a folder with .png, .jpg, .webp, ... files")
        if found.others:
            shown = ", ".join(found.others[:3]) + " ..." * (len(found.others) > 3)
            self.notes.append(f"{path}: {len(found.others)} other files were left out ({shown})")
        names = sorted(found.names, key=lambda name: [natural(part) for part in name.split("/")])
        self.paths += [path / name for name in names]
        return found.stamp

    def _read(self, paths: Sequence[Path]) -> Chunk:
        block = np.empty((len(paths), *self.spec.shape), np.uint8)
        notes, errors = list[tuple[str, ...]](), dict[int, str]()
        for place, path in enumerate(paths):
            try:
                block[len(notes)], said = images.read(path, self.spec)
                notes.append(tuple(said))
            except DataError as error:
                if self.strict:
                    raise
                errors[place] = readable(error.problem)
        names = [readable(str(path)) for path in paths]
        return Chunk(names, block[: len(notes)], names, notes, errors)
