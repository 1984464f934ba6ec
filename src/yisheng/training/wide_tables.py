"""Tables with more columns than a network's defaults are made for."""

from __future__ import annotations

from yisheng.core import registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

MAX_EMBEDDED_COLUMNS = 1000
"""Columns of numbers that are embedded by default; each becomes 8 inputs of the first layer."""
EMBEDDINGS = "embeddings"


def choose_for_wide_tables(config: Config, spec: Spec) -> tuple[Config, tuple[str, ...]]:
    """Return the config without embeddings of numbers if there are very many and it leaves them open, and a note.

    The embeddings multiply the inputs, weights and time of the first layer by their size, and a table with thousands of
    columns has rarely the rows from which they could be learnt.

    Args:
        config: of any model.
        spec: the contract of the data.

    >>> config, notes = choose_for_wide_tables(Config(model=Choice(name="tabm")), Spec("regression", (2000,)))
    >>> config.model.options["embeddings"], len(notes)
    ('none', 1)
    >>> choose_for_wide_tables(Config(model=Choice(name="tabm")), Spec("regression", (20,)))[1]
    ()
    """
    if not spec.is_row or is_custom(config.model):
        return config, ()
    columns = [column.kind for column in spec.columns] or ["number"] * spec.shape[0]
    count = columns.count("number")
    if count <= MAX_EMBEDDED_COLUMNS:
        return config, ()
    name = registry.default("models", spec).name if config.model.name == AUTO else config.model.name
    if EMBEDDINGS not in registry.find("models", name).options or EMBEDDINGS in config.model.options:
        return config, ()
    model = Choice(name=config.model.name, options={**config.model.options, EMBEDDINGS: "none"})
    note = Message(
        "{count} columns of numbers are more than {limit}: {model} takes them without embeddings "
        "(embeddings=piecewise-linear has them, and takes several times as long)",
        count=f"{count:,}",
        limit=f"{MAX_EMBEDDED_COLUMNS:,}",
        model=name,
    )
    return config.model_copy(update={"model": model}), (note,)
