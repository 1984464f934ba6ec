"""The components of a config: registered ones by name, and a user's own objects.

A choice of a config may hold an object (a network, a class, a function) in place of a registered name. Each kind has a
module ``_custom.py`` whose ``make_entry(component, name)`` returns an entry that is called like a registered one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from yisheng.core import registry
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError, show_value, suggest
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message
from yisheng.core.references import (
    IN_MEMORY,
    hash_source,
    import_reference,
    is_reference,
    make_reference,
)


class NamedComponent(Protocol):
    """A choice of a config: a name, and the object itself if it is a user's own."""

    @property
    def name(self) -> str: ...

    @property
    def component(self) -> Any: ...


class ComponentWithOptions(NamedComponent, Protocol):
    """A choice of a config with its options."""

    @property
    def options(self) -> Mapping[str, Any]: ...


def is_custom(choice: NamedComponent) -> bool:
    """Return whether a choice is a user's own code rather than a registered name."""
    return choice.component is not None or is_reference(choice.name)


def find_component(kind: str, choice: NamedComponent) -> Entry:
    """Return the entry of a choice, registered or a user's own.

    Raises:
        UsageError: there is no component of that name, or the object of a user's own one was not given.
    """
    if not is_custom(choice):
        return registry.find(kind, choice.name)
    if choice.component is None:
        label = KIND_LABELS.get(kind, kind)
        value = choice.name if not choice.name.startswith(f"{IN_MEMORY}:") else "the same object, from Python"
        raise UsageError(
            Message(
                "the {label} {name} is code of your own, which is imported only when you name it",
                label=label,
                name=choice.name,
            ),
            Message("give it again: {kind}={value}", kind=KEY_OF_KIND.get(kind, kind), value=value),
        )
    make_entry: Callable[[Any, str], Entry] = importlib.import_module(f"yisheng.{kind}._custom").make_entry
    return make_entry(choice.component, choice.name)


def build_component(kind: str, choice: ComponentWithOptions, *args: Any) -> Any:
    """Return what the component of a choice builds of its options.

    Raises:
        UsageError: see `find_component`.
    """
    return find_component(kind, choice).build(*args, **choice.options)


KEY_OF_KIND = {
    "models": "model",
    "init": "init",
    "losses": "loss",
    "optim": "optimizer",
    "optim.schedules": "schedule",
    "transforms.augment": "augment",
    "metrics": "metrics",
}
"""Kinds that take a user's own objects, with the key of the config."""


def read_component(kind: str, value: Any) -> tuple[str, Any]:
    """Return the reference and the object of a user's own component.

    Args:
        kind: the kind.
        value: the object, or the text of a reference, whose code is imported.

    Raises:
        UsageError: the kind takes names only, the code cannot be imported, or the object cannot be of this kind.
    """
    label = KIND_LABELS.get(kind, kind)
    if kind not in KEY_OF_KIND:
        raise UsageError(
            Message("a {label} must be a name, got {value}", label=label, value=show_value(value)),
            suggest("", registry.names(kind)),
        )
    if isinstance(value, str):
        component, name = import_reference(value), value.strip()
    else:
        component, name = value, make_reference(value)
    if not callable(component) and not hasattr(component, "param_groups") and not hasattr(component, "compute"):
        raise UsageError(
            Message(
                "{key} must be a name, a class or a callable, got {value}",
                key=KEY_OF_KIND[kind],
                value=show_value(value),
            ),
            suggest("", registry.names(kind)),
        )
    return name, component


def describe_sources(choices: Mapping[str, NamedComponent]) -> dict[str, dict[str, str | None]]:
    """Return reference and SHA-256 of the source of each component that is a user's own, by key of the config."""
    return {
        key: {"reference": choice.name, "sha256": hash_source(choice.component)}
        for key, choice in choices.items()
        if is_custom(choice) and choice.component is not None
    }
