"""``evaluate`` and ``report``: scores of the best weights, and the page about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from yisheng.core import files, machine, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import DataError
from yisheng.core.types import Dataset, Part, Score, Spec, Split
from yisheng.data.batches import Batches, batches
from yisheng.data.fingerprint import fingerprint
from yisheng.evaluation.baseline import baseline
from yisheng.evaluation.details import details
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import scores
from yisheng.evaluation.tree_baseline import boosting
from yisheng.experiments import load_data
from yisheng.experiments.cross_validation import train_folds
from yisheng.inference import artifact
from yisheng.reporting.run_page import write as report
from yisheng.training.setup import Assembly

__all__ = ["evaluate", "finish", "report"]


def finish(folder: Path, assembly: Assembly, data: Dataset, split: Split) -> None:
    """Score the trained model on its validation and test parts; write ``scores.json`` and ``evaluation.json``."""
    target = assembly.transforms["target"]
    parts = {"test": assembly.test, "validation": assembly.validation}
    _write(folder, assembly.state.model, parts, assembly.spec, target, data, split, assembly.config)


def evaluate(folder: Path, data: Dataset | None = None, *, force: bool = False) -> Mapping[str, Mapping[str, Score]]:
    """Score a run's best weights again on its own data and parts; rewrites the scores and the report.

    Args:
        folder: the run folder.
        data: the data set, where the config cannot name it.
        force: score although the data is not what it was in training; its parts may then be others.

    Raises:
        DataError: the run or its data cannot be read, or the data is another than in training.
        UsageError: another process is training in the folder.
    """
    if train_folds.is_study(folder):
        return train_folds.evaluate(folder, data, force=force)
    config = run_folder.config(folder)
    model = artifact.load(folder)
    data = load_data.dataset(config) if data is None else data
    if data.spec.shape != model.spec.shape or data.spec.classes != model.spec.classes:
        raise DataError(f"{data.name} does not fit the run: shape or classes differ", "give the data of the training")
    if not force and run_folder.data_hash(run_folder.environment(folder)) != fingerprint(data):
        raise DataError(
            "the data is not what it was in training (SHA-256 differs): rows of training might be scored as test rows",
            "bring it back, or say force=true to score it all the same",
        )
    split = load_data.split(config, data)
    device = machine.device(config.device)
    assert isinstance(config.batch, int)  # settled

    def part(rows: np.ndarray) -> Batches:
        return batches(
            data,
            rows,
            size=config.batch,  # type: ignore[arg-type]  # settled
            scale=model.scale,
            target_scale=model.target_scale,
            device=device,
            seed=config.seed,
        )

    parts = {"test": part(split.test), "validation": part(split.validation)}
    with run_folder.locked(folder):
        found = _write(folder, model.model.to(device), parts, model.spec, model.target_scale, data, split, config)
        report(folder)
    return found


def _write(
    folder: Path,
    model: nn.Module,
    parts: Mapping[str, Batches],
    spec: Spec,
    target: Any,
    data: Dataset,
    split: Split,
    config: Config,
) -> Mapping[str, Mapping[str, Score]]:
    invert = None if target is None else target.invert
    predicted: dict[str, Predictions] = {
        name: predict(model, part, spec, invert) for name, part in parts.items() if len(part.rows)
    }
    found = {name: scores(spec, predictions) for name, predictions in predicted.items()}
    if predicted:
        shown: Part = "test" if "test" in predicted else "validation"
        found["baseline"] = baseline(spec, data.y[split.train], data.y[getattr(split, shown)])
        about = details(
            spec,
            predicted[shown],
            part=shown,
            image=(lambda row: data.x[row]) if spec.is_image and data.x.dtype == np.uint8 else None,
            name=(lambda row: data.rows[row]) if data.rows else None,  # type: ignore[index]  # asked just before
        )
        if config.boosting is True:
            grown = boosting(data, split, target=target, seed=config.seed)
            found["boosting"] = dict(grown.scores[shown])
            about["boosting"] = {"about": grown.about, "seconds": round(grown.seconds, 2)}
        files.write_json(folder / run_folder.EVALUATION, about)
    run_folder.write_scores(folder, found)
    return found
