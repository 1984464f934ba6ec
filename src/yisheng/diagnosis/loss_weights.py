"""Weights of losses that are parameters themselves, read from autograd's graph."""

from __future__ import annotations

from typing import Any

from yisheng.diagnosis.loss_graph import LEAF_NODE, collect_leaves, saved_tensor

MAX_WEIGHTS, MAX_NODES, MAX_NODES_OF_WEIGHTS = 16, 100, 20
"""Weights, nodes between a loss and its products, and nodes that compute the weights from parameters."""
PRODUCTS = ("MulBackward0", "DivBackward0")
LINEAR = (
    *("Add", "Sub", "Neg", "Sum", "Mean", "Stack", "Cat", "Mul", "Div", "Dot"),
    *("Squeeze", "Unsqueeze", "View", "Reshape", "Expand", "Select", "Clone", "ToCopy", "Unbind"),
)
"""Beginnings of the names of nodes that pass on a multiple of their inputs."""


def read_loss_weights(root: Any) -> tuple[float, ...]:
    """Return the numbers that a loss multiplies its terms with if they are learned without a penalty; else nothing.

    With parameters s, the loss is sum_k w_k(s) loss_k, and no other term depends on s: a smaller w_k always makes it
    smaller. A term of s alone, as in exp(-s) loss + s, is a penalty.

    Args:
        root: node of the loss, before its backward pass.

    >>> import torch
    >>> w, x = torch.nn.Parameter(torch.ones(2)), torch.ones(3, requires_grad=True)
    >>> losses = torch.stack([x.square().mean(), (x - 2).square().mean()])
    >>> read_loss_weights((w * losses).sum().grad_fn)
    (1.0, 1.0)
    >>> read_loss_weights(((-w).exp() * losses + w).sum().grad_fn)
    ()
    """
    weights, leaves, terms = list[float](), set[int](), list[frozenset[int]]()
    queue, visited = [root], set[Any]()
    while queue and len(visited) < MAX_NODES:
        node = queue.pop(0)
        if node is None or node in visited:
            continue
        visited.add(node)
        product = _read_product(node)
        if product is not None:
            weights += product[0]
            leaves |= product[1]
        elif node.name().startswith(LINEAR):
            queue += [child for child, _ in node.next_functions]
        else:
            terms.append(collect_leaves(node))
    has_penalty = any(term and term <= leaves for term in terms)
    return () if queue or has_penalty or len(weights) > MAX_WEIGHTS else tuple(weights)


def _read_product(node: Any) -> tuple[list[float], frozenset[int]] | None:
    """Return the values and parameters of weights that a node multiplies losses with; None if it does not."""
    children = [child for child, _ in node.next_functions]
    if node.name() not in PRODUCTS or len(children) != 2 or any(child is None for child in children):
        return None
    is_quotient = node.name() == "DivBackward0"
    for index in (1,) if is_quotient else (0, 1):
        side, opposite = children[index], children[1 - index]
        if not _has_only_small_leaves(side):
            continue
        leaves, trained = collect_leaves(side), collect_leaves(opposite)
        factor, losses = (saved_tensor(node, name) for name in (("self", "other") if index == 0 else ("other", "self")))
        if not trained or leaves & trained or factor is None or losses is None:
            continue
        if (
            losses.numel() <= MAX_WEIGHTS
            and bool((losses >= 0).all())
            and not (is_quotient and bool((factor == 0).any()))
        ):
            values = 1 / factor if is_quotient else factor
            return values.detach().flatten().tolist(), leaves
    return None


def _has_only_small_leaves(node: Any) -> bool:
    """Return whether a node computes something from a few numbers that are parameters, and from nothing else."""
    queue, visited, has_leaf = [node], set[Any](), False
    while queue:
        current = queue.pop()
        if current is None or current in visited:
            continue
        visited.add(current)
        if len(visited) > MAX_NODES_OF_WEIGHTS or current.name().startswith(("Softmax", "LogSoftmax")):
            return False  # the sum of the weights is one
        if current.name() == LEAF_NODE:
            if current.variable.numel() > MAX_WEIGHTS:
                return False
            has_leaf = True
        queue += [child for child, _ in current.next_functions]
    return has_leaf
