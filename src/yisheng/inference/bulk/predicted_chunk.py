"""The predictions for one chunk of a stream, as the text that is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from yisheng.evaluation.conformal import IntervalBounds
from yisheng.inference.bulk.chunk import Chunk
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.prediction import Prediction
from yisheng.inference.prediction_file import PredictionTable, format_json_lines
from yisheng.inference.predictor import Predictor

NO_INPUTS = np.empty((0, 0))


@dataclass(frozen=True)
class ChunkWriter:
    """What predictions look like in a file.

    Args:
        table: the columns.
        as_json: write JSON lines instead of the table.
        level: of the intervals, or None.
    """

    table: PredictionTable
    as_json: bool
    level: float | None

    def predict(self, predictor: Predictor, chunk: Chunk, rows_before: int) -> PredictedChunk:
        """Predict the inputs of a chunk.

        Args:
            predictor: the model.
            chunk: the inputs.
            rows_before: number of inputs before them, by which rows without names are numbered.
        """
        outputs = _compute(predictor, chunk, self.level)
        scores = outputs.ood_scores
        unusual = 0 if scores is None else int((scores > THRESHOLD).sum())
        text = self._format(predictor, outputs, chunk, rows_before)
        return PredictedChunk(text, unusual, tuple(chunk.notes), dict(chunk.errors))

    def _format(self, predictor: Predictor, outputs: _Outputs, chunk: Chunk, rows_before: int) -> str:
        """Return the lines of a chunk."""
        if self.as_json:
            predictions = _build_predictions(predictor, outputs, chunk)
            has_errors = self.table.has_errors
            errors = [chunk.errors.get(index) for index in range(len(chunk.names))] if has_errors else None
            return format_json_lines(predictions, chunk.names, chunk.ids, errors)
        numbers = range(rows_before + 1, rows_before + len(chunk.names) + 1)
        ids = list(map(str, numbers)) if chunk.ids is None else chunk.ids
        return self.table.format_rows(outputs.values, ids, chunk.errors, outputs.bounds)


@dataclass(frozen=True)
class PredictedChunk:
    """The predictions for a chunk.

    Args:
        text: the lines to write.
        out_of_distribution: inputs with an OOD score above the threshold.
        notes: how each input that could be read was changed.
        errors: why an input could not be read, by its index.
    """

    text: str
    out_of_distribution: int = 0
    notes: Sequence[tuple[str, ...]] = ()
    errors: dict[int, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        errors = list(self.errors.items())
        return json.dumps([self.text, self.out_of_distribution, [list(notes) for notes in self.notes], errors])

    @staticmethod
    def from_json(line: str) -> PredictedChunk:
        """Return what `to_json` wrote."""
        text, unusual, notes, errors = json.loads(line)
        return PredictedChunk(text, unusual, tuple(map(tuple, notes)), {int(index): why for index, why in errors})

    def describe(self, chunk: Any) -> Chunk:
        """Return the chunk for the counts of the stream: without its inputs, with notes and errors.

        Args:
            chunk: the chunk, or its encoded form.
        """
        if isinstance(chunk, Chunk):
            return replace(chunk, x=NO_INPUTS)
        return Chunk(chunk.names, NO_INPUTS, notes=self.notes, errors=self.errors)


class _Outputs(NamedTuple):
    """What a model computes for the inputs of a chunk.

    Args:
        values: probabilities ``(n, C)`` or values ``(n, T)``.
        ood_scores: ``(n,)``, or None if the run has no detector.
        bounds: intervals of the values, or None.
    """

    values: np.ndarray
    ood_scores: np.ndarray | None = None
    bounds: IntervalBounds | None = None


def _compute(predictor: Predictor, chunk: Chunk, level: float | None) -> _Outputs:
    """Return the outputs for the inputs of a chunk that could be read."""
    if not len(chunk.x):
        no_values = np.empty((0, len(predictor.spec.classes or predictor.spec.target_names)))
        return _Outputs(no_values, bounds=None if level is None else IntervalBounds(level, no_values, no_values))
    return _Outputs(*predictor.compute(chunk.x, level))


def _build_predictions(predictor: Predictor, outputs: _Outputs, chunk: Chunk) -> list[Prediction | None]:
    """Return a prediction for each input of a chunk, None for those that could not be read."""
    readable = [name for index, name in enumerate(chunk.names) if index not in chunk.errors]
    notes = predictor.describe_ood(chunk.x, outputs.ood_scores)
    if chunk.notes:
        notes = [(*reading, *warning) for reading, warning in zip(chunk.notes, notes, strict=True)]
    predictions = iter(predictor.build_predictions(outputs.values, readable, notes, outputs.ood_scores, outputs.bounds))
    return [None if index in chunk.errors else next(predictions) for index in range(len(chunk.names))]
