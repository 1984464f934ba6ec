"""Image files and folders as a stream: two workers read and decode while the network runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.core.read_ahead import map_ahead
from yisheng.core.types import Spec
from yisheng.data.images import decode, folder_files
from yisheng.data.images.file_listing import sanitize_name
from yisheng.data.images.file_names import NameDecoder
from yisheng.data.tables.files import is_table
from yisheng.inference.bulk.chunk import Chunk, Tally, fingerprint_file
from yisheng.inference.images import read_image

WORKERS = 2
MAX_CHUNK_IMAGES = 256
MAX_CHUNK_BYTES = 64 << 20
"""Memory of the decoded images of a chunk; `WORKERS` + 1 chunks exist at a time."""


class ImageFiles:
    """Images in the order in which they were named; a folder's, subfolders included, in natural order.

    Args:
        inputs: files and folders.
        spec: a contract for images.
        strict: raise an error for an image that cannot be read, instead of skipping it.

    Raises:
        DataError: a file is missing or is a table, a folder cannot be read or holds no images.
    """

    id_name = "file"

    def __init__(self, inputs: Sequence[Path], spec: Spec, *, strict: bool = False) -> None:
        self._spec, self._strict = spec, strict
        self.paths: list[Path] = []
        self.notes: list[str] = []
        fingerprints = [self._add(path) for path in inputs]
        self.total = len(self.paths)
        self._decoder = NameDecoder.from_names(map(str, self.paths))
        self.fingerprint = hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()
        image_bytes = int(np.prod(spec.shape)) * np.dtype(spec.image_values.stored).itemsize
        self.chunk_size = max(1, min(MAX_CHUNK_IMAGES, MAX_CHUNK_BYTES // image_bytes))

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the images after the first ``tally.rows``; see `chunk.Source.chunks`.

        Raises:
            DataError: an image cannot be read, and ``strict`` is set.
        """
        parts = (
            self.paths[start : start + self.chunk_size] for start in range(tally.rows, self.total, self.chunk_size)
        )
        with decode.silence_pillow():
            yield from map_ahead(self._read, parts, WORKERS)

    def _add(self, path: Path) -> str:
        """Add a file or the images of a folder; return its fingerprint."""
        if os.path.isdir(path):  # noqa: PTH112  # never raises
            return self._add_folder(path)
        if is_table(path):
            raise DataError(
                Message(
                    "the model takes images of shape {shape}, {path} is a table", shape=self._spec.shape, path=path
                ),
                Message("give images"),
            )
        if not os.path.exists(path):  # noqa: PTH110  # never raises
            raise DataError(Message("{path} does not exist", path=path), Message("check the path"))
        self.paths.append(path)
        return fingerprint_file(path)

    def _add_folder(self, path: Path) -> str:
        listing = folder_files.list_folder(path)
        if not listing.names:
            count = len(listing.other_files)
            raise DataError(
                Message("{path} holds no images; it holds {count} other files", path=path, count=count)
                if count
                else Message("{path} holds no images", path=path),
                Message("give a folder with .png, .jpg, .webp, ... files"),
            )
        if listing.other_files:
            examples = ", ".join(map(sanitize_name, listing.other_files[:3])) + " ..." * (len(listing.other_files) > 3)
            self.notes.append(f"{path}: {len(listing.other_files)} other files were ignored ({examples})")
        names = sorted(listing.names, key=lambda name: [natural_key(part) for part in name.split("/")])
        self.paths += [path / name for name in names]
        return listing.stamp

    def _read(self, paths: Sequence[Path]) -> Chunk:
        block = np.empty((len(paths), *self._spec.shape), self._spec.image_values.stored)
        notes: list[tuple[str, ...]] = []
        errors: dict[int, str] = {}
        for index, path in enumerate(paths):
            try:
                block[len(notes)], notes_on_image = read_image(path, self._spec)
                notes.append(tuple(notes_on_image))
            except DataError as error:
                if self._strict:
                    raise
                errors[index] = sanitize_name(error.problem)
        names = [self._decoder.decode(str(path)) for path in paths]
        return Chunk(names, block[: len(notes)], names, notes, errors)
