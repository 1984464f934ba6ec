"""Counters of evaluations without a better one, next to their patience, among the variables of the user's program."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yisheng.diagnosis.recorder.source_lines import is_user_file, list_nearby_variables

PATIENCE = re.compile(r"patience", re.IGNORECASE)
COUNTER = re.compile(r"count|wait|bad|no_improve|without|stale|stagnat|trigger|strikes", re.IGNORECASE)
BEST = re.compile(r"best|min|max|low|high", re.IGNORECASE)


@dataclass(frozen=True)
class StoppingCounter:
    """A counter that has reached the patience.

    Args:
        name: of the counter.
        count: its value, which is that of the patience.
        best: names and values of the numbers next to it that may be the best one.
    """

    name: str
    count: int
    best: Mapping[str, float]


def find_stopping_counters() -> list[StoppingCounter]:
    """Return the counters of the callers' variables, and of the objects of their classes, that reached a patience."""
    counters = []
    for _, variables in list_nearby_variables():
        counters += _list_counters("", variables)
        for name, value in variables.items():
            attributes = getattr(value, "__dict__", None)
            if isinstance(attributes, dict) and _is_of_user(type(value)):
                counters += _list_counters(f"{name}.", attributes)
    return counters


def _list_counters(prefix: str, values: Mapping[str, Any]) -> list[StoppingCounter]:
    numbers = {
        name: value for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    patience = {value for name, value in numbers.items() if PATIENCE.search(name) and isinstance(value, int)}
    best = {name: float(value) for name, value in numbers.items() if BEST.search(name) and math.isfinite(value)}
    return [
        StoppingCounter(f"{prefix}{name}", value, best)
        for name, value in numbers.items()
        if COUNTER.search(name) and not PATIENCE.search(name) and isinstance(value, int) and value in patience
    ]


def _is_of_user(kind: type) -> bool:
    """Return whether a function of a class is the user's own code."""
    codes = (getattr(value, "__code__", None) for value in vars(kind).values())
    return any(code is not None and is_user_file(code.co_filename) for code in codes)
