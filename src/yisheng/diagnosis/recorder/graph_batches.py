"""Batches of graphs among the inputs of a network: nodes of several graphs in one tensor, and edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.recorder.small_tensors import is_dense
from yisheng.diagnosis.recorder.statistics import is_discrete

MAX_BATCHES, MAX_EDGES = 32, 1 << 18
ENDS = 2
"""Rows of a tensor of edges: where they begin and where they end."""


@dataclass(frozen=True)
class GraphBatch:
    """One batch of graphs.

    Args:
        graphs: in the batch.
        with_edges: graphs at one of whose nodes an edge begins or ends.
        edges: in the batch.
        nodes: in the batch.
        highest: largest number of a node that an edge names.
    """

    graphs: int
    with_edges: int
    edges: int
    nodes: int
    highest: int


class GraphBatches:
    """The batches of graphs in the recorded steps of a training.

    Attributes:
        entries: in order.

    >>> batches = GraphBatches()
    >>> edges, graph = torch.tensor([[0, 1, 0], [1, 0, 1]]), torch.tensor([0, 0, 1, 1])
    >>> batches.add((torch.zeros(4, 8), edges, graph))
    >>> batches.entries[0].graphs, batches.entries[0].with_edges
    (2, 1)
    """

    def __init__(self) -> None:
        self.entries: list[GraphBatch] = []

    def add(self, arguments: Sequence[Any]) -> None:
        """Note the inputs of a network, if they are nodes, edges ``(2, E)`` and the graph of each node ``(N,)``.

        Args:
            arguments: of the network.
        """
        tensors = [argument.detach() for argument in arguments if is_dense(argument)]
        numbers = [tensor for tensor in tensors if is_discrete(tensor)]
        if len(tensors) < 3 or len(numbers) < 2 or len(self.entries) >= MAX_BATCHES:
            return
        edges = next((x for x in numbers if x.ndim == 2 and len(x) == ENDS and 0 < x.shape[1] <= MAX_EDGES), None)
        graph = next((x for x in numbers if x.ndim == 1 and _are_segments(x)), None)
        if (
            edges is None
            or graph is None
            or not any(x is not edges and len(x) == len(graph) for x in tensors if x.ndim)
        ):
            return
        if int(edges.min()) < 0 or int(edges.max()) >= len(graph):
            return
        graphs, with_edges = int(graph[-1]) + 1, len(graph[edges.flatten()].unique())
        self.entries.append(GraphBatch(graphs, with_edges, edges.shape[1], len(graph), int(edges.max())))


def _are_segments(numbers: torch.Tensor) -> bool:
    """Return whether numbers begin at 0 and never fall, as those of the graphs of a batch do."""
    is_sorted = len(numbers) > 1 and int(numbers[0]) == 0 and bool((numbers[1:] >= numbers[:-1]).all())
    return is_sorted and 1 < int(numbers[-1]) + 1 < len(numbers)
