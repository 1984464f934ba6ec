"""The rows of several table files as one stream: each file is read by itself, when the one before it is predicted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from yisheng.inference.bulk.chunk import Chunk, OtherColumnsError, Source, Tally, fingerprint_file

OpenTable = Callable[[Path, str], Source]
"""Returns the rows of a file, given the column with their names; empty for one that is found by its name."""


class ShardRows:
    """Rows of several files, in the order of the files; what is predicted for a row depends on its file alone.

    One file is open at a time, so only the rows of one chunk are in memory, or those of one .parquet file. The rows are
    named by the same column in all files, if the first one has such a column, and otherwise numbered through.

    Args:
        paths: the files, one or more.
        open_file: opens one of them.
        id: the column with the names of the rows; found in the first file by its name if empty.
        options: text about how the files are read, for the fingerprint.

    Raises:
        DataError: the first file cannot be read.
    """

    total = None

    def __init__(self, paths: Sequence[Path], open_file: OpenTable, id: str = "", options: str = "") -> None:
        self._paths, self._open_file = list(paths), open_file
        first = open_file(self._paths[0], id)
        self.id_name = first.id_name
        self._first: Source | None = first
        self._learned: dict[int, Source] = {}
        self._notes: dict[str, None] = dict.fromkeys(first.notes)
        identities = "\n".join(map(fingerprint_file, self._paths))
        self.fingerprint = hashlib.sha256(f"{identities}\n{options}".encode()).hexdigest()

    @property
    def notes(self) -> Sequence[str]:
        """Return the notes on the files that were opened, without repetitions."""
        return list(self._notes)

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the rows after the first ``tally.rows``; see `Source.chunks`."""
        first_row, position = 0, tally.rows
        for number in range(len(self._paths)):
            source = self._open(number)
            rows = source.total
            assert rows is not None  # a file's rows are counted when it is opened
            if first_row + rows > position:
                try:
                    for chunk in source.chunks(Tally(rows=max(0, position - first_row))):
                        yield chunk if self.id_name else replace(chunk, ids=None)
                except OtherColumnsError:
                    self._learned[number] = source  # it knows the columns of its file now
                    raise
            first_row += rows

    encoded_chunks = chunks

    def _open(self, number: int) -> Source:
        """Return the rows of a file."""
        if number in self._learned:
            return self._learned[number]
        if number == 0 and self._first is not None:
            source, self._first = self._first, None  # it may have all rows of a .parquet file
            return source
        source = self._open_file(self._paths[number], self.id_name)
        self._notes |= dict.fromkeys(source.notes)
        return source
