"""Some inputs of a stream, and what is counted on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from yisheng.data.images.file_listing import readable
from yisheng.data.tables.encode import Odd
from yisheng.inference.rows import said

ROWS = 8192
"""Rows of a table that are read, answered and written at a time."""
NOTES = 20
"""Different notes that are kept; of thousands of images each may have been resized from another size."""


def stamp(path: Path) -> str:
    """What changes when a file does: its size and the time of its last change."""
    status = path.stat()
    marks = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(marks.encode("utf-8", "surrogateescape")).hexdigest()


def called(path: Path, rows: range) -> list[str]:
    """What the rows of a file are called, counted from 1."""
    name = readable(str(path))
    return [f"{name}:{row + 1}" for row in rows]


@dataclass(frozen=True)
class Chunk:
    """Inputs that follow one another.

    Args:
        names: what they are called.
        x: those that could be read ``(n, *shape)``.
        ids: what the rows are called in the file of answers; None numbers them.
        notes: what was done to each of ``x``.
        errors: why one could not be read, by its place among the names.
    """

    names: Sequence[str]
    x: np.ndarray
    ids: Sequence[str] | None = None
    notes: Sequence[tuple[str, ...]] = ()
    errors: dict[int, str] = field(default_factory=dict)


@dataclass
class Tally:
    """What was counted so far; it is written with every step, so that a stream that goes on counts on.

    Args:
        rows: inputs done.
        damaged: of these could not be read.
        unlike: of these were unlike the training data.
        notes: what was done to inputs, and to how many.
        odd: values of tables that could not be taken as they are, by column.
    """

    rows: int = 0
    damaged: int = 0
    unlike: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    odd: dict[str, Odd] = field(default_factory=dict)

    def see(self, found: Sequence[Odd]) -> None:
        """Count odd values: of each column how many rows, and the first of them."""
        for one in found:
            key = f"{one.column}: {'unseen' if 'never seen' in one.what else one.what}"
            before = self.odd.get(key)
            self.odd[key] = one if before is None else before._replace(rows=before.rows + one.rows)

    def add(self, chunk: Chunk) -> None:
        """Count the inputs of a chunk."""
        self.rows += len(chunk.names)
        self.damaged += len(chunk.errors)
        for note in (note for notes in chunk.notes for note in notes):
            if note in self.notes or len(self.notes) < NOTES:
                self.notes[note] = self.notes.get(note, 0) + 1

    def said(self) -> list[str]:
        """All that was noticed, for people."""
        return [*said(list(self.odd.values())), *self.notes]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        odd = {key: list(one) for key, one in self.odd.items()}
        counts = {"rows": self.rows, "damaged": self.damaged, "unlike": self.unlike}
        return {**counts, "notes": self.notes, "odd": odd}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Tally:
        """The inverse of `to_json`."""
        odd = {key: Odd(*one) for key, one in data["odd"].items()}
        rows, damaged, unlike = (int(data[name]) for name in ("rows", "damaged", "unlike"))
        return Tally(rows, damaged, unlike, dict(data["notes"]), odd)


class Source(Protocol):
    """Where inputs come from."""

    @property
    def id_name(self) -> str:
        """Name of the column with the names of the rows; empty without one."""

    @property
    def total(self) -> int | None:
        """How many inputs there are, where that is known beforehand."""

    @property
    def stamp(self) -> str:
        """What changes when any of the inputs does."""

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed before the first was read."""

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """The inputs behind the first ``tally.rows``, always cut at the same places; odd values are counted there.

        Raises:
            DataError: something cannot be read.
        """
