"""Which trial is the best, and which simpler one is as good for all that the scores can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

DECAY = ("wd", "weight_decay")
"""What an axis of weight decay is called, alone or after a dot."""


def choose(trials: Sequence[Mapping[str, Any]], higher: bool) -> tuple[int | None, int | None]:
    """The numbers of the best trial and, by the one-standard-error rule, of the chosen one.

    Chosen is the simplest trial whose mean score is no more than one standard error (that of the best one) from the
    best mean: the fewest parameters, then the largest weight decay where the search has such an axis, then the fewest
    epochs, then the better mean, then the lower number. A trial whose parameters are not known counts as the least
    simple. Without a standard error (one training per trial) only trials with the very same mean are as good.

    Args:
        trials: rows as in ``trials.json``: ``number``, ``setting``, ``mean``, ``se``, ``parameters``, ``epochs``,
            ``failure``. Those with a failure, or without a finite mean, are passed over.
        higher: whether larger scores are better.

    Returns:
        (best, chosen), or (None, None) where no trial has a score.

    Source: Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees" (1984), section 3.4.3.

    >>> wide = {"number": 1, "setting": {"hidden": [256]}, "mean": 0.90, "se": 0.02, "parameters": 5000}
    >>> slim = {"number": 2, "setting": {"hidden": [16]}, "mean": 0.89, "se": 0.03, "parameters": 300}
    >>> choose([wide, slim], higher=True)
    (1, 2)
    >>> choose([{**wide, "se": 0.001}, slim], higher=True)
    (1, 1)
    """
    scored = [t for t in trials if not t.get("failure") and _finite(t.get("mean")) is not None]
    if not scored:
        return None, None

    def loss(trial: Mapping[str, Any]) -> float:
        return -float(trial["mean"]) if higher else float(trial["mean"])

    def simplicity(trial: Mapping[str, Any]) -> tuple[float, float, float, float, int]:
        size, epochs = _finite(trial.get("parameters")), _finite(trial.get("epochs"))
        return (
            math.inf if size is None else size,
            -_decay(trial.get("setting") or {}),
            math.inf if epochs is None else epochs,
            loss(trial),
            trial["number"],
        )

    best = min(scored, key=lambda t: (loss(t), *simplicity(t)))
    reach = loss(best) + (_finite(best.get("se")) or 0.0)
    chosen = min((t for t in scored if loss(t) <= reach), key=simplicity)
    return int(best["number"]), int(chosen["number"])


def _decay(setting: Mapping[str, Any]) -> float:
    """The weight decay of a setting; 0 where it has none."""
    found = (_finite(value) for name, value in setting.items() if name.rpartition(".")[2] in DECAY)
    return next((value for value in found if value is not None), 0.0)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
