"""Trees as the arrays of ONNX's ``TreeEnsemble`` (ai.onnx.ml 5): inner nodes and leaves are numbered apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yisheng.models._trees import Trees

BETWEEN_SIDES = 0.5
"""Threshold for columns that are 0 for left and 1 for right."""


@dataclass(frozen=True)
class CategoryColumns:
    """Columns that say where categories go, one for each different set of categories.

    Args:
        features: the K columns of the rows that are split by category.
        sizes: for each of them, the number of codes from 0 that are in ``goes_right``, float64; others are missing.
        source: for each of the L sets, which of the K columns it reads.
        start: for each set, where its codes begin in ``goes_right``, int32; after them comes the missing value.
        goes_right: 0 or 1, uint8.
    """

    features: np.ndarray
    sizes: np.ndarray
    source: np.ndarray
    start: np.ndarray
    goes_right: np.ndarray


@dataclass(frozen=True)
class TreeAttributes:
    """What a ``TreeEnsemble`` consists of, and what is around it.

    Args:
        features: the F columns of the rows that are compared with thresholds.
        categories: the columns that follow them, or None.
        targets: number of outputs of the operator.
        lists: its attributes that are lists of integers, by name.
        tensors: its attributes that are tensors, by name.
        leaves: values of leaves ``(U, V)``, float32, if the operator returns a number of such a row for each tree; None
            if it returns sums.
    """

    features: np.ndarray
    categories: CategoryColumns | None
    targets: int
    lists: dict[str, np.ndarray]
    tensors: dict[str, np.ndarray]
    leaves: np.ndarray | None


def describe_trees(trees: Trees) -> TreeAttributes:
    """Return trees as the arrays of the operator; without trees those of one whose leaves are 0.

    >>> description = describe_trees(Trees(2))
    >>> description.targets, description.tensors["leaf_weights"]
    (2, array([0., 0.]))
    """
    arrays = _read_arrays(trees)
    is_leaf = arrays["left_child"] == np.arange(len(arrays["left_child"]))
    by_category = (arrays["category_set"] >= 0) & ~is_leaf
    by_number = ~is_leaf & ~by_category
    features = np.unique(arrays["feature"][by_number]) if by_number.any() else np.zeros(1, np.int64)
    column = np.searchsorted(features, arrays["feature"])
    threshold = arrays["threshold"].astype(np.float64)
    categories = None
    if by_category.any():
        categories, numbers = _collect_categories(arrays, np.flatnonzero(by_category))
        column[by_category] = len(features) + numbers
        threshold[by_category] = BETWEEN_SIDES

    order, tree, left_position = _order_levels(arrays, is_leaf)
    leaf_order = is_leaf[order]
    inner, leaves = order[~leaf_order], order[leaf_order]
    place = np.where(leaf_order, np.cumsum(leaf_order), np.cumsum(~leaf_order)) - 1
    lists = {"tree_roots": place[: len(arrays["root"])], "nodes_featureids": column[inner]}
    for side, position in (("true", left_position), ("false", left_position + 1)):
        lists |= {f"nodes_{side}nodeids": place[position], f"nodes_{side}leafs": leaf_order[position].astype(np.int64)}
    missing_left = (arrays["missing_left"] & by_number)[inner]
    if missing_left.any():
        lists["nodes_missing_value_tracks_true"] = missing_left.astype(np.int64)
    weights, targets, table = _describe_leaves(trees, arrays, leaves, tree[leaf_order])
    lists["leaf_targetids"] = targets
    tensors = {
        "nodes_modes": np.zeros(len(inner), np.uint8),  # left if the value is at most the threshold
        "nodes_splits": threshold[inner],
        "leaf_weights": weights,
    }
    count = trees.outputs if table is None else len(arrays["root"])
    return TreeAttributes(features.astype(np.int64), categories, count, lists, tensors, table)


def _read_arrays(trees: Trees) -> dict[str, np.ndarray]:
    """Return the nodes such that there is a tree, and that no root is a leaf.

    A root that is a leaf becomes a split with that leaf on both sides: runtimes disagree on what such a tree means.
    """
    arrays = {name: value.cpu().numpy() for name, value in trees.named_buffers()}
    for name in ("feature", "left_child", "right_child", "root", "output"):
        arrays[name] = arrays[name].astype(np.int64)
    if not len(trees):
        arrays |= {"root": np.zeros(1, np.int64), "output": np.zeros(1, np.int64)}
        arrays = _add_nodes(arrays, np.zeros(1, np.int64))
    root, count = arrays["root"], len(arrays["left_child"])
    without_split = np.flatnonzero(arrays["left_child"][root] == root)
    arrays = _add_nodes(arrays, root[without_split])
    arrays["root"] = root.copy()
    arrays["root"][without_split] = count + np.arange(len(without_split))
    return arrays


def _add_nodes(arrays: dict[str, np.ndarray], children: np.ndarray) -> dict[str, np.ndarray]:
    """Add nodes that split nothing, with a node as both children."""
    added = {
        **{name: np.zeros(len(children), arrays[name].dtype) for name in ("feature", "threshold", "missing_left")},
        "left_child": children,
        "right_child": children,
        "category_set": np.full(len(children), -1),
        "value": np.zeros((len(children), arrays["value"].shape[1]), np.float32),
    }
    return {**arrays, **{name: np.concatenate([arrays[name], values]) for name, values in added.items()}}


def _order_levels(arrays: dict[str, np.ndarray], is_leaf: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes level by level, both children of a node next to each other.

    Returns:
        The nodes ``(M,)``, the tree of each, and for each inner node among them the position of its left child.
    """
    nodes, trees, positions = [arrays["root"]], [np.arange(len(arrays["root"]))], []
    end = len(arrays["root"])
    while len(nodes[-1]):
        is_inner = ~is_leaf[nodes[-1]]
        parents = nodes[-1][is_inner]
        positions.append(end + 2 * np.arange(len(parents)))
        nodes.append(np.stack([arrays["left_child"][parents], arrays["right_child"][parents]], axis=1).reshape(-1))
        trees.append(np.repeat(trees[-1][is_inner], 2))
        end += len(nodes[-1])
    return np.concatenate(nodes), np.concatenate(trees), np.concatenate(positions)


def _describe_leaves(
    trees: Trees, arrays: dict[str, np.ndarray], leaves: np.ndarray, tree: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the weights of the leaves, their targets, and a table of values if leaves have several."""
    values = arrays["value"][leaves]
    if trees.values == 1:
        return values[:, 0].astype(np.float64), arrays["output"][tree], None
    table, numbers = _find_different_rows(values)
    return numbers.astype(np.float64), tree, table


def _collect_categories(arrays: dict[str, np.ndarray], nodes: np.ndarray) -> tuple[CategoryColumns, np.ndarray]:
    """Return the columns for the nodes that split by category, and the column of each of them."""
    sets = arrays["left_categories"][arrays["category_set"][nodes]]
    goes_right = ~np.concatenate([sets, arrays["missing_left"][nodes, None]], axis=1)
    feature = arrays["feature"][nodes]
    different, numbers = _find_different_rows(np.concatenate([feature[:, None], goes_right], axis=1))
    feature, goes_right = different[:, 0], different[:, 1:].astype(np.uint8)
    features, source = np.unique(feature, return_inverse=True)
    differs = goes_right[:, :-1] != goes_right[:, -1:]
    last = np.where(differs.any(1), differs.shape[1] - differs[:, ::-1].argmax(1), 0)
    sizes = np.zeros(len(features), np.int64)
    np.maximum.at(sizes, source, last)
    counts = sizes[source] + 1
    flat = [np.append(row[: count - 1], row[-1]) for row, count in zip(goes_right, counts, strict=True)]
    columns = CategoryColumns(
        features=features.astype(np.int64),
        sizes=sizes.astype(np.float64),
        source=source.astype(np.int64),
        start=(np.cumsum(counts) - counts).astype(np.int32),
        goes_right=np.concatenate(flat),
    )
    return columns, numbers


def _find_different_rows(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that differ in their bytes, and for each row of ``values`` the number of its equal."""
    values = np.ascontiguousarray(values)
    rows = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1])))[:, 0]
    _, first, numbers = np.unique(rows, return_index=True, return_inverse=True)
    return values[first], numbers.reshape(-1)
