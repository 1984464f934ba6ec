"""How networks for tables are trained when nothing names a length: until the validation score has stopped improving."""

from __future__ import annotations

import math
from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

PRESET_MODELS = ("tabm", "embedded-mlp")
PATIENCE = 16
"""Epochs without a better score after which the training stops."""
MAX_EPOCHS, MIN_EPOCHS, MAX_UPDATES = 300, 10, 20_000
"""The training ends after MAX_EPOCHS or MAX_UPDATES in any case, but not before MIN_EPOCHS."""
UNCHANGED = ("schedule", "weights", "fold", "folds", "patience", "scratch")
"""Keys with which the length of a training is planned otherwise, or would change what is asked for."""
LARGE_BATCH = 256
"""Rows of a batch from 32 times as many rows on: half as many updates for the same rows are nearly twice as fast."""
ADAMW = {"tabm": {"lr": 2e-3, "weight_decay": 3e-4}, "embedded-mlp": {"lr": 1e-3, "weight_decay": 3e-4}}


def choose_for_tables(config: Config, spec: Spec, rows: int) -> tuple[Config, tuple[str, ...]]:
    """Return the config with early stopping and a constant learning rate, if it leaves them open, and a note.

    How many updates a table needs depends on it: some have learned all after 500, some improve for 10,000. With folds
    an epoch cannot be chosen by the rows that are scored, so the length stays the usual one.

    Args:
        config: of any model.
        spec: the contract of the data.
        rows: of the training part.

    Source: Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient
    ensembling", 2025, appendix on implementation (AdamW, a constant rate, patience of 16 epochs).

    >>> config, notes = choose_for_tables(Config(model=Choice(name="tabm")), Spec("regression", (20,)), rows=6400)
    >>> config.epochs, config.patience, config.optimizer, len(notes)
    (300, 16, Choice(name='adamw', options={'lr': 0.002, 'weight_decay': 0.0003}), 1)
    >>> choose_for_tables(Config(model=Choice(name="tabm"), epochs=5), Spec("regression", (20,)), rows=6400)[1]
    ()
    """
    if not spec.is_row or is_custom(config.model):
        return config, ()
    name = registry.default("models", spec).name if config.model.name == AUTO else config.model.name
    defaults = {key: Config.model_fields[key].default for key in UNCHANGED}
    is_open = config.epochs == AUTO and all(getattr(config, key) == value for key, value in defaults.items())
    if name not in PRESET_MODELS or not is_open or config.optimizer.name != AUTO:
        return config, ()
    batch = LARGE_BATCH if config.batch == AUTO and rows >= 32 * LARGE_BATCH else config.choose_batch(rows)
    updates = math.ceil(rows / (batch * config.accumulate))
    changes: dict[str, Any] = {
        "batch": batch,
        "optimizer": Choice(name="adamw", options={**ADAMW[name], **config.optimizer.options}),
        "schedule": Choice(name="constant"),
        "epochs": min(MAX_EPOCHS, max(MIN_EPOCHS, MAX_UPDATES // max(1, updates))),
        "patience": PATIENCE,
    }
    note = Message(
        "no number of epochs given: the training stops after {patience} epochs without a better score, and after "
        "{epochs} at the latest",
        patience=PATIENCE,
        epochs=changes["epochs"],
    )
    return config.model_copy(update=changes), (note,)
