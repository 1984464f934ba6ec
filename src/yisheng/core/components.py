"""The components of a config: registered ones by name, and a user's own objects.

A choice of a config may hold an object (a network, a class, a function) in place of a registered name. Each kind has a
module ``_custom.py`` whose ``make_entry(component, name)`` returns an entry that is called like a registered one.
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from yisheng.core import registry
from yisheng.core.entry import REQUIRED, Entry, Option
from yisheng.core.errors import UsageError, show_value, suggest
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message, as_message
from yisheng.core.references import (
    IN_MEMORY,
    distinct_reference,
    hash_source,
    import_reference,
    is_reference,
    make_reference,
    short_name,
)
from yisheng.core.values import validate_value


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


@dataclass(frozen=True)
class CustomEntry(Entry):
    """An entry of a user's own component.

    Args:
        parameters: its options; they are the parameters that the package does not fill in.
        open_ended: whether it takes any other option too (``**kwargs``).
    """

    parameters: Mapping[str, Option] = field(default_factory=dict)
    open_ended: bool = False

    @property
    def options(self) -> Mapping[str, Option]:
        """Return the parameters that are not filled in by the package."""
        return self.parameters

    @property
    def about(self) -> Message:
        """Return the first sentence of the component's docstring."""
        return as_message((inspect.getdoc(self.component) or "").split("\n\n")[0].replace("\n", " "))

    def check_option(self, name: str, value: Any, key: str) -> Any:
        """Return the value of an option; text from the shell is read as Python's literal of the parameter's type.

        Raises:
            UsageError: there is no such option, or the value does not have the annotated type.
        """
        if name not in self.parameters:
            if self.open_ended:
                return _read_literal(value)
            raise UsageError(
                Message("{key}={name} has no option {name_2}", key=key, name=self.name, name_2=f"{name!r}"),
                suggest(name, self.parameters),
            )
        annotation = self.parameters[name].type
        return _read_literal(value) if annotation is Any else validate_value(name, annotation, value)


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


def read_parameters(
    component: Callable[..., Any], filled: Mapping[str, Any] | None = None, *, skip: int = 0
) -> tuple[dict[str, Option], bool]:
    """Return the parameters of a callable as options, and whether it takes any others.

    Args:
        component: a class, function or partial.
        filled: names of parameters that the package fills in.
        skip: number of first parameters that the package gives by position.
    """
    try:
        signature = inspect.signature(component)
    except (ValueError, TypeError):  # a function written in C
        return {}, True
    open_ended = False
    options: dict[str, Option] = {}
    for parameter in list(signature.parameters.values())[skip:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL or parameter.name in (filled or {}):
            continue
        else:
            default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
            options[parameter.name] = Option(parameter.name, _option_type(parameter), default, as_message(""))
    return options, open_ended


def _option_type(parameter: inspect.Parameter) -> Any:
    """Return the type of simple annotations and defaults, which text from the shell is converted to."""
    names = {"int": int, "float": float, "bool": bool, "str": str}
    annotation = names.get(parameter.annotation) if isinstance(parameter.annotation, str) else parameter.annotation
    return annotation if annotation in names.values() else Any


def _read_literal(value: Any) -> Any:
    """Return text as the Python literal that it is, else unchanged.

    >>> _read_literal("64"), _read_literal("64,32"), _read_literal("relu")
    (64, (64, 32), 'relu')
    """
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "none": None}
    try:
        return words[value.lower()] if value.lower() in words else ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


_supplied: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("supplied", default=MappingProxyType({}))


@contextlib.contextmanager
def supply_components(**components: Any) -> Iterator[None]:
    """Give the user's own components that the config of a run folder names, during the block.

    Args:
        **components: objects, or references whose code is imported, by key of the config (``model=Net``); a list of
            them for ``metrics`` and ``augment``. None stands for nothing.

    Raises:
        UsageError: the code cannot be imported.
    """
    supplied = {key: _import_all(value) for key, value in components.items() if value is not None}
    token = _supplied.set({**_supplied.get(), **supplied})
    try:
        yield
    finally:
        _supplied.reset(token)


def require_custom(choices: Mapping[str, NamedComponent]) -> None:
    """Refuse components that are given again although the run has none of its user's own under their key.

    A saved run keeps its settings, so another loss or optimizer would be ignored.

    Args:
        choices: the run's choices that are a user's own, by key (``metrics.f2``).

    Raises:
        UsageError: `supply_components` has a key that is not one of a component of the user's own.
    """
    custom_keys = {key.partition(".")[0] for key in choices}
    for key in _supplied.get():
        if key not in custom_keys:
            raise UsageError(
                Message("this run has no {key} of your own, and keeps the settings that it was trained with", key=key),
                Message("leave {key} out, or train a new run with it", key=key),
            )


def _import_all(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_import_all(item) for item in value]
    if isinstance(value, str) and "," in value:
        return [_import_all(item.strip()) for item in value.split(",")]
    return import_reference(value) if isinstance(value, str) and is_reference(value) else value


def find_supplied(key: str, name: str) -> Any:
    """Return the object that `supply_components` gave for a key of the config, or None.

    Args:
        key: the key.
        name: the reference in the config; of several objects the one of that name is returned.
    """
    value = _supplied.get().get(key)
    if isinstance(value, Mapping) and "name" not in value:  # metrics by name
        return value.get(short_name(name))
    if not isinstance(value, list):
        return value
    return next((item for item, label in zip(value, _label_all(value), strict=True) if label == short_name(name)), None)


def _label_all(components: Iterable[Any]) -> list[str]:
    """Return the short names of several objects of one key, as `distinct_reference` tells them apart."""
    labels: list[str] = []
    for component in components:
        reference = component if isinstance(component, str) else make_reference(component)
        labels.append(short_name(distinct_reference(reference, labels)))
    return labels


def describe_sources(choices: Mapping[str, NamedComponent]) -> dict[str, dict[str, str | None]]:
    """Return reference and SHA-256 of the source of each component that is a user's own, by key of the config."""
    return {
        key: {"reference": choice.name, "sha256": hash_source(choice.component)}
        for key, choice in choices.items()
        if is_custom(choice) and choice.component is not None
    }


def separate_components(settings: Iterable[tuple[str, Any, Any]]) -> tuple[list[tuple[str, Any, Any]], dict[str, Any]]:
    """Return settings with references in place of objects, and the objects by key for `supply_components`.

    References are imported here, once, so that a search can combine plain settings. A list is a list of alternatives,
    or for ``metrics`` and ``augment`` of components that are all used.

    Raises:
        UsageError: code cannot be imported, or two objects of one key have the same name.

    >>> import math
    >>> separate_components([("loss", math.dist, "command line"), ("lr", 0.1, "command line")])
    ([('loss', 'math:dist', 'command line'), ('lr', 0.1, 'command line')], {'loss': [<built-in function dist>]})
    """
    plain: list[tuple[str, Any, Any]] = []
    objects: dict[str, Any] = {}
    kinds = {key: kind for kind, key in KEY_OF_KIND.items()}
    for key, value, origin in settings:
        if key not in kinds:
            plain.append((key, value, origin))
            continue
        items = value if isinstance(value, list | tuple) else value.split(",") if isinstance(value, str) else [value]
        names = []
        for item in items:
            if isinstance(item, str) and not is_reference(item):
                names.append(item)
                continue
            name, component = read_component(kinds[key], item)
            earlier = objects.setdefault(key, [])
            name = distinct_reference(name, () if any(component is c for c in earlier) else _label_all(earlier))
            if short_name(name) in _label_all(earlier):
                raise UsageError(
                    Message("{key} has two components named {name}", key=key, name=short_name(name)),
                    Message("give each a name of its own"),
                )
            earlier.append(component)
            names.append(name)
        is_single = not isinstance(value, list | tuple | str)
        text = ",".join(names) if isinstance(value, str) else names
        plain.append((key, names[0] if is_single else text, origin))
    return plain, objects
