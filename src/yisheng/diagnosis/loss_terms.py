"""The terms that a loss is the sum of, read from autograd's graph: their factors, entropies and temperatures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, Loss, first_child, read_factor, saved_tensor

MAX_TERMS, MAX_DEPTH = 16, 60
"""Terms that are read, and nodes from the loss down to one, or from it to a softmax."""
PASSING_NODES = ("MeanBackward", "Squeeze", "Unsqueeze", "View", "Reshape", "Expand", "Clone", "ToCopy", "Select")
"""Beginnings of the names of nodes that give a term another shape, or average it."""
DIVISIONS = ("DivBackward0", "DivBackward1")
SCALING_NODES = ("MulBackward0", "MulBackward1", *DIVISIONS)
MAX_ROUNDING = 1e-4
"""Deviation of a probability from the exponential of its logarithm."""
MIN_CLASSES = 2
COMPARING_NODES = ("NllLoss", "KlDiv", "MseLoss", "SmoothL1Loss", "HuberLoss", "BinaryCrossEntropy")
"""Beginnings of the names of losses."""


@dataclass(frozen=True)
class LossTerm:
    """One term of a loss.

    Args:
        factor: what the mean of its rows is multiplied with.
        kind: ``entropy`` (the sum of p log p over the classes), ``weighted`` (a number for each row times something),
            ``loss`` (one of PyTorch's losses, or targets times logarithms of probabilities), or empty.
        value: mean entropy of an entropy; NaN for others.
        classes: of an entropy or a softmax; 0 if unknown.
        lowest: smallest of the numbers of a weighted term.
        highest: largest of them.
        temperature: what its outputs are divided by before the softmax.
        divergence: mean divergence of predicted from wanted probabilities, if the graph keeps both; else NaN.
    """

    factor: float
    kind: str
    value: float = math.nan
    classes: int = 0
    lowest: float = math.nan
    highest: float = math.nan
    temperature: float = 1.0
    divergence: float = math.nan


@torch.no_grad()
def read_terms(loss: Loss) -> tuple[LossTerm, ...]:
    """Return the terms of a loss of several ones, before its backward pass; empty if there is only one.

    >>> logits = torch.zeros(4, 3, requires_grad=True)
    >>> policy, reward = torch.distributions.Categorical(logits=logits), torch.tensor([1.0, 0, 1, 0])
    >>> loss = -policy.log_prob(torch.tensor([0, 1, 2, 0])) * reward - 0.5 * policy.entropy()
    >>> [(term.kind, term.factor) for term in read_terms(loss.mean())]
    [('weighted', 1.0), ('entropy', 0.5)]
    """
    nodes = list(split_terms(loss.grad_fn))
    return tuple(_describe(node, factor) for node, factor in nodes) if 1 < len(nodes) <= MAX_TERMS else ()


def split_terms(node: Any, factor: float = 1.0, depth: int = 0) -> Iterator[tuple[Any, float]]:
    """Yield the nodes of the terms that a node is the sum of, with their factors."""
    for _ in range(MAX_DEPTH):
        if node is None:
            return
        name = node.name()
        children = [child for child, _ in node.next_functions]
        if name in ("AddBackward0", "SubBackward0") and sum(child is not None for child in children) > 1:
            sign = -1.0 if name == "SubBackward0" else 1.0
            scale = sign * float(getattr(node, "_saved_alpha", 1) or 1)
            if depth < MAX_DEPTH:
                yield from split_terms(children[0], factor, depth + 1)
                yield from split_terms(children[1], factor * scale, depth + 1)
            return
        step = _read_scale(node)
        if step is None:
            yield node, factor
            return
        node, factor = first_child(node), factor * step


def _read_scale(node: Any) -> float | None:
    """Return what a node multiplies its only term with; None if it does something else."""
    name = node.name()
    if name == "NegBackward0":
        return -1.0
    if name.startswith(PASSING_NODES) or name in ("AddBackward0", "SubBackward0"):
        is_subtracted = name == "SubBackward0" and node.next_functions[0][0] is None
        return -1.0 if is_subtracted else 1.0
    if name == "SumBackward0":
        sizes = getattr(node, "_saved_self_sym_sizes", None)
        return None if sizes is None else float(math.prod(int(size) for size in sizes))
    if name in SCALING_NODES:
        scalar = _read_scalar(node)
        if scalar is not None and scalar != 0:
            return 1 / scalar if name in DIVISIONS else scalar
    return None


def _read_scalar(node: Any) -> float | None:
    """Return the number that a product or quotient has next to its only term."""
    if sum(child is not None for child, _ in node.next_functions) != 1:
        return None
    is_first = node.next_functions[0][0] is not None
    if node.name() in DIVISIONS and not is_first:
        return None
    number = getattr(node, "_saved_other", None) if node.name().endswith("1") else None
    if isinstance(number, int | float):
        return float(number)
    scalar = saved_tensor(node, "other" if is_first else "self")
    return float(scalar) if scalar is not None and scalar.numel() == 1 else None


def _describe(node: Any, factor: float) -> LossTerm:
    name = node.name()
    entropy = _find_entropy(node)
    if entropy is not None:
        return LossTerm(factor, "entropy", *entropy)
    if name.startswith(("Minimum", "Maximum")):  # of a ratio and a clipped one, each times the advantage
        node = first_child(node)
        name = "" if node is None else node.name()
    if name == "MulBackward0":
        weights = read_factor(node, min_values=2)
        if weights is not None and not _is_soft_loss(node):
            return LossTerm(factor, "weighted", lowest=float(weights.min()), highest=float(weights.max()))
    if name.startswith(COMPARING_NODES):
        temperature, classes = _read_temperature(node)
        return LossTerm(factor, "loss", classes=classes, temperature=temperature, divergence=_measure_divergence(node))
    if _is_soft_loss(node):
        temperature, classes = _read_temperature(node)
        product = first_child(node) if name == "SumBackward1" else node
        # The mean over rows and classes is that of the rows divided by the classes.
        rows = classes if name != "SumBackward1" and classes else 1
        divergence = _compare(read_factor(product, min_values=2), saved_tensor(first_child(product), "result"))
        return LossTerm(-factor / rows, "loss", classes=classes, temperature=temperature, divergence=divergence)
    return LossTerm(factor, "")


def _find_entropy(node: Any) -> tuple[float, int] | None:
    """Return mean entropy and number of classes if a node sums p log p over classes; else None."""
    if node.name() != "SumBackward1":
        return None
    child = first_child(node)
    if child is None or child.name() != "MulBackward0":
        return None
    first, second = saved_tensor(child, "self"), saved_tensor(child, "other")
    if first is None or second is None or first.shape != second.shape or first.ndim < 2:
        return None
    for p, log_p in ((first, second), (second, first)):
        if not bool((p >= 0).all()) or not bool((log_p <= MAX_ROUNDING).all()):
            continue
        if float((p - log_p.exp()).abs().max()) <= MAX_ROUNDING:
            axis = next((a for a in (-1, 1) if float((p.sum(a) - 1).abs().max()) < 10 * MAX_ROUNDING), None)
            if axis is not None and p.shape[axis] >= MIN_CLASSES:
                return float(-(p * log_p).sum(axis).mean()), int(p.shape[axis])
    return None


def _is_soft_loss(node: Any) -> bool:
    """Return whether a node sums targets times logarithms of probabilities over the classes."""
    child = first_child(node) if node.name() == "SumBackward1" else node
    if child is None or child.name() != "MulBackward0":
        return False
    weights, below = read_factor(child, min_values=2), first_child(child)
    return weights is not None and weights.ndim > 1 and below is not None and below.name() == "LogSoftmaxBackward0"


def _read_temperature(node: Any) -> tuple[float, int]:
    """Return what the outputs are divided by before the softmax below a loss, and the number of classes."""
    factor, classes = 1.0, 0
    child = first_child(node)
    for _ in range(MAX_DEPTH):
        if child is None or child.name().startswith(LAYER_PREFIXES):
            break
        name = child.name()
        if name == "LogSoftmaxBackward0":
            result = saved_tensor(child, "result")
            classes = 0 if result is None or result.ndim < 2 else int(result.shape[1])
        elif classes and name in SCALING_NODES:
            scalar = _read_scalar(child)
            if scalar is not None and scalar > 0:
                factor *= scalar if name in DIVISIONS else 1 / scalar
        child = first_child(child)
    return factor, classes


def _measure_divergence(node: Any) -> float:
    """Return the mean divergence of a row of `torch.nn.functional.kl_div`, or NaN if it is another loss."""
    if not node.name().startswith("KlDiv"):
        return math.nan
    target = saved_tensor(node, "target")
    return _compare(
        target.exp() if target is not None and getattr(node, "_saved_log_target", False) else target,
        saved_tensor(node, "self"),
    )


def _compare(target: torch.Tensor | None, log_p: torch.Tensor | None) -> float:
    """Return the mean divergence of predicted from wanted probabilities ``(N, C)``, or NaN if one is unknown."""
    if log_p is None or target is None or log_p.shape != target.shape or log_p.ndim < 2:
        return math.nan
    return float((target * (target.clamp(min=1e-30).log() - log_p)).sum(1).mean())
