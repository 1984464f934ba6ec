"""The way from a loss down to the last layer with weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from yisheng.diagnosis.loss_graph import LAYER_PREFIXES, first_child, read_signed, saved_tensor

OPERATIONS = {
    "LogSoftmaxBackward0": "log_softmax",
    "SoftmaxBackward0": "softmax",
    "SigmoidBackward0": "sigmoid",
    "LogSigmoidBackward0": "log_sigmoid",
    "TanhBackward0": "tanh",
    "ReluBackward0": "relu",
    "SoftplusBackward0": "softplus",
    "ExpBackward0": "exp",
    "LogBackward0": "log",
    "ExpandBackward0": "expand",
    "PowBackward0": "pow",
    "AbsBackward0": "abs",
    "SubBackward0": "sub",
    "AddBackward0": "add",
    "MulBackward0": "mul",
    "DivBackward0": "div",
    "MeanBackward1": "pool",
    "AvgPool2DBackward0": "pool",
    "AdaptiveAvgPool2DBackward0": "pool",
    "MkldnnAdaptiveAvgPool2DBackward0": "pool",
    "ClampBackward0": "clamp",
    "ClampBackward1": "clamp",
}
MOVING_NODES = ("PermuteBackward0", "TransposeBackward0", "TBackward0", "CloneBackward0")
RESHAPING_NODES = ("ViewBackward0", "UnsafeViewBackward0", "ReshapeAliasBackward0")
LINEAR_PREFIXES = ("AddmmBackward", "MmBackward", "LinearBackward", "MkldnnLinearBackward")
"""Nodes of layers whose features are on the last axis of their output."""
MAX_PATH_LENGTH = 40
"""Nodes on one path from a loss to its last layer."""


@dataclass(frozen=True)
class LayerPath:
    """The way from a loss down its first input to a layer.

    Args:
        operations: names of the operations, nearest the loss first.
        softmax_axis: axis of the first softmax.
        shape: shape of the output before broadcasting, or of the softmax's result.
        expanded_shape: shape after broadcasting.
        reshaped_from: shape before the first reshape, if nothing moved its axes before; else empty.
        clamp: bounds of the clamp nearest to the loss, or None.
        is_unmoved_linear: whether the layer is a linear one, and no axis of its output was moved.
    """

    operations: tuple[str, ...]
    softmax_axis: int | None
    shape: tuple[int, ...]
    expanded_shape: tuple[int, ...] | None
    reshaped_from: tuple[int, ...] = ()
    clamp: tuple[float, float] | None = None
    is_unmoved_linear: bool = False


def follow_to_layer(node: Any, *, includes_node: bool = False) -> LayerPath:
    """Follow the first inputs from a node to the last layer with weights.

    Args:
        node: of a loss, or below it.
        includes_node: whether the node itself is the first operation of the path.
    """
    names: list[str] = []
    axis: int | None = None
    shape: tuple[int, ...] = ()
    expanded_shape: tuple[int, ...] | None = None
    reshaped_from: tuple[int, ...] = ()
    clamp: tuple[float, float] | None = None
    has_moved = False
    child = node if includes_node else first_child(node)
    for _ in range(MAX_PATH_LENGTH):
        if child is None or child.name().startswith(LAYER_PREFIXES) or "AccumulateGrad" in child.name():
            break
        name = OPERATIONS.get(child.name())
        if name == "expand":
            shape, compared = tuple(child._saved_self_sym_sizes), saved_tensor(node, "self")
            expanded_shape = None if compared is None else tuple(compared.shape)
        elif name is not None:
            names.append(name)
            clamp = _read_clamp(child) if name == "clamp" and clamp is None else clamp
            if name in ("softmax", "log_softmax") and axis is None:
                axis, result_shape = _softmax_axis(child)
                shape = shape or result_shape
        elif child.name() in MOVING_NODES:
            has_moved = True
        elif child.name() in RESHAPING_NODES and not reshaped_from:
            reshaped_from = tuple(int(size) for size in child._saved_self_sym_sizes)
        child = first_child(child)
    is_linear = child is not None and child.name().startswith(LINEAR_PREFIXES)
    reshaped_from = () if has_moved else reshaped_from
    return LayerPath(tuple(names), axis, shape, expanded_shape, reshaped_from, clamp, is_linear and not has_moved)


def _read_clamp(node: Any) -> tuple[float, float] | None:
    """Return the bounds of a clamp by numbers; infinite where there is none."""
    low, high = getattr(node, "_saved_min", None), getattr(node, "_saved_max", None)
    if isinstance(low, torch.Tensor) or isinstance(high, torch.Tensor):
        return None
    return (-math.inf if low is None else float(low), math.inf if high is None else float(high))


def _softmax_axis(node: Any) -> tuple[int, tuple[int, ...]]:
    """Return the axis of a softmax, counted from 0, and the shape of its result if the node saves it."""
    result, axis = saved_tensor(node, "result"), read_signed(node._saved_dim)
    return (axis, ()) if result is None else (axis % result.ndim, tuple(result.shape))
