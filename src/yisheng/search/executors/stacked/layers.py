"""The forward pass of K networks of one shape: sequences have layers for a model axis, others use `torch.vmap`.

Inputs are ``(F, B, ...)``: F batch streams, each for S = K / F models that see the same rows. A first linear layer
multiplies every stream's batch once with the concatenated weights of its models; from there on the activations are
``(K, B, H)``. Model number f S + s belongs to stream f.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core.messages import Message
from yisheng.models.activations import ACTIVATIONS

Tensors = Mapping[str, torch.Tensor]
Mask = Callable[[int, float, torch.dtype], torch.Tensor]
"""``mask(width, p, dtype)``: a dropout mask ``(K, B, width)``, or ``(1, B, width)`` if all models have the same."""

ACTIVATION_LAYERS = tuple(layer for layer in ACTIVATIONS.values() if isinstance(layer, type))
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
RANDOM_LAYERS = (
    *(nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    nn.RReLU,
)


class Network(Protocol):
    """The forward pass of K networks of one shape.

    Args:
        padded: name of the weight that may be padded with columns of zeros, for models with different numbers of
            inputs; or empty.
    """

    padded: str

    def __call__(
        self, parameters: Tensors, buffers: Tensors, x: torch.Tensor, *, training: bool, mask: Mask
    ) -> torch.Tensor:
        """Return outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""


def stack_network(model: nn.Module) -> Network:
    """Return the forward pass of K networks like this one.

    Args:
        model: one of the networks.
    """
    return Chain(model) if is_chain(model) else VmapNetwork(model)


def explain_unstackable(model: nn.Module) -> str:
    """Return why networks like this one cannot be stacked with the numbers of their serial training, or "".

    >>> explain_unstackable(nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.Dropout()))
    ''
    >>> explain_unstackable(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Dropout()))
    'its dropout cannot draw the masks of a serial training'
    """
    if is_chain(model):
        return ""
    if any(isinstance(m, RANDOM_LAYERS) and getattr(m, "p", 1.0) for m in model.modules()):
        return Message("its dropout cannot draw the masks of a serial training")
    if any(isinstance(m, BATCH_NORMS) and m.momentum is None for m in model.modules()):
        return Message("its batch norm averages over all batches")
    return ""


def is_chain(model: nn.Module) -> bool:
    """Return whether a network is a sequence of layers that `Chain` supports."""
    if type(model) is not nn.Sequential:
        return False
    layers = list(model.children())
    return any(isinstance(layer, nn.Linear) for layer in layers) and all(map(_is_supported, layers))


def _is_supported(layer: nn.Module) -> bool:
    if type(layer) is nn.Flatten:
        return layer.start_dim == 1 and layer.end_dim == -1
    if type(layer) is nn.BatchNorm1d:
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    if type(layer) is nn.Dropout:
        return not layer.inplace
    return type(layer) is nn.Linear or (type(layer) in ACTIVATION_LAYERS and not getattr(layer, "inplace", False))


class Chain:
    """The forward pass of K sequences of linear layers, batch norms, activations and dropouts.

    Args:
        model: one of the networks.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = list(model.named_children())
        first = next(i for i, (_, layer) in enumerate(self._layers) if isinstance(layer, nn.Linear))
        reads_inputs = all(type(layer) is nn.Flatten for _, layer in self._layers[:first])
        self.padded = f"{self._layers[first][0]}.weight" if reads_inputs else ""

    def __call__(
        self, parameters: Tensors, buffers: Tensors, x: torch.Tensor, *, training: bool, mask: Mask
    ) -> torch.Tensor:
        """Return outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""
        K, is_shared = len(next(iter(parameters.values()))), True  # x is (F, B, ...) while it is shared
        for name, layer in self._layers:
            layer_type = type(layer)
            if is_shared and layer_type in (nn.Dropout, nn.BatchNorm1d):
                x, is_shared = x.repeat_interleave(K // len(x), 0), False
            if layer_type is nn.Flatten:
                x = x.flatten(2)
            elif layer_type is nn.Linear:
                x = _linear(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"))
                is_shared = False
            elif layer_type is nn.BatchNorm1d:
                x = _batch_norm(cast(nn.BatchNorm1d, layer), name, parameters, buffers, x, training)
            elif layer_type is nn.Dropout:
                p = cast(nn.Dropout, layer).p
                x = x * mask(x.shape[-1], p, x.dtype) if training and p else x
            else:
                x = layer(x)
        return x


def _linear(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
    b = w.new_zeros(w.shape[:2]) if b is None else b
    return cast(torch.Tensor, (_LinearPerModel if len(x) == len(w) else _LinearPerStream).apply(x, w, b))


class _LinearPerModel(torch.autograd.Function):
    """``x (K, B, D)`` times each model's ``w (K, H, D)``, with gradients in the memory layout of the weights."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        return torch.baddbmm(b[:, None], x, w.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (d,), (x, w) = gradients, ctx.saved_tensors
        dx = torch.bmm(d, w) if ctx.needs_input_grad[0] else None
        return dx, torch.bmm(d.mT, x), d.sum(1)


class _LinearPerStream(torch.autograd.Function):
    """``x (F, B, D)`` times the concatenated weights ``w (K, H, D)`` of the models of each stream."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        (streams, B, D), (K, H, _) = x.shape, w.shape
        out = torch.baddbmm(b.reshape(streams, 1, -1), x, w.reshape(streams, -1, D).mT)
        return out.view(streams, B, K // streams, H).transpose(1, 2).reshape(K, B, H)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (d,), (x, w) = gradients, ctx.saved_tensors
        (streams, B, D), (K, H, _) = x.shape, w.shape
        per_stream = d.reshape(streams, K // streams, B, H).transpose(1, 2).reshape(streams, B, -1)
        dx = torch.bmm(per_stream, w.reshape(streams, -1, D)) if ctx.needs_input_grad[0] else None
        return dx, torch.bmm(per_stream.mT, x).view(K, H, D), d.sum(1)


def _batch_norm(
    layer: nn.BatchNorm1d, name: str, parameters: Tensors, buffers: Tensors, x: torch.Tensor, training: bool
) -> torch.Tensor:
    """Apply one batch norm to the K H units of all models."""
    K, B, H = x.shape
    mean, variance = (buffers[f"{name}.{statistic}"].view(-1) for statistic in ("running_mean", "running_var"))
    if training:
        buffers[f"{name}.num_batches_tracked"].add_(1)
    out = F.batch_norm(
        x.transpose(0, 1).reshape(B, -1),
        mean,
        variance,
        parameters[f"{name}.weight"].reshape(-1),
        parameters[f"{name}.bias"].reshape(-1),
        training,
        cast(float, layer.momentum),
        layer.eps,
    )
    return out.view(B, K, H).transpose(0, 1)


class VmapNetwork:
    """The forward pass of K networks of any kind without dropout, by `torch.vmap`.

    Args:
        model: one of the networks.
    """

    padded = ""

    def __init__(self, model: nn.Module) -> None:
        self._model = copy.deepcopy(model).to("meta")

    def __call__(
        self,
        parameters: Tensors,
        buffers: Tensors,
        x: torch.Tensor,
        *,
        training: bool,
        mask: Mask,  # noqa: ARG002  # part of the interface
    ) -> torch.Tensor:
        """Return outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""
        streams = len(x)
        self._model.train(training)

        def forward(parameters: Tensors, buffers: Tensors, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = torch.func.functional_call(self._model, (dict(parameters), dict(buffers)), (x,))
            return output

        def split_streams(tensors: Tensors) -> dict[str, torch.Tensor]:
            return {name: value.unflatten(0, (streams, -1)) for name, value in tensors.items()}

        forward_stream = torch.vmap(forward, in_dims=(0, 0, None), randomness="error")
        out = torch.vmap(forward_stream, randomness="error")(split_streams(parameters), split_streams(buffers), x)
        return out.flatten(0, 1)


def pad_columns(x: torch.Tensor, width: int) -> torch.Tensor:
    """Return rows ``(N, D)`` padded with zeros to ``width`` values; rows of that width are returned unchanged.

    >>> pad_columns(torch.ones(1, 2), 3)
    tensor([[1., 1., 0.]])
    """
    missing = width - math.prod(x.shape[1:])
    return F.pad(x.flatten(1), (0, missing)) if missing else x
