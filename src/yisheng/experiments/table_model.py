"""The model of a run on a table together with its data: what explanations of its predictions are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Part, Split
from yisheng.core.entry import Entry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.importance import Predict
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import ensemble
from yisheng.inference.predictor import Predictor

BACKGROUND_ROWS = 200
"""Training rows that stand for the data in the reasons of a row and in the effect of a column."""


@dataclass(frozen=True)
class HeldOutRows:
    """Rows that a run did not train on, and what predicts them.

    Args:
        x: raw rows ``(N, D)``.
        y: their targets.
        part: the part that they belong to.
        predict: the predictions of all of these rows; of fold models that of the one that did not train on a row.
        blocks: number of the fold model of each row, or None if one model predicts all.
    """

    x: np.ndarray
    y: np.ndarray
    part: Part
    predict: Predict
    blocks: np.ndarray | None = None


@dataclass(frozen=True)
class TableModel:
    """A run or cross-validation on a table, with its data.

    Args:
        predictor: its model.
        config: its config.
        data: the data set of the training.
        splits: its parts, or those of each fold.
        folders: of the fold models; empty for a run.
    """

    predictor: Predictor
    config: Config
    data: Dataset
    splits: Sequence[Split]
    folders: Sequence[Path] = ()

    @property
    def spec(self) -> Spec:
        """Return the contract of the model."""
        return self.predictor.spec

    def held_out(self, limit: int | None = None) -> HeldOutRows:
        """Return the test part, or without one the validation part, or all folds.

        Args:
            limit: number of rows at most, drawn with a fixed seed.

        Raises:
            DataError: the run held out no rows.
        """
        split = self.splits[0]
        if len(split.test) or not self.folders:
            part: Part = "test" if len(split.test) else "validation"
            rows = _draw(getattr(split, part), limit)
            if not len(rows):
                raise DataError(
                    Message("the importance of columns is measured on rows that were held out, and the run has none"),
                    Message("train with a validation or test part"),
                )
            return HeldOutRows(self.data.x[rows], self.data.y[rows], part, self.predictor.compute_outputs)
        limit_by_fold = None if limit is None else -(-limit // len(self.splits))
        rows_by_fold = [_draw(split.validation, limit_by_fold) for split in self.splits]
        rows = np.concatenate(rows_by_fold)
        blocks = np.repeat(np.arange(len(rows_by_fold)), list(map(len, rows_by_fold)))
        predictors = [Predictor(folder) for folder in self.folders]

        def predict(x: np.ndarray) -> np.ndarray:
            return np.concatenate([p.compute_outputs(x[blocks == n]) for n, p in enumerate(predictors)])

        return HeldOutRows(self.data.x[rows], self.data.y[rows], "validation", predict, blocks)

    def draw_background(self, count: int = BACKGROUND_ROWS) -> np.ndarray:
        """Return raw training rows ``(n, D)``, drawn with a fixed seed."""
        rows = np.concatenate([self.splits[0].train, *([self.splits[0].validation] if self.folders else [])])
        return np.asarray(self.data.x[_draw(rows, count)])

    def find_metric(self) -> Entry:
        """Return the run's own score, or the default one where that is the loss."""
        name = self.config.score
        return registry.default("metrics", self.spec) if name in ("loss", "auto") else self.config.find_metric(name)


def open_table_model(folder: Path, data: Dataset | None = None) -> TableModel:
    """Return a run, cross-validation or search on a table with its data.

    Args:
        folder: of the run.
        data: the data set, if the config cannot name it.

    Raises:
        UsageError: the model is not for rows.
        DataError: the run or its data cannot be read, or the data differs from the data of the training.
    """
    run = RunFolder(folder).model_folder
    predictor = Predictor(run.path)
    if not predictor.spec.is_row:
        raise UsageError(
            Message(
                "columns are explained of models of tables, this one takes {description}",
                description=predictor.spec.description,
            ),
            Message("for an image use yisheng look {folder} photo.png explain=true", folder=folder),
        )
    config: Config = run.cross_validation_config if run.is_cross_validation else run.config
    data = load_dataset(config) if data is None else data
    if run.data_sha256 != fingerprint(data):
        raise DataError(
            Message("the data is not what it was in training (SHA-256 differs): its parts would be other rows"),
            Message("restore the data, or train again"),
        )
    return build_table_model(run, predictor, config, data)


def build_table_model(run: RunFolder, predictor: Predictor, config: Config, data: Dataset) -> TableModel:
    """Return a model with its data; of a repeated cross-validation with the folds of the first repeat."""
    if not run.is_cross_validation:
        return TableModel(predictor, config, data, [split_dataset(config, data)])
    entries = ensemble.read_description(run.path)["fold_models"]
    folders = [run.file(entry["folder"]) for entry in entries[: config.folds]]
    splits = [split_dataset(RunFolder(path).config, data) for path in folders]
    return TableModel(predictor, config, data, splits, folders)


def _draw(rows: np.ndarray, limit: int | None) -> np.ndarray:
    """Return rows in their order, at most ``limit`` of them, drawn with a fixed seed."""
    if limit is None or len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
