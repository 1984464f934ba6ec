"""``out-of-fold.csv``: every out-of-fold prediction of a cross-validation."""

from __future__ import annotations

import csv
import itertools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import files
from yisheng.core.dataset import Dataset
from yisheng.core.spec import Spec
from yisheng.evaluation.predictions import Predictions
from yisheng.experiments.cross_validation.folds import Fold


def write_out_of_fold_table(
    path: Path, spec: Spec, by_fold: Sequence[Predictions], data: Dataset, folds: Sequence[Fold]
) -> None:
    """Write a line for each row and repeat, in this order: row, name, fold, repeat, truth and prediction.

    Args:
        path: the file.
        spec: the contract of the models.
        by_fold: predictions of each fold's model for its validation part.
        data: the data set.
        folds: all folds.

    Raises:
        StorageError: the file cannot be written.
    """
    with files.replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["row", "name", "fold", "repeat", *_prediction_columns(spec, data.y)])
        for repeat in sorted({fold.repeat for fold in folds}):
            lines: list[list[Any]] = []
            for fold, predictions in zip(folds, by_fold, strict=True):
                if fold.repeat == repeat:
                    lines += _lines(spec, predictions, data, fold)
            lines.sort(key=operator.itemgetter(0))
            table.writerows(lines)


def _prediction_columns(spec: Spec, y: np.ndarray) -> list[str]:
    """Return the names of the columns of truth and prediction."""
    if spec.task == "regression":
        suffixes = [""] if y.shape[1] == 1 else [f"_{name}" for name in spec.target_names]
        return [f"{name}{suffix}" for name in ("true", "predicted") for suffix in suffixes]
    return ["true", "predicted", *(f"probability_{name}" for name in spec.classes)]


def _lines(spec: Spec, predictions: Predictions, data: Dataset, fold: Fold) -> Iterator[list[Any]]:
    """Yield the lines of a fold; numbers have as many digits as a float32 needs to be read back."""
    number = fold.fold.partition("/")[0]
    probabilities = predictions.prediction.astype(str).tolist()
    true, predicted = _as_text(spec, predictions.y), _as_text(spec, predictions.prediction)
    for row, *values in zip(predictions.index.tolist(), true, predicted, probabilities, strict=True):
        columns = values[:2] if spec.task == "regression" else values
        yield [row, data.rows[row] if data.rows else row, number, fold.repeat, *itertools.chain(*columns)]


def _as_text(spec: Spec, values: np.ndarray) -> list[list[str]]:
    """Return the truth or prediction of each row: its class, its labels (``a; b``), or its numbers."""
    if spec.task == "regression":
        return values.astype(str).tolist()
    if spec.task == "multilabel":
        return [["; ".join(itertools.compress(spec.classes, row))] for row in (values >= 0.5).tolist()]
    return [[spec.classes[number]] for number in (values if values.ndim == 1 else values.argmax(axis=1)).tolist()]
