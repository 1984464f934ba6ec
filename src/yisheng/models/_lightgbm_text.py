"""The trees in LightGBM's own text format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from yisheng.models._trees import Tree

BY_CATEGORY, DEFAULT_LEFT, MISSING_BITS = 1, 2, 2
"""Bits of a decision type: whether it splits categories, whether missing values go left; then the kind of missing."""
NAN_IS_MISSING = 2
BITS = 32


def parse_trees(text: str, outputs: Sequence[int], categorical: np.ndarray) -> list[Tree]:
    """Return the trees of a model in LightGBM's text format.

    A number goes left if it is at most the threshold. Where the training rows had no missing values, LightGBM reads a
    missing one as 0. A category goes left if it is in the set of the node; any other one, and a missing one, goes
    right.

    Args:
        text: the model.
        outputs: the output of each tree of a round.
        categorical: numbers of the columns of categories.

    Raises:
        ValueError: the text is not such a model, or a tree has a form that is not supported.

    Source: LightGBM's ``Tree::ToString`` and ``Tree::NumericalDecision``.
    """
    blocks = re.split(r"^Tree=\d+$", text, flags=re.MULTILINE)[1:]
    columns = set(categorical.tolist())
    return [_parse_tree(block, outputs[number % len(outputs)], columns) for number, block in enumerate(blocks)]


def _parse_tree(block: str, output: int, categorical: set[int]) -> Tree:
    lines = block.strip().partition("\n\n")[0].splitlines()
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    if fields.get("is_linear", "0") != "0":
        raise ValueError("LightGBM's linear trees are not supported")
    leaves = int(fields["num_leaves"])
    value = _read_numbers(fields["leaf_value"])
    inner = leaves - 1

    def read(name: str) -> np.ndarray:
        return _read_numbers(fields[name], int) if inner else np.zeros(0, np.int64)

    kind = read("decision_type")
    by_category = (kind & BY_CATEGORY) > 0
    feature = read("split_feature")
    threshold = _read_numbers(fields["threshold"]) if inner else np.zeros(0)
    if not set(feature[by_category].tolist()) <= categorical:
        raise ValueError("LightGBM splits the categories of a column that has none")
    missing_left = np.where(kind >> MISSING_BITS == NAN_IS_MISSING, (kind & DEFAULT_LEFT) > 0, threshold >= 0)
    leaf_numbers = np.arange(inner, inner + leaves)

    def link(children: np.ndarray) -> np.ndarray:
        """Return the children's numbers: leaves follow the other nodes, and are their own children."""
        return np.concatenate([np.where(children >= 0, children, inner + ~children), leaf_numbers])

    left_child, right_child = link(read("left_child")), link(read("right_child"))

    def extend(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros(leaves, values.dtype)])

    return Tree(
        feature=extend(feature),
        threshold=extend(np.where(by_category, 0.0, threshold)),
        left_child=left_child,
        right_child=right_child,
        missing_left=extend(missing_left & ~by_category),
        category_set=np.concatenate([np.where(by_category, by_category.cumsum() - 1, -1), np.full(leaves, -1)]),
        left_categories=_read_sets(fields, threshold[by_category]) if by_category.any() else None,
        value=np.concatenate([np.zeros(inner), value])[:, None],
        output=output,
        depth=_measure_depth(left_child, right_child, inner),
    )


def _read_sets(fields: dict[str, str], numbers: np.ndarray) -> np.ndarray:
    """Return the codes that go left at each node that splits by category, bool ``(S, W)``, from sets of bits."""
    bounds, words = _read_numbers(fields["cat_boundaries"], int), _read_numbers(fields["cat_threshold"], int)
    width = BITS * int(np.diff(bounds).max())
    sets = np.zeros((len(numbers), width), bool)
    for row, number in zip(sets, numbers.astype(int), strict=True):
        node_words = words[bounds[number] : bounds[number + 1]]
        codes = np.arange(BITS * len(node_words))
        row[codes] = (node_words[codes // BITS] >> (codes % BITS)) & 1
    return sets


def _read_numbers(text: str, convert: Callable[[str], float] = float) -> np.ndarray:
    return np.array([convert(word) for word in text.split()])


def _measure_depth(left_child: np.ndarray, right_child: np.ndarray, inner: int) -> int:
    """Return the number of splits on the longest way to a leaf."""
    level, depth = np.zeros(min(inner, 1), np.int64), 0
    while len(level):
        depth += 1
        level = np.concatenate([left_child[level], right_child[level]])
        level = level[level < inner]
        if depth > inner:
            raise ValueError("the children of the nodes do not form a tree")
    return depth
