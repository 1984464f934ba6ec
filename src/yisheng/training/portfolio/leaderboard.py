"""Scores of candidates from their out-of-fold predictions, as numbers and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from yisheng.core.config import Config
from yisheng.core.durations import format_duration
from yisheng.core.errors import UsageError
from yisheng.core.text_tables import format_number
from yisheng.core.types import Spec

Bounds = tuple[float | None, float | None, float | None]
"""A score, and the bounds of its 95% interval."""


def score_predictions(config: Config, y: np.ndarray, prediction: np.ndarray) -> Bounds:
    """Return the config's score of out-of-fold predictions with its interval; None where it is undefined.

    Args:
        config: of the ensemble.
        y: targets.
        prediction: probabilities or numbers ``(N, V)``.
    """
    if config.score == "loss":
        return None, None, None
    single = prediction.astype(np.float32)
    try:
        metric = config.find_metric(config.score)
        value = float(metric.build(y, single))
        interval = metric.meta.get("interval")
        low, high = interval(y, single) if interval is not None and len(y) > 1 else (math.nan, math.nan)
    except UsageError:
        return None, None, None
    return _finite(value), _finite(low), _finite(high)


def describe_candidate(entry: Mapping[str, Any], score: str, ensemble: Mapping[str, Any]) -> str:
    """Return a trained candidate's score and time, and the score of the ensemble with it, as text.

    >>> entry = {"name": "linear", "value": 0.8, "low": 0.75, "high": 0.85, "seconds": 1.5}
    >>> describe_candidate(entry, "accuracy", {"value": 0.82})
    'linear  accuracy 0.8000 (0.7500 to 0.8500)  1.5 s, ensemble 0.8200'
    """
    text = f"{entry['name']}  "
    if entry["value"] is not None:
        text += f"{score} {format_number(entry['value'])}"
        if entry["low"] is not None:
            text += f" ({format_number(entry['low'])} to {format_number(entry['high'])})"
        text += "  "
    text += format_duration(entry["seconds"])
    return text if ensemble["value"] is None else f"{text}, ensemble {format_number(ensemble['value'])}"


def make_leaderboard(plain: Mapping[str, Any], score: str, spec: Spec) -> dict[str, Any]:
    """Return what a finished ensemble says about its candidates, for ``leaderboard.json``.

    Args:
        plain: the description of the ensemble.
        score: name of the score.
        spec: the contract.
    """
    return {
        "score": score.replace("-", "_"),
        "task": spec.task,
        "ensemble": plain.get("score"),
        "temperature": plain["temperature"],
        "offsets": plain["offsets"],
        "rows_per_second": plain.get("rows_per_second"),
        "student": plain["student"]["about"] if "student" in plain else None,
        "candidates": [
            {key: entry.get(key) for key in ("name", "model", "status", "value", "low", "high", "seconds", "weight")}
            for entry in plain["tried"]
        ],
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
