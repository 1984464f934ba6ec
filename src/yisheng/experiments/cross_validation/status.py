"""How far a study is: ``folds.json``, and what is said of each fold."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yisheng.core import files, run_folder
from yisheng.core.config import Config
from yisheng.core.errors import DataError
from yisheng.experiments.cross_validation.folds import Fold
from yisheng.inference import artifact
from yisheng.inference.ensemble import STUDY
from yisheng.reporting.formatting import duration, number, score_name

Results = Mapping[str, Mapping[str, Any]]
"""Folder of each finished member -> what `result` tells of it."""


def is_finished(path: Path) -> bool:
    """Whether a member is trained to its end."""
    return (path / run_folder.ENVIRONMENT).is_file() and bool(run_folder.environment(path).get("finished"))


def result(path: Path) -> dict[str, Any]:
    """What ``folds.json`` tells of a finished member: its validation scores, seconds of training, and the epoch of
    its weights, and whether that was chosen by those very scores.

    Raises:
        DataError: a file of it is missing or damaged.
    """
    scores, about = files.read_json(path / run_folder.SCORES), files.read_json(path / artifact.DESCRIPTION)
    spent = run_folder.environment(path).get("seconds")
    try:
        return {
            "scores": {name: float(score["value"]) for name, score in scores["validation"].items()},
            "seconds": float(spent["training"]) if spent else None,
            "epoch": int(about["best"]["epoch"]),
            "chosen": about["best"]["value"] is not None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged: {type(error).__name__} {error}", "delete that folder, and resume the study"
        ) from None


def write(folder: Path, config: Config, plan: Sequence[Fold], done: Results) -> None:
    """Write ``folds.json``: every fold, and the mean and standard deviation over those that are trained."""
    nothing = {"scores": None, "seconds": None, "epoch": None, "chosen": None}
    each = [
        {
            "folder": fold.name,
            "fold": fold.of,
            "repeat": fold.repeat,
            "rows": {"train": len(fold.split.train), "validation": len(fold.split.validation)},
            "sha256": fold.sha256,
            **done.get(fold.name, nothing),
        }
        for fold in plan
    ]
    found = [done[fold.name]["scores"] for fold in plan if fold.name in done]
    names = [name for name in found[0] if all(name in scores for scores in found)] if found else []
    values = {name: [scores[name] for scores in found] for name in names}
    about = {
        "folds": config.folds,
        "repeats": config.repeats,
        "score": config.score.replace("-", "_"),
        "mean": {name: statistics.fmean(v) for name, v in values.items()},
        "sd": {name: statistics.stdev(v) if len(v) > 1 else None for name, v in values.items()},
        "each": each,
    }
    files.write_json(folder / STUDY, about)


def progress(config: Config, done: Results, name: str, left: float) -> str:
    """What is said of a fold that was just trained: its score, the mean so far, its seconds, the time left."""
    score, said = config.score.replace("-", "_"), ""
    found = [result["scores"][score] for result in done.values() if score in result["scores"]]
    if score in done[name]["scores"]:
        so_far = f" (mean of {len(found)}: {number(statistics.fmean(found))})"
        said = f"{score_name(score)} {number(done[name]['scores'][score])}{so_far}  "
    return f"{said}{duration(done[name]['seconds'] or 0.0)}" + (f", about {duration(left)} left" if left else "")
