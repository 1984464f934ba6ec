"""Predict with the model of a run folder, a cross-validation or a search."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.core import machine, nested
from yisheng.core.errors import UsageError
from yisheng.core.input_spec import Inputs
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.evaluation.conformal import IntervalBounds, parse_level
from yisheng.inference import artifact, ensemble, rows
from yisheng.inference.classes import LABEL_THRESHOLD
from yisheng.inference.forward_pass import average_outputs, choose_batch, compute_outputs
from yisheng.inference.inputs.block import InputBlock, place_on_first
from yisheng.inference.inputs.read_inputs import read_inputs
from yisheng.inference.inputs.table_files import read_tables
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.prediction import Prediction, PredictionList
from yisheng.inference.residuals import ConformalIntervals, load_intervals

MAX_NAMED_COLUMNS = 5


class Predictor:
    """A trained model with everything that was fitted in training.

    The model of a cross-validation is the mean of its fold models: of their probabilities, or of their values in the
    original units. Each scales its inputs as in its own training. The OOD score is that of the first fold model: all
    have seen nearly the same rows, and a mean of such quantile levels is not a quantile level.

    Args:
        folder: of a run, a cross-validation, or a search (its final run).
        model: a user's own network, if it could not be saved without its code; see `yisheng.inference.artifact.load`.

    Raises:
        DataError: the folder does not hold a complete model; one damaged fold model is enough.
        UsageError: ``model`` cannot be built, or the network is a registered one.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> predictor = Predictor(run.path)
    >>> predictor.predict([5.1, 3.5, 1.4, 0.2])[0].prediction in predictor.spec.classes
    True
    >>> block = predictor.read_inputs([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]])
    >>> predictor.predict_outputs(block.x).shape, predictor.prepare(block.x).shape
    ((2, 3), torch.Size([2, 4]))
    >>> outputs, scores = predictor.compute_outputs_and_ood_scores(block.x)
    >>> bool((outputs == predictor.compute_outputs(block.x)).all())
    True
    >>> notes = predictor.describe_ood(block.x, scores)
    >>> [prediction.input for prediction in predictor.build_predictions(outputs, block.names, notes, scores)]
    ['0', '1']
    >>> predictor.compute_model_outputs(block.x)[0][0].shape, predictor.compute(block.x)[2] is None
    ((2, 3), True)
    >>> predictor.count_useful_threads()
    1
    >>> table = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> _ = table.write_text("sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\\n5,3,1,0\\n")
    >>> len(predictor.predict_files(table, ReadingOptions())), len(predictor.predict_table(table)[0])
    (1, 1)
    >>> run = yisheng.train(data="diabetes", model="ridge", out=tempfile.mkdtemp(), quiet=True)
    >>> predictor = Predictor(run.path)
    >>> predictor.check_level("0.9"), predictor.intervals.rows > 50
    (0.9, True)
    """

    def __init__(self, folder: Path, model: Any = None) -> None:
        run = RunFolder(folder).model_folder
        is_ensemble = run.is_cross_validation
        self.artifacts = ensemble.load(run.path, model) if is_ensemble else [artifact.load(run.path, model)]
        self.spec = self.artifacts[0].spec
        self._batch_sizes = list(map(choose_batch, self.artifacts))
        self.folder = run.path
        self._ood_lock = threading.Lock()

    @functools.cached_property
    def intervals(self) -> ConformalIntervals:
        """Return what prediction intervals are made of; it is read once.

        Raises:
            UsageError: the model does not predict numbers, or the run held out no rows.
            DataError: a file is damaged.
        """
        return load_intervals(self.folder, self.artifacts)

    def predict(self, inputs: Any, interval: Any = None) -> PredictionList:
        """Return predictions for one or several images, tables, rows or arrays.

        Args:
            inputs: for images a path, a PIL image, the bytes or the open file of an image, a list of these, or an array
                or tensor of any usual layout; for rows a table's path or open file, a DataFrame, a dict by column name,
                a row of values, a list of rows, or an array ``(N, D)``; for other networks an array of the shape of
                training with or without a leading axis, or a tuple or dict of them.
            interval: with an interval for each value that contains the true value in this fraction of rows, as 0.9.

        Raises:
            DataError: an input cannot be read, or has the wrong shape; the remedy lists the accepted forms.
            UsageError: there are no inputs, or the model has no intervals of this level.
        """
        level = self.check_level(interval)
        block = self.read_inputs(inputs)
        return self._predict_block(block.x, block.names, block.notes, level)

    def predict_files(self, inputs: Any, options: ReadingOptions, interval: Any = None) -> PredictionList:
        """Return predictions for the rows of tables that are read in another way than the training table.

        Args:
            inputs: a path, several, an open file, or bytes.
            options: the user's choices: encoding, decimal mark, ...
            interval: see `predict`.

        Raises:
            DataError: a file cannot be read, or a column is missing.
            UsageError: the model is not for rows or has no intervals of this level, or the inputs are no files.
        """
        level = self.check_level(interval)
        block = read_tables(inputs, self.spec, options)
        return self._predict_block(block.x, block.names, block.notes, level)

    def read_inputs(self, inputs: Any) -> InputBlock:
        """Return anything that `predict` takes as one block ``(N, *shape)``, with names and notes.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        return read_inputs(inputs, self.spec, self.artifacts[0].scale)

    def prepare(self, inputs: Any) -> Inputs:
        """Return anything that `predict` takes as the (first) network takes it, scaled as in training.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        raw = nested.from_numpy(self.read_inputs(inputs).x)
        return nested.to_contiguous(nested.to_single(self.artifacts[0].scale.apply(raw)))

    def predict_table(self, path: Path, id: str = "") -> tuple[PredictionList, rows.Rows]:
        """Return predictions for the rows of a table, and the table with the names of its rows and the notes on it.

        Args:
            path: .csv, .tsv (.gz is decompressed), .parquet or .npz with the columns of training.
            id: the column with the names of the rows; found by its name by default.

        Raises:
            DataError: the file cannot be read, or a column is missing.
            UsageError: the model is not for rows.
        """
        table, names = self._read_table(path, id)
        return self._predict_block(table.x, names, place_on_first(table.notes, len(names))), table

    def predict_outputs(self, inputs: Any) -> np.ndarray:
        """Return `compute_outputs` for anything that `predict` takes, as one block.

        Raises:
            DataError: an input cannot be read or has the wrong shape.
            UsageError: there are no inputs.
        """
        return self.compute_outputs(self.read_inputs(inputs).x)

    def compute_outputs(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities ``(N, C)`` or predicted values ``(N, T)`` for inputs ``(N, *shape)``."""
        return average_outputs([self._compute_outputs_of(n, x) for n in range(len(self.artifacts))])

    def compute_outputs_and_ood_scores(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return `compute_outputs` and the OOD score of each input, from one forward pass.

        Args:
            x: inputs ``(N, *shape)``.

        Returns:
            ``(N, C)`` or ``(N, T)``; and float64 ``(N,)``, the fraction of held-out rows that were less unusual, or
            None if the run has no detector.
        """
        outputs, ood_scores = self.compute_model_outputs(x)
        return average_outputs(outputs), ood_scores

    def compute_model_outputs(self, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return the outputs of each model, and the OOD scores of the first; see `compute_outputs_and_ood_scores`."""
        if self.artifacts[0].ood_detector is None:
            return [self._compute_outputs_of(n, x) for n in range(len(self.artifacts))], None
        scores: list[torch.Tensor] = []
        with self._ood_lock:  # the detector's hooks would capture the features of another thread's forward pass
            first = self._compute_outputs_of(0, x, scores)
        remaining = [self._compute_outputs_of(n, x) for n in range(1, len(self.artifacts))]
        return [first, *remaining], torch.cat(scores).numpy()

    def _compute_outputs_of(self, n: int, x: np.ndarray, ood_scores: list[torch.Tensor] | None = None) -> np.ndarray:
        """Return the outputs of one model; append its OOD scores to ``ood_scores`` if given."""
        return compute_outputs(self.artifacts[n], x, self._batch_sizes[n], ood_scores)

    def compute(
        self, x: np.ndarray, level: float | None = None
    ) -> tuple[np.ndarray, np.ndarray | None, IntervalBounds | None]:
        """Return `compute_outputs_and_ood_scores`, and with a level the interval of each value.

        Args:
            x: inputs ``(N, *shape)``.
            level: the fraction of inputs whose true value should be in its interval; None for no intervals.

        Raises:
            UsageError: the model has no intervals of this level.
        """
        if level is None:
            return *self.compute_outputs_and_ood_scores(x), None
        outputs, ood_scores = self.compute_model_outputs(x)
        mean = average_outputs(outputs)
        return mean, ood_scores, self.intervals.compute(outputs, mean, level)

    def count_useful_threads(self) -> int:
        """Return the number of threads of torch that a forward pass is worth; see `machine.threads_worth`."""
        batch, network = self._batch_sizes[0], self.artifacts[0].model
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return machine.threads_worth(batch * math.prod(self.spec.shape), batch * parameters)

    def check_level(self, interval: Any) -> float | None:
        """Return the level of intervals as a number, or None without one; to be called before any work.

        Raises:
            UsageError: it is not a fraction, or the model has no intervals of this level.
        """
        if interval is None:
            return None
        level = parse_level(interval)
        self.intervals.require(level)
        return level

    def describe_ood(self, x: np.ndarray, ood_scores: np.ndarray | None) -> list[tuple[str, ...]]:
        """Return a warning for each input that is out of distribution, and nothing for the others.

        Args:
            x: inputs ``(N, *shape)``.
            ood_scores: from `compute_outputs_and_ood_scores`.
        """
        detector = self.artifacts[0].ood_detector
        warnings: list[tuple[str, ...]] = [()] * len(x)
        if ood_scores is None or detector is None:
            return warnings
        indices = np.flatnonzero(ood_scores > THRESHOLD)
        if not len(indices):
            return warnings
        columns_of_rows = detector.find_columns_out_of_range(torch.from_numpy(x[indices]), self.spec)
        for index, columns in zip(indices, columns_of_rows, strict=True):
            warnings[index] = (Message("out of distribution: {reason}", reason=_explain_unusual(columns)),)
        return warnings

    def build_predictions(
        self,
        outputs: np.ndarray,
        names: Sequence[str],
        notes: Sequence[tuple[str, ...]],
        ood_scores: np.ndarray | None = None,
        bounds: IntervalBounds | None = None,
    ) -> PredictionList:
        """Return the predictions that outputs stand for.

        Args:
            outputs: probabilities ``(N, C)`` or values ``(N, T)``.
            names: of the inputs.
            notes: on each input.
            ood_scores: of each input ``(N,)``, or None.
            bounds: intervals of the values, or None.
        """
        scores = [None] * len(outputs) if ood_scores is None else ood_scores.astype(float).tolist()
        predictions = [
            self._build_prediction(row, name, note, score)
            for row, name, note, score in zip(outputs, names, notes, scores, strict=True)
        ]
        if bounds is None:
            return PredictionList(predictions, self.spec.unit)
        pairs = np.stack([bounds.low, bounds.high], axis=-1).tolist()
        predictions = [replace(p, interval=self._name_bounds(row)) for p, row in zip(predictions, pairs, strict=True)]
        return PredictionList(predictions, self.spec.unit, bounds.level)

    def _name_bounds(self, pairs: list[list[float]]) -> Any:
        """Return the bounds of one input: a pair, or with several targets pairs by name."""
        if len(pairs) == 1:
            return tuple(pairs[0])
        return dict(zip(self.spec.target_names, map(tuple, pairs), strict=True))

    def _build_prediction(
        self, row: np.ndarray, name: str, notes: tuple[str, ...], ood_score: float | None
    ) -> Prediction:
        if self.spec.task == "regression":
            values = dict(zip(self.spec.target_names, map(float, row), strict=True))
            value = values if len(values) > 1 else float(row[0])
            return Prediction(name, value, notes=notes, ood_score=ood_score)
        order = np.argsort(-row, kind="stable")
        probabilities = {self.spec.classes[index]: float(row[index]) for index in order}
        if self.spec.task == "multilabel":
            labels = [label for label, probability in probabilities.items() if probability >= LABEL_THRESHOLD]
            return Prediction(name, labels, probabilities, notes, ood_score)
        return Prediction(name, next(iter(probabilities)), probabilities, notes, ood_score)

    def _predict_block(
        self,
        x: np.ndarray,
        names: Sequence[str],
        reading_notes: Sequence[tuple[str, ...]],
        level: float | None = None,
    ) -> PredictionList:
        outputs, ood_scores, bounds = self.compute(x, level)
        warnings = self.describe_ood(x, ood_scores)
        notes = [(*reading, *warning) for reading, warning in zip(reading_notes, warnings, strict=True)]
        return self.build_predictions(outputs, names, notes, ood_scores, bounds)

    def _read_table(self, path: Path, id: str = "") -> tuple[rows.Rows, list[str]]:
        """Return a table, and the names of its rows in predictions."""
        if self.spec.is_image:
            raise UsageError(
                Message("the model takes images of shape {shape}, {path} is a table", shape=self.spec.shape, path=path),
                Message("give images"),
            )
        table = rows.read_rows(path, self.spec, id)
        return table, [f"{path}:{n + 1}" for n in range(len(table.x))]


def _explain_unusual(columns: Sequence[str]) -> Message:
    """Return why an input is out of distribution: by the columns that are out of the training data's range, if any."""
    if not columns:
        count = round(1 / (1 - THRESHOLD))
        return Message("fewer than 1 in {count} held-out rows are as unusual", count=count)
    named, unnamed = ", ".join(columns[:MAX_NAMED_COLUMNS]), len(columns) - MAX_NAMED_COLUMNS
    if unnamed <= 0:
        return Message("{columns} outside the range of the training data", columns=named)
    return Message(
        "{columns} and {count} more columns outside the range of the training data", columns=named, count=unnamed
    )
