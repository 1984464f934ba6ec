"""Data that is given as an object in Python: the data set, and what the config keeps of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yisheng.core import registry
from yisheng.core.choice import AUTO, IN_MEMORY, Choice
from yisheng.core.dataset import Dataset
from yisheng.core.entry import Option
from yisheng.core.errors import UsageError, YishengError
from yisheng.core.messages import Message
from yisheng.core.references import is_reference
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import canonical_key
from yisheng.data.objects import find_reader, read_objects

PARTS = ("validation", "test")
PER_ROW = ("sample_weight", "group", "time", "part")
"""Options that may hold a value for each row."""


def is_named(data: Any) -> bool:
    """Return whether data is the name or path of a data set, or a mapping with its name."""
    return isinstance(data, str | Path) or (isinstance(data, Mapping) and isinstance(data.get("name"), str))


def separate_data(
    data: Any, keywords: Mapping[str, Any], *, names_model: bool = False, file_keys: Callable[[], set[str]] = set
) -> tuple[Dataset | None, dict[str, Any]]:
    """Return the data set in memory, if data is an object, and the settings without what only it needs.

    The settings keep the plain options, so that a run's config tells them, and a resumed run has them again.

    Args:
        data: a name, a mapping with ``name``, an object that `yisheng.data.objects.to_dataset` takes, or None.
        keywords: the settings of Python, with options of the data and perhaps other parts in ``validation`` and
            ``test``.
        names_model: whether a config file may name the network.
        file_keys: returns the keys that a config file sets: what follows from the data does not replace them.

    Raises:
        UsageError: nothing reads such an object, or an option does not fit it.
        DataError: the object cannot be read.
    """
    if data is None:
        return None, dict(keywords)
    if is_named(data):
        return None, {"data": str(data) if isinstance(data, Path) else data, **keywords}
    settings = {key: value for key, value in keywords.items() if canonical_key(key) not in (*list_options(), *PARTS)}
    options = {canonical_key(key): value for key, value in keywords.items() if canonical_key(key) in list_options()}
    sizes, parts = _separate_parts(keywords)
    if isinstance(data, Dataset) and not parts and not options:
        return data, {"data": IN_MEMORY, **settings, **sizes}
    if _may_hold_ids(data) and "ids" not in options and not (names_model or _is_own_network(keywords)):
        options["ids"] = False  # registered networks take numbers
    result = read_objects(data, **parts, **options)
    set_keys = {canonical_key(key) for key in settings} | {canonical_key(key) for key in file_keys()}
    following = {key: value for key, value in result.settings.items() if key not in set_keys and key not in sizes}
    plain = {key: _to_plain(value) for key, value in options.items() if _is_plain(key, value)}
    return result.dataset, {"data": {"name": IN_MEMORY, **plain}, **settings, **sizes, **following}


def load_again(folder: Path, data: Any, **objects: Any) -> Dataset | None:
    """Return the data set of a run that was trained on objects, from the same objects given again.

    Args:
        folder: of a run, a cross-validation or a search.
        data: the object, or None.
        **objects: ``validation``, ``test`` and options that are no plain values, as in training.

    Raises:
        UsageError: the folder's data has a name, or an option does not fit the object.
        DataError: the object cannot be read.
    """
    options = {key: value for key, value in objects.items() if value is not None}
    if data is None:
        if options:
            raise UsageError(
                Message("{options} belong to data=, which is missing", options=", ".join(options)),
                Message("give the data of the training"),
            )
        return None
    if isinstance(data, Dataset) and not options:
        return data
    if is_named(data):
        raise UsageError(Message("data={data}: the run's config names its data", data=data), Message("leave data= out"))
    saved = {} if isinstance(data, Dataset) else _saved_options(folder)
    return read_objects(data, **{**saved, **options}).dataset


def list_options() -> Mapping[str, Option]:
    """Return the options of data in memory by name."""
    return registry.find("data.objects", IN_MEMORY).options


def _may_hold_ids(data: Any) -> bool:
    return not isinstance(data, Dataset) and find_reader(data).meta.get("makes") != "dataset"


def _saved_options(folder: Path) -> dict[str, Any]:
    """Return the options of the data in a run's config; none if the folder cannot tell."""
    run = RunFolder(folder)
    try:
        config = run.cross_validation_config if run.is_cross_validation else run.config
    except YishengError:
        return {}
    return dict(config.data.options) if config.data.name == IN_MEMORY else {}


def _separate_parts(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ``validation`` and ``test`` that are sizes, and those that are rows."""
    values = {key: keywords[key] for key in PARTS if key in keywords and keywords[key] is not None}
    parts = {key: value for key, value in values.items() if not _is_size(value)}
    return {key: value for key, value in values.items() if key not in parts}, parts


def _is_size(value: Any) -> bool:
    """Return whether a value is the size of a part rather than its rows."""
    if isinstance(value, bool | int | float) or (hasattr(value, "ndim") and value.ndim == 0):
        return True
    if isinstance(value, os.PathLike) or not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return value.strip().lower() == AUTO
    return True


def _is_own_network(keywords: Mapping[str, Any]) -> bool:
    model = keywords.get("model")
    if isinstance(model, Choice):
        return model.component is not None
    if isinstance(model, Mapping):
        model = model.get("name")
    return model is not None and (not isinstance(model, str) or is_reference(model))


def _to_plain(value: Any) -> Any:
    """Return the value of an option as a config holds it: ``a:category`` for an entry of a mapping."""
    return [f"{key}:{item}" for key, item in value.items()] if isinstance(value, Mapping) else value


def _is_plain(key: str, value: Any) -> bool:
    """Return whether a config can hold an option: names and numbers, not the values of all rows."""
    if isinstance(value, str | int | float | bool):
        return True
    if key in PER_ROW:
        return False
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [None]
    return all(isinstance(item, str | int | float | bool) for item in items)
