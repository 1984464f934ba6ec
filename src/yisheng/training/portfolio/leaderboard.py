"""Scores of candidates from their out-of-fold predictions, as numbers and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from yisheng.core.config import Config
from yisheng.core.durations import format_duration
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.core.stored_messages import add_messages, restore_messages
from yisheng.core.text_tables import format_number

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


def describe_candidate(entry: Mapping[str, Any], score: str, ensemble: Mapping[str, Any]) -> Message:
    """Return a trained candidate's score and time, and the score of the ensemble with it, as text.

    >>> entry = {"name": "linear", "value": 0.8, "low": 0.75, "high": 0.85, "seconds": 1.5}
    >>> describe_candidate(entry, "accuracy", {"value": 0.82})
    'linear  accuracy 0.8000 (0.7500 to 0.8500)  1.5 s, ensemble 0.8200'
    """
    duration = format_duration(entry["seconds"])
    text = Message("{candidate}  {duration}", candidate=entry["name"], duration=duration)
    if entry["value"] is not None:
        values = {"candidate": entry["name"], "score": score, "value": format_number(entry["value"])}
        text = Message("{candidate}  {score} {value}  {duration}", duration=duration, **values)
        if entry["low"] is not None:
            text = Message(
                "{candidate}  {score} {value} ({low} to {high})  {duration}",
                low=format_number(entry["low"]),
                high=format_number(entry["high"]),
                duration=duration,
                **values,
            )
    if ensemble["value"] is None:
        return text
    return Message("{candidate}, ensemble {value}", candidate=text, value=format_number(ensemble["value"]))


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
        "candidates": [_describe_result(entry) for entry in plain["tried"]],
    }


def _describe_result(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate as in ``leaderboard.json``, its status also with template and values, for other languages."""
    keys = ("name", "model", "status", "value", "low", "high", "seconds", "weight")
    restored = restore_messages(entry)
    return add_messages({key: restored.get(key) for key in keys})


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
