"""Image files and folders as a stream: two workers read and decode while the network runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.core.read_ahead import map_ahead
from yisheng.core.spec import Spec
from yisheng.data.images import decode, folder_files
from yisheng.data.images.file_listing import sanitize_name
from yisheng.data.images.file_names import NameDecoder
from yisheng.data.tables.files import is_table
from yisheng.inference.bulk.chunk import Chunk, Tally, fingerprint_file
from yisheng.inference.images import decode_input, read_image_bytes

WORKERS = 2
MAX_CHUNK_IMAGES = 256
MAX_SENT_BYTES = 32 << 20
"""Files of a chunk that are larger together are not sent to other processes, which read them."""
MAX_CHUNK_BYTES = 64 << 20
"""Memory of the decoded images of a chunk; `WORKERS` + 1 chunks exist at a time."""


class OtherFileError(DataError):
    """A machine has another file than the one that is to be predicted; no damaged image, but a wrong machine."""


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
        with decode.silence_pillow():
            yield from map_ahead(self._read, self._split(tally), WORKERS)

    def encoded_chunks(self, tally: Tally) -> Iterator[EncodedImages]:
        """Yield the files' contents; see `chunk.Source.encoded_chunks`."""
        for paths in self._split(tally):
            contents = _read_or_refer(paths)
            yield EncodedImages(self._name(paths), tuple(map(str, paths)), contents, self._spec, self._strict)

    def _split(self, tally: Tally) -> Iterator[Sequence[Path]]:
        starts = range(tally.rows, self.total, self.chunk_size)
        return (self.paths[start : start + self.chunk_size] for start in starts)

    def _name(self, paths: Sequence[Path]) -> list[str]:
        return [self._decoder.decode(str(path)) for path in paths]

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
            count = len(listing.other_files)
            self.notes.append(
                Message("{path}: {count} other files were ignored ({names})", path=path, count=count, names=examples)
            )
        names = sorted(listing.names, key=lambda name: [natural_key(part) for part in name.split("/")])
        self.paths += [path / name for name in names]
        return listing.stamp

    def _read(self, paths: Sequence[Path]) -> Chunk:
        inputs = zip(map(str, paths), map(_read_content, paths), strict=True)
        return _decode(self._name(paths), inputs, self._spec, strict=self._strict)


@dataclass(frozen=True)
class EncodedImages:
    """Contents of image files.

    Args:
        names: of the images.
        paths: of the files, for errors.
        contents: bytes of each file, or why it cannot be read. Large ones are fingerprints of files that the other
            process reads.
        spec: a contract for images.
        strict: raise an error for an image that cannot be read.
    """

    names: Sequence[str]
    paths: Sequence[str]
    contents: Sequence[bytes | DataError | str]
    spec: Spec
    strict: bool

    def decode(self) -> Chunk:
        """Return the images.

        Raises:
            DataError: an image cannot be read, and ``strict`` is set; or this machine has another file at its path.
        """
        pairs = zip(self.paths, self.contents, strict=True)
        inputs = ((path, _read_same(path, content) if isinstance(content, str) else content) for path, content in pairs)
        with decode.silence_pillow():
            return _decode(self.names, inputs, self.spec, strict=self.strict)


def _read_or_refer(paths: Sequence[Path]) -> tuple[bytes | DataError | str, ...]:
    """Return the contents of files, or their fingerprints if they are too large to be sent."""
    fingerprints, size = [], 0
    for path in paths:
        try:
            fingerprints.append(fingerprint_file(path))
            size += path.stat().st_size
        except OSError:
            return tuple(map(_read_content, paths))
    return tuple(fingerprints if size > MAX_SENT_BYTES else map(_read_content, paths))


def _read_same(path: str, fingerprint: str) -> bytes | DataError:
    """Return the content of the file with a fingerprint.

    Raises:
        OtherFileError: there is another one.
    """
    try:
        is_same = fingerprint_file(Path(path)) == fingerprint
    except OSError:
        is_same = False
    if not is_same:
        raise OtherFileError(
            Message("a machine of the cluster does not have the same {path}", path=path),
            Message("put the images on a file system that all machines share"),
        )
    return _read_content(Path(path))


def _read_content(path: Path) -> bytes | DataError:
    try:
        return read_image_bytes(path)
    except DataError as error:
        return error


def _decode(
    names: Sequence[str], inputs: Iterable[tuple[str, bytes | DataError]], spec: Spec, *, strict: bool
) -> Chunk:
    """Decode images of which paths and contents are given."""
    block = np.empty((len(names), *spec.shape), spec.image_values.stored)
    notes: list[tuple[str, ...]] = []
    errors: dict[int, str] = {}
    for index, (path, content) in enumerate(inputs):
        try:
            if isinstance(content, DataError):
                raise content
            block[len(notes)], notes_on_image = decode_input(content, path, spec)
            notes.append(tuple(notes_on_image))
        except DataError as error:
            if strict:
                raise
            errors[index] = sanitize_name(error.problem)
    return Chunk(names, block[: len(notes)], names, notes, errors)
