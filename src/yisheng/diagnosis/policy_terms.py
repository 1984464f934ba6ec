"""Read from autograd's graph in which direction a loss moves log-probabilities that numbers of each row weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, LEAF_NODE, first_child, saved_tensor

MAX_DEPTH, MIN_ROWS = 40, 4
NEGATING = ("Neg", "Rsub")
LOSSES = ("NllLoss", "BinaryCrossEntropy")
"""Negative logarithms of probabilities."""
MIN_CHANGE = 1.5
"""Largest mean size of the weights in a recorded step over the smallest one: weights of rows stay the same."""
LOGARITHMS = ("LogSoftmax", "Logsumexp", "LogSigmoid", "LogBackward")
"""Nodes of logarithms of probabilities."""


@dataclass(frozen=True)
class PolicyTerm:
    """A term of a loss that multiplies log-probabilities of actions with a number for each.

    Args:
        weights: the numbers ``(N,)``.
        sign: 1 if the term grows with a log-probability of a positive weight, -1 if it falls.
    """

    weights: torch.Tensor
    sign: int


def find_policy_term(nodes: Iterable[Any]) -> PolicyTerm | None:
    """Return the first term of a loss that weights log-probabilities, or None.

    Args:
        nodes: those of its graph above the last layers, the first one that of the loss.

    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> scores = torch.zeros(4, 3, requires_grad=True)
    >>> action, reward = torch.tensor([0, 1, 2, 0]), torch.tensor([1.0, 0, 2, 0])
    >>> log_p = torch.distributions.Categorical(logits=scores).log_prob(action)
    >>> find_policy_term(graph_nodes(-(log_p * reward).mean())).sign
    -1
    >>> find_policy_term(graph_nodes((log_p * reward).mean())).sign
    1
    """
    root = next(iter(nodes), None)
    queue, visited = [(root, 1)], set[Any]()
    while queue and len(visited) < 10 * MAX_DEPTH:
        node, sign = queue.pop(0)
        if node is None or node in visited or node.name() == LEAF_NODE or node.name().startswith(LAYER_PREFIXES):
            continue
        visited.add(node)
        term = _read_term(node, sign) if node.name() == "MulBackward0" else None
        if term is not None:
            return term
        if node.name().startswith(LOSSES):
            continue
        for index, (child, _) in enumerate(node.next_functions):
            queue.append((child, sign * _step_sign(node, index)))
    return None


def read_action_weights(nodes: Iterable[Any]) -> torch.Tensor | None:
    """Return all numbers that a loss multiplies log-probabilities with, in any order and form, or None.

    They are those of one product of two tensors, or of four products or more that are added, each with one number.

    Args:
        nodes: those of its graph above the last layers.

    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> log_p = torch.zeros(4, 3, requires_grad=True).log_softmax(1)
    >>> loss = torch.stack([-row[0] * r for row, r in zip(log_p, [3.0, 2.0, 1.0, 0.0])]).sum()
    >>> read_action_weights(graph_nodes(loss))
    tensor([3., 2., 1., 0.])
    """
    values = []
    for node in nodes:
        if node.name() != "MulBackward0":
            continue
        children = [child for child, _ in node.next_functions]
        if (children[0] is None) == (children[1] is None):
            continue
        weights = saved_tensor(node, "self" if children[0] is None else "other")
        if weights is None or not find_direction(children[0] if children[1] is None else children[1]):
            continue
        if weights.numel() >= MIN_ROWS:
            return weights.flatten().float()
        values.append(weights.flatten().float().cpu())
    weights = torch.cat(values) if values else torch.zeros(0)
    return weights if len(weights) >= MIN_ROWS else None


class ActionWeights(Protocol):
    """What a recorded loss shows of the numbers that it multiplies log-probabilities with."""

    @property
    def is_policy(self) -> bool: ...

    @property
    def weight_size(self) -> float: ...


def is_policy_gradient(features: Sequence[ActionWeights]) -> bool:
    """Return whether a loss weights log-probabilities with returns or advantages: its course is that of these.

    Their signs differ, or their mean size changes in the course of the training; weights of rows are positive and stay.

    Args:
        features: of the recorded losses.
    """
    sizes = [feature.weight_size for feature in features if feature.weight_size > 0]
    is_changing = len(sizes) > 1 and max(sizes) > MIN_CHANGE * min(sizes)
    return is_changing or any(feature.is_policy for feature in features)


def _step_sign(node: Any, index: int) -> int:
    """Return the sign with which a node passes on one of its inputs; 1 for nodes that do not change it."""
    name = node.name()
    if name.startswith(NEGATING) or (name == "SubBackward0" and index == 1):
        return -1
    if name.startswith(("Mul", "Div")):
        factor = saved_tensor(node, "other") if index == 0 else saved_tensor(node, "self")
        return -1 if factor is not None and factor.numel() == 1 and float(factor) < 0 else 1
    return 1


def _read_term(node: Any, sign: int) -> PolicyTerm | None:
    children = [child for child, _ in node.next_functions]
    if (children[0] is None) == (children[1] is None):
        return None
    weights = saved_tensor(node, "self" if children[0] is None else "other")
    if weights is None or weights.numel() < MIN_ROWS or weights.squeeze().ndim != 1:
        return None
    direction = find_direction(children[0] if children[1] is None else children[1])
    return PolicyTerm(weights, sign * direction) if direction else None


def find_direction(node: Any) -> int:
    """Return 1 if a node grows with a log-probability, -1 if it falls, and 0 if it computes something else."""
    sign = 1
    for _ in range(MAX_DEPTH):
        if node is None or node.name() == LEAF_NODE or node.name().startswith(LAYER_PREFIXES):
            return 0
        name = node.name()
        children = [child for child, _ in node.next_functions]
        if name.startswith(LOSSES):
            return -sign
        if name.startswith("Pow"):  # of a normal distribution: the negative square of a difference
            return -sign
        if name.startswith(LOGARITHMS):
            return sign
        if name == "SubBackward0" and any(c is not None and c.name().startswith("Logsumexp") for c in children):
            return sign
        sign *= _step_sign(node, next((i for i, child in enumerate(children) if child is not None), 0))
        node = first_child(node)
    return 0
