"""Selection of the best trial, and of a simpler one that is as good within the accuracy of the scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

WEIGHT_DECAY = "weight_decay"
"""Name of an axis of weight decay, alone or after a dot."""


def choose_trial(trials: Sequence[Mapping[str, Any]], higher_is_better: bool) -> tuple[int | None, int | None]:
    """Return the numbers of the best trial and, by the one-standard-error rule, of the chosen trial.

    The chosen trial is the simplest one whose mean score is at most one standard error (that of the best one) from the
    best mean: the fewest parameters, then the largest weight decay if the search has such an axis, then the fewest
    epochs, then the better mean, then the lower number. A trial with an unknown number of parameters counts as the
    least simple. Without a standard error (one training per trial) only trials with the same mean are as good.

    Args:
        trials: rows as in ``trials.json``: ``number``, ``setting``, ``mean``, ``se``, ``parameters``, ``epochs``,
            ``failure``. Those with a failure, or without a finite mean, are ignored.
        higher_is_better: whether larger scores are better.

    Returns:
        (best, chosen), or (None, None) if no trial has a score.

    Source: Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984), section 3.4.3.

    >>> large = {"number": 1, "setting": {"hidden": [256]}, "mean": 0.90, "se": 0.02, "parameters": 5000}
    >>> small = {"number": 2, "setting": {"hidden": [16]}, "mean": 0.89, "se": 0.03, "parameters": 300}
    >>> choose_trial([large, small], higher_is_better=True)
    (1, 2)
    >>> choose_trial([{**large, "se": 0.001}, small], higher_is_better=True)
    (1, 1)
    """
    scored = [t for t in trials if not t.get("failure") and _to_finite(t.get("mean")) is not None]
    if not scored:
        return None, None

    def loss(trial: Mapping[str, Any]) -> float:
        return -float(trial["mean"]) if higher_is_better else float(trial["mean"])

    def complexity(trial: Mapping[str, Any]) -> tuple[float, float, float, float, int]:
        parameters, epochs = _to_finite(trial.get("parameters")), _to_finite(trial.get("epochs"))
        return (
            math.inf if parameters is None else parameters,
            -_weight_decay(trial.get("setting") or {}),
            math.inf if epochs is None else epochs,
            loss(trial),
            trial["number"],
        )

    best = min(scored, key=lambda t: (loss(t), *complexity(t)))
    max_loss = loss(best) + (_to_finite(best.get("se")) or 0.0)
    chosen = min((t for t in scored if loss(t) <= max_loss), key=complexity)
    return int(best["number"]), int(chosen["number"])


def _weight_decay(setting: Mapping[str, Any]) -> float:
    """Return the weight decay of a setting; 0 if it has none."""
    values = (_to_finite(value) for name, value in setting.items() if name.rpartition(".")[2] == WEIGHT_DECAY)
    return next((value for value in values if value is not None), 0.0)


def _to_finite(value: Any) -> float | None:
    """Return a finite number as a float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
