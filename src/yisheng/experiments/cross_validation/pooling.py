"""From trained folds to one study: out-of-fold predictions, scores with their spread, the averaged model."""

from __future__ import annotations

import csv
import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import files, machine, run_folder
from yisheng.core.config import Config
from yisheng.core.types import Dataset, Score, Scores, Spec
from yisheng.data.batches import batches
from yisheng.evaluation.baseline import baseline
from yisheng.evaluation.corrected_intervals import corrected
from yisheng.evaluation.details import details
from yisheng.evaluation.predictions import Predictions, predict
from yisheng.evaluation.scores import scores
from yisheng.experiments.cross_validation.folds import Fold
from yisheng.inference import artifact, ensemble

OUT_OF_FOLD = "out-of-fold.csv"


@dataclass(frozen=True)
class _Seen:
    """What the members say of the rows that they were not trained on.

    Args:
        spec: the contract that they share.
        validation: of each member, on its own fold.
        test: the mean over all members on the test part, or None without one.
        descriptions: of each member, its ``model.json``, by folder.
    """

    spec: Spec
    validation: list[Predictions]
    test: Predictions | None
    descriptions: dict[str, Mapping[str, Any]]


def finish(folder: Path, config: Config, data: Dataset, plan: Sequence[Fold]) -> Scores:
    """Predict each fold with the model that was not trained on it, and the test part with the mean of all models.

    Writes ``out-of-fold.csv``, ``evaluation.json`` (of the out-of-fold predictions), ``scores.json`` and
    ``model.json``.

    Args:
        folder: the study; all its members are trained.
        config: the study's.
        data: the data.
        plan: the folds.

    Raises:
        DataError: a member is missing or damaged.
        NonFiniteError: a prediction is NaN or infinite.
    """
    seen = _look(folder, config, data, plan)
    pooled = _mean_by_row(seen.validation, data)
    _write_table(folder / OUT_OF_FOLD, seen, data, plan)
    about = details(
        seen.spec,
        pooled,
        part="validation",
        image=(lambda row: data.x[row]) if seen.spec.is_image and data.x.dtype == np.uint8 else None,
        name=(lambda row: data.rows[row]) if data.rows else None,  # type: ignore[index]  # asked just before
    )
    files.write_json(folder / run_folder.EVALUATION, about)
    each = [files.read_json(folder / fold.name / run_folder.SCORES) for fold in plan]
    ratio = float(np.mean([len(fold.split.validation) / len(fold.split.train) for fold in plan]))
    found: dict[str, Mapping[str, Score]] = {}
    if seen.test is not None:
        found["test"] = scores(seen.spec, seen.test)
    found["validation"] = _over_folds([one["validation"] for one in each], ratio)
    found["out_of_fold"] = scores(seen.spec, pooled)
    if seen.test is not None:
        others = np.setdiff1d(np.arange(len(data)), seen.test.index)
        found["baseline"] = baseline(seen.spec, data.y[others], seen.test.y)
    else:
        found["baseline"] = _over_folds([one["baseline"] for one in each], ratio)
    if all("boosting" in one for one in each):
        trees = _over_folds([one["boosting"] for one in each], ratio)
        if seen.test is not None:  # all of one test part: how far the folds lie apart tells nothing of other rows
            trees = {name: Score(score.value) for name, score in trees.items()}
        found["boosting"] = trees
    run_folder.write_scores(folder, found)
    ensemble.describe(folder, seen.spec, seen.descriptions)
    return found


def _look(folder: Path, config: Config, data: Dataset, plan: Sequence[Fold]) -> _Seen:
    """Load one member after the other, and let it predict."""
    device, test = machine.device(config.device), plan[0].split.test
    validation: list[Predictions] = []
    total: np.ndarray | None = None
    descriptions: dict[str, Mapping[str, Any]] = {}
    spec = data.spec
    for fold in plan:
        model = artifact.load(folder / fold.name)
        batch = run_folder.config(folder / fold.name).batch
        assert isinstance(batch, int)  # settled
        validation.append(_predicted(model, data, fold.split.validation, batch, device))
        validation[-1].require_finite()
        if len(test):
            found = _predicted(model, data, test, batch, device)
            found.require_finite()
            total = found.prediction.astype(np.float64) + (0.0 if total is None else total)
        spec = model.spec
        descriptions[fold.name] = model.description
    mean = None if total is None else Predictions(data.y[test], (total / len(plan)).astype(np.float32), test)
    return _Seen(spec, validation, mean, descriptions)


def _predicted(model: artifact.Saved, data: Dataset, rows: np.ndarray, batch: int, device: Any) -> Predictions:
    """A member's predictions for some rows, beside the targets as they were read."""
    scale, target = model.scale, model.target_scale
    part = batches(data, rows, size=batch, scale=scale, target_scale=target, device=device, seed=0)
    found = predict(model.model.to(device), part, model.spec, None if target is None else target.invert)
    return Predictions(data.y[found.index], found.prediction, found.index)


def _mean_by_row(seen: Sequence[Predictions], data: Dataset) -> Predictions:
    """The mean of each row's predictions over the repeats, in the order of the rows."""
    total = np.zeros((len(data), seen[0].prediction.shape[1]))
    count = np.zeros(len(data), np.int64)
    for predictions in seen:
        total[predictions.index] += predictions.prediction
        count[predictions.index] += 1
    rows = np.flatnonzero(count)  # in time, the first rows are in no validation part
    return Predictions(data.y[rows], (total[rows] / count[rows, None]).astype(np.float32), rows)


def _over_folds(each: Sequence[Mapping[str, Mapping[str, float]]], ratio: float) -> dict[str, Score]:
    """The mean of each score that all folds have, with its interval."""
    names = [name for name in each[0] if all(name in scores for scores in each)]
    return {name: corrected([scores[name]["value"] for scores in each], ratio) for name in names}


def _write_table(path: Path, seen: _Seen, data: Dataset, plan: Sequence[Fold]) -> None:
    """Write every out-of-fold prediction: a line for each row and repeat, in this order."""
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["row", "name", "fold", "repeat", *_heads(seen.spec, data.y)])
        for repeat in sorted({fold.repeat for fold in plan}):
            lines: list[list[Any]] = []  # of one repeat
            for fold, predictions in zip(plan, seen.validation, strict=True):
                if fold.repeat == repeat:
                    lines += _lines(seen.spec, predictions, data, fold)
            lines.sort(key=operator.itemgetter(0))
            table.writerows(lines)


def _heads(spec: Spec, y: np.ndarray) -> list[str]:
    """Names of the columns of truth and prediction."""
    if spec.task == "regression":
        ends = [""] if y.shape[1] == 1 else [f"_{target + 1}" for target in range(y.shape[1])]
        return [f"{what}{end}" for what in ("true", "predicted") for end in ends]
    return ["true", "predicted", *(f"probability_{name}" for name in spec.classes)]


def _lines(spec: Spec, predictions: Predictions, data: Dataset, fold: Fold) -> Iterator[list[Any]]:
    """The lines of a fold. Numbers have as many digits as tell a float32 from its neighbours."""
    named = fold.of.partition("/")[0]
    text = predictions.prediction.astype(str).tolist()
    true, predicted = _words(spec, predictions.y), _words(spec, predictions.prediction)
    for row, *values in zip(predictions.index.tolist(), true, predicted, text, strict=True):
        start = [row, data.rows[row] if data.rows else row, named, fold.repeat]
        yield [*start, *(word for words in (values[:2] if spec.task == "regression" else values) for word in words)]


def _words(spec: Spec, values: np.ndarray) -> list[list[str]]:
    """Truth or prediction of each row: its class, its labels (``a; b``), or its numbers."""
    if spec.task == "regression":
        return values.astype(str).tolist()
    if spec.task == "multilabel":
        return [["; ".join(itertools.compress(spec.classes, row))] for row in (values >= 0.5).tolist()]
    return [[spec.classes[number]] for number in (values if values.ndim == 1 else values.argmax(axis=1)).tolist()]
