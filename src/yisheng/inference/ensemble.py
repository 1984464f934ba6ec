"""The model of a cross-validation: an ensemble of the models that were trained on its folds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import FORMAT, INTACT_COPY, RunFolder
from yisheng.core.spec import Spec
from yisheng.inference import artifact, model_files

MAX_FOLD_MODELS = 1_000_000
"""There are at most a thousand folds and a thousand repeats."""


def save(folder: Path, spec: Spec, fold_models: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the ``model.json`` of a cross-validation: the contract, and the fold models by folder and hash.

    Args:
        folder: the cross-validation.
        spec: the contract that all fold models share.
        fold_models: their folders in it, and the contents of their ``model.json``.

    Raises:
        StorageError: the file cannot be written.
    """
    description = {
        "format": FORMAT,
        "spec": spec.to_json(),
        "parameters": next(iter(fold_models.values()))["parameters"],
        "fold_models": [{"folder": name, "sha256": model["sha256"]} for name, model in fold_models.items()],
    }
    files.write_json(folder / RunFolder.MODEL, description)
    model_files.write_checksums(folder)


def read_description(folder: Path) -> Mapping[str, Any]:
    """Return the contents of a cross-validation's ``model.json`` after checking its list of fold models.

    Raises:
        DataError: the cross-validation is not finished, or the file is damaged.
    """
    path = folder / RunFolder.MODEL
    RunFolder(folder).require_current_format()
    if not os.path.lexists(path):
        raise DataError(
            Message("the cross-validation in {folder} is not finished: it has no model yet", folder=folder),
            Message("continue it: yisheng resume {folder}", folder=folder),
        )
    description = files.read_json(path)
    model_files.verify_checksums(folder, RunFolder.MODEL)
    fold_models = description.get("fold_models") if isinstance(description, dict) else None
    if (
        not isinstance(fold_models, list)
        or not 0 < len(fold_models) <= MAX_FOLD_MODELS
        or description.get("format") != FORMAT
    ):
        raise DataError(Message("{path} does not list the models of a cross-validation", path=path), INTACT_COPY)
    if not isinstance(description.get("spec"), dict):
        raise DataError(Message("{path} is damaged: it has no spec", path=path), INTACT_COPY)
    for entry in fold_models:
        name = entry.get("folder") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"fold-[0-9]{2,7}", name):  # nothing outside the folder
            raise DataError(Message("{path} lists {name} as a fold model", path=path, name=f"{name!r}"), INTACT_COPY)
    if len({entry["folder"] for entry in fold_models}) < len(fold_models):
        raise DataError(Message("{path} lists a fold model twice", path=path), INTACT_COPY)
    return description


def find_first_fold(folder: Path) -> Path:
    """Return the folder of a cross-validation's first model, whatever else is in its folder.

    Raises:
        DataError: the cross-validation is not finished, or its description is damaged.
    """
    name: str = read_description(folder)["fold_models"][0]["folder"]
    return folder / name


def load(folder: Path, model: Any = None) -> list[artifact.Artifact]:
    """Return the models of a cross-validation, in the order of its folds.

    Args:
        folder: the cross-validation.
        model: a user's own network; see `artifact.load`.

    Raises:
        DataError: the cross-validation is not finished; or a fold model is missing, damaged, not the one that the
            cross-validation ended with, or of another contract.
    """
    description = read_description(folder)
    spec = Spec.from_json(description["spec"])
    artifacts = []
    for entry in description["fold_models"]:
        path = folder / entry["folder"]
        fold_model = artifact.load(path, model)
        if fold_model.description.get("sha256") != entry.get("sha256"):
            raise DataError(
                Message("{path} is not the model that the cross-validation ended with (SHA-256 differs)", path=path),
                Message("restore it; or, if it was trained further, run yisheng evaluate {folder}", folder=folder),
            )
        if fold_model.spec != spec:
            raise DataError(Message("{path} has another contract than the cross-validation", path=path), INTACT_COPY)
        artifacts.append(fold_model)
    return artifacts
