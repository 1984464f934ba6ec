"""Graphs of a batch whose edges are all in the first one."""

from __future__ import annotations

from collections.abc import Iterator

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case

MIN_BATCHES = 3
"""Batches of graphs, all of which must show it."""
MAX_FRACTION = 0.5
"""Fraction of the graphs that have edges, and largest node that an edge names relative to the number of nodes."""
MIN_EDGES = 2.0
"""Edges for each graph of the batch: with so many, seven of eight graphs would have some."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    count = len(case.graph_batches)
    return "" if count >= MIN_BATCHES else Message("the inputs are not nodes, edges and the graph of each node")


@register(
    needs=explain_skip,
    when="first",
    cause="structure",
    explains=("mixed-rows", "underfitting", "overfitting", "memorization", "initial-loss", "plateau"),
)
def unconnected_nodes(case: Case) -> Iterator[Finding]:
    """Find graphs that were put into one batch without adding the number of earlier nodes to their edges.

    All edges then connect nodes of the first graphs, and the others have none.

    Args:
        case: the batches of graphs of its recorded steps.

    Source: Fey and Lenssen, "Fast graph representation learning with PyTorch Geometric", 2019, section 2 (mini-batches
    as one graph of unconnected parts).
    """
    batches = [batch for batch in case.graph_batches if batch.graphs > 1]
    if len(batches) < MIN_BATCHES or not all(
        batch.with_edges <= MAX_FRACTION * batch.graphs
        and batch.highest < MAX_FRACTION * batch.nodes
        and batch.edges >= MIN_EDGES * batch.graphs
        for batch in batches
    ):
        return
    first = batches[0]
    yield Finding(
        "unconnected-nodes",
        "error",
        {"graphs": first.graphs, "with edges": first.with_edges, "edges": first.edges, "nodes": first.nodes},
        Message(
            "of {graphs} graphs in a batch only {count} have edges, though there are {edges}: the numbers of the nodes "
            "were not shifted, so that the edges of all graphs are in the first ones",
            graphs=first.graphs,
            count=first.with_edges,
            edges=first.edges,
        ),
        Message("add to the edges of each graph the number of nodes of the graphs before it in the batch"),
        source=case.sources.get("forward", ""),
    )
