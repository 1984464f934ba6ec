"""Read the targets of a classification loss that is written out, and whether a loss is a mean or a sum of its rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import Loss, inverse_factor, read_factor, read_signed, saved_tensor

MAX_DEVIATION = 1e-2
"""Relative difference of two values of one loss: a constant against log(0) and bfloat16 change it by less."""
FACTORS = (1.0, 0.5)
"""Of a mean loss; half the squared error has the error itself as its derivative."""
MAX_ERROR_OF_SUM = 1e-3
"""How far the probabilities of a row may be from a sum of 1."""


@dataclass(frozen=True)
class ClassTargets:
    """The targets of a cross-entropy that is written out.

    Args:
        node: what computes the probabilities.
        log_probabilities: of the classes ``(N, C, ...)``.
        axis: that of the classes.
        target: classes ``(N, ...)``, or probabilities of the classes ``(N, C, ...)``.
    """

    node: Any
    log_probabilities: torch.Tensor
    axis: int
    target: torch.Tensor

    @property
    def row_losses(self) -> torch.Tensor:
        """Return the loss of each row."""
        if self.target.is_floating_point():
            return -(self.target * self.log_probabilities).sum(self.axis)
        return -self.log_probabilities.gather(self.axis, self.target.unsqueeze(self.axis)).squeeze(self.axis)


def find_class_targets(nodes: Sequence[Any]) -> ClassTargets | None:
    """Return the targets of a cross-entropy that is written out; None for another loss.

    Read are ``log_softmax``, the logarithm of ``softmax`` or of exponentials over their sum, and ``logsumexp`` minus
    the output, with targets that pick (by an index or ``gather``) or multiply (one-hot vectors, probabilities).

    Args:
        nodes: those between the loss and the last layers, the loss first.

    >>> z = torch.zeros(2, 3, requires_grad=True)
    >>> loss = -torch.log(z.exp() / z.exp().sum(1, keepdim=True))[range(2), [2, 0]].mean()
    >>> from yisheng.diagnosis.loss_graph import graph_nodes
    >>> find_class_targets(graph_nodes(loss)).target
    tensor([2, 0])
    """
    for source in nodes:
        probabilities = _read_log_probabilities(source)
        if probabilities is not None:
            targets = (_read_target(node, *probabilities) for node in nodes)
            target = next((target for target in targets if target is not None), None)
            return None if target is None else ClassTargets(source, *probabilities, target)
    return None


def find_reduction(loss: Loss, row_losses: torch.Tensor) -> tuple[str, float]:
    """Return whether a loss is the ``mean`` or the ``sum`` of the losses of its rows, and half of it or all.

    Args:
        loss: a number, perhaps with a factor for accumulation.
        row_losses: ``(N, ...)``.

    Returns:
        mean, sum or an empty text for neither, and the factor 1 or 0.5.

    >>> rows = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    >>> find_reduction(rows.mean() / 4, rows.detach()), find_reduction((rows / 2).sum(), rows.detach())
    (('mean', 1.0), ('sum', 0.5))
    >>> find_reduction(rows.max(), rows.detach())
    ('', 1.0)
    """
    if not isinstance(loss, torch.Tensor) or not row_losses.numel():
        return "", 1.0
    mean, value, scale = float(row_losses.double().mean()), float(loss.detach()), inverse_factor(loss)
    if not math.isfinite(value + mean) or mean == 0:
        return "", 1.0
    values = [value] if scale is None else [value, value * float(scale)]
    for factor in FACTORS:
        if any(abs(v / (factor * mean) - 1) < MAX_DEVIATION for v in values):
            return "mean", factor
    for factor in FACTORS:
        if abs(value / (factor * mean * row_losses.numel()) - 1) < MAX_DEVIATION:
            return "sum", factor
    return "", 1.0


def _read_log_probabilities(node: Any) -> tuple[torch.Tensor, int] | None:
    """Return log-probabilities ``(N, C, ...)`` and the axis of their classes, if a node is what computes them."""
    name = node.name()
    if name in ("LogSoftmaxBackward0", "SoftmaxBackward0"):
        result = saved_tensor(node, "result")
        if result is None:
            return None
        return (result if name == "LogSoftmaxBackward0" else result.log()), read_signed(node._saved_dim) % result.ndim
    if name == "LogsumexpBackward0":
        values, result = saved_tensor(node, "self"), saved_tensor(node, "result")
        if values is None or result is None or len(node._saved_dim) != 1:
            return None
        axis = read_signed(node._saved_dim[0]) % values.ndim
        return values - (result if node._saved_keepdim else result.unsqueeze(axis)), axis
    return _read_quotient(node) if name == "DivBackward0" else None


def _read_quotient(node: Any) -> tuple[torch.Tensor, int] | None:
    """Return the logarithm of exponentials over their sum."""
    children = [child for child, _ in node.next_functions]
    values, total = saved_tensor(node, "self"), saved_tensor(node, "other")
    names = [child.name() for child in children if child is not None]
    if names != ["ExpBackward0", "SumBackward1"] or total is None:
        return None
    values = saved_tensor(children[0], "result") if values is None else values
    if values is None or len(children[1]._saved_dim) != 1:
        return None
    axis, probabilities = read_signed(children[1]._saved_dim[0]) % values.ndim, values / total
    is_distribution = bool(((probabilities.sum(axis) - 1).abs() < MAX_ERROR_OF_SUM).all())
    return (probabilities.log(), axis) if is_distribution else None


def _read_target(node: Any, log_probabilities: torch.Tensor, axis: int) -> torch.Tensor | None:
    """Return the classes or probabilities that a node picks the log-probabilities of; None for another node."""
    name, shape = node.name(), log_probabilities.shape
    if name == "GatherBackward0":
        index = saved_tensor(node, "index")
        is_class = index is not None and tuple(index.shape) == (*shape[:axis], 1, *shape[axis + 1 :])
        is_class = is_class and read_signed(node._saved_dim) % len(shape) == axis
        return index.squeeze(axis) if index is not None and is_class else None
    if name == "IndexBackward0":
        return _read_index(node, log_probabilities) if axis == 1 and len(shape) == 2 else None
    if name == "MulBackward0":
        factor = read_factor(node)
        if factor is None or factor.shape != shape:
            return None
        is_distribution = bool((factor >= 0).all()) and bool(
            ((factor.double().sum(axis) - 1).abs() < MAX_ERROR_OF_SUM).all()
        )
        if not is_distribution:
            return None
        is_one_hot = bool(((factor == 0) | (factor == 1)).all())
        return factor.argmax(axis) if is_one_hot else factor.to(log_probabilities.dtype)
    return None


def _read_index(node: Any, log_probabilities: torch.Tensor) -> torch.Tensor | None:
    """Return the classes of ``values[range(N), classes]``."""
    indices = [index for index in node._saved_indices if isinstance(index, torch.Tensor)]
    if len(indices) != 2 or tuple(node._saved_self_sym_sizes) != tuple(log_probabilities.shape):
        return None
    rows, classes = (index.detach().cpu() for index in indices)
    count = len(log_probabilities)
    is_row = rows.dtype == torch.long and rows.shape == (count,) and torch.equal(rows, torch.arange(count))
    is_class = classes.dtype == torch.long and classes.shape == (count,)
    return indices[1].detach() if is_row and is_class else None
