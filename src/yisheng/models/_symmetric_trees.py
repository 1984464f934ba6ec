"""The trees of CatBoost: all nodes of a level split alike, so a tree is a table of its leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from yisheng.models._category_numbers import NumberColumn
from yisheng.models._trees import Tree


def convert_trees(
    model: Mapping[str, Any], columns: Sequence[NumberColumn], outputs: Sequence[int], values: int
) -> list[Tree]:
    """Return the trees of a model in CatBoost's JSON format.

    Args:
        model: the model; its splits are of numbers.
        columns: what its columns are made of.
        outputs: what each tree predicts.
        values: numbers in a leaf: 1, which is added to the output, or one for each output of the network.

    Raises:
        ValueError: a tree has a form that is not supported.

    Source: CatBoost's ``export_helpers`` and the JSON model tutorial.
    """
    return [_convert_tree(tree, columns, outputs, values) for tree in model["oblivious_trees"]]


def _convert_tree(
    tree: Mapping[str, Any], columns: Sequence[NumberColumn], outputs: Sequence[int], values: int
) -> Tree:
    splits = tree["splits"] or []
    if any(split["split_type"] != "FloatFeature" for split in splits):
        raise ValueError("CatBoost's splits of categories are not supported")
    depth, inner = len(splits), (1 << len(splits)) - 1
    value = np.zeros((1 << depth, values))
    value[:, list(outputs) if values > 1 else [0]] = np.reshape(tree["leaf_values"], (1 << depth, len(outputs)))
    feature, threshold = np.zeros(depth, np.int64), np.zeros(depth)
    missing_left, number = np.ones(depth, bool), np.full(depth, -1)
    sets: list[np.ndarray] = []
    for level, split in enumerate(splits):
        column = columns[split["float_feature_index"]]
        feature[level] = column.source
        if column.values is None:
            threshold[level] = split["border"]
            continue
        goes_left = column.list_codes_left(split["border"])
        number[level], missing_left[level] = len(sets), goes_left[-1]
        sets.append(goes_left[:-1])
    width = max(map(len, sets), default=0)
    left_child, right_child, level_of_node, leaf_numbers = _lay_out(depth)

    def extend(levels: np.ndarray, leaf: float) -> np.ndarray:
        """Return the values of all nodes: those of their levels, and one for the leaves."""
        return np.concatenate([levels[level_of_node], np.full(1 << depth, leaf, levels.dtype)])

    return Tree(
        feature=extend(feature, 0),
        threshold=extend(threshold, 0.0),
        left_child=left_child,
        right_child=right_child,
        missing_left=extend(missing_left, 0),
        category_set=extend(number, -1),
        left_categories=np.stack([_widen(s, width, missing_left[number == i][0]) for i, s in enumerate(sets)])
        if sets
        else None,
        value=np.concatenate([np.zeros((inner, values)), value[leaf_numbers]]),
        output=outputs[0] if values == 1 else 0,
        depth=depth,
    )


def _widen(codes: np.ndarray, width: int, missing_left: bool) -> np.ndarray:
    return np.concatenate([codes, np.full(width - len(codes), missing_left)])


@cache
def _lay_out(depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the children of each node, the level of each inner node, and the number of each leaf in CatBoost.

    The children of node n are 2 n + 1 and 2 n + 2. In CatBoost bit i of a leaf's number says whether the split of level
    i is true, that is, whether the row goes right.
    """
    inner = (1 << depth) - 1
    node = np.arange(2 * inner + 1)
    is_leaf = node >= inner
    level = np.log2(node[:inner] + 1).astype(np.int64)
    path = np.arange(1 << depth)
    leaf_numbers = sum((((path >> (depth - 1 - i)) & 1) << i for i in range(depth)), np.zeros_like(path))
    return np.where(is_leaf, node, 2 * node + 1), np.where(is_leaf, node, 2 * node + 2), level, leaf_numbers
