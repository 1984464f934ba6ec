"""The contents of a run folder as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.score import Scores
from yisheng.core.spec import Spec


@dataclass(frozen=True)
class Run:
    """The contents of a run folder: what was trained, on which data, and how well.

    Args:
        path: the folder.
        config: the resolved config as plain data.
        spec: the contract between data and model.
        transforms: the fitted transforms as plain data, by role (``input``, ``target``).
        scores: contents of ``scores.json``; empty before evaluation.
        best: epoch of the weights in ``model.safetensors`` (from 1), and name and value of their validation score.
    """

    path: Path
    config: Mapping[str, Any]
    spec: Spec
    transforms: Mapping[str, Any]
    scores: Scores = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)


def read_run(folder: RunFolder) -> Run:
    """Return a finished run or cross-validation as plain data.

    The fold models of a cross-validation have their own transforms and best epochs, so these are empty for it.

    Raises:
        DataError: a file is missing or damaged.
    """
    single = not folder.is_cross_validation
    config = folder.config if single else folder.cross_validation_config
    description, scores = folder.description, folder.scores
    try:
        return Run(
            path=folder.path,
            config=config.to_dict(),
            spec=Spec.from_json(description["spec"]),
            transforms=description["transforms"] if single else {},
            scores=scores,
            best=description["best"] if single else {},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            Message("{MODEL} is damaged: {reason}", MODEL=folder.file(RunFolder.MODEL), reason=reason), INTACT_COPY
        ) from None
