"""Data sets for torch with a length."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.data.objects import _arrays
from yisheng.data.objects._items import find_rule
from yisheng.data.objects._read_map import read_map_style
from yisheng.data.objects._values import Arrays, Options, Values


def _takes(value: Any) -> bool:
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(value, data.Dataset) and not isinstance(value, data.IterableDataset)


@register(takes=_takes)
def torch_dataset(dataset: Any, options: Options) -> Values:
    """Read a map-style data set of torch: its items are (x, y), or dicts.

    Tensors of a `TensorDataset`, also within `Subset` and `ConcatDataset`, are taken as they are. Any other is read
    once if its items are the same each time and again in each epoch if they are random.
    """
    name, classes = describe_dataset(dataset)
    tensors = _find_tensors(dataset)
    if tensors is None:
        return read_map_style(dataset, options, name=name, classes=classes)
    rule = find_rule(tuple(array[:1] for array in tensors), options, name)
    x: Arrays = tensors[rule.x[0]] if rule.single else tuple(tensors[position] for position in rule.x)
    weight = None if rule.weight is None else tensors[rule.weight].astype(np.float32)
    return Values(name, x, tensors[rule.y], classes=classes, sample_weight=weight)


def describe_dataset(dataset: Any) -> tuple[str, tuple[str, ...]]:
    """Return the name of a data set's class, and the names of its classes if it knows them."""
    while (inner := _find_inner(dataset)) is not None:
        dataset = inner
    classes = getattr(dataset, "classes", None)
    is_known = isinstance(classes, list | tuple) and len(classes) > 1 and all(isinstance(c, str) for c in classes)
    return type(dataset).__name__, tuple(classes) if is_known and classes is not None else ()


def _find_inner(dataset: Any) -> Any:
    """Return the data set whose items another one gives, or the first of several; None if it makes its items itself."""
    from torch.utils.data import Dataset

    inner = getattr(dataset, "dataset", None)
    several = getattr(dataset, "datasets", None)
    if inner is None and isinstance(several, list | tuple) and several:
        inner = several[0]
    return inner if isinstance(inner, Dataset) else None


def _find_tensors(dataset: Any) -> tuple[np.ndarray, ...] | None:
    """Return the tensors of a data set as arrays, or None if its items are made by other code."""
    from torch.utils.data import ConcatDataset, Subset, TensorDataset

    if type(dataset) is TensorDataset:
        return tuple(
            _arrays.to_array(tensor, Message("tensor {number} of the data", number=n))
            for n, tensor in enumerate(dataset.tensors)
        )
    if type(dataset) is Subset:
        inner = _find_tensors(dataset.dataset)
        rows = np.asarray(dataset.indices, np.int64)
        return None if inner is None else tuple(array[rows] for array in inner)
    if type(dataset) is ConcatDataset:
        parts = [_find_tensors(part) for part in dataset.datasets]
        if any(part is None or len(part) != len(parts[0] or ()) for part in parts):
            return None
        return tuple(np.concatenate(arrays) for arrays in zip(*(part for part in parts if part), strict=True))
    return None
