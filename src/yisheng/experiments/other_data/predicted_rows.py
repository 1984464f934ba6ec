"""The predictions of a run for rows of other data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.evaluation.details import collect_details
from yisheng.evaluation.png import has_pixels
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.unusual_values import TypicalValues
from yisheng.experiments.other_data.rows import OtherRows
from yisheng.inference.forward_pass import average_outputs
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.predictor import Predictor

CHUNK_BYTES, MAX_CHUNK_ROWS = 64 << 20, 4096
"""Inputs that are read and predicted at a time."""


@dataclass(frozen=True)
class PredictedRows:
    """Some rows of other data, and what a model predicts for them.

    Args:
        spec: the contract of the model.
        rows: the rows.
        predictions: with the true targets.
        ood_scores: fraction of held-out rows of training that were less unusual ``(N,)``, or None without a detector.
        by_model: predictions of each model ``(N, ...)``.
    """

    spec: Spec
    rows: OtherRows
    predictions: Predictions
    ood_scores: np.ndarray | None
    by_model: list[np.ndarray]

    def describe_ood(self) -> dict[str, Any] | None:
        """Return how many rows are out of distribution, as in ``evaluation.json``."""
        if self.ood_scores is None:
            return None
        count = int((self.ood_scores > THRESHOLD).sum())
        return {"rows": count, "fraction": count / len(self.ood_scores), "expected": round(1 - THRESHOLD, 6)}

    def collect_details(self) -> dict[str, Any]:
        """Return what ``evaluation.json`` says of the predictions: classes, worst rows, ..."""
        names, rows = self.rows.rows, self.rows
        typical = TypicalValues.fit_rows(self.spec, rows.read, rows.index)
        has_images = has_pixels(self.spec, rows.read(rows.index[:1]).dtype)
        return collect_details(
            self.spec,
            self.predictions,
            part="test",
            image=(lambda row: rows.read(np.array([row]))[0]) if has_images else None,
            name=(lambda row: names[row]) if names else None,
            unusual=None if typical is None else lambda row: typical.describe(rows.read(np.array([row]))[0]),
        )

    def write_csv(self, path: Path) -> None:
        """Write the true and the predicted target of each row."""
        import pandas as pd

        predictions, spec, names = self.predictions, self.spec, self.rows.rows
        row_names = [str(row) if names is None else names[row] for row in predictions.index.tolist()]
        columns: dict[str, Any] = {"row": row_names}
        if spec.task == "classification":
            classes = np.array(spec.classes, dtype=object)
            columns |= {"true": classes[predictions.y], "predicted": classes[predictions.prediction.argmax(1)]}
            columns |= {f"probability {name}": predictions.prediction[:, n] for n, name in enumerate(spec.classes)}
        else:
            labels = spec.classes or spec.target_names
            for number, label in enumerate(labels):
                columns |= {
                    f"true {label}": predictions.y[:, number],
                    f"predicted {label}": predictions.prediction[:, number],
                }
        if self.ood_scores is not None:
            columns["ood_score"] = self.ood_scores
        with files.replace_file(path) as temporary:
            pd.DataFrame(columns).to_csv(temporary, index=False)


def predict_rows(predictor: Predictor, rows: OtherRows) -> PredictedRows:
    """Predict rows chunk by chunk.

    Raises:
        DataError: predictions are not finite because the rows are not.
    """
    first = rows.read(rows.index[:1])
    size = max(1, min(MAX_CHUNK_ROWS, CHUNK_BYTES // max(1, first.nbytes)))
    blocks, ood_scores = [], []
    for start in range(0, len(rows), size):
        x = rows.read(rows.index[start : start + size])
        by_model, scores = predictor.compute_model_outputs(x)
        blocks.append(by_model)
        ood_scores += [] if scores is None else [scores]
    outputs = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    predictions = Predictions(rows.targets.y, average_outputs(outputs), rows.index)
    if not np.isfinite(predictions.prediction).all():
        _require_finite_inputs(rows, predictions)
    return PredictedRows(predictor.spec, rows, predictions, np.concatenate(ood_scores) if ood_scores else None, outputs)


def _require_finite_inputs(rows: OtherRows, predictions: Predictions) -> None:
    """Refuse rows whose predictions are not finite because their inputs are not."""
    wrong = np.flatnonzero(~np.isfinite(predictions.prediction).all(1))
    x = rows.read(rows.index[wrong[:1]])
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError(
            Message(
                "{name}: {count} rows have missing or infinite values, which the run's data had not (the "
                "first is row {index})",
                name=rows.name,
                count=f"{len(wrong):,}",
                index=rows.index[wrong[0]],
            ),
            Message("fill in the values, or leave these rows out"),
        )
