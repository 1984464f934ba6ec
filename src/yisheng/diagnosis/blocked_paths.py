"""Operations between parameters and a loss whose derivative is zero or infinite, read from autograd's graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import LEAF_NODE, saved_tensor

STEPS = {
    "RoundBackward": "round",
    "FloorBackward": "floor",
    "CeilBackward": "ceil",
    "TruncBackward": "trunc",
    "SignBackward": "sign",
    "SgnBackward": "sgn",
    "HeavisideBackward": "heaviside",
}
"""By the beginning of a node's name: functions that are constant between jumps, so that their derivative is zero."""
SELECTING = ("WhereBackward", "MaskedFillBackward", "IndexBackward", "MaskedSelectBackward", "ClampBackward")
"""Beginnings of the names of nodes that leave out values, and with a NaN multiply their gradient of 0."""
MAX_NODES = 20


def find_blocked(nodes: Sequence[Any], names: Mapping[int, str]) -> dict[str, str]:
    """Return the parameters that a loss depends on only through functions whose derivative is zero, with these.

    A straight-through estimator has a second path around its rounding.

    Args:
        nodes: all nodes of the loss's graph, that of the loss first.
        names: names of the parameters by ``id``.

    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> w = torch.linspace(0, 2, 3).requires_grad_()
    >>> find_blocked(graph_nodes(w.round().sum()), {id(w): "w"})
    {'w': 'round'}
    >>> find_blocked(graph_nodes((w + (w.round() - w).detach()).sum()), {id(w): "w"})
    {}
    """
    kinds = [_read_step(node) for node in nodes]
    if not any(kinds):
        return {}
    reached = _collect_names([nodes[0]], names)
    blocked: dict[str, str] = {}
    for node, kind in zip(nodes, kinds, strict=True):
        if kind:
            below = _collect_names([child for child, _ in node.next_functions], names)
            blocked |= {name: kind for name in below if name not in reached and name not in blocked}
    return blocked


def find_infinite_slopes(nodes: Sequence[Any]) -> tuple[str, ...]:
    """Return the functions of a graph with an infinite derivative at one of their values, if others are selected after.

    Args:
        nodes: all nodes of a loss's graph, before its backward pass.

    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> w = torch.tensor([0.0, 1.0], requires_grad=True)
    >>> find_infinite_slopes(graph_nodes(torch.where(w > 0, w.log(), w).sum()))
    ('log',)
    >>> find_infinite_slopes(graph_nodes(torch.where(w > 0, (w + 1).log(), w).sum()))
    ()
    """
    kinds: dict[str, None] = {}
    for selection in (node for node in nodes if node.name().startswith(SELECTING)):
        queue, count = [child for child, _ in selection.next_functions], 0
        while queue and count < MAX_NODES:
            node, count = queue.pop(0), count + 1
            if node is None or node.name() == LEAF_NODE:
                continue
            kind = _read_infinite_slope(node)
            if kind:
                kinds[kind] = None
            queue.extend(child for child, _ in node.next_functions)
    return tuple(kinds)


def can_have_infinite_slopes(nodes: Sequence[Any]) -> bool:
    """Return whether a graph selects values, so that `find_infinite_slopes` may find something in another step."""
    return any(node.name().startswith(SELECTING) for node in nodes)


def _read_step(node: Any) -> str:
    """Return the function of a node if its derivative is zero; else an empty text."""
    name = node.name()
    if name == "DivBackward2":  # with a rounding mode
        return "div" if getattr(node, "_saved_rounding_mode", None) else ""
    return next((kind for prefix, kind in STEPS.items() if name.startswith(prefix)), "")


def _collect_names(roots: Sequence[Any], names: Mapping[int, str]) -> set[str]:
    """Return the parameters below some nodes on paths whose derivatives are not zero."""
    queue, visited, reached = list(roots), set[Any](), set[str]()
    while queue:
        node = queue.pop()
        if node is None or node in visited or _read_step(node):
            continue
        visited.add(node)
        if node.name() == LEAF_NODE and id(node.variable) in names:
            reached.add(names[id(node.variable)])
        queue.extend(child for child, _ in node.next_functions)
    return reached


def _read_infinite_slope(node: Any) -> str:
    """Return the function of a node if its derivative is infinite for one of its values; else an empty text."""
    name = node.name()
    if name in ("LogBackward0", "Log2Backward0", "Log10Backward0"):
        return "log" if _has_zero(saved_tensor(node, "self")) else ""
    if name == "SqrtBackward0":
        return "sqrt" if _has_zero(saved_tensor(node, "result")) else ""
    if name == "DivBackward0":
        return "div" if _has_zero(saved_tensor(node, "other")) else ""
    if name == "ReciprocalBackward0":
        result = saved_tensor(node, "result")
        return "reciprocal" if result is not None and bool(result.isinf().any()) else ""
    if name == "PowBackward0":
        exponent = getattr(node, "_saved_exponent", 1)
        return "pow" if exponent < 1 and _has_zero(saved_tensor(node, "self")) else ""
    if name in ("AcosBackward0", "AsinBackward0"):
        values = saved_tensor(node, "self")
        return "acos" if values is not None and bool((values.abs() >= 1).any()) else ""
    return ""


def _has_zero(values: torch.Tensor | None) -> bool:
    return values is not None and bool((values == 0).any())
