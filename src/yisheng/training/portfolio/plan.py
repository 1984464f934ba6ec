"""The choice of an ensemble for a table that is trained within a time."""

from __future__ import annotations

from typing import Any

from yisheng.core.components import is_custom
from yisheng.core.config import AUTO, Choice, Config
from yisheng.core.durations import format_duration
from yisheng.core.messages import Message
from yisheng.core.types import Spec
from yisheng.training.fitted import FITTED_LOSSES, GRADIENT_KEYS

ENSEMBLE = "ensemble"
DECIDED = {"shards": 1}
"""Values besides the default that say nothing about the model."""


def plan_ensemble(config: Config, spec: Spec) -> tuple[Config, tuple[str, ...]]:
    """Return the config with an ensemble if a table is to be trained within a time and no network is named; and notes.

    An ensemble predicts each row by models that were not trained on it, so it needs no validation part.

    Args:
        config: any config.
        spec: the contract of the data.

    >>> config, notes = plan_ensemble(Config(budget=60), Spec("regression", (3,)))
    >>> config.model.name, config.budget, config.model.options["seconds"], config.validation
    ('ensemble', None, 60.0, 0)
    >>> plan_ensemble(Config(budget=60, epochs=5), Spec("regression", (3,)))[0].model.name
    'auto'
    """
    is_named = config.model.name == ENSEMBLE and not is_custom(config.model)
    if not is_named and not _wants_ensemble(config, spec):
        return config, ()
    changes: dict[str, Any] = {}
    if config.validation == AUTO and config.fold is None and config.folds is None:
        changes["validation"] = 0
    if config.budget is None:
        return config.model_copy(update=changes), ()
    changes["model"] = Choice(name=ENSEMBLE, options={**config.model.options, "seconds": config.budget})
    note = Message(
        "budget of {duration}: an ensemble of boosted trees, linear models, forests and networks; model=tabm trains a "
        "network alone",
        duration=format_duration(config.budget),
    )
    return config.model_copy(update={**changes, "budget": None}), (note,)


def _wants_ensemble(config: Config, spec: Spec) -> bool:
    """Return whether a config leaves open what is trained on a table within its budget."""
    if config.budget is None or config.model != Choice(name=AUTO) or not spec.is_row:
        return False
    fields = Config.model_fields
    is_open = all(getattr(config, key) in (fields[key].default, DECIDED.get(key)) for key in (*GRADIENT_KEYS, "epochs"))
    scalings = config.scale.name == AUTO and config.target_scale.name == AUTO
    return is_open and scalings and config.loss.name in (AUTO, *FITTED_LOSSES) and not config.loss.options
