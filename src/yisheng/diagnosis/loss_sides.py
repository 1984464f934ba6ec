"""Losses whose two sides are both trained, read from autograd's graph: learned targets, and advantages with a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, LEAF_NODE, collect_leaves, first_child, has_node_above_layers
from yisheng.diagnosis.loss_terms import split_terms
from yisheng.diagnosis.policy_terms import find_direction

COMPARING = ("KlDiv", "MseLoss", "SmoothL1Loss", "HuberLoss", "BinaryCrossEntropy")
"""Beginnings of the names of losses whose second input is the target."""
SUMMING = ("Sum", "Mean", "Sqrt")
PASSING = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Expand", "Clone", "ToCopy", "Select", "Alias")
"""Beginnings of the names of nodes that give values another shape."""
NORMALIZING = ("NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm", "Std", "Var", "Linalg")
"""Beginnings of the names of nodes that keep outputs from becoming the same for all rows."""
SQUASHING = ("Sigmoid", "Softmax", "LogSoftmax", "Exp", "LogSigmoid", "Log")
MAX_NODES, MAX_DEPTH = 2000, 40
Leaves = frozenset[int]


def find_learned_sides(root: Any) -> tuple[Leaves, Leaves] | None:
    """Return the ``id`` of each parameter of output and target if both are learned, and no other term teaches them.

    Such a loss is zero as soon as both sides are the same for all rows. None is returned if the sides have a parameter
    in common, if another term depends on one of them, or if a normalization over the rows keeps them different.

    Args:
        root: node of the loss.

    >>> import torch
    >>> student, teacher = (torch.nn.Linear(4, 3) for _ in range(2))
    >>> x = torch.randn(8, 4)
    >>> loss = torch.nn.functional.mse_loss(student(x), teacher(x))
    >>> [len(side) for side in find_learned_sides(loss.grad_fn)]
    [2, 2]
    >>> find_learned_sides(torch.nn.functional.mse_loss(student(x), teacher(x).detach()).grad_fn)
    """
    terms = list(split_terms(root))
    for node, factor in terms:
        pair = _find_pair(node, factor)
        if pair is None or any(child is None for child in pair):
            continue
        if any(has_node_above_layers(child, NORMALIZING, MAX_NODES) for child in pair):
            continue
        output, target = map(collect_leaves, pair)
        leaves = output | target
        is_single = not any(
            collect_leaves(term) & leaves for term, _ in terms if term is not node and not _is_entropy(term)
        )
        if output and target and not output & target and is_single:
            return output, target
    return None


def has_advantage_with_graph(upper: Sequence[Any]) -> bool:
    """Return whether log-probabilities are multiplied with numbers minus outputs that have a gradient.

    Args:
        upper: nodes above the last layers of a loss.

    >>> import torch
    >>> from yisheng.diagnosis.loss_forms import nodes_above_layers
    >>> actor, critic, x = torch.nn.Linear(4, 3), torch.nn.Linear(4, 1), torch.randn(8, 4)
    >>> log_p = torch.distributions.Categorical(logits=actor(x)).log_prob(torch.zeros(8))
    >>> advantage = torch.randn(8) - critic(x).squeeze(1)
    >>> [has_advantage_with_graph(list(nodes_above_layers((log_p * a).mean().grad_fn)))
    ...  for a in (advantage, advantage.detach())]
    [True, False]
    """
    for node in (node for node in upper if node.name() == "MulBackward0"):
        children = [child for child, _ in node.next_functions]
        if len(children) < 2 or any(child is None for child in children):
            continue
        for policy, advantage in (children, children[::-1]):
            if find_direction(policy) and _is_difference_to_output(advantage):
                return True
    return False


def _find_pair(node: Any, factor: float) -> tuple[Any, Any] | None:
    """Return the nodes of output and target that a term compares, or None."""
    for _ in range(MAX_DEPTH):
        if node is None:
            return None
        name, children = node.name(), [child for child, _ in node.next_functions]
        if name.startswith(COMPARING) and len(children) > 1:
            return (children[0], children[1]) if factor > 0 else None
        if name.startswith(("Pow", "Abs")):
            below = first_child(node)
            is_difference = below is not None and below.name() == "SubBackward0" and factor > 0
            return (below.next_functions[0][0], below.next_functions[1][0]) if is_difference else None
        if name == "MulBackward0" and len(children) > 1:
            return _find_probabilities(children[0], children[1], factor)
        if name == "NegBackward0":
            factor = -factor
        elif not name.startswith((*SUMMING, *PASSING)):
            return None
        node = first_child(node)
    return None


def _find_probabilities(first: Any, second: Any, factor: float) -> tuple[Any, Any] | None:
    """Return logarithms of probabilities, and the probabilities that they are multiplied with in a divergence.

    It is -Σ p log q, or Σ p (log p - log q).
    """
    for target, output in ((first, second), (second, first)):
        if not _begins_with(target, ("Softmax", "Exp")):
            continue
        if factor < 0 and _begins_with(output, "LogSoftmax"):
            return output, target
        if factor > 0 and output is not None and output.name() == "SubBackward0":
            logarithm, log_q = (child for child, _ in output.next_functions)
            if _begins_with(log_q, "LogSoftmax") and collect_leaves(logarithm) <= collect_leaves(target):
                return log_q, target
    return None


def _is_entropy(node: Any) -> bool:
    """Return whether a term is Σ p log p, as that of the target in `torch.nn.functional.kl_div`."""
    while node is not None and node.name().startswith((*SUMMING, *PASSING)):
        node = first_child(node)
    return node is not None and node.name().startswith("Xlogy")


def _begins_with(node: Any, prefix: str | tuple[str, ...]) -> bool:
    while node is not None and node.name().startswith(PASSING):
        node = first_child(node)
    return node is not None and node.name().startswith(prefix)


def _is_difference_to_output(node: Any) -> bool:
    """Return whether a node subtracts outputs of a layer from numbers of the rows, or the other way around."""
    while node is not None and node.name().startswith(PASSING):
        node = first_child(node)
    if node is None or node.name() != "SubBackward0":
        return False
    if sum(child is not None for child, _ in node.next_functions) != 1:
        return False
    below = first_child(node)
    for _ in range(MAX_DEPTH):
        if below is None or below.name() == LEAF_NODE or below.name().startswith(SQUASHING):
            return False
        if below.name().startswith(LAYER_PREFIXES):
            return True
        below = first_child(below)
    return False
