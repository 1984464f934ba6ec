"""Predict for files or typed rows, for the command ``predict``; files of any size: `yisheng.experiments.submission`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.shards import has_glob, list_shards
from yisheng.inference import rows as typed_rows
from yisheng.inference.prediction import PredictionList
from yisheng.inference.predictor import Predictor


def predict(
    folder: Path,
    inputs: Sequence[Path],
    rows: str | None = None,
    reading: Mapping[str, Any] | None = None,
    interval: Any = None,
) -> PredictionList:
    """Return the predictions of a model.

    Args:
        folder: of the run.
        inputs: images or tables.
        rows: instead of files, rows as text: ``5.1,3.5;4.9,3.0``.
        reading: how tables are read, if not as the training table: ``encoding``, ``decimal``, ``names``, ...
        interval: with an interval for each value that contains the true one in this fraction of rows.

    Raises:
        UsageError: there are no inputs, or they do not fit the model.
        DataError: the folder or an input cannot be read.
    """
    predictor = Predictor(folder)
    spec = predictor.spec
    if spec.is_row and any(has_glob(path) or list_shards(path) for path in inputs):
        raise UsageError(
            Message("predictions for several files of a table are written to a file"),
            Message("use out=predictions.csv too"),
        )
    if reading:
        return predictor.predict_files([] if rows is not None else inputs, ReadingOptions.parse(reading), interval)
    if rows is None:
        if spec.is_image and any(os.path.isdir(path) for path in inputs):  # noqa: PTH112  # never raises
            raise UsageError(
                Message("predictions for a folder of images are written to a file"),
                Message("use out=predictions.csv too"),
            )
        return predictor.predict(inputs, interval)
    if inputs or not spec.is_row:
        raise UsageError(Message("rows= is for a model of rows, instead of files"), Message("give rows= or files"))
    values = [[value.strip() for value in row.split(",")] for row in rows.split(";") if row.strip()]
    return predictor.predict(typed_rows.parse_rows(values, spec, "rows="), interval)
