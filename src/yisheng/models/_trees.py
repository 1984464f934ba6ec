"""Decision trees as tensors: many trees, all rows walk down all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from yisheng.core.spec import Spec
from yisheng.models._fitted_model import apply_to_chunks
from yisheng.models._tree_walk import Nodes, TreeWalk

MAX_CATEGORIES = 1023
"""Categories of a column that a split can divide into two sets."""
MAX_PAIRS = 1 << 21
"""Pairs of a row and a tree that are walked at once; bounds the memory to some 100 MB."""


def count_trees_of_round(spec: Spec) -> int:
    """Return the trees of a round of boosting: one for each output, and a single one for two classes.

    >>> count_trees_of_round(Spec("classification", (1,), classes=("no", "yes")))
    1
    """
    return 1 if spec.task == "classification" and len(spec.classes) == 2 else spec.outputs


def list_category_columns(spec: Spec) -> list[int]:
    """Return the columns whose categories are split by sets; those of more than `MAX_CATEGORIES` count as numbers.

    >>> from yisheng.core.columns import Column
    >>> few, many = (Column("c", "category", tuple(map(str, range(count)))) for count in (2, 1024))
    >>> list_category_columns(Spec("regression", (3,), columns=(Column("a"), few, many)))
    [1]
    """
    return [i for i, c in enumerate(spec.columns) if c.kind == "category" and len(c.categories) <= MAX_CATEGORIES]


@dataclass(frozen=True)
class Tree:
    """The nodes of one tree; node 0 is its root.

    Args:
        feature: column of each node's split, int64 ``(n,)``.
        threshold: a row goes left if its value is at most this, float64 ``(n,)``.
        left_child: number of the left child ``(n,)``; a leaf is its own child.
        right_child: number of the right child.
        missing_left: whether a missing value goes left, bool ``(n,)``.
        category_set: row of ``left_categories`` of a node that splits by category, else -1, int64 ``(n,)``.
        left_categories: sets of codes that go left, bool ``(S, W)``, or None without splits by category. A code of W or
            more goes where missing values go, which is the same side at all nodes with this set.
        value: what is predicted in each leaf, float64 ``(n, V)``.
        output: the output that a value of V = 1 is added to.
        depth: number of splits on the longest way to a leaf.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left_child: np.ndarray
    right_child: np.ndarray
    missing_left: np.ndarray
    category_set: np.ndarray
    left_categories: np.ndarray | None
    value: np.ndarray
    output: int
    depth: int


class Trees(nn.Module):
    """Trees whose leaves are added up: ``(B, D)`` to ``(B, O)``, float64.

    A threshold is stored as the largest float32 number that is not above it, so the comparisons with float32 inputs
    are those of the original.

    Args:
        outputs: number O of outputs.
        values: numbers in a leaf: 1 (added to the output of its tree) or O.
    """

    feature: torch.Tensor
    threshold: torch.Tensor
    left_child: torch.Tensor
    right_child: torch.Tensor
    missing_left: torch.Tensor
    category_set: torch.Tensor
    left_categories: torch.Tensor
    value: torch.Tensor
    root: torch.Tensor
    output: torch.Tensor
    depth: torch.Tensor
    operator: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Computes the sums in place of the nodes, while a graph is recorded that has an operator for trees."""

    def __init__(self, outputs: int, values: int = 1) -> None:
        super().__init__()
        self.outputs, self.values = outputs, values
        self._steps = 0  # the depth as a plain number, which an exported graph needs
        self._walk: TreeWalk | None = None
        for name, dtype in (("feature", torch.int32), ("left_child", torch.int32), ("right_child", torch.int32)):
            self.register_buffer(name, torch.zeros(0, dtype=dtype))
        self.register_buffer("threshold", torch.zeros(0))
        self.register_buffer("missing_left", torch.zeros(0, dtype=torch.bool))
        self.register_buffer("category_set", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("left_categories", torch.zeros(0, 1, dtype=torch.bool))
        self.register_buffer("value", torch.zeros(0, values))
        self.register_buffer("root", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("output", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("depth", torch.zeros((), dtype=torch.int32))

    def __len__(self) -> int:
        """Return the number of trees."""
        return len(self.root)

    def set_trees(self, trees: Sequence[Tree]) -> None:
        """Replace all trees."""
        self._walk = None
        sizes = np.array([len(tree.feature) for tree in trees], np.int64)
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if trees else sizes
        starts = np.repeat(roots, sizes)

        def join(name: str, dtype: torch.dtype) -> torch.Tensor:
            values = [getattr(tree, name) for tree in trees]
            return torch.from_numpy(np.concatenate(values)).to(dtype) if values else getattr(self, name)[:0]

        self.feature = join("feature", torch.int32)
        self.threshold = _round_down(join("threshold", torch.float64))
        self.left_child = join("left_child", torch.int64).add(torch.from_numpy(starts)).to(torch.int32)
        self.right_child = join("right_child", torch.int64).add(torch.from_numpy(starts)).to(torch.int32)
        self.missing_left = join("missing_left", torch.bool)
        self.value = join("value", torch.float32)
        numbers, sets = _join_sets(trees)
        self.category_set = torch.from_numpy(numbers).to(torch.int32)
        self.left_categories = torch.from_numpy(sets)
        self.root = torch.from_numpy(roots).to(torch.int32)
        self.output = torch.tensor([tree.output for tree in trees], dtype=torch.int32)
        self._steps = max((tree.depth for tree in trees), default=0)
        self.depth = torch.tensor(self._steps, dtype=torch.int32)

    def check(self, columns: int) -> None:
        """Check that every walk stays inside the nodes, after they were loaded.

        Args:
            columns: number D of input columns.

        Raises:
            ValueError: a number points outside, or the sizes contradict one another.
        """
        n = len(self.feature)
        nodes = (self.threshold, self.left_child, self.right_child, self.missing_left, self.category_set, self.value)
        if any(len(tensor) != n for tensor in nodes) or len(self.output) != len(self.root):
            raise ValueError("the trees have different numbers of nodes")
        bounds = [
            (self.feature, 0, columns),
            (self.left_child, 0, n),
            (self.right_child, 0, n),
            (self.root, 0, n),
            (self.output, 0, self.outputs),
            (self.category_set, -1, len(self.left_categories)),
            (self.depth.reshape(1), 0, max(n, 1)),
        ]
        if any(
            len(tensor) and not low <= int(tensor.min()) <= int(tensor.max()) < high for tensor, low, high in bounds
        ):
            raise ValueError("a node of a tree points to nothing")
        if self.value.shape[1] != self.values or not self.left_categories.shape[1]:
            raise ValueError(f"the leaves of a tree must have {self.values} values")
        if not bool(self.value.isfinite().all()):
            raise ValueError("the leaves of the trees contain NaN or infinite values")
        self._steps = int(self.depth)
        self._walk = self._prepare_walk()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of the leaves ``(B, O)``, float64, that the rows ``(B, D)`` reach."""
        if self.operator is not None:
            return self.operator(x)
        is_traced = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined]  # not in the stub
        if x.device.type == "cpu" and not is_traced and len(self) and len(x):
            return self._add_leaves_of_walk(x)
        return apply_to_chunks(self._add_leaves, x, max(1, MAX_PAIRS // max(1, len(self))))

    def _prepare_walk(self) -> TreeWalk:
        names = ("feature", "threshold", "left_child", "right_child", "missing_left", "category_set")
        tensors = [getattr(self, name).cpu().numpy() for name in (*names, "left_categories", "root", "value")]
        return TreeWalk(Nodes(*tensors), self._steps)

    def _add_leaves_of_walk(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sums ``(B, O)``, float64, on the processor."""
        walk = self._walk = self._walk or self._prepare_walk()
        value = walk.leaf_values
        output = self.output[torch.from_numpy(walk.order)]
        trees = [torch.nonzero(output == number)[:, 0] for number in range(self.outputs)]

        def add(leaves: torch.Tensor) -> torch.Tensor:
            values = value.index_select(0, leaves.view(-1))
            if self.values > 1:
                return values.view(*leaves.shape, -1).sum(0)
            values = values.view(leaves.shape)
            return torch.stack([values.index_select(0, columns).sum(0) for columns in trees], dim=1)

        return walk.map_blocks(x, add)

    def _add_leaves(self, x: torch.Tensor) -> torch.Tensor:
        values = self.value[self._find_leaves(x)].double()
        if self.values > 1:
            return values.sum(1)
        sums = [values[:, self.output == output, 0].sum(1) for output in range(self.outputs)]
        return torch.stack(sums, 1)

    def _find_leaves(self, x: torch.Tensor) -> torch.Tensor:
        """Return the number of the leaf of each row in each tree, int64 ``(B, T)``."""
        node = self.root.long().unsqueeze(0).expand(x.shape[0], -1)
        feature = self.feature.long()
        children = torch.stack([self.right_child, self.left_child], dim=1).flatten().long()
        for _ in range(self._steps):
            value = x.gather(1, feature[node])
            # Not torch.where, which onnxruntime lacks for booleans.
            goes_left = (value <= self.threshold[node]) | (value.isnan() & self.missing_left[node])
            if len(self.left_categories):
                goes_left = self._split_by_category(node, value, goes_left)
            node = children[2 * node + goes_left]
        return node

    def _split_by_category(self, node: torch.Tensor, value: torch.Tensor, goes_left: torch.Tensor) -> torch.Tensor:
        """Return where rows go, with the splits by category; a code outside the sets counts as missing."""
        number = self.category_set[node].long()
        code = value.nan_to_num(-1.0, -1.0, -1.0).long()
        last = self.left_categories.shape[1] - 1
        is_known = (code >= 0) & (code <= last)
        in_set = self.left_categories[number.clamp_min(0), code.clamp(0, last)]
        by_category = (is_known & in_set) | (~is_known & self.missing_left[node])
        splits_categories = number >= 0
        return (splits_categories & by_category) | (~splits_categories & goes_left)


def _join_sets(trees: Sequence[Tree]) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each node's set of codes, or -1 ``(n,)``, and the sets of all trees, bool ``(S, W)``.

    All sets are as wide as the widest ones: what is added are codes that go where missing values go.
    """
    width = max((tree.left_categories.shape[1] for tree in trees if tree.left_categories is not None), default=1)
    numbers, sets, count = [np.zeros(0, np.int64)], [np.zeros((0, width), bool)], 0
    for tree in trees:
        numbers.append(np.where(tree.category_set >= 0, tree.category_set + count, -1))
        if tree.left_categories is None:
            continue
        missing_left = np.zeros(len(tree.left_categories), bool)
        nodes = np.flatnonzero(tree.category_set >= 0)
        missing_left[tree.category_set[nodes]] = tree.missing_left[nodes]
        added = width - tree.left_categories.shape[1]
        sets.append(np.c_[tree.left_categories, np.repeat(missing_left[:, None], added, axis=1)])
        count += len(missing_left)
    return np.concatenate(numbers), np.concatenate(sets)


def _round_down(threshold: torch.Tensor) -> torch.Tensor:
    """Return the largest float32 numbers that are not above the float64 ones."""
    single = threshold.float()
    below = torch.nextafter(single, torch.full_like(single, -torch.inf))
    return torch.where(single.double() > threshold, below, single)
