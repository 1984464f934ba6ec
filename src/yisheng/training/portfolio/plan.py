"""The choice of an ensemble for a table that is trained within a time."""

from __future__ import annotations

from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUTO, IN_MEMORY, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.default_budget import choose_seconds, is_open
from yisheng.core.durations import format_budget
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.training.fitted import FITTED_LOSSES, GRADIENT_KEYS

ENSEMBLE = "ensemble"
DECIDED = {"shards": 1}
"""Values besides the default that say nothing about the model."""
TABLE = "table"
"""Name of the data set that reads a table from a file."""
MIN_ROWS = 20
"""A table with fewer rows gets one network by default: the folds of an ensemble would be a few rows each."""
MIN_FOLD_SECONDS = 10.0
"""Of a budget that nobody named, each model of a cross-validation gets this time or more."""


def plan_ensemble(config: Config, spec: Spec, rows: int, models: int = 1) -> tuple[Config, tuple[str, ...]]:
    """Return the config with an ensemble if a table is to be trained within a time and no network is named; and notes.

    An ensemble predicts each row by models that were not trained on it, so it needs no validation part. The config that
    is returned has a budget only if it is for a network; ``budget=auto`` is decided.

    Args:
        config: any config.
        spec: the contract of the data.
        rows: number of all rows.
        models: number of ensembles that share the time: the folds of a cross-validation.

    Raises:
        UsageError: the time is too short for so many ensembles.

    >>> config, notes = plan_ensemble(Config(budget=60), Spec("regression", (3,)), 900)
    >>> config.model.name, config.budget, config.model.options["seconds"], config.validation
    ('ensemble', None, 60.0, 0)
    >>> plan_ensemble(Config(budget=60, epochs=5), Spec("regression", (3,)), 900)[0].model.name
    'auto'
    >>> plan_ensemble(Config(), Spec("regression", (3,)), 900)[0].budget is None  # budget=auto: not a table of the user
    True
    """
    config = _choose_default(config, spec, rows, models)
    is_named = config.model.name == ENSEMBLE and not is_custom(config.model)
    if not is_named and not _wants_ensemble(config, spec):
        return config, ()
    changes: dict[str, Any] = {}
    if config.validation == AUTO and config.fold is None and config.folds is None:
        changes["validation"] = 0
    if config.budget is None:
        return config.model_copy(update=changes), ()
    assert isinstance(config.budget, float | int)
    seconds = _divide(config.budget, models)
    changes["model"] = Choice(name=ENSEMBLE, options={**config.model.options, "seconds": seconds})
    values = {"budget": format_budget(config.budget), "seconds": format_budget(seconds), "models": models}
    remedy = Message("for one network use model={name}", name=registry.default("models", spec).name)
    if models > 1:
        note = Message(
            "trying models one after the other, {seconds} at most for each of {models} folds (budget={budget}); "
            "{remedy}",
            **values,
            remedy=remedy,
        )
    else:
        note = Message(
            "trying models one after the other, for {budget} at most (budget={budget}); {remedy}",
            **values,
            remedy=remedy,
        )
    return config.model_copy(update={**changes, "budget": None}), (note,)


def _choose_default(config: Config, spec: Spec, rows: int, models: int) -> Config:
    """Return the config with ``budget=auto`` decided: a time for a table of the user's that leaves the model open."""
    if config.budget != AUTO:
        return config
    is_table = config.data.name in (TABLE, IN_MEMORY) and spec.is_row and any(column.source for column in spec.columns)
    seconds = max(choose_seconds(rows), models * MIN_FOLD_SECONDS)
    is_for_ensemble = is_table and is_open(config) and rows >= MIN_ROWS
    return config.model_copy(update={"budget": seconds if is_for_ensemble else None})


def _divide(budget: float, models: int) -> float:
    """Return the time of each of some ensembles.

    Raises:
        UsageError: it is less than a second.
    """
    if budget < models:
        raise UsageError(
            Message("budget={budget} is less than a second for each of {models} models", budget=budget, models=models),
            Message("use budget={seconds}s or more", seconds=round(models * MIN_FOLD_SECONDS)),
        )
    return budget / models


def _wants_ensemble(config: Config, spec: Spec) -> bool:
    """Return whether a config leaves open what is trained on a table within its budget."""
    if config.budget is None or config.model != Choice(name=AUTO) or not spec.is_row:
        return False
    fields = Config.model_fields
    keys = (*GRADIENT_KEYS, "epochs")
    is_unset = all(getattr(config, key) in (fields[key].default, DECIDED.get(key)) for key in keys)
    scalings = config.scale.name == AUTO and config.target_scale.name == AUTO
    return is_unset and scalings and config.loss.name in (AUTO, *FITTED_LOSSES) and not config.loss.options
