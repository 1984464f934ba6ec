"""Whether a config leaves open which model is trained and how, so that a table may get the best of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from yisheng.core.choice import AUTO, Choice
from yisheng.core.config import Config

DEFAULT_BUDGET: Final = 60.0
"""Seconds in which models are tried for a table if nothing names one."""
ROWS_OF_DEFAULT_BUDGET: Final = 500
"""With fewer rows less time: the candidates that come first then differ by less than chance."""
MIN_BUDGET: Final = 15.0
NEUTRAL_KEYS: Final = frozenset(
    (
        *("data", "budget", "seed", "validation", "test", "split", "folds", "repeats", "fold", "repeat"),
        *("score", "metrics", "boosting", "importance", "groups", "ood", "doctor", "device", "name", "notes"),
        *("tensorboard", "visdom", "tracker", "watch", "log_every", "checkpoint_every"),
    )
)
"""Keys that say nothing about which model is trained, or how; any other key asks for one training with it."""


def choose_seconds(rows: int) -> float:
    """Return the time in which models are tried for a table of some rows if nothing names one.

    >>> choose_seconds(100), choose_seconds(150), choose_seconds(400), choose_seconds(100_000)
    (15.0, 20.0, 50.0, 60.0)
    """
    seconds = DEFAULT_BUDGET * min(1.0, rows / ROWS_OF_DEFAULT_BUDGET)
    return max(MIN_BUDGET, 5.0 * math.ceil(seconds / 5))


def names_training(keys: Iterable[str], values: Mapping[str, Any]) -> bool:
    """Return whether one of the keys that a user set says which model is trained, or how.

    Args:
        keys: keys, and options as ``optimizer.lr``.
        values: the value of each key; ``auto`` without options says nothing.

    >>> names_training(["data.target", "seed"], {}), names_training(["optimizer.lr"], {})
    (False, True)
    """
    named = {key.partition(".")[0] for key in keys} - NEUTRAL_KEYS
    return any(values.get(key) not in (AUTO, Choice(name=AUTO)) for key in named)


def is_open(config: Config) -> bool:
    """Return whether a config leaves open what is trained: all that is not neutral has its default.

    >>> is_open(Config(seed=3)), is_open(Config(epochs=5)), is_open(Config(doctor="full"))
    (True, False, False)
    """
    fields = Config.model_fields
    keys = set(fields) - NEUTRAL_KEYS - {"shards"}
    is_default = all(getattr(config, key) == fields[key].default for key in keys) and config.shards in (AUTO, 1)
    return is_default and config.doctor != "full"
