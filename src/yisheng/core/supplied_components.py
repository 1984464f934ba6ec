"""The user's own objects that settings and run folders name: separated from settings, and given again for a block."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from yisheng.core.components import KEY_OF_KIND, NamedComponent, read_component
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.references import (
    distinct_reference,
    import_reference,
    is_reference,
    make_reference,
    short_name,
)

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
