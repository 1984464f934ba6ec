"""The contents of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
