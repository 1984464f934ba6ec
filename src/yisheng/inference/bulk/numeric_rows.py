"""Rows of nothing but finite numbers as a stream, for models that were not trained on a table's file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.inference import rows as whole
from yisheng.inference.bulk.chunk import ROWS, Chunk, Tally, called, stamp


class Plain:
    """The rows of a file of text; a header row is matched by name, else the columns are taken in order.

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
        self.path, self.spec = path, spec
        self.places = self._places()
        self.stamp = stamp(path)

    def chunks(self, tally: Tally) -> Iterator[Chunk]:
        """See `chunk.Source.chunks`."""
        at = 0
        for frame in self._frames(ROWS, skip=self.places is not None):
            before, at = at, at + len(frame)
            if at <= tally.rows:
                continue
            texts = frame.to_numpy(dtype=str) if self.places is None else frame.to_numpy(dtype=str)[:, self.places]
            yield Chunk(called(self.path, range(before, at)), self._numbers(texts, before), None, [()] * len(frame))
        if not at:
            raise DataError(f"{self.path} has no rows", "give at least one")

    def _places(self) -> list[int] | None:
        """Where the model's columns stand, by the header; None where the file has none."""
        first = next(self._frames(1, skip=False), None)
        names = [column.name for column in self.spec.columns]
        if first is None:
            raise DataError(f"{self.path} has no rows", "give at least one")
        header = [str(value).strip() for value in first.iloc[0]]
        if not set(header) & set(names) and any(map(whole.is_number, header)):
            return None
        missing = [name for name in names if name not in header]
        if missing:
            raise DataError(
                f"{self.path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the model was "
                "trained on",
                "name the columns as in training, or leave the header row out and keep their order",
            )
        return [header.index(name) for name in names] if names else list(range(len(header)))

    def _frames(self, size: int, *, skip: bool) -> Iterator[pd.DataFrame]:
        try:
            with (
                self.path.open("rb") as file,
                pd.read_csv(
                    io.BufferedReader(_Checked(file, self.path), 1 << 20),
                    sep="\t" if self.path.suffix.lower() == ".tsv" else ",",
                    header=None,
                    dtype=str,
                    keep_default_na=False,
                    skipinitialspace=True,
                    chunksize=size,
                ) as reader,
            ):
                for number, frame in enumerate(reader):
                    rest = frame.iloc[1:] if skip and number == 0 else frame
                    if len(rest):
                        yield rest
        except FileNotFoundError:
            raise DataError(f"{self.path} does not exist", "check the path") from None
        except (OSError, ValueError) as error:  # pandas' parser errors and bad encodings are ValueErrors
            raise DataError(
                f"{self.path} cannot be read as CSV: {error}", "give a comma-separated text file in UTF-8"
            ) from None

    def _numbers(self, texts: np.ndarray, before: int) -> np.ndarray:
        if texts.shape[1] != self.spec.shape[0]:
            raise DataError(
                f"{self.path}: row {before + 1} has {texts.shape[1]} values, the model wants {self.spec.shape[0]}",
                "give one value per column",
            )
        try:
            values = texts.astype(np.float64)
            fine = (np.abs(values) <= whole.LARGEST).all() and not np.char.find(texts, "_").max(initial=-1) >= 0
        except ValueError:
            fine = False
        if not fine:
            for row, column in np.ndindex(*texts.shape):
                if not whole.is_number(text := str(texts[row, column])):
                    name = self.spec.columns[column].name if self.spec.columns else f"column {column + 1}"
                    raise DataError(
                        f"{self.path}: row {before + row + 1}, {name}: {text!r} is not a number", "give a finite number"
                    )
        return values.astype(np.float32)


class _Checked(io.RawIOBase):
    """A file whose bytes are looked at on the way: a table of text holds no zero bytes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, into: Any) -> int:
        """The next bytes."""
        piece = self.file.read(len(into))
        if b"\0" in piece:
            raise DataError(f"{self.path} cannot be read as CSV: it holds zero bytes", "give a text file in UTF-8")
        into[: len(piece)] = piece
        return len(piece)
