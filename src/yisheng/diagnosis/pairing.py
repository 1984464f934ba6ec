"""What a loss compares, read from autograd's graph: the kind of loss, the operations before it, output and targets."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

from yisheng.diagnosis.layer_path import MAX_PATH_LENGTH, OPERATIONS, LayerPath, follow_to_layer
from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, Loss, first_child, read_factor, read_signed, saved_tensor
from yisheng.diagnosis.written_losses import find_class_targets, find_reduction

LOSSES = {
    "NllLossBackward0": "nll",
    "NllLoss2DBackward0": "nll",
    "MseLossBackward0": "mse",
    "SmoothL1LossBackward0": "smooth_l1",
    "HuberLossBackward0": "huber",
    "BinaryCrossEntropyBackward0": "binary_cross_entropy",
    "BinaryCrossEntropyWithLogitsBackward0": "binary_cross_entropy_with_logits",
}
ROW_LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "nll": functional.nll_loss,
    "mse": functional.mse_loss,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
}
PICKING_NODES = ("IndexBackward0", "GatherBackward0")
"""Nodes that pick the value of each row's own class."""
MARGIN_NODES = (
    "ReluBackward0",
    "ClampBackward0",
    "ClampBackward1",
    "ClampMinBackward0",
    "SoftplusBackward0",
    "ExpBackward0",
    "LogSigmoidBackward0",
)
"""Functions of a margin, the product of a score and its target."""
MAX_NODES_IN_MARGIN = 8
"""Nodes between such a function and the product: a sign, a margin of 1, reshapes."""
REDUCTIONS = ("none", "mean", "sum")
"""Reductions of a loss by torch's number for them."""
MAX_NODES = 200
"""Nodes between a loss and its last layer."""


@dataclass(frozen=True)
class Pairing:
    """A loss and what it compares.

    Args:
        loss: ``nll``, ``mse``, ``smooth_l1``, ``huber``, ``binary_cross_entropy``,
            ``binary_cross_entropy_with_logits``; ``squared``, ``absolute``, ``soft_nll`` or ``margin`` (a function of
            score times target, if targets are 0) if composed of elementary operations; empty if unknown.
        operations: operations from the loss down to the last layer with weights, nearest the loss first.
        softmax_axis: axis of the softmax nearest to the loss, counted from 0; None without a softmax.
        shape: shape of the compared output; if it was broadcast, the shape before.
        expanded_shape: the shape that the output was broadcast to, or None.
        reduction: mean, sum or none; empty if unknown.
        target: the targets, if the graph saves them.
        output: the compared output, if the graph saves it (log-probabilities of ``nll``).
        difference: of a composed loss: what is squared or made positive, if the graph saves it.
        sign: 1 if the difference is output minus target, else -1.
        is_only_term: whether the loss is this one term, up to a factor.
        has_weights: whether classes or labels have weights.
        clamp: bounds that the output was cut off at; None for one that there is not, and without a clamp.
        is_weighted: whether a composed loss multiplies each row with another number, as a policy gradient does.
        factor: of the mean; half the squared error has 0.5.
        ignored: class number that the loss leaves out, or None.
        flattened: shape ``(B, C, ...)`` of an output whose classes are on axis 1 and that was reshaped to ``(N, C)``
            without moving that axis last; empty if none was.
        is_unmoved_linear: whether a linear layer made the output, and none of its axes was moved.
    """

    loss: str
    operations: tuple[str, ...]
    softmax_axis: int | None = None
    shape: tuple[int, ...] = ()
    expanded_shape: tuple[int, ...] | None = None
    reduction: str = ""
    target: torch.Tensor | None = None
    output: torch.Tensor | None = None
    difference: torch.Tensor | None = None
    sign: int = 1
    is_only_term: bool = True
    has_weights: bool = False
    flattened: tuple[int, ...] = ()
    clamp: tuple[float, float] | None = None
    is_weighted: bool = False
    factor: float = 1.0
    ignored: int | None = None
    is_unmoved_linear: bool = False


def read_pairing(loss: Loss, expected: tuple[str, float] | None = None) -> Pairing:
    """Read from the graph of a loss, before its backward pass, what the loss compares.

    Args:
        loss: a scalar that depends on parameters.
        expected: reduction and factor of earlier losses with the same nodes, so that they need not be read again.

    >>> x, w = torch.ones(4, 3), torch.ones(2, 3, requires_grad=True)
    >>> output = torch.nn.functional.linear(x, w, torch.zeros(2))
    >>> found = read_pairing(torch.nn.functional.cross_entropy(output.softmax(1), torch.zeros(4, dtype=torch.long)))
    >>> found.loss, found.operations, found.softmax_axis, found.reduction
    ('nll', ('log_softmax', 'softmax'), 1, 'mean')
    """
    nodes = list(_nodes_above_layers(loss.grad_fn))
    node = next((node for node in nodes if node.name() in LOSSES), None)
    if node is None:
        return _read_class_targets(loss, nodes) or _settle_reduction(loss, _read_composed_loss(nodes), expected)
    path = follow_to_layer(node)
    output, target = saved_tensor(node, "self"), saved_tensor(node, "target")
    reduction = getattr(node, "_saved_reduction", None)
    pairing = Pairing(
        LOSSES[node.name()],
        path.operations,
        path.softmax_axis,
        path.shape or (() if output is None else tuple(output.shape)),
        path.expanded_shape,
        REDUCTIONS[reduction] if isinstance(reduction, int) and reduction < len(REDUCTIONS) else "",
        target,
        output,
        is_only_term=_is_only_path(nodes[0], node),
        has_weights=any(saved_tensor(node, name) is not None for name in ("weight", "pos_weight")),
        flattened=_find_flattened(path, () if output is None else tuple(output.shape)),
        clamp=path.clamp,
        ignored=_read_ignored(node),
        is_unmoved_linear=path.is_unmoved_linear,
    )
    return pairing if pairing.reduction == "sum" else _settle_reduction(loss, pairing, expected)


def _read_ignored(node: Any) -> int | None:
    """Return the class number that a loss leaves out."""
    number = getattr(node, "_saved_ignore_index", None)
    return None if number is None else read_signed(number)


def _settle_reduction(loss: Loss, pairing: Pairing, expected: tuple[str, float] | None) -> Pairing:
    """Return the pairing with the reduction that the value of the loss shows: the program may reduce it itself.

    The root of a mean is none of these.
    """
    if not pairing.is_only_term or pairing.has_weights or pairing.expanded_shape is not None:
        return pairing
    if expected is not None:
        return replace(pairing, reduction=expected[0], factor=expected[1])
    if pairing.difference is not None:
        row_losses = pairing.difference.square() if pairing.loss == "squared" else pairing.difference.abs()
    elif pairing.loss in ROW_LOSSES and pairing.output is not None and pairing.target is not None:
        options = {} if pairing.ignored is None else {"ignore_index": pairing.ignored}
        row_losses = ROW_LOSSES[pairing.loss](pairing.output, pairing.target, reduction="none", **options)
        if pairing.reduction == "mean" and pairing.ignored is not None:
            row_losses = row_losses[pairing.target != pairing.ignored]
    else:
        return pairing
    reduction, factor = find_reduction(loss, row_losses)
    return replace(pairing, reduction=reduction or "none", factor=factor)


def _find_flattened(path: LayerPath, compared: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an output ``(B, C, ...)`` that became ``(N, C)`` by a reshape alone; empty if none did."""
    shape = path.reshaped_from
    is_mixed = (
        len(shape) > 2 and len(compared) == 2 and shape[1] == compared[1] != shape[-1] and shape[0] != compared[0]
    )
    return shape if is_mixed else ()


def _read_class_targets(loss: Loss, nodes: list[Any]) -> Pairing | None:
    """Read a cross-entropy that is written out, if its value is the mean or the sum over its rows."""
    classes = find_class_targets(nodes)
    reduction, factor = ("", 1.0) if classes is None else find_reduction(loss, classes.row_losses)
    if classes is None or not reduction or factor != 1:
        return None
    below = follow_to_layer(classes.node).operations
    if classes.node.name() == "DivBackward0":
        below = below[2 if below[1:2] == ("sub",) else 1 :]  # the exponential, perhaps of values minus the largest
    is_whole = classes.node.name() in ("LogSoftmaxBackward0", "LogsumexpBackward0")
    return Pairing(
        "soft_nll" if classes.target.is_floating_point() else "nll",
        ("log_softmax", *below) if is_whole else ("log", "softmax", *below),
        classes.axis,
        tuple(classes.log_probabilities.shape),
        reduction=reduction,
        target=classes.target,
        output=classes.log_probabilities,
    )


def _read_composed_loss(nodes: list[Any]) -> Pairing:
    """Read a loss that is composed of elementary operations."""
    names = [OPERATIONS.get(node.name(), "") for node in nodes]
    if "sub" in names and ("pow" in names or "abs" in names):
        return _read_difference(nodes, names)
    if "log" in names and "softmax" in names:
        node = nodes[names.index("softmax")]
        path = follow_to_layer(node, includes_node=True)
        is_only_term = _is_only_path(nodes[0], node)
        return Pairing(
            "nll",
            ("log", "softmax"),
            path.softmax_axis,
            path.shape,
            is_only_term=is_only_term,
            is_weighted=_is_weighted(nodes[0], node),
        )
    if "log_softmax" in names:  # the probabilities of the classes as targets, or those of the class picked out
        node = nodes[names.index("log_softmax")]
        path = follow_to_layer(node, includes_node=True)
        is_weighted = _is_weighted(nodes[0], node)
        is_picked = not is_weighted and any(above.name() in PICKING_NODES for above in nodes[: nodes.index(node)])
        return Pairing(
            "nll" if is_picked else "soft_nll",
            path.operations,
            path.softmax_axis,
            path.shape,
            is_only_term=_is_only_path(nodes[0], node),
            is_weighted=is_weighted,
        )
    labels = _find_margin_targets(nodes)
    if labels is not None:
        return Pairing("margin", (), target=labels)
    return Pairing("", tuple(name for name in names if name)[:8], is_only_term=False)


def _find_margin_targets(nodes: list[Any]) -> torch.Tensor | None:
    """Return the targets ``(N, ...)`` of 0 and 1 that a loss multiplies raw scores with, below a function of margins.

    None is returned for other losses, and for targets of -1 and 1.
    """
    for node in (node for node in nodes if node.name() in MARGIN_NODES):
        child = first_child(node)
        for _ in range(MAX_NODES_IN_MARGIN):
            if child is None or child.name().startswith(LAYER_PREFIXES):
                break
            factor = read_factor(child, min_values=2) if child.name() == "MulBackward0" else None
            if factor is not None:
                labels = factor.abs()
                is_binary = bool(((labels == 0) | (labels == 1)).all()) and 0 < float(labels.float().mean()) < 1
                is_one_sign = not (bool((factor > 0).any()) and bool((factor < 0).any()))
                is_raw = set(follow_to_layer(child).operations) <= {"sub", "add"}
                return labels if is_binary and is_one_sign and is_raw else None
            child = first_child(child)
    return None


def _read_difference(nodes: list[Any], names: list[str]) -> Pairing:
    """Read a squared or absolute error that is composed of elementary operations."""
    kind = "pow" if "pow" in names else "abs"
    power, difference = nodes[names.index(kind)], nodes[names.index("sub")]
    path = follow_to_layer(difference)
    compared = saved_tensor(power, "self")
    output_shape = _layer_output_shape(difference)
    compared_shape = None if compared is None else tuple(compared.shape)
    is_direct = difference in [child for child, _ in power.next_functions]
    is_broadcast = is_direct and output_shape and compared_shape and math.prod(compared_shape) > math.prod(output_shape)
    return Pairing(
        "squared" if kind == "pow" else "absolute",
        path.operations,
        path.softmax_axis,
        output_shape if is_broadcast else path.shape or compared_shape or (),
        compared_shape if is_broadcast else None,
        difference=compared if is_direct else None,
        sign=1 if difference.next_functions[0][0] is not None else -1,
        is_only_term=_is_only_path(nodes[0], difference),
        clamp=path.clamp,
    )


def _layer_output_shape(node: Any) -> tuple[int, ...]:
    """Return the output shape of the linear layer below a node; empty if the graph does not save it."""
    for _ in range(MAX_PATH_LENGTH):
        if node is None:
            break
        if node.name().startswith("Addmm"):
            return (int(node._saved_mat1_sym_sizes[0]), int(node._saved_mat2_sym_sizes[1]))
        if node.name() == "MmBackward0":
            return (int(node._saved_self_sym_sizes[0]), int(node._saved_mat2_sym_sizes[1]))
        node = first_child(node)
    return ()


def _is_only_path(root: Any, node: Any) -> bool:
    """Return whether the root depends on parameters only through this node."""
    for _ in range(MAX_PATH_LENGTH):
        if root == node:
            return True
        children = [child for child, _ in root.next_functions if child is not None]
        if len(children) != 1:
            return False
        root = children[0]
    return False


def _is_weighted(root: Any, node: Any) -> bool:
    """Return whether a product with a tensor of several values lies between the root and this node."""
    for _ in range(MAX_PATH_LENGTH):
        if root is None or root == node:
            return False
        if root.name() in ("MulBackward0", "DivBackward0") and read_factor(root, min_values=2) is not None:
            return True
        root = first_child(root)
    return True


def _nodes_above_layers(node: Any) -> Iterator[Any]:
    """Yield the nodes between a loss and the last layers, breadth first, at most `MAX_NODES`."""
    queue, count = deque([node]), 0
    while queue and count < MAX_NODES:
        node = queue.popleft()
        if node is None:
            continue
        count += 1
        yield node
        if not node.name().startswith(LAYER_PREFIXES):
            queue.extend(child for child, _ in node.next_functions)
