"""Score the best weights of one run on its validation and test parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from yisheng.core import files, machine
from yisheng.core.dataset import Dataset, Part, Split
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score, Scores
from yisheng.core.spec import Spec
from yisheng.data.batches import Batches, make_batches
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.baseline import score_baseline
from yisheng.evaluation.conformal import HeldOutErrors, compute_errors
from yisheng.evaluation.details import collect_details
from yisheng.evaluation.group_scores import find_column
from yisheng.evaluation.png import has_pixels
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import compute_scores
from yisheng.evaluation.tree_baseline import train_tree_baseline
from yisheng.evaluation.unusual_values import describe_unusual_values
from yisheng.experiments.column_effects import summarize_run
from yisheng.experiments.groups import score_groups_of_column
from yisheng.experiments.interval_facts import Source, describe_intervals, find_out_of_fold_errors
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import artifact
from yisheng.inference.residuals import ConformalIntervals, save_residuals
from yisheng.reporting import run_page
from yisheng.training.setup import Assembly


@dataclass(frozen=True)
class _Trained:
    """A trained network with what scoring needs.

    Args:
        config: the resolved config.
        model: with its best weights, on its device.
        spec: the contract of the raw data.
        target_scale: the fitted target transform, or None.
        parts: batches of the test and validation parts.
    """

    config: ResolvedConfig
    model: nn.Module
    spec: Spec
    target_scale: Any
    parts: Mapping[Part, Batches]


def evaluate_assembly(run: RunFolder, assembly: Assembly, data: Dataset, split: Split) -> None:
    """Score a model that was just trained; write ``scores.json`` and ``evaluation.json``."""
    parts: dict[Part, Batches] = {"test": assembly.test, "validation": assembly.validation}
    target_scale = assembly.transforms["target"]
    _evaluate(run, _Trained(assembly.config, assembly.state.model, assembly.spec, target_scale, parts), data, split)


def evaluate_run(folder: Path, data: Dataset | None = None, *, groups: str | None = None) -> Scores:
    """Score a run's best weights again on its own data and parts; write scores and report again.

    Args:
        folder: the run folder.
        data: the data set, if the config cannot name it.
        groups: a column by whose values the scores are reported too, instead of that of the config.

    Raises:
        DataError: the run or its data cannot be read, or the data differs from the data of the training.
        UsageError: another process is training in the folder, or there is no such column.
    """
    run = RunFolder(folder)
    config = run.config if groups is None else run.config.model_copy(update={"groups": groups})
    saved = artifact.load(folder)
    data = load_dataset(config) if data is None else data
    if data.spec.shape != saved.spec.shape or data.spec.classes != saved.spec.classes:
        raise DataError(
            Message("{name} does not fit the run: shape or classes differ", name=data.name),
            Message("give the data of the training"),
        )
    if run.data_sha256 != fingerprint(data):
        raise DataError(
            Message(
                "the data is not what it was in training (SHA-256 differs): rows of training might be scored "
                "as test rows",
            ),
            Message(
                "restore the data; other data gets an evaluation of its own: yisheng evaluate {folder} data=DATA",
                folder=folder,
            ),
        )
    if config.groups is not None:
        find_column(saved.spec, config.groups)  # before the work
    split = split_dataset(config, data)
    device = machine.select_device(config.device)
    part_rows: list[tuple[Part, np.ndarray]] = [("test", split.test), ("validation", split.validation)]
    parts: dict[Part, Batches] = {
        name: make_batches(
            data,
            rows,
            size=config.batch,
            scale=saved.scale,
            target_scale=saved.target_scale,
            device=device,
            seed=config.seed,
        )
        for name, rows in part_rows
    }
    trained = _Trained(config, saved.model.to(device), saved.spec, saved.target_scale, parts)
    with run.lock():
        scores = _evaluate(run, trained, data, split)
        run_page.write_run_page(folder)
    return scores


def _evaluate(run: RunFolder, trained: _Trained, data: Dataset, split: Split) -> Scores:
    spec, target_scale = trained.spec, trained.target_scale
    invert = None if target_scale is None else target_scale.invert
    predicted: dict[Part, Predictions] = {
        name: predict(trained.model, part, spec, invert) for name, part in trained.parts.items() if len(part.rows)
    }
    scores: dict[str, Mapping[str, Score]] = {
        name: compute_scores(spec, predictions, extra=trained.config.extra_metrics())
        for name, predictions in predicted.items()
    }
    if predicted:
        part: Part = "test" if "test" in predicted else "validation"
        y_train, y_scored = data.y[split.train], data.y[getattr(split, part)]
        scores["baseline"] = score_baseline(spec, y_train, y_scored, extra=trained.config.extra_metrics())
        details = collect_details(
            spec,
            predicted[part],
            part=part,
            image=(lambda row: data.x[row]) if has_pixels(spec, data.x.dtype) else None,
            name=(lambda row: data.rows[row]) if data.rows else None,  # type: ignore[index]  # checked in this line
            unusual=describe_unusual_values(data, split.train),
        )
        if spec.task == "regression":
            details["intervals"] = _record_intervals(run, trained, predicted, data)
        if trained.config.boosting is True:
            trees = train_tree_baseline(data, split, target=target_scale, seed=trained.config.seed)
            scores["boosting"] = dict(trees.scores[part])
            details["boosting"] = {"about": trees.description, "seconds": round(trees.seconds, 2)}
        if trained.config.groups is not None:
            details["groups"] = score_groups_of_column(spec, predicted[part], data.x, trained.config)
        if trained.config.importance and trained.config.fold is None:
            details["importance"] = summarize_run(run, trained.config, data)
        files.write_json(run.file(RunFolder.EVALUATION), details)
    run.write_scores(scores)
    return scores


def _record_intervals(
    run: RunFolder, trained: _Trained, predicted: Mapping[Part, Predictions], data: Dataset
) -> dict[str, Any] | None:
    """Write the errors on held-out rows for prediction intervals; return what evaluation.json says of them.

    They are those on the validation part, or without one those on the folds in which an ensemble was trained.
    """
    transform, test = trained.target_scale, predicted.get("test")
    source: Source = "validation" if "validation" in predicted else "ensemble"
    if source == "validation":
        part = predicted["validation"]
        errors = compute_errors(data.y[part.index], part.prediction, transform)
    else:
        errors = find_out_of_fold_errors(trained.model)
    if not len(errors):
        return None
    save_residuals(run.path, errors)
    return describe_intervals(
        trained.spec,
        ConformalIntervals([HeldOutErrors(errors, transform)]),
        source=source,
        chose_epoch=source == "validation" and trained.config.fold is None and trained.config.epochs > 0,
        test=test,
        outputs=[] if test is None else [test.prediction],
        y=None if test is None else data.y[test.index],
    )
