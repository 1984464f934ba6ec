"""Every value of a config with its origin, for display."""

from __future__ import annotations

from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, Choice, kind_of
from yisheng.core.config import Config
from yisheng.core.entry import REQUIRED
from yisheng.core.messages import Message
from yisheng.core.settings import MergedSettings


def list_values(merged: MergedSettings) -> dict[str, tuple[Any, str]]:
    """Return every value of a config and its origin by dotted key; options that are not set have their defaults.

    >>> from yisheng.core.settings import merge_settings
    >>> values = list_values(merge_settings([("lr", "0.5", "command line"), ("optimizer", "sgd", "command line")]))
    >>> values["optimizer.lr"], values["epochs"]
    ((0.5, 'command line'), ('auto', 'chosen for the data'))
    """
    config = merged.config
    values: dict[str, Any] = {}
    for key in Config.model_fields:
        value = getattr(config, key)
        choices = {key: value} if isinstance(value, Choice) else {}
        if key == AUGMENT:
            is_default = value == Config.model_fields[key].default
            choices = {f"{key}.{choice.name}": choice for choice in value}
            value = AUTO if is_default else [choice.name for choice in value] or None
        values[key] = value.name if isinstance(value, Choice) else value
        for dotted, choice in choices.items():
            defaults = {}
            if choice.name != AUTO:
                entry = registry.find(kind_of(dotted), choice.name)
                defaults = {o.name: o.default for o in entry.options.values() if o.default is not REQUIRED}
            values |= {f"{dotted}.{name}": option for name, option in {**defaults, **choice.options}.items()}
    origins = {
        key: Message("chosen for the data") if value == AUTO and key != "device" else merged.origins.get(key, "default")
        for key, value in values.items()
    }
    return {key: (value, origins[key]) for key, value in values.items()}
