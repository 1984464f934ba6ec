"""Graphs of losses that come again and again: what was analyzed a few times without a result is analyzed no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

MAX_ANALYSES = 3
"""Analyses of graphs with the same nodes that find nothing, after which they are over."""


class OrdinaryGraphs:
    """Graphs in which an analysis has found nothing, by the names of their nodes.

    >>> ordinary = OrdinaryGraphs()
    >>> for _ in range(3):
    ...     ordinary.add(("MeanBackward0",))
    >>> ("MeanBackward0",) in ordinary, ("SumBackward0",) in ordinary
    (True, False)
    """

    def __init__(self) -> None:
        self._counts: Counter[Hashable] = Counter()

    def add(self, form: Hashable) -> None:
        """Note that nothing was found in a graph of some form."""
        self._counts[form] += 1

    def __contains__(self, form: Hashable) -> bool:
        return self._counts[form] >= MAX_ANALYSES


def name_nodes(nodes: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of all nodes of a loss's graph, by which another one of the same form is recognized.

    >>> import torch
    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> name_nodes(graph_nodes((torch.ones(2, requires_grad=True) * 2).sum()))
    ('SumBackward0', 'MulBackward0', 'torch::autograd::AccumulateGrad')
    """
    return tuple([node.name() for node in nodes])
