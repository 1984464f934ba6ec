"""Rows of numbers from a CSV file or the command line, matched with the columns of the training data."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.types import Spec

LIMIT = 256 << 20
LARGEST = float(np.finfo(np.float32).max)


def read(path: Path, spec: Spec) -> np.ndarray:
    """Rows of a CSV file (tab-separated where its name ends in .tsv) as float32 ``(N, D)``.

    A header row is matched by name, in any order, further columns left out; without a header the
    columns are taken in the order of training.

    Raises:
        DataError: a column is missing, a value is no number, or the file is unreadable.
    """
    import pandas as pd

    names = [column.name for column in spec.columns]
    try:
        table = pd.read_csv(
            _content(path),
            sep="\t" if path.suffix.lower() == ".tsv" else ",",
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path") from None
    except (OSError, ValueError) as error:  # pandas' parser errors and bad encodings are ValueErrors
        raise DataError(f"{path} cannot be read as CSV: {error}", "give a comma-separated text file in UTF-8") from None
    header = [str(value).strip() for value in table.iloc[0]]
    if set(header) & set(names) or not any(map(_is_number, header)):
        missing = [name for name in names if name not in header]
        if missing:
            raise DataError(
                f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)} that the model was trained on",
                "name the columns as in training, or leave the header row out and keep their order",
            )
        table = table.iloc[1:, [header.index(name) for name in names]]
    return parse(table.to_numpy(dtype=str).tolist(), spec, str(path))


def parse(rows: list[list[str]], spec: Spec, where: str) -> np.ndarray:
    """Rows of text as float32 ``(N, D)``.

    Args:
        rows: the values.
        spec: a contract for rows.
        where: what to call the source in an error.

    Raises:
        DataError: the number of values is wrong, or one is no finite number.
    """
    width = spec.shape[0]
    block = np.empty((len(rows), width), np.float32)
    for number, row in enumerate(rows):
        if len(row) != width:
            raise DataError(
                f"{where}: row {number + 1} has {len(row)} values, the model wants {width}", "give one value per column"
            )
        for column, text in enumerate(row):
            if not _is_number(text):
                name = spec.columns[column].name if spec.columns else f"column {column + 1}"
                raise DataError(f"{where}: row {number + 1}, {name}: {text!r} is not a number", "give a finite number")
            block[number, column] = float(text)
    if not len(block):
        raise DataError(f"{where} has no rows", "give at least one")
    return block


def _content(path: Path) -> io.BytesIO:
    """The whole file, read piece by piece: a pipe or device does not tell its size."""
    content = io.BytesIO()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            if b"\0" in piece:
                raise DataError(f"{path} cannot be read as CSV: it holds zero bytes", "give a text file in UTF-8")
            content.write(piece)
            if content.tell() > LIMIT:
                raise DataError(f"{path} is larger than {LIMIT >> 20} MiB", "split it")
    content.seek(0)
    return content


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and abs(float(text)) <= LARGEST  # NaN is not; Python alone reads 5_1 as 51
    except ValueError:
        return False
