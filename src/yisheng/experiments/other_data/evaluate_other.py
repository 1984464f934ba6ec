"""Evaluate a run on other data: scores and report in ``evaluations/NAME/``; the run's own files stay as they are.

The model, its transforms and its out-of-distribution detector are those of prediction, so a cross-validation is
evaluated by the mean of its models. See `yisheng.inference.predictor`.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.core import provenance
from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score
from yisheng.core.spec import Spec
from yisheng.core.stored_messages import add_messages
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.group_scores import find_column, score_groups
from yisheng.evaluation.scores import compute_scores
from yisheng.experiments.interval_facts import Source, describe_intervals, find_out_of_fold_errors
from yisheng.experiments.other_data.evaluation_folder import check_name, choose_folder, write_evaluation
from yisheng.experiments.other_data.load import Request, load_rows, resolve_request
from yisheng.experiments.other_data.predicted_rows import PredictedRows, predict_rows
from yisheng.experiments.other_data.result import Evaluation
from yisheng.experiments.other_data.rows import OtherRows, keep_known_classes
from yisheng.inference.predictor import Predictor
from yisheng.inference.residuals import ConformalIntervals
from yisheng.reporting import evaluation_page

PREDICTIONS = "predictions.csv"


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
    name = None if name is None else check_name(name)
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
    result = predict_rows(predictor, scored)
    spec = predictor.spec
    metrics = [] if config is None else config.extra_metrics()
    scores = {
        "test": compute_scores(spec, result.predictions, extra=metrics),
        "baseline": score_baseline(spec, scored.targets.y, scored.targets.y, extra=metrics),
    }
    details = result.collect_details()
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
    about = _describe(run, predictor, request, rows, result)
    about["seconds"] = round(time.perf_counter() - start, 2)
    target = choose_folder(run, rows.name, name, about)
    write_evaluation(target, scores, {**details, "other_data": about})
    if write_predictions:
        result.write_csv(target.file(PREDICTIONS))
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


def _read_config(run: RunFolder) -> Config | None:
    """Return the config of a run or cross-validation; None for a folder that holds only the files of a model."""
    if not run.file(RunFolder.CONFIG).is_file():
        return None
    return run.cross_validation_config if run.is_cross_validation else run.config


def _describe(
    run: RunFolder, predictor: Predictor, request: Request, rows: OtherRows, result: PredictedRows
) -> dict[str, Any]:
    """Return what is evaluated on which rows, as in ``evaluation.json``."""
    part, run_scores = _own_scores(run)
    classes = rows.targets.classes
    about = {
        "data": {
            "name": rows.name,
            "part": request.part or "all",
            "rows": len(rows),
            "scored": len(result.rows),
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
