"""Checks before operators that do not check the shapes of their arguments, and would read memory that is not theirs.

In torch these checks are in the layers (`torch.nn.LSTM`), or in an operator above; a program calls the operator itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch


def check_recurrent(
    gates: int,
    x: torch.Tensor,
    hidden: Sequence[torch.Tensor] | torch.Tensor,
    weights: Sequence[torch.Tensor],
    has_biases: bool,
    layers: int,
    dropout: float,  # noqa: ARG001  # the operator's arguments
    train: bool,  # noqa: ARG001
    bidirectional: bool,
    batch_first: bool,
) -> None:
    """Check the arguments of a recurrent layer.

    Args:
        gates: rows of its weights, as a multiple of the hidden size: 4 for LSTM, 3 for GRU, 1 for a plain one.
        x: inputs ``(T, B, D)``, or ``(B, T, D)`` with ``batch_first``.
        hidden: initial states ``(layers * directions, B, H)``; of an LSTM also those of its cells.
        weights: of each layer and direction: input, hidden, their biases, and the projection of an LSTM.
        has_biases: whether there are biases.
        layers: number of layers.
        dropout: not used in a program.
        train: false in a program.
        bidirectional: whether there are two directions.
        batch_first: whether the batch is the first axis.

    Raises:
        ValueError: they do not fit one another.
    """
    states = [hidden] if isinstance(hidden, torch.Tensor) else list(hidden)
    directions = 2 if bidirectional else 1
    _require(x.ndim == 3 and len(states) == (2 if gates == 4 else 1) and layers >= 1 and bool(weights), "shapes")
    batch = x.shape[0 if batch_first else 1]
    per_direction, remainder = divmod(len(weights), layers * directions)
    _require(not remainder and per_direction - 2 * has_biases in (2, 3), "number of weights")
    has_projection = per_direction - 2 * has_biases == 3
    _require(not has_projection or gates == 4, "number of weights")
    size = weights[0].shape[0] // gates
    output = weights[per_direction - 1].shape[0] if has_projection else size
    for number, state in enumerate(states):
        expected = (layers * directions, batch, size if number else output)
        _require(tuple(state.shape) == expected, "hidden state")
    for number in range(layers * directions):
        features = x.shape[2] if number < directions else output * directions
        shapes: list[tuple[int, ...]] = [(gates * size, features), (gates * size, output)]
        shapes += [(gates * size,)] * (2 * has_biases) + [(output, size)] * has_projection
        part = weights[number * per_direction : (number + 1) * per_direction]
        _require([tuple(weight.shape) for weight in part] == shapes, "weights")
    _require(all(tensor.dtype == x.dtype for tensor in (*states, *weights)), "types")


def check_batch_norm(x: torch.Tensor, *tensors: Any) -> None:
    """Check weight, bias, mean and variance of a batch norm: one value for each channel.

    Raises:
        ValueError: one has another shape.
    """
    _require(x.ndim >= 2, "shapes")
    for tensor in tensors[:4]:
        _require(tensor is None or tuple(tensor.shape) == (x.shape[1],), "statistics")


def check_weight_norm(v: torch.Tensor, g: torch.Tensor, dim: int = 0) -> None:
    """Check direction ``v`` and length ``g`` of weights that are normalized along all axes but one.

    Raises:
        ValueError: there is not one length for each slice along the axis.
    """
    _require(v.ndim >= 1 and 0 <= dim < v.ndim and v.numel() > 0, "axes")
    _require(tuple(g.shape) == tuple(size if axis == dim else 1 for axis, size in enumerate(v.shape)), "weights")
    _require(v.is_floating_point() and g.dtype == v.dtype, "types")


def check_embedding_bag(
    weight: torch.Tensor,
    indices: torch.Tensor,
    offsets: torch.Tensor,
    scale: bool,  # noqa: ARG001
    mode: int,
    sparse: bool,  # noqa: ARG001
    sample_weights: torch.Tensor | None,
    include_last: bool,  # noqa: ARG001
    padding: int | None,  # noqa: ARG001
) -> None:
    """Check the arguments of an embedding bag.

    Raises:
        ValueError: they do not fit one another.
    """
    _require(weight.ndim == 2 and indices.ndim == offsets.ndim == 1 and mode in (0, 1, 2), "shapes")
    _require(offsets.numel() > 0, "offsets")
    _require(indices.dtype in (torch.int32, torch.int64) and offsets.dtype == indices.dtype, "types")
    _require(sample_weights is None or tuple(sample_weights.shape) == tuple(indices.shape), "weights")


def _require(condition: bool, parts: str) -> None:
    if not condition:
        raise ValueError(f"the {parts} of a layer do not fit one another")


def _make_recurrent_check(gates: int) -> Callable[..., None]:
    return lambda *arguments: check_recurrent(gates, *arguments)


CHECKS: Final[Mapping[str, Callable[..., None]]] = {
    "aten.lstm.input": _make_recurrent_check(4),
    "aten.gru.input": _make_recurrent_check(3),
    "aten.rnn_tanh.input": _make_recurrent_check(1),
    "aten.rnn_relu.input": _make_recurrent_check(1),
    "aten.batch_norm.default": check_batch_norm,
    "aten.embedding_bag.padding_idx": check_embedding_bag,
    "aten._weight_norm.default": check_weight_norm,
    "aten._native_batch_norm_legit_no_training.default": check_batch_norm,
}
"""Checks by operator; each is called with its arguments, all of them by position."""
