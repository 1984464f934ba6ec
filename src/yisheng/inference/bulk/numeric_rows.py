"""Rows of finite numbers as a stream, for models that were not trained on a table file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.inference.bulk.chunk import ROWS_PER_CHUNK, Chunk, Tally, fingerprint_file, name_rows
from yisheng.inference.rows import MAX_FLOAT32, is_finite_number

BUFFER_BYTES = 1 << 20


class NumericRows:
    """Rows of a text file; a header row is matched by name, otherwise the columns are taken in order.

    Args:
        path: the file.
        spec: a contract for rows.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """

    id_name = ""
    notes: Sequence[str] = ()
    total: int | None = None

    def __init__(self, path: Path, spec: Spec) -> None:
        self._path, self._spec = path, spec
        self._positions = self._find_positions()
        self.fingerprint = fingerprint_file(path)

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """Yield the rows after the first ``tally.rows``; see `chunk.Source.chunks`."""
        end = 0
        for frame in self._read_frames(ROWS_PER_CHUNK, skip_header=self._positions is not None):
            start, end = end, end + len(frame)
            if end <= tally.rows:
                continue
            texts = frame.to_numpy(dtype=str)
            if self._positions is not None:
                texts = texts[:, self._positions]
            x = self._parse_numbers(texts, start)
            yield Chunk(name_rows(self._path, range(start, end)), x, None, [()] * len(frame))
        if not end:
            raise DataError(f"{self._path} has no rows", "give at least one")

    def _find_positions(self) -> list[int] | None:
        """Return the positions of the model's columns according to the header, or None if the file has no header."""
        frame = next(self._read_frames(1, skip_header=False), None)
        names = [column.name for column in self._spec.columns]
        if frame is None:
            raise DataError(f"{self._path} has no rows", "give at least one")
        header = [str(value).strip() for value in frame.iloc[0]]
        if not set(header) & set(names) and any(map(is_finite_number, header)):
            return None
        missing = [name for name in names if name not in header]
        if missing:
            raise DataError(
                f"{self._path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the model was "
                "trained on",
                "name the columns as in training, or leave the header row out and keep their order",
            )
        return [header.index(name) for name in names] if names else list(range(len(header)))

    def _read_frames(self, row_count: int, *, skip_header: bool) -> Iterator[pd.DataFrame]:
        try:
            with (
                self._path.open("rb") as file,
                pd.read_csv(
                    io.BufferedReader(_TextStream(file, self._path), BUFFER_BYTES),
                    sep="\t" if self._path.suffix.lower() == ".tsv" else ",",
                    header=None,
                    dtype=str,
                    keep_default_na=False,
                    skipinitialspace=True,
                    chunksize=row_count,
                ) as reader,
            ):
                for index, frame in enumerate(reader):
                    rows = frame.iloc[1:] if skip_header and index == 0 else frame
                    if len(rows):
                        yield rows
        except FileNotFoundError:
            raise DataError(f"{self._path} does not exist", "check the path") from None
        except (OSError, ValueError) as error:  # pandas' parser errors and decoding errors are ValueErrors
            raise DataError(
                f"{self._path} cannot be read as CSV: {error}", "give a comma-separated text file in UTF-8"
            ) from None

    def _parse_numbers(self, texts: np.ndarray, start: int) -> np.ndarray:
        """Parse texts ``(n, D)``; ``start`` is the number of rows before them, for errors."""
        if texts.shape[1] != self._spec.shape[0]:
            raise DataError(
                f"{self._path}: row {start + 1} has {texts.shape[1]} values, the model takes {self._spec.shape[0]}",
                "give one value per column",
            )
        try:
            values = texts.astype(np.float64)
            is_valid = (np.abs(values) <= MAX_FLOAT32).all() and not np.char.find(texts, "_").max(initial=-1) >= 0
        except ValueError:
            is_valid = False
        if not is_valid:
            for row, column in np.ndindex(*texts.shape):
                if not is_finite_number(text := str(texts[row, column])):
                    name = self._spec.columns[column].name if self._spec.columns else f"column {column + 1}"
                    raise DataError(
                        f"{self._path}: row {start + row + 1}, {name}: {text!r} is not a number",
                        "give a finite number",
                    )
        return values.astype(np.float32)


class _TextStream(io.RawIOBase):
    """A binary file that is checked while it is read: a table of text contains no zero bytes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path

    def readable(self) -> bool:
        """Return True, as `io.BufferedReader` requires."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; return their number."""
        piece = self._file.read(len(buffer))
        if b"\0" in piece:
            raise DataError(f"{self._path} cannot be read as CSV: it contains zero bytes", "give a text file in UTF-8")
        buffer[: len(piece)] = piece
        return len(piece)
