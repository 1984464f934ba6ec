"""What ``/model`` tells of a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.types import Spec
from yisheng.inference import artifact, ensemble
from yisheng.serving import json_rows
from yisheng.serving.limits import Limits

SCORES = "scores.json"


def facts(folder: Path, spec: Spec, limits: Limits, version: str) -> dict[str, Any]:
    """The contract of the model, where it comes from and how good it is.

    Args:
        folder: the run, or a study of k folds.
        spec: its contract.
        limits: of a request.
        version: of the package.

    Raises:
        DataError: a file is damaged.
    """
    study = ensemble.is_study(folder)
    about = files.read_json(folder / artifact.DESCRIPTION)
    inner = files.read_json(folder / about["members"][0]["folder"] / artifact.DESCRIPTION) if study else about
    try:
        scores = files.read_json(folder / SCORES)
    except DataError:  # a model without scores is still a model
        scores = {}
    return {
        "run": folder.resolve().name,
        "version": version,
        "task": spec.task,
        "shape": list(spec.shape),
        "classes": list(spec.classes),
        "columns": columns(spec),
        "target": spec.target,
        "unit": spec.unit,
        "model": inner["model"]["name"],
        "parameters": about["parameters"],
        "best": about.get("best"),
        "scores": scores,
        "limits": asdict(limits),
    }


def columns(spec: Spec) -> list[dict[str, Any]]:
    """The columns of a row as a person fills them in: name, kind, and levels where there are some."""
    first = {column.source or column.name: column for column in reversed(spec.columns)}
    found = []
    for name in json_rows.names(spec):
        column = first[name]
        found.append({"name": name, "kind": "date" if column.part else column.kind, "levels": list(column.levels)})
    return found
