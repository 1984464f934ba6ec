"""Evaluate a run on other data: scores and report in ``evaluations/NAME/``; the run's own files stay as they are.

The model, its transforms and its out-of-distribution detector are those of prediction, so a cross-validation is
evaluated by the mean of its models. See `yisheng.inference.predictor`.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import files, provenance
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.run_names import check_run_name, make_label
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.core.stored_messages import add_messages
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.details import collect_details
from yisheng.evaluation.group_scores import find_column, score_groups
from yisheng.evaluation.png import has_pixels
from yisheng.evaluation.predictions import Predictions
from yisheng.evaluation.scores import compute_scores
from yisheng.evaluation.unusual_values import TypicalValues
from yisheng.experiments.interval_facts import Source, describe_intervals, find_out_of_fold_errors
from yisheng.experiments.other_data.load import Request, load_rows, resolve_request
from yisheng.experiments.other_data.result import Evaluation
from yisheng.experiments.other_data.rows import OtherRows, keep_known_classes
from yisheng.inference.forward_pass import average_outputs
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.predictor import Predictor
from yisheng.inference.residuals import ConformalIntervals
from yisheng.reporting import evaluation_page

CHUNK_BYTES, MAX_CHUNK_ROWS = 64 << 20, 4096
"""Inputs that are read and predicted at a time."""
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class _Result:
    """What a model predicts for some rows.

    Args:
        predictions: with the true targets.
        ood_scores: fraction of held-out rows of training that were less unusual ``(N,)``, or None without a detector.
        by_model: predictions of each model ``(N, ...)``.
    """

    predictions: Predictions
    ood_scores: np.ndarray | None
    by_model: list[np.ndarray]

    def describe_ood(self) -> dict[str, Any] | None:
        """Return how many rows are out of distribution, as in ``evaluation.json``."""
        if self.ood_scores is None:
            return None
        count = int((self.ood_scores > THRESHOLD).sum())
        return {"rows": count, "fraction": count / len(self.ood_scores), "expected": round(1 - THRESHOLD, 6)}


def evaluate_other(
    folder: Path,
    request: Request,
    *,
    name: str | None = None,
    write_predictions: bool = False,
    groups: str | None = None,
) -> Evaluation:
    """Score a run on all rows of other data, or on one of its official parts.

    Args:
        folder: of a finished run, cross-validation or search (its final run).
        request: the data.
        name: name of the evaluation; by default that of the data, numbered if it exists with other content.
        write_predictions: also write the prediction of each row, as ``predictions.csv``.
        groups: a column by whose values the scores are reported too.

    Raises:
        UsageError: a name, an option or the part is unknown, or the name is taken by an evaluation on other data.
        DataError: the run or the data cannot be read, or the data does not fit the run.
        NonFiniteError: a prediction is NaN or infinite.
        StorageError: a file cannot be written.
    """
    run = RunFolder(folder).model_folder
    name = None if name is None else _check_name(name)
    predictor = Predictor(run.path)
    if groups is not None:
        find_column(predictor.spec, groups)  # before the work
    config = _read_config(run)
    request = resolve_request(request, predictor.spec)
    rows = load_rows(request, predictor.spec, None if config is None else config.data)
    for sentence in describe_rows(rows, predictor.spec):  # before the scores: they depend on it
        logger.warning(sentence)
    scored = keep_known_classes(rows)
    start = time.perf_counter()
    result = _predict(predictor, scored)
    spec = predictor.spec
    metrics = [] if config is None else config.extra_metrics()
    scores = {
        "test": compute_scores(spec, result.predictions, extra=metrics),
        "baseline": score_baseline(spec, scored.targets.y, scored.targets.y, extra=metrics),
    }
    details = _collect_details(spec, scored, result)
    if spec.task == "regression" and (intervals := _find_intervals(predictor)) is not None:
        details["intervals"] = describe_intervals(
            spec,
            intervals,
            source="folds" if run.is_cross_validation else _name_source(predictor),
            chose_epoch=config is not None and not config.folds and config.fold is None,
            test=result.predictions,
            outputs=result.by_model,
            y=result.predictions.y,
        )
    if groups is not None:
        values = scored.read(scored.index)[:, find_column(spec, groups)]
        details["groups"] = score_groups(spec, result.predictions, values, groups, extra=metrics)
    about = _describe(run, predictor, request, rows, scored, result)
    about["seconds"] = round(time.perf_counter() - start, 2)
    target = _choose_folder(run, rows.name, name, about)
    _write(target, scores, {**details, "other_data": about})
    if write_predictions:
        _write_predictions(target.file(PREDICTIONS), spec, scored, result)
    evaluation_page.write_evaluation_page(target.path, run.path)
    return Evaluation(target.path)


def _name_source(predictor: Predictor) -> Source:
    """Return what rows the errors of a single model are of."""
    return "ensemble" if len(find_out_of_fold_errors(predictor.artifacts[0].model)) else "validation"


def _find_intervals(predictor: Predictor) -> ConformalIntervals | None:
    """Return what the model's intervals are made of, or None if it has none."""
    try:
        return predictor.intervals
    except UsageError:
        return None


def describe_rows(rows: OtherRows, spec: Spec) -> list[Message]:
    """Return in sentences what of some rows is matched, changed or left out."""
    classes = rows.targets.classes
    sentences = [] if classes is None else classes.describe(are_labels=spec.task == "multilabel")
    return [Message("{name}: {note}", name=rows.name, note=sentence) for sentence in (*sentences, *rows.notes)]


def _check_name(name: str) -> str:
    try:
        return make_label(check_run_name(name))
    except ValueError as error:
        raise UsageError(
            Message("name must be {rule}, got {name}", rule=error, name=f"{name!r}"),
            Message("use name=hospital-b, for example"),
        ) from None


def _read_config(run: RunFolder) -> Config | None:
    """Return the config of a run or cross-validation; None for a folder that holds only the files of a model."""
    if not run.file(RunFolder.CONFIG).is_file():
        return None
    return run.cross_validation_config if run.is_cross_validation else run.config


def _predict(predictor: Predictor, rows: OtherRows) -> _Result:
    """Predict the rows chunk by chunk."""
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
    return _Result(predictions, np.concatenate(ood_scores) if ood_scores else None, outputs)


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


def _collect_details(spec: Spec, rows: OtherRows, result: _Result) -> dict[str, Any]:
    names, typical = rows.rows, TypicalValues.fit_rows(spec, rows.read, rows.index)
    return collect_details(
        spec,
        result.predictions,
        part="test",
        image=(lambda row: rows.read(np.array([row]))[0]) if _has_images(spec, rows) else None,
        name=(lambda row: names[row]) if names else None,
        unusual=None if typical is None else lambda row: typical.describe(rows.read(np.array([row]))[0]),
    )


def _has_images(spec: Spec, rows: OtherRows) -> bool:
    return has_pixels(spec, rows.read(rows.index[:1]).dtype)


def _describe(
    run: RunFolder, predictor: Predictor, request: Request, rows: OtherRows, scored: OtherRows, result: _Result
) -> dict[str, Any]:
    """Return what is evaluated on which rows, as in ``evaluation.json``."""
    part, run_scores = _own_scores(run)
    classes = rows.targets.classes
    about = {
        "data": {
            "name": rows.name,
            "part": request.part or "all",
            "rows": len(rows),
            "scored": len(scored),
            "sha256": rows.sha256,
        },
        "labels": [] if request.labels is None else list(request.labels),
        "model": [artifact.description["sha256"] for artifact in predictor.artifacts],
        "run": {"part": part, "scores": {name: score.value for name, score in run_scores.items()}},
        "classes": None if classes is None else classes.to_json(),
        "out_of_distribution": result.describe_ood(),
        "notes": describe_rows(rows, predictor.spec),
        "evaluated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": provenance.versions(),
    }
    return add_messages(about)


def _own_scores(run: RunFolder) -> tuple[str, Mapping[str, Score]]:
    """Return the run's own scores, on its test part if it has one."""
    scores = run.scores
    part = next((name for name in ("test", "validation") if scores.get(name)), "test")
    return part, scores.get(part, {})


def _choose_folder(run: RunFolder, data_name: str, name: str | None, about: Mapping[str, Any]) -> RunFolder:
    """Return the folder of the evaluation: an earlier one of the same content, or a new one.

    Raises:
        UsageError: the user's name is taken by an evaluation of other content.
    """
    parent = run.file(RunFolder.EVALUATIONS)
    label = name or make_label(data_name) or "data"
    number = 1
    while True:
        folder = RunFolder(parent / (label if number == 1 else f"{label}-{number}"))
        earlier = _read_content(folder)
        if earlier is None or earlier == _content(about):
            return folder
        if name is not None:
            raise UsageError(
                Message("{path} holds an evaluation of other data or of another model", path=folder.path),
                Message("choose another name="),
            )
        number += 1


def _read_content(folder: RunFolder) -> tuple[Any, ...] | None:
    """Return what an earlier evaluation is of; None if there is none, or it cannot be read."""
    if not folder.file(RunFolder.EVALUATION).is_file():
        return None
    try:
        return _content(files.read_json(folder.file(RunFolder.EVALUATION))["other_data"])
    except (DataError, KeyError, TypeError, AttributeError):
        return None


def _content(about: Mapping[str, Any]) -> tuple[Any, ...]:
    data = about["data"]
    return data["sha256"], data["part"], tuple(about["labels"]), tuple(about["model"])


def _write(folder: RunFolder, scores: Mapping[str, Mapping[str, Score]], evaluation: Mapping[str, Any]) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.explain_write_error(error, folder.path) from error
    folder.write_scores(scores)
    files.write_json(folder.file(RunFolder.EVALUATION), evaluation)


def _write_predictions(path: Path, spec: Spec, rows: OtherRows, result: _Result) -> None:
    """Write the true and the predicted target of each row."""
    import pandas as pd

    predictions = result.predictions
    names = [str(row) if rows.rows is None else rows.rows[row] for row in predictions.index.tolist()]
    columns: dict[str, Any] = {"row": names}
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
    if result.ood_scores is not None:
        columns["ood_score"] = result.ood_scores
    with files.replace_file(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False)
