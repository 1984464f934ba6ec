"""The contents of ``scores.json``: scores by part and name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from yisheng.core.messages import Message
from yisheng.core.score import Score, Scores


def scores_to_plain(scores: Scores) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return scores as plain data."""
    return {part: {name: asdict(score) for name, score in by_name.items()} for part, by_name in scores.items()}


def parse_scores(plain: Any) -> tuple[dict[str, dict[str, Score]], list[str]]:
    """Return the readable scores of ``scores.json``, and what is wrong with the others.

    >>> parse_scores({"test": {"accuracy": {"value": 0.9}, "f1_macro": {}}})
    ({'test': {'accuracy': Score(value=0.9, low=None, high=None)}}, ['there is no number for test f1_macro'])
    """
    scores: dict[str, dict[str, Score]] = {}
    problems: list[str] = []
    for part, by_name in plain.items() if isinstance(plain, Mapping) else ():
        for name, values in by_name.items() if isinstance(by_name, Mapping) else ():
            try:
                value, low, high = (_number(values.get(key)) for key in ("value", "low", "high"))
            except (AttributeError, TypeError, ValueError, OverflowError):
                value = low = high = None
            if value is None:
                problems.append(Message("there is no number for {part} {name}", part=part, name=name))
            else:
                scores.setdefault(part, {})[name] = Score(value, low, high)
        if not isinstance(by_name, Mapping):
            problems.append(Message("{part} is not a JSON object", part=part))
    if not isinstance(plain, Mapping):
        problems.append(Message("it is not a JSON object"))
    return scores, problems


def _number(value: Any) -> float | None:
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else float(value)
