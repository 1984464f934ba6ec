"""What configs differ in: their values under dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PASSING = ("device", "doctor", "tensorboard", "visdom", "watch", "log_every", "checkpoint_every")
"""Keys of a config in which the runs of a group may differ, besides the seed: they do not change what is trained."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values under dotted keys; a choice's name gets the key of the choice itself.

    >>> flatten({"epochs": 2, "model": {"name": "mlp", "hidden": [64]}})
    {'epochs': 2, 'model': 'mlp', 'model.hidden': [64]}
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return {key.removesuffix(".name"): value for key, value in result.items()}
