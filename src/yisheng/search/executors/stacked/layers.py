"""K networks of one shape as one: the layers of a sequence written for a model axis, any other by `torch.vmap`.

Inputs come as ``(F, B, ...)``: F streams of batches, each for K / F models that see the same rows. A first linear layer
multiplies every stream's batch once, with the weights of all its models side by side; from there on each model has its
own ``(K, B, H)``. Weights of model f S + s of S = K / F belong to stream f.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from yisheng.models._activations import ACTIVATIONS

Tensors = Mapping[str, torch.Tensor]
Mask = Callable[[int, float, torch.dtype], torch.Tensor]
"""``mask(width, p, dtype)``: a dropout mask ``(K, B, width)``, or ``(1, B, width)`` where all models have the same."""

BENDS = tuple(bend for bend in ACTIVATIONS.values() if isinstance(bend, type))
RANDOM = (nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.RReLU)


class Network(Protocol):
    """K networks of one shape.

    Args:
        wide: the weight that may be padded with columns of zeros, for models whose inputs differ in number; or none.
    """

    wide: str

    def __call__(
        self, parameters: Tensors, buffers: Tensors, x: torch.Tensor, *, training: bool, mask: Mask
    ) -> torch.Tensor:
        """Outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""


def network(model: nn.Module) -> Network:
    """The forward pass of K networks like this one.

    Args:
        model: one of them.
    """
    return Chain(model) if is_chain(model) else Lifted(model)


def unstackable(model: nn.Module) -> str:
    """Why networks like this one cannot be trained as one, with the numbers of training them apart; else empty.

    >>> unstackable(nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.Dropout()))
    ''
    >>> unstackable(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Dropout()))
    'its dropout could not be given the numbers of a training alone'
    """
    if is_chain(model):
        return ""
    if any(isinstance(m, RANDOM) and getattr(m, "p", 1.0) for m in model.modules()):
        return "its dropout could not be given the numbers of a training alone"
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.momentum is None for m in model.modules()):
        return "its batch norm averages over all batches"
    return ""


def is_chain(model: nn.Module) -> bool:
    """Whether it is a sequence of layers that are written for a model axis here."""
    if type(model) is not nn.Sequential:
        return False
    layers = list(model.children())
    return any(isinstance(layer, nn.Linear) for layer in layers) and all(map(_is_known, layers))


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.Flatten:
        return layer.start_dim == 1 and layer.end_dim == -1
    if type(layer) is nn.BatchNorm1d:
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    if type(layer) is nn.Dropout:
        return not layer.inplace
    return type(layer) is nn.Linear or (type(layer) in BENDS and not getattr(layer, "inplace", False))


class Chain:
    """A sequence of linear layers, batch norms, activations and dropouts, K of them at once."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = list(model.named_children())
        first = next(i for i, (_, layer) in enumerate(self._layers) if isinstance(layer, nn.Linear))
        alone = all(type(layer) is nn.Flatten for _, layer in self._layers[:first])
        self.wide = f"{self._layers[first][0]}.weight" if alone else ""

    def __call__(
        self, parameters: Tensors, buffers: Tensors, x: torch.Tensor, *, training: bool, mask: Mask
    ) -> torch.Tensor:
        """Outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""
        K, shared = len(next(iter(parameters.values()))), True
        for name, layer in self._layers:
            kind = type(layer)
            if shared and kind in (nn.Dropout, nn.BatchNorm1d):
                x, shared = x.repeat_interleave(K // len(x), 0), False
            if kind is nn.Flatten:
                x = x.flatten(2)
            elif kind is nn.Linear:
                x = _linear(x, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"))
                shared = False
            elif kind is nn.BatchNorm1d:
                x = _norm(cast(nn.BatchNorm1d, layer), name, parameters, buffers, x, training)
            elif kind is nn.Dropout:
                p = cast(nn.Dropout, layer).p
                x = x * mask(x.shape[-1], p, x.dtype) if training and p else x
            else:
                x = layer(x)
        return x


def _linear(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
    b = w.new_zeros(w.shape[:2]) if b is None else b
    return cast(torch.Tensor, (_Own if len(x) == len(w) else _Shared).apply(x, w, b))


class _Own(torch.autograd.Function):
    """``x (K, B, D)`` times each model's own ``w (K, H, D)``; gradients come in the layout of the weights."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        return torch.baddbmm(b[:, None], x, w.mT)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (d,), (x, w) = gradients, ctx.saved_tensors
        back = torch.bmm(d, w) if ctx.needs_input_grad[0] else None
        return back, torch.bmm(d.mT, x), d.sum(1)


class _Shared(torch.autograd.Function):
    """``x (F, B, D)`` times the weights ``w (K, H, D)`` of all models of each stream, side by side."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, w)
        (streams, B, D), (K, H, _) = x.shape, w.shape
        side = torch.baddbmm(b.reshape(streams, 1, -1), x, w.reshape(streams, -1, D).mT)
        return side.view(streams, B, K // streams, H).transpose(1, 2).reshape(K, B, H)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (d,), (x, w) = gradients, ctx.saved_tensors
        (streams, B, D), (K, H, _) = x.shape, w.shape
        side = d.reshape(streams, K // streams, B, H).transpose(1, 2).reshape(streams, B, -1)
        back = torch.bmm(side, w.reshape(streams, -1, D)) if ctx.needs_input_grad[0] else None
        return back, torch.bmm(side.mT, x).view(K, H, D), d.sum(1)


def _norm(
    layer: nn.BatchNorm1d, name: str, parameters: Tensors, buffers: Tensors, x: torch.Tensor, training: bool
) -> torch.Tensor:
    """One batch norm over the K H units of all models."""
    K, B, H = x.shape
    mean, variance = (buffers[f"{name}.{kind}"].view(-1) for kind in ("running_mean", "running_var"))
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


class Lifted:
    """Any network without dropout, over a model axis by `torch.vmap`."""

    wide = ""

    def __init__(self, model: nn.Module) -> None:
        self._model = copy.deepcopy(model).to("meta")

    def __call__(
        self,
        parameters: Tensors,
        buffers: Tensors,
        x: torch.Tensor,
        *,
        training: bool,
        mask: Mask,  # noqa: ARG002  # every network is called alike
    ) -> torch.Tensor:
        """Outputs ``(K, B, O)`` for inputs ``(F, B, ...)``."""
        streams = len(x)
        self._model.train(training)

        def one(own: Tensors, kept: Tensors, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = torch.func.functional_call(self._model, (dict(own), dict(kept)), (x,))
            return output

        def by_stream(tensors: Tensors) -> dict[str, torch.Tensor]:
            return {name: value.unflatten(0, (streams, -1)) for name, value in tensors.items()}

        of_stream = torch.vmap(one, in_dims=(0, 0, None), randomness="error")
        out = torch.vmap(of_stream, randomness="error")(by_stream(parameters), by_stream(buffers), x)
        return out.flatten(0, 1)


def columns(x: torch.Tensor, width: int) -> torch.Tensor:
    """Rows ``(N, D)`` with zeros behind them, ``width`` values each; others as they are.

    >>> columns(torch.ones(1, 2), 3)
    tensor([[1., 1., 0.]])
    """
    missing = width - math.prod(x.shape[1:])
    return F.pad(x.flatten(1), (0, missing)) if missing else x
