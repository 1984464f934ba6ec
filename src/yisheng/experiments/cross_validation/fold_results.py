"""The state of a cross-validation: the results of its folds, and ``cv.json``, which lists them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from yisheng.core import files
from yisheng.core.config import Config
from yisheng.core.durations import format_duration, format_remaining
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.cross_validation.folds import Fold
from yisheng.reporting.formatting import format_number, score_name

FoldResults: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Folder name of each finished fold -> its result, see `read_fold_result`."""

NO_RESULT = {"scores": None, "seconds": None, "epoch": None, "chosen": None}


def read_fold_result(run: RunFolder) -> dict[str, Any]:
    """Return the entry of a finished fold in ``cv.json``.

    It holds the validation scores, the seconds of training, the epoch of the weights, and whether that epoch was
    chosen by these very scores.

    Raises:
        DataError: a file of it is missing or damaged.
    """
    description = files.read_json(run.file(RunFolder.MODEL))
    scores, seconds = run.scores, run.environment.get("seconds")
    try:
        return {
            "scores": {name: score.value for name, score in scores["validation"].items()},
            "seconds": float(seconds["training"]) if seconds else None,
            "epoch": int(description["best"]["epoch"]),
            "chosen": description["best"]["value"] is not None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            Message(
                "{path} is damaged: {type_name} {error}", path=run.path, type_name=type(error).__name__, error=error
            ),
            Message("delete that folder, and continue: yisheng resume {parent}", parent=run.path.parent),
        ) from None


def write_results(folder: RunFolder, config: Config, folds: Sequence[Fold], results: FoldResults) -> None:
    """Write ``cv.json``: every fold, and mean and standard deviation over the trained ones."""
    entries = [
        {
            "folder": fold.name,
            "fold": fold.fold,
            "repeat": fold.repeat,
            "rows": {"train": len(fold.split.train), "validation": len(fold.split.validation)},
            "sha256": fold.sha256,
            **results.get(fold.name, NO_RESULT),
        }
        for fold in folds
    ]
    scores = [results[fold.name]["scores"] for fold in folds if fold.name in results]
    names = [name for name in scores[0] if all(name in by_name for by_name in scores)] if scores else []
    values = {name: [by_name[name] for by_name in scores] for name in names}
    content = {
        "folds": config.folds,
        "repeats": config.repeats,
        "score": config.score.replace("-", "_"),
        "mean": {name: statistics.fmean(v) for name, v in values.items()},
        "sd": {name: statistics.stdev(v) if len(v) > 1 else None for name, v in values.items()},
        "models": entries,
    }
    files.write_json(folder.file(RunFolder.CROSS_VALIDATION), content)


def describe_progress(config: Config, results: FoldResults, name: str, remaining_seconds: float) -> Message:
    """Return the score of a fold that was just trained, the mean over the folds, its time and the remaining time."""
    key = config.score.replace("-", "_")
    time = Message("{duration}", duration=format_duration(results[name]["seconds"] or 0.0))
    if remaining_seconds:
        time = Message("{duration}, {remaining}", **time.values, remaining=format_remaining(remaining_seconds))
    if key not in results[name]["scores"]:
        return time
    values = [result["scores"][key] for result in results.values() if key in result["scores"]]
    return Message(
        "{score} {value} (mean of {count}: {mean})  {time}",
        score=score_name(key),
        value=format_number(results[name]["scores"][key]),
        count=len(values),
        mean=format_number(statistics.fmean(values)),
        time=time,
    )
