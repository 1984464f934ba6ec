"""Data sets of Hugging Face, and others of their form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from yisheng.core.generator_states import preserve_generators
from yisheng.core.registry import register
from yisheng.data.objects._item_seeds import read_item
from yisheng.data.objects._items import find_rule
from yisheng.data.objects._read_map import read_map_style
from yisheng.data.objects._values import Options, Values


def is_dataset(value: Any) -> bool:
    """Return whether a value has the form of a Hugging Face data set."""
    names = ("column_names", "features", "__getitem__", "__len__")
    return all(hasattr(value, name) for name in names) and not hasattr(value, "iloc")


@register(takes=is_dataset)
def hugging_face(dataset: Any, options: Options) -> Values:
    """Read a Hugging Face data set: its rows are dicts, its features name the classes.

    Images become bytes ``(C, H, W)``. Plain columns of numbers and words are read as a table; see `data_frame`.
    """
    name = getattr(getattr(dataset, "info", None), "dataset_name", None) or "dataset"
    with preserve_generators():
        rule = find_rule(read_item(dataset, 0, name), options, name)
    values = read_map_style(dataset, options, name=name, classes=find_class_names(dataset, rule.y))
    return replace(values, target=str(rule.y))


def is_table(dataset: Any) -> bool:
    """Return whether all columns of such a data set hold one number or word per row.

    >>> is_table([{"size": 3.5, "town": "a"}])
    True
    """
    if not len(dataset):
        return False
    with preserve_generators():
        item = dataset[0]
    return isinstance(item, dict) and all(isinstance(value, str | int | float | bool | None) for value in item.values())


def to_frame(dataset: Any) -> Any:
    """Return such a data set as a DataFrame, with the names of classes in place of their numbers."""
    import pandas as pd

    if hasattr(dataset, "to_pandas"):
        frame = dataset.to_pandas()
    else:
        frame = pd.DataFrame({name: list(dataset[name]) for name in dataset.column_names})
    for column in frame.columns:
        classes = find_class_names(dataset, column)
        if classes:
            frame[column] = frame[column].map(dict(enumerate(classes)))
    return frame


def find_class_names(dataset: Any, column: Any) -> tuple[str, ...]:
    """Return the names of the classes of a column, if its feature knows them."""
    features = getattr(dataset, "features", None)
    feature = features.get(column) if isinstance(features, Mapping) else None
    names = getattr(feature, "names", None)
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()
