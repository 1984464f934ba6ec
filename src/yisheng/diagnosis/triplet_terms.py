"""Read a triplet loss from autograd's graph: how far its positive and its negative examples are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import first_child, has_node_above_layers, saved_tensor

MARGIN_NODES = ("ClampMinBackward0", "ClampBackward", "ReluBackward0", "SoftplusBackward0", "LogSigmoidBackward0")
PASSING = ("Squeeze", "Unsqueeze", "View", "Reshape", "Clone", "ToCopy")
SELECTING = ("Index", "Gather", "Max", "Min", "Amax", "Amin", "Topk", "Sort", "Where", "MaskedSelect", "TakeAlong")
"""Beginnings of the names of nodes by which examples are selected: the hardest ones are far on purpose."""
MAX_DEPTH, MAX_NODES = 12, 400
TERMS = 2


def find_triplets(nodes: Sequence[Any]) -> tuple[int, int]:
    """Return the rows of a triplet loss, and those of them whose positive example is the farther one; 0 without one.

    Args:
        nodes: those of its graph above the last layers.

    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> anchor = torch.zeros(4, 2, requires_grad=True)
    >>> loss = torch.nn.functional.triplet_margin_loss(anchor, torch.ones(4, 2), torch.full((4, 2), 3.0))
    >>> find_triplets(graph_nodes(loss))
    (4, 0)
    """
    for node in nodes:
        if not node.name().startswith(MARGIN_NODES):
            continue
        terms = list(_split(first_child(node), -1.0 if node.name().startswith("LogSigmoid") else 1.0, 0))
        if (
            len(terms) != TERMS
            or terms[0][1] * terms[1][1] > 0
            or any(has_node_above_layers(term, SELECTING, MAX_NODES) for term, _ in terms)
        ):
            continue
        values = [_measure(term) for term, _ in terms]
        first, second = values
        if first is None or second is None or first[1] != second[1] or first[0].shape != second[0].shape:
            continue
        pulled = first if terms[0][1] * first[1] > 0 else second
        pushed = second if pulled is first else first
        farther = pulled[0] * pulled[1] > pushed[0] * pushed[1]
        return farther.numel(), int(farther.sum())
    return 0, 0


def _split(node: Any, sign: float, depth: int) -> Iterator[tuple[Any, float]]:
    """Yield the terms of a sum with their signs."""
    while node is not None and depth < MAX_DEPTH:
        name, children = node.name(), [child for child, _ in node.next_functions]
        depth += 1
        if name in ("AddBackward0", "SubBackward0") and all(child is not None for child in children[:2]):
            yield from _split(children[0], sign, depth)
            yield from _split(children[1], -sign if name == "SubBackward0" else sign, depth)
            return
        if name.startswith(("Neg", "Rsub")) or (name == "SubBackward0" and children[0] is None):
            sign = -sign
        elif not name.startswith(("Add", "Sub", *PASSING)):
            yield node, sign
            return
        node = first_child(node)


def _measure(node: Any) -> tuple[torch.Tensor, float] | None:
    """Return the distances ``(N,)`` and 1, or the similarities ``(N,)`` and -1, that a node computes; else None."""
    name = node.name()
    if name.startswith(("NormBackward", "LinalgVectorNorm", "Sqrt")):
        result = saved_tensor(node, "result")
        return None if result is None or result.numel() < TERMS else (result.flatten(), 1.0)
    child = first_child(node)
    if not name.startswith(("SumBackward1", "MeanBackward1")) or child is None:
        return None
    first, second = saved_tensor(child, "self"), saved_tensor(child, "other")
    if child.name() == "PowBackward0" and first is not None and first.ndim == TERMS:
        return first.square().sum(1), 1.0
    if child.name() == "MulBackward0" and first is not None and second is not None and first.shape == second.shape:
        is_square = child.next_functions[0] == child.next_functions[1]
        return ((first * second).sum(-1), 1.0 if is_square else -1.0) if first.ndim == TERMS else None
    return None
