"""Combine trained folds: out-of-fold predictions, scores with intervals over the folds, the averaged model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng.core import files, machine
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.entry import Entry
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score, Scores
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.conformal import HeldOutErrors, compute_errors
from yisheng.evaluation.corrected_intervals import corrected_interval
from yisheng.evaluation.details import collect_details
from yisheng.evaluation.png import has_pixels
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import compute_scores
from yisheng.evaluation.unusual_values import describe_unusual_values
from yisheng.experiments.column_effects import summarize_run
from yisheng.experiments.cross_validation.folds import Fold
from yisheng.experiments.cross_validation.out_of_fold_table import write_out_of_fold_table
from yisheng.experiments.groups import score_groups_of_column
from yisheng.experiments.interval_facts import describe_intervals
from yisheng.inference import artifact, ensemble
from yisheng.inference.residuals import ConformalIntervals


@dataclass(frozen=True)
class _FoldPredictions:
    """Predictions of the fold models for rows that they were not trained on.

    Args:
        spec: the contract that the models share.
        validation: of each model, on its own fold.
        test: the mean over all models on the test part, or None without one.
        descriptions: contents of each model's ``model.json``, by folder.
        held_out: of a regression, the errors of each model on its own fold.
        test_outputs: of a regression, the predictions of each model for the test part.
    """

    spec: Spec
    validation: list[Predictions]
    test: Predictions | None
    descriptions: dict[str, Mapping[str, Any]]
    held_out: list[HeldOutErrors]
    test_outputs: list[np.ndarray]


def score_cross_validation(folder: RunFolder, config: Config, data: Dataset, folds: Sequence[Fold]) -> Scores:
    """Predict each fold with the model that was not trained on it, and the test part with the mean of all models.

    Writes ``out-of-fold.csv``, ``evaluation.json`` (of the out-of-fold predictions), ``scores.json`` and
    ``model.json``.

    Args:
        folder: of the cross-validation; all its folds are trained.
        config: of the cross-validation.
        data: the data set.
        folds: all folds.

    Raises:
        DataError: a fold model is missing or damaged.
        NonFiniteError: a prediction is NaN or infinite.
    """
    predictions = _predict_folds(folder, config, data, folds)
    out_of_fold = _mean_by_row(predictions.validation, data)
    spec = predictions.spec
    write_out_of_fold_table(folder.file(RunFolder.OUT_OF_FOLD), spec, predictions.validation, data, folds)
    details = collect_details(
        spec,
        out_of_fold,
        part="validation",
        image=(lambda row: data.x[row]) if has_pixels(spec, data.x.dtype) else None,
        name=(lambda row: data.rows[row]) if data.rows else None,  # type: ignore[index]  # checked in this line
        unusual=describe_unusual_values(data, np.arange(len(data))),
    )
    if spec.task == "regression":
        details["intervals"] = describe_intervals(
            spec,
            ConformalIntervals(predictions.held_out, config.repeats),
            source="folds",
            chose_epoch=False,
            test=predictions.test,
            outputs=predictions.test_outputs,
            y=None if predictions.test is None else predictions.test.y,
        )
    scores_by_fold = [RunFolder(folder.file(fold.name)).scores for fold in folds]
    scores = _combine_scores(predictions, out_of_fold, scores_by_fold, data, folds, config.extra_metrics())
    folder.write_scores(scores)
    ensemble.save(folder.path, spec, predictions.descriptions)
    if config.groups is not None:
        details["groups"] = score_groups_of_column(spec, out_of_fold, data.x, config)
    if config.importance is True:
        details["importance"] = summarize_run(folder, config, data)
    files.write_json(folder.file(RunFolder.EVALUATION), details)
    return scores


def _combine_scores(
    predictions: _FoldPredictions,
    out_of_fold: Predictions,
    scores_by_fold: Sequence[Scores],
    data: Dataset,
    folds: Sequence[Fold],
    extra: Sequence[Entry],
) -> Scores:
    spec, test = predictions.spec, predictions.test
    ratio = float(np.mean([len(fold.split.validation) / len(fold.split.train) for fold in folds]))
    scores: dict[str, Mapping[str, Score]] = {}
    if test is not None:
        scores["test"] = compute_scores(spec, test, extra=extra)
    scores["validation"] = _mean_over_folds([by_part["validation"] for by_part in scores_by_fold], ratio)
    scores["out_of_fold"] = compute_scores(spec, out_of_fold, extra=extra)
    if test is not None:
        training_rows = np.setdiff1d(np.arange(len(data)), test.index)
        scores["baseline"] = score_baseline(spec, data.y[training_rows], test.y, extra=extra)
    else:
        scores["baseline"] = _mean_over_folds([by_part["baseline"] for by_part in scores_by_fold], ratio)
    if all("boosting" in by_part for by_part in scores_by_fold):
        trees = _mean_over_folds([by_part["boosting"] for by_part in scores_by_fold], ratio)
        if test is not None:  # all are scored on one test part: their differences do not estimate other rows
            trees = {name: Score(score.value) for name, score in trees.items()}
        scores["boosting"] = trees
    return scores


def _predict_folds(folder: RunFolder, config: Config, data: Dataset, folds: Sequence[Fold]) -> _FoldPredictions:
    """Load one model after the other, and predict its fold and the test part."""
    device, test_rows = machine.select_device(config.device), folds[0].split.test
    validation: list[Predictions] = []
    test_sum: np.ndarray | None = None
    held_out: list[HeldOutErrors] = []
    test_outputs: list[np.ndarray] = []
    descriptions: dict[str, Mapping[str, Any]] = {}
    spec = data.spec
    for fold in folds:
        run = RunFolder(folder.file(fold.name))
        saved, batch = artifact.load(run.path), run.config.batch
        validation.append(_predict_rows(saved, data, fold.split.validation, batch, device))
        if len(test_rows):
            prediction = _predict_rows(saved, data, test_rows, batch, device).prediction
            test_sum = prediction.astype(np.float64) + (0.0 if test_sum is None else test_sum)
            test_outputs += [prediction] if saved.spec.task == "regression" else []
        if saved.spec.task == "regression":
            fold_errors = compute_errors(validation[-1].y, validation[-1].prediction, saved.target_scale)
            held_out.append(HeldOutErrors(fold_errors, saved.target_scale))
        spec = saved.spec
        descriptions[fold.name] = saved.description
    test = None
    if test_sum is not None:
        dtype = validation[0].prediction.dtype
        test = Predictions(data.y[test_rows], (test_sum / len(folds)).astype(dtype), test_rows)
    return _FoldPredictions(spec, validation, test, descriptions, held_out, test_outputs)


def _predict_rows(
    saved: artifact.Artifact, data: Dataset, rows: np.ndarray, batch: int, device: torch.device
) -> Predictions:
    """Return a model's predictions for some rows, with the targets as they were read.

    Raises:
        NonFiniteError: a prediction is NaN or infinite.
    """
    scale, target_scale = saved.scale, saved.target_scale
    part = make_batches(data, rows, size=batch, scale=scale, target_scale=target_scale, device=device, seed=0)
    invert = None if target_scale is None else target_scale.invert
    predictions = predict(saved.model.to(device), part, saved.spec, invert)
    predictions.require_finite()
    return Predictions(data.y[predictions.index], predictions.prediction, predictions.index)


def _mean_by_row(by_fold: Sequence[Predictions], data: Dataset) -> Predictions:
    """Return the mean of each row's predictions over the repeats, in the order of the rows."""
    total = np.zeros((len(data), by_fold[0].prediction.shape[1]))
    count = np.zeros(len(data), np.int64)
    for predictions in by_fold:
        total[predictions.index] += predictions.prediction
        count[predictions.index] += 1
    rows = np.flatnonzero(count)  # with split=time the first rows are in no validation part
    mean = (total[rows] / count[rows, None]).astype(by_fold[0].prediction.dtype)
    return Predictions(data.y[rows], mean, rows)


def _mean_over_folds(scores_by_fold: Sequence[Mapping[str, Score]], ratio: float) -> dict[str, Score]:
    """Return the mean of each score that all folds have, with its corrected interval.

    Args:
        scores_by_fold: scores of one part by name, for each fold.
        ratio: number of validation rows divided by number of training rows.
    """
    names = [name for name in scores_by_fold[0] if all(name in scores for scores in scores_by_fold)]
    return {name: corrected_interval([scores[name].value for scores in scores_by_fold], ratio) for name in names}
