"""Differences of configs: their values under dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LABEL_KEYS = ("name", "notes")
"""Keys that describe a run for people."""
IGNORED_KEYS = (
    *("device", "doctor", "ood", "tensorboard", "tracker", "visdom", "watch", "log_every", "checkpoint_every"),
    *LABEL_KEYS,
)
"""Keys that do not change the trained weights; the runs of a group may differ in them, and in the seed."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values under dotted keys; the name of a choice is the value of the choice's own key.

    >>> flatten({"epochs": 2, "model": {"name": "mlp", "hidden": [64]}})
    {'epochs': 2, 'model': 'mlp', 'model.hidden': [64]}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return {key.removesuffix(".name"): value for key, value in result.items()}
