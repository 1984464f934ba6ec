"""The components that settings choose: registered names, references to code, and a user's own objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUGMENT, AUTO, IN_MEMORY, KINDS, METRICS, Choice
from yisheng.core.components import KEY_OF_KIND, find_component, is_custom, read_component
from yisheng.core.config import Config
from yisheng.core.discovery import hyphenate
from yisheng.core.errors import UsageError, show_value, suggest
from yisheng.core.messages import Message
from yisheng.core.paths import find_data_reader, is_path
from yisheng.core.references import distinct_reference, is_reference, short_name
from yisheng.core.supplied_components import find_supplied


def choose(key: str, value: Any, current: Choice | None, import_code: bool) -> Choice | None:
    """Return the choice that a name, path or object means; the current one keeps its options if it is named again."""
    if isinstance(value, Choice):
        return value
    if not isinstance(value, str) and KINDS[key] not in KEY_OF_KIND:
        raise UsageError(
            Message("{key} must be a name, got {value}", key=key, value=show_value(value)),
            suggest("", registry.names(KINDS[key])),
        )
    if not isinstance(value, str) or (key != "data" and is_reference(value)):
        return _read_own_choice(KINDS[key], value, import_code)
    if key == "data" and hyphenate(value) not in registry.names("data.datasets") and is_path(value):
        reader, path = find_data_reader(value)
        options = current.options if current and current.name == reader else {}
        return Choice(name=reader, options={**options, "path": path})
    name = hyphenate(value)
    optional = Config.model_fields[key].default is None
    if name == AUTO and Config.model_fields[key].default == Choice(name=AUTO):
        return Choice(name=AUTO)
    if optional and name == "none":
        return None
    if key == "data" and name == IN_MEMORY:
        return Choice(name=IN_MEMORY)
    if key != "data" and value.strip().endswith(".py"):
        raise UsageError(
            Message("{key}={file} names a file, not a class or function in it", key=key, file=value.strip()),
            Message("write {key}={file}:NAME, as in model=net.py:Net", key=key, file=value.strip()),
        )
    entry = registry.find(KINDS[key], name)
    return current if current and current.name == entry.name else Choice(name=entry.name)


def _read_own_choice(kind: str, value: Any, import_code: bool) -> Choice:
    """Return the choice of a user's own component, an object or a reference; without ``import_code`` its name alone."""
    if isinstance(value, str):
        supplied = find_supplied(KEY_OF_KIND.get(kind, kind), value.strip())
        if supplied is not None or not import_code:
            return Choice(name=value.strip(), component=supplied)
    name, component = read_component(kind, value)
    return Choice(name=name, component=component)


def parse_metrics(value: Any, import_code: bool) -> tuple[Choice, ...]:
    """Return ``metrics=`` as choices, from ``f1,file.py:gain``, a list of names and functions, or a single function."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    if isinstance(value, Mapping) and "name" not in value:  # names of functions
        items = [
            _read_own_choice(METRICS, item, import_code).model_copy(update={"name": f"in-memory:{name}"})
            for name, item in value.items()
        ]
    choices: list[Choice] = []
    for item in items:
        if isinstance(item, Choice):
            choices.append(_add_direction(_label(item, choices)))
            continue
        options = dict(item) if isinstance(item, Mapping) else {"name": item}
        name = options.pop("name", None)
        if isinstance(name, str) and not is_reference(name):
            if name.strip().lower() not in ("", "none"):
                choices.append(Choice(name=registry.find(METRICS, name).name))
        else:
            choice = _read_own_choice(METRICS, name, import_code)
            choices.append(_add_direction(_label(choice, choices).model_copy(update={"options": options})))
    names = [short_name(choice.name) for choice in choices]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(
            Message("metrics has {repeated} twice", repeated=repeated[0]),
            Message('name each, as in metrics={{"first": function, "second": other_function}}'),
        )
    return tuple(choices)


def _label(choice: Choice, earlier: Iterable[Choice]) -> Choice:
    """Return the choice of an object in memory with a name that no other object of its list has."""
    objects = [item for item in earlier if item.component is not None]
    if any(item.component is choice.component for item in objects):
        return choice
    return choice.model_copy(
        update={"name": distinct_reference(choice.name, [short_name(item.name) for item in objects])}
    )


def _add_direction(choice: Choice) -> Choice:
    """Return the choice of a user's own metric with the option ``higher``, which says whether larger is better."""
    if choice.component is None or "higher" in choice.options:
        return choice
    higher = bool(find_component(METRICS, choice).meta["higher"])
    return choice.model_copy(update={"options": {**choice.options, "higher": higher}})


def parse_augmentations(value: Any, import_code: bool = True) -> dict[str, Choice | None]:
    """Return ``augment=`` as choices, from ``flip,crop``, a list of names, or a list of tables with ``name``."""
    items = [value] if value is None or callable(value) else value
    if isinstance(value, str):
        items = value.split(",")
    if not isinstance(items, list | tuple):
        raise UsageError(
            Message("augment must be names, got {value}", value=show_value(value)), Message("use augment=flip,crop")
        )
    choices: dict[str, Choice | None] = {}
    for item in items:
        if isinstance(item, Choice):
            if is_custom(item):
                choices[f"{AUGMENT}.{item.name}"] = item
                continue
            item = {"name": item.name, **item.options}
        options = dict(item) if isinstance(item, Mapping) else {"name": item}
        name = "none" if item is None else options.pop("name", None)
        if callable(name) or (isinstance(name, str) and is_reference(name)):
            choice = _read_own_choice("transforms.augment", name, import_code)
            choice = _label(choice, [item for item in choices.values() if item])
            if f"{AUGMENT}.{choice.name}" in choices:
                raise UsageError(
                    Message("augment names {name} twice", name=short_name(choice.name)), Message("name each once")
                )
            choices[f"{AUGMENT}.{choice.name}"] = choice
            continue
        if not isinstance(name, str):
            raise UsageError(
                Message("an augmentation must have a name, got {item}", item=show_value(item)),
                Message("use augment=flip,crop"),
            )
        if hyphenate(name) in ("none", "") and len(items) == 1:
            return {}
        if hyphenate(name) == AUTO and len(items) == 1:
            return {f"{AUGMENT}.{AUTO}": Choice(name=AUTO)}
        entry = registry.find("transforms.augment", name)
        key = f"{AUGMENT}.{entry.name}"
        if key in choices:
            raise UsageError(Message("augment names {name} twice", name=entry.name), Message("name each once"))
        options = {option: entry.check_option(option, v, key) for option, v in options.items()}
        choices[key] = Choice(name=entry.name, options=options)
    return choices


def require_plain(owner: str, option: str, value: Any) -> None:
    """Refuse an option of a user's own component that a config file cannot hold: a run could not be resumed."""
    items = value if isinstance(value, list | tuple) else [value]
    if not all(item is None or isinstance(item, bool | int | float | str) for item in items):
        raise UsageError(
            Message(
                "{owner}.{option} must be a number, text, or a list of them, got {name__}",
                owner=owner,
                option=option,
                name__=type(value).__name__,
            ),
            Message(
                "build the {owner} yourself and give the object: {owner}=Name({option}=...)", owner=owner, option=option
            ),
        )
