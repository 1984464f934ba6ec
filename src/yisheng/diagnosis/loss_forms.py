"""What the graph of a loss shows of its form: overlaps, weights, divisors, triplets, similarities, bootstrapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import (
    LAYER_PREFIXES,
    LEAF_NODE,
    collect_leaves,
    first_child,
    read_factor,
    saved_tensor,
)
from yisheng.diagnosis.loss_sides import find_learned_sides, has_advantage_with_graph
from yisheng.diagnosis.loss_weights import read_loss_weights
from yisheng.diagnosis.reversed_terms import ReversedTerm, find_reversed_terms
from yisheng.diagnosis.triplet_terms import find_triplets

MAX_NODES, MAX_DEPTH = 200, 40
"""Nodes above the last layers that are looked at, and nodes on one path."""
SQUASHING = ("Sigmoid", "Softmax", "LogSoftmax", "Tanh", "Clamp", "Exp", "Relu", "Softplus", "LogSigmoid", "Hardtanh")
"""Beginnings of the names of nodes whose results are bounded, or meant to be."""
PASSING = ("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Expand", "Clone", "ToCopy", "Select", "Alias")
"""Beginnings of the names of nodes that give values another shape."""
SLICING = ("Split", "Chunk", "Slice", "Narrow", "Unbind", "Transpose", "Permute", "TBackward")
MIN_ROWS = 8
"""Rows of a batch whose weights are compared."""
TOP_PART = 0.1
"""Part of the rows, those of the largest weights, whose share is measured."""
MAX_OF_MEDIAN = 0.05
"""Divisor relative to the median, up to which it is near zero."""
MAX_ROUNDING = 1e-4
POSITIVE_NODES = {"ReluBackward0": "relu", "SoftplusBackward0": "softplus"}


@dataclass(frozen=True)
class LossForm:
    """What is unusual in the form of a loss.

    Args:
        has_raw_overlap: whether it is a quotient of sums of outputs and masks of 0 and 1, as Dice and IoU are, and
            nothing bounds the outputs.
        focal_side: 1 if rows are weighted by a power of 1 - p, as a focal loss is, -1 if by one of p; else 0.
        divisors: rows whose error is divided by a number of their own.
        divisor_share: part of the weight 1 / divisor that the tenth of them with the smallest divisors has.
        near_zero: those of them whose divisor is below a twentieth of the median.
        triplets: rows of a triplet loss whose examples were not selected by the network's outputs.
        farther: those of them whose positive example is farther away than the negative one.
        own_similarity: whether each row is to be recognized among similarities of one tensor with itself.
        positive_exponent: ``relu`` or ``softplus`` if an exponential is taken of its result; else empty.
        bootstraps_with_graph: whether outputs are compared with a reward plus a factor times other outputs of the same
            weights, and gradients flow into both.
        learned_sides: ``id`` of each parameter of output and target if both are learned and nothing else teaches them.
        advantage_with_graph: whether log-probabilities are multiplied with numbers minus outputs that have a gradient.
        loss_weights: what terms are multiplied with if these numbers are learned without a penalty.
        reversed_terms: divergences and penalties of the wrong sign.
    """

    has_raw_overlap: bool = False
    focal_side: int = 0
    divisors: int = 0
    divisor_share: float = 0.0
    near_zero: int = 0
    triplets: int = 0
    farther: int = 0
    own_similarity: bool = False
    positive_exponent: str = ""
    bootstraps_with_graph: bool = False
    learned_sides: tuple[frozenset[int], frozenset[int]] | None = None
    advantage_with_graph: bool = False
    loss_weights: tuple[float, ...] = ()
    reversed_terms: tuple[ReversedTerm, ...] = ()


@torch.no_grad()
def read_form(nodes: Sequence[Any], target: torch.Tensor | None) -> LossForm | None:
    """Return what is unusual in the form of a loss, before its backward pass; None if nothing is.

    Args:
        nodes: all nodes of its graph, that of the loss first.
        target: what the loss compares, if the graph keeps it.

    >>> scores = torch.linspace(-1, 2, 8).requires_grad_()
    >>> mask = torch.tensor([0.0, 1, 0, 1, 0, 1, 0, 1])
    >>> dice = 1 - 2 * (scores * mask).sum() / (scores.sum() + mask.sum())
    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> read_form(graph_nodes(dice), None).has_raw_overlap
    True
    """
    upper = list(nodes_above_layers(nodes[0])) if nodes else []
    triplets, farther = find_triplets(upper)
    divisors, divisor_share, near_zero = max(map(_measure_divisor, upper), default=(0, 0.0, 0))
    form = LossForm(
        has_raw_overlap=any(map(_is_raw_overlap, upper)),
        focal_side=next((side for side in map(_find_focal_side, upper) if side), 0),
        divisors=divisors,
        divisor_share=divisor_share,
        near_zero=near_zero,
        triplets=triplets,
        farther=farther,
        own_similarity=_compares_with_itself(upper, target),
        positive_exponent=_find_positive_exponent(nodes, {id(node) for node in upper}),
        bootstraps_with_graph=any(map(_bootstraps_with_graph, upper)),
        learned_sides=find_learned_sides(nodes[0]) if nodes else None,
        advantage_with_graph=has_advantage_with_graph(upper),
        loss_weights=read_loss_weights(nodes[0]) if nodes else (),
        reversed_terms=find_reversed_terms(nodes[0]) if nodes else (),
    )
    return None if form == LossForm() else form


def nodes_above_layers(root: Any) -> Iterator[Any]:
    """Yield the nodes between a loss and its last layers, each once, at most `MAX_NODES`."""
    queue, visited = [root], set[Any]()
    while queue and len(visited) < MAX_NODES:
        node = queue.pop(0)
        if node is None or node in visited or node.name() == LEAF_NODE or node.name().startswith(LAYER_PREFIXES):
            continue
        visited.add(node)
        yield node
        queue.extend(child for child, _ in node.next_functions)


def _chain(node: Any) -> Iterator[Any]:
    """Yield a node and those that its first inputs lead to, down to the last layer."""
    for _ in range(MAX_DEPTH):
        if node is None or node.name() == LEAF_NODE or node.name().startswith(LAYER_PREFIXES):
            return
        yield node
        node = first_child(node)


def _is_raw_overlap(node: Any) -> bool:
    """Return whether a node divides a sum of outputs times a mask by a sum of outputs, and nothing bounds these."""
    if node.name() != "DivBackward0" or any(child is None for child, _ in node.next_functions):
        return False
    above, below = (list(nodes_above_layers(child)) for child, _ in node.next_functions)
    products = [product for product in above if product.name() == "MulBackward0" and _is_mask(read_factor(product))]
    names = [item.name() for item in (*above, *below)]
    is_sum = any(item.name().startswith("Sum") for item in below)
    has_norm = any("Norm" in name or name.startswith(("Sqrt", *SQUASHING)) for name in names)
    return bool(products) and is_sum and not has_norm


def _is_mask(values: torch.Tensor | None) -> bool:
    if values is None or values.numel() < MIN_ROWS:
        return False
    return bool(((values == 0) | (values == 1)).all()) and 0 < float(values.float().mean()) < 1


def _find_focal_side(node: Any) -> int:
    """Return 1 if a node multiplies losses with powers of 1 - p, -1 if with powers of p, where p = exp(-loss)."""
    if node.name() != "MulBackward0":
        return 0
    first, second = node.next_functions[0][0], node.next_functions[1][0]
    pairs = ((first, second, saved_tensor(node, "other")), (second, first, saved_tensor(node, "self")))
    for weight, loss, loss_values in pairs:
        if loss is None or loss_values is None:
            continue
        probabilities = [p for p in (_invert(loss_values), *_read_probabilities(loss)) if p is not None]
        powers = [] if weight is None else [n for n in nodes_above_layers(weight) if n.name() == "PowBackward0"]
        for base in (saved_tensor(power, "self") for power in powers):
            for p in probabilities:
                if base is None or base.numel() != p.numel():
                    continue
                if torch.allclose(base.flatten(), p.flatten(), atol=MAX_ROUNDING):
                    return -1
                if torch.allclose(1 - base.flatten(), p.flatten(), atol=MAX_ROUNDING):
                    return 1
    return 0


def _invert(losses: torch.Tensor) -> torch.Tensor | None:
    """Return the probabilities whose negative logarithms are these losses, or None if they are something else."""
    if losses.numel() < MIN_ROWS or not losses.is_floating_point():
        return None
    is_one_sign = bool((losses >= 0).all()) or bool((losses <= 0).all())
    p = losses.abs().neg().exp()
    return p if is_one_sign and float(p.max() - p.min()) > 10 * MAX_ROUNDING else None


def _read_probabilities(node: Any) -> list[torch.Tensor]:
    """Return the probabilities of the labels from the losses of single rows below a node."""
    for below in _chain(node):
        scores, target = saved_tensor(below, "self"), saved_tensor(below, "target")
        if scores is None or target is None or getattr(below, "_saved_reduction", None) != 0:
            continue
        if below.name().startswith("NllLoss") and scores.ndim > 1:
            return [scores.gather(1, target.clamp(min=0).unsqueeze(1)).exp()]
        if below.name().startswith("BinaryCrossEntropyWithLogits"):
            return [torch.where(target > 0.5, scores.sigmoid(), 1 - scores.sigmoid())]
        if below.name().startswith("BinaryCrossEntropy"):
            return [torch.where(target > 0.5, scores, 1 - scores)]
    return []


def _measure_divisor(node: Any) -> tuple[int, float, int]:
    """Return the number of divisors, the share of their smallest tenth in 1 / divisor, and how many are near zero."""
    if node.name() != "DivBackward0" or node.next_functions[0][0] is None or node.next_functions[1][0] is not None:
        return 0, 0.0, 0
    divisor = saved_tensor(node, "other")
    if divisor is None or divisor.numel() < 2 * MIN_ROWS:
        return 0, 0.0, 0
    names = {below.name() for below in _chain(node)}
    if "SubBackward0" not in names and "AbsBackward0" not in names:
        return 0, 0.0, 0
    sizes = divisor.abs().double().flatten()
    weights = 1 / sizes.clamp(min=1e-300)
    top = weights.topk(max(1, int(TOP_PART * len(weights)))).values
    near_zero = int((sizes < MAX_OF_MEDIAN * sizes.median()).sum())
    return len(weights), float(top.sum() / weights.sum()), near_zero


def _compares_with_itself(upper: Sequence[Any], target: torch.Tensor | None) -> bool:
    """Return whether the rows of a matrix of similarities of one tensor with itself are to be their own class."""
    for softmax in (node for node in upper if node.name() == "LogSoftmaxBackward0"):
        scores = saved_tensor(softmax, "result")
        product = _find_product(first_child(softmax))
        if product is None or scores is None or scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
            continue
        rows = torch.arange(len(scores), device=scores.device)
        is_own_class = target is not None and target.shape == rows.shape and bool((target == rows).all())
        if not is_own_class and not any(node.name() == "DiagonalBackward0" for node in upper):
            continue
        first, second = saved_tensor(product, "self"), saved_tensor(product, "mat2")
        if first is None or second is None or any(child is None for child, _ in product.next_functions):
            continue
        first, second = first.reshape(-1, first.shape[-1]), second.reshape(-1, second.shape[-1]).T
        if first.shape == second.shape and len(first) >= MIN_ROWS and torch.allclose(first, second, rtol=MAX_ROUNDING):
            return True
    return False


def _find_product(node: Any) -> Any:
    """Return the product of matrices that scores are scaled from, or None."""
    for _ in range(MAX_DEPTH):
        if node is None or node.name() in ("MmBackward0", "BmmBackward0"):
            return node
        if not node.name().startswith(("Mul", "Div", *PASSING, *SLICING)):
            return None
        node = first_child(node)
    return None


def _find_positive_exponent(nodes: Sequence[Any], upper: set[int]) -> str:
    """Return the name of the function whose result, never negative, is exponentiated; empty without one."""
    for node in (node for node in nodes if node.name() == "ExpBackward0"):
        sign, below = 1, first_child(node)
        for _ in range(MAX_DEPTH):
            if below is None:
                break
            name = below.name()
            if name in POSITIVE_NODES and (sign > 0 or id(node) in upper):
                return POSITIVE_NODES[name]
            if name == "NegBackward0":
                sign = -sign
            elif name in ("MulBackward0", "DivBackward0", "MulBackward1", "DivBackward1"):
                scalar = _read_scalar(below)
                if scalar is None:
                    break
                sign = sign if scalar > 0 else -sign
            elif not name.startswith((*PASSING, *SLICING)):
                break
            below = first_child(below)
    return ""


def _read_scalar(node: Any) -> float | None:
    """Return the number that a product or quotient has next to its only term."""
    number = getattr(node, "_saved_other", None) if node.name().endswith("1") else None
    if isinstance(number, int | float):
        return float(number)
    factor = saved_tensor(node, "other") if node.name().startswith("Div") else read_factor(node)
    return float(factor) if factor is not None and factor.numel() == 1 else None


def _bootstraps_with_graph(node: Any) -> bool:
    """Return whether a node compares outputs with constants plus a factor times outputs of the same weights."""
    name = node.name()
    if not name.startswith(("MseLoss", "SmoothL1Loss", "HuberLoss", "Sub")):
        return False
    children = [child for child, _ in node.next_functions][:2]
    if len(children) < 2 or any(child is None for child in children):
        return False
    for side, opposite in (children, children[::-1]):
        if _is_bootstrapped(side) and collect_leaves(side) & collect_leaves(opposite):
            return True
    return False


def _is_bootstrapped(node: Any) -> bool:
    """Return whether a node adds numbers to a factor between 0 and 1 times outputs."""
    while node is not None and node.name().startswith(PASSING):
        node = first_child(node)
    if node is None or node.name() != "AddBackward0" or sum(child is None for child, _ in node.next_functions) != 1:
        return False
    for below in _chain(first_child(node)):
        if below.name().startswith("Mul"):
            factor = read_factor(below) if below.name().endswith("0") else torch.tensor(_read_scalar(below) or 0.0)
            if factor is None or not bool(((factor >= 0) & (factor <= 1)).all()):
                return False
            if float(factor.max()) < 1:  # others mask rows
                return float(factor.max()) > 0
        elif not below.name().startswith((*PASSING, "Max", "Amax", "Min", "Amin", "Gather")):
            return False
    return False
