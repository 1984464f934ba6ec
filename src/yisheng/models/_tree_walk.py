"""Many rows through many trees on a processor: integers instead of numbers, all trees of a block of rows at once.

A comparison with a threshold needs only the place of the value among the thresholds of its column, so each column is
ranked once per row. A node then is three integers: which ranks it reads, the rank of its threshold, and its left child,
next to which its right child is. All trees of a small block of rows take a step together; the trees are sorted by
depth, and those that have ended take no more steps. Blocks are small enough for the processor's cache, and are divided
among as many threads as torch may use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

MAX_PAIRS = 1 << 15
"""Pairs of a row and a tree in a block: torch itself divides larger ones among threads."""
MIN_BLOCK, MAX_BLOCK = 16, 1024
MIN_ROWS_PER_THREAD = 256
MAX_RANKED_ROWS = 16_384
"""Rows that are ranked at once; bounds the memory."""
LAST_RANK = 2**31 - 1
_Reduce = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Nodes:
    """The nodes of all trees; see `yisheng.models._trees.Trees` for their meaning."""

    feature: np.ndarray
    threshold: np.ndarray
    left_child: np.ndarray
    right_child: np.ndarray
    missing_left: np.ndarray
    category_set: np.ndarray
    left_categories: np.ndarray
    root: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class _RankedColumn:
    """A column whose values are ranked among thresholds.

    Args:
        feature: number of the column.
        thresholds: ascending.
        missing_left: for each lane of ranks, whether a missing value goes left.
        lanes: their numbers.
    """

    feature: int
    thresholds: torch.Tensor
    missing_left: Sequence[bool]
    lanes: Sequence[int]


@dataclass(frozen=True)
class _CategoryColumn:
    """A column that is split by sets of categories.

    Args:
        feature: number of the column.
        goes_right: for each lane 0 or 1 by category, and for a missing or unknown one in the last place.
        lanes: their numbers.
    """

    feature: int
    goes_right: torch.Tensor
    lanes: torch.Tensor


class TreeWalk:
    """Trees prepared for `map_blocks`.

    Args:
        nodes: of all trees.
        max_depth: largest number of splits on a way to a leaf.

    ``order`` are the trees, the deepest first; ``leaf_values`` the value of each node, float64 ``(n,)`` or ``(n, V)``.

    Raises:
        ValueError: the children of the nodes do not form trees of that depth.
    """

    def __init__(self, nodes: Nodes, max_depth: int) -> None:
        is_leaf = nodes.left_child == np.arange(len(nodes.left_child))
        by_category = (nodes.category_set >= 0) & ~is_leaf
        by_number = ~is_leaf & ~by_category
        lane = np.zeros(len(is_leaf), np.int64)
        rank = np.full(len(is_leaf), LAST_RANK, np.int64)  # a leaf is its own left child, and nothing goes right
        self._ranked = _rank_thresholds(nodes, by_number, lane, rank)
        self._lanes = sum(len(column.lanes) for column in self._ranked)
        self._categories = self._collect_categories(nodes, by_category, lane, rank)
        self._number_nodes(nodes, is_leaf, lane, rank, max_depth)
        self._block = int(np.clip(MAX_PAIRS // max(1, len(nodes.root)), MIN_BLOCK, MAX_BLOCK))
        self._lane_starts = self._lane * self._block

    def _collect_categories(
        self, nodes: Nodes, by_category: np.ndarray, lane: np.ndarray, rank: np.ndarray
    ) -> list[_CategoryColumn]:
        columns = []
        for feature in np.unique(nodes.feature[by_category]):
            indices = np.flatnonzero(by_category & (nodes.feature == feature))
            lane[indices] = self._lanes + np.arange(len(indices))
            rank[indices] = 0
            sets = nodes.left_categories[nodes.category_set[indices]]
            goes_right = ~np.concatenate([sets, nodes.missing_left[indices, None]], axis=1)
            lanes = torch.from_numpy(lane[indices])
            columns.append(_CategoryColumn(int(feature), torch.from_numpy(goes_right).to(torch.int32), lanes))
            self._lanes += len(indices)
        return columns

    def _number_nodes(
        self, nodes: Nodes, is_leaf: np.ndarray, lane: np.ndarray, rank: np.ndarray, max_depth: int
    ) -> None:
        """Assign numbers to the nodes level by level, both children of a node next to each other, deep trees first."""
        depth = _measure_depths(nodes, is_leaf, max_depth)
        self.order = np.argsort(-depth, kind="stable")
        self._active = [int((depth > level).sum()) for level in range(int(depth.max(initial=0)))]
        old = [nodes.root[self.order].astype(np.int64)]
        left_numbers: list[np.ndarray] = []
        start = 0
        while len(old[-1]):
            level = old[-1]
            inner = ~is_leaf[level]
            following = start + len(level)
            leaf_numbers = start + np.arange(len(level))
            left_numbers.append(np.where(inner, following + 2 * (np.cumsum(inner) - 1), leaf_numbers))
            parents = level[inner]
            old.append(np.stack([nodes.left_child[parents], nodes.right_child[parents]], axis=1).reshape(-1))
            start = following
        numbers = np.concatenate(old)
        value = torch.from_numpy(nodes.value[numbers]).double()
        self.leaf_values = value[:, 0].contiguous() if value.shape[1] == 1 else value
        self._left = torch.from_numpy(np.concatenate([*left_numbers, np.zeros(0, np.int64)])).to(torch.int32)
        self._lane = torch.from_numpy(lane[numbers]).to(torch.int32)
        self._rank = torch.from_numpy(rank[numbers]).to(torch.int32)

    def map_blocks(self, x: torch.Tensor, reduce: _Reduce) -> torch.Tensor:
        """Return what a function makes of the leaves of each block of rows, joined along the first axis.

        Args:
            x: rows ``(B, D)`` on the processor.
            reduce: the numbers of the leaves ``(T, b)``, trees in ``order`` -> ``(b, ...)``.
        """
        threads = max(1, min(torch.get_num_threads(), len(x) // MIN_ROWS_PER_THREAD))
        if threads == 1:
            return self._map_rows(x, reduce)
        is_inference = torch.is_inference_mode_enabled()

        def work(rows: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode(is_inference), torch.set_grad_enabled(False):
                return self._map_rows(rows, reduce)

        with ThreadPoolExecutor(threads) as pool:
            return torch.cat(list(pool.map(work, x.tensor_split(threads))))

    def _map_rows(self, x: torch.Tensor, reduce: _Reduce) -> torch.Tensor:
        results = []
        for part in x.split(MAX_RANKED_ROWS):
            ranks = self._rank_rows(part)
            starts = range(0, len(part), self._block)
            results += [reduce(self._walk(ranks[:, start : start + self._block])) for start in starts]
        return torch.cat(results)

    def _rank_rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return the ranks ``(lanes, B)``, int32."""
        ranks = torch.zeros(max(1, self._lanes), len(x), dtype=torch.int32)
        for column in self._ranked:
            values = x[:, column.feature].contiguous()
            places = torch.searchsorted(column.thresholds.to(values.dtype), values, out_int32=True)
            is_missing = values.isnan()
            for lane, missing_left in zip(column.lanes, column.missing_left, strict=True):
                ranks[lane] = places.masked_fill(is_missing, -1 if missing_left else LAST_RANK)
        for sets in self._categories:
            code = x[:, sets.feature].nan_to_num(-1.0, -1.0, -1.0).long()
            unknown = sets.goes_right.shape[1] - 1
            code = torch.where((code >= 0) & (code < unknown), code, unknown)
            ranks[sets.lanes] = sets.goes_right.index_select(1, code)
        return ranks

    def _walk(self, ranks: torch.Tensor) -> torch.Tensor:
        """Return the leaves ``(T, b)``, int32, that the rows with these ranks reach."""
        size = ranks.shape[1]
        flat = ranks.reshape(-1)
        starts = self._lane_starts if size == self._block else self._lane * size
        row = torch.arange(size, dtype=torch.int32)
        node = torch.arange(len(self.order), dtype=torch.int32).unsqueeze(1).repeat(1, size)  # the roots come first
        for active in self._active:
            present = node[:active].view(-1)
            place = starts.index_select(0, present).view(active, size).add_(row)
            value, limit = flat.index_select(0, place.view(-1)), self._rank.index_select(0, present)
            goes_right = torch.gt(value, limit, out=place.view(-1))
            torch.add(self._left.index_select(0, present), goes_right, out=present)
        return node


def _rank_thresholds(nodes: Nodes, by_number: np.ndarray, lane: np.ndarray, rank: np.ndarray) -> list[_RankedColumn]:
    """Return the columns that are compared with thresholds; write the nodes' lanes and ranks."""
    columns, count = [], 0
    for feature in np.unique(nodes.feature[by_number]):
        indices = np.flatnonzero(by_number & (nodes.feature == feature))
        thresholds, places = np.unique(nodes.threshold[indices], return_inverse=True)
        rank[indices] = places.reshape(-1)
        sides = np.unique(nodes.missing_left[indices])
        for number, side in enumerate(sides):
            lane[indices[nodes.missing_left[indices] == side]] = count + number
        lanes = range(count, count + len(sides))
        columns.append(_RankedColumn(int(feature), torch.from_numpy(thresholds), [bool(s) for s in sides], lanes))
        count += len(sides)
    return columns


def _measure_depths(nodes: Nodes, is_leaf: np.ndarray, max_depth: int) -> np.ndarray:
    """Return the number of splits on the longest way of each tree."""
    depth = np.zeros(len(nodes.root), np.int64)
    level, tree, reached = nodes.root.astype(np.int64), np.arange(len(nodes.root)), len(nodes.root)
    steps = 0
    while True:
        inner = ~is_leaf[level]
        if not inner.any():
            return depth
        steps += 1
        level, tree = level[inner], tree[inner]
        reached += 2 * len(level)
        if steps > max_depth or reached > len(is_leaf):
            raise ValueError("the children of the nodes do not form trees")
        depth[tree] = steps
        level = np.stack([nodes.left_child[level], nodes.right_child[level]], axis=1).reshape(-1)
        tree = np.repeat(tree, 2)
