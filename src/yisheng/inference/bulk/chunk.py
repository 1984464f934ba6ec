"""A chunk of a stream's inputs, and the counts of the stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np

from yisheng.data.images.file_listing import sanitize_name
from yisheng.data.tables.encode import UnusableValues
from yisheng.inference.rows import describe_unusable_values

ROWS_PER_CHUNK = 8192
"""Rows of a table that are read, predicted and written together."""
MAX_DISTINCT_NOTES = 20
"""Different notes that are kept: each of thousands of images may have been resized from another size."""


def fingerprint_file(path: Path) -> str:
    """Return a hash that changes when a file's path, size or modification time does."""
    status = path.stat()
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()


class RowNames(Sequence[str]):
    """The names of a file's rows, counted from 1; made when they are asked for, since a table of predictions has none.

    Args:
        path: the file.
        rows: their numbers, counted from 0.

    >>> list(RowNames(Path("a.csv"), range(2, 4)))
    ['a.csv:3', 'a.csv:4']
    """

    def __init__(self, path: Path, rows: range) -> None:
        self._name, self._rows = sanitize_name(str(path)), rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [f"{self._name}:{row + 1}" for row in self._rows[index]]
        return f"{self._name}:{self._rows[index] + 1}"


@dataclass(frozen=True)
class Chunk:
    """Consecutive inputs of a stream.

    Args:
        names: of the inputs.
        x: those that could be read ``(n, *shape)``.
        ids: names of the rows in the file of predictions; None numbers them.
        notes: how each of ``x`` was changed.
        errors: why an input could not be read, by its index among the names.
        unusable_values: values of tables that became missing or unknown.
    """

    names: Sequence[str]
    x: np.ndarray
    ids: Sequence[str] | None = None
    notes: Sequence[tuple[str, ...]] = ()
    errors: dict[int, str] = field(default_factory=dict)
    unusable_values: Sequence[UnusableValues] = ()

    def decode(self) -> Chunk:
        """Return itself; see `EncodedChunk`."""
        return self


class EncodedChunk(Protocol):
    """A chunk as it is sent to another process, which decodes it."""

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the inputs."""

    def decode(self) -> Chunk:
        """Return the chunk.

        Raises:
            DataError: an input cannot be read.
        """


@dataclass
class Tally:
    """The counts of a stream; they are saved with its position, so that a resumed stream continues them.

    Args:
        rows: inputs that are done.
        damaged: inputs among them that could not be read.
        out_of_distribution: inputs among them with an OOD score above the threshold.
        notes: how inputs were changed, and how many of them.
        unusable_values: values of tables that became missing or unknown, by column and problem.
    """

    rows: int = 0
    damaged: int = 0
    out_of_distribution: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    unusable_values: dict[str, UnusableValues] = field(default_factory=dict)

    def _count_unusable_values(self, unusable: Sequence[UnusableValues]) -> None:
        """Add unusable values to the counts of their columns; the first such row is kept."""
        for values in unusable:
            key = f"{values.column}: {'unseen' if 'never seen' in values.problem else values.problem}"
            earlier = self.unusable_values.get(key)
            if earlier is not None:
                values = earlier._replace(row_count=earlier.row_count + values.row_count)  # summed up
            self.unusable_values[key] = values

    def count_chunk(self, chunk: Chunk) -> None:
        """Count the inputs of a chunk."""
        self.rows += len(chunk.names)
        self.damaged += len(chunk.errors)
        self._count_unusable_values(chunk.unusable_values)
        for note in (note for notes in chunk.notes for note in notes):
            if note in self.notes or len(self.notes) < MAX_DISTINCT_NOTES:
                self.notes[note] = self.notes.get(note, 0) + 1

    def describe(self) -> list[str]:
        """Return the notes on the inputs, for people."""
        return [*describe_unusable_values(list(self.unusable_values.values())), *self.notes]

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {
            "rows": self.rows,
            "damaged": self.damaged,
            "out_of_distribution": self.out_of_distribution,
            "notes": self.notes,
            "unusable_values": {key: list(values) for key, values in self.unusable_values.items()},
        }

    @staticmethod
    def from_json(plain: dict[str, Any]) -> Tally:
        """Return the counts that `to_json` wrote."""
        rows, damaged, out_of_distribution = (int(plain[name]) for name in ("rows", "damaged", "out_of_distribution"))
        unusable_values = {key: UnusableValues(*values) for key, values in plain["unusable_values"].items()}
        return Tally(rows, damaged, out_of_distribution, dict(plain["notes"]), unusable_values)


class OtherColumnsError(Exception):
    """A column of a table is not what the beginning of the file showed: its predictions begin again."""


class Source(Protocol):
    """The inputs of a stream."""

    @property
    def id_name(self) -> str:
        """Return the name of the column with the names of the rows; empty without one."""

    @property
    def total(self) -> int | None:
        """Return the number of inputs, or None if it is not known in advance."""

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when any of the inputs does."""

    @property
    def notes(self) -> Sequence[str]:
        """Return the notes on the source itself, for people."""

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the inputs after the first ``tally.rows``, always cut at the same places.

        Chunks may be read ahead, so the caller counts them: `Tally.count_chunk`.

        Args:
            tally: the position.

        Raises:
            DataError: an input cannot be read.
            OtherColumnsError: a column is not what the beginning of the file showed; the source has learned it, and the
                caller begins again with the first input.
        """

    def encoded_chunks(self, tally: Tally) -> Iterator[EncodedChunk]:
        """Yield the same chunks, as they are sent to other processes; see `chunks`."""
