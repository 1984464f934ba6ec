"""From-scratch forwards of library layers, built from the functions of `yisheng.scratch`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.models.activations import ScaledSigmoid
from yisheng.scratch.average_pooling import average_pooling
from yisheng.scratch.batch_norm import batch_norm
from yisheng.scratch.cross_correlation import cross_correlation
from yisheng.scratch.dropout import dropout
from yisheng.scratch.linear import linear
from yisheng.scratch.max_pooling import max_pooling
from yisheng.scratch.relu import relu
from yisheng.scratch.sigmoid import sigmoid
from yisheng.scratch.tanh import tanh

Forward = Callable[[Tensor, Mapping[str, Tensor], bool], Tensor]
"""``forward(x, tensors, training)``, with the layer's parameters and buffers by name."""


def scratch_forward(layer: nn.Module) -> Forward:
    """Return the from-scratch forward of a layer, with the layer's settings.

    Raises:
        UsageError: the layer has no from-scratch form.

    >>> scratch_forward(nn.LeakyReLU())(torch.tensor([-1.0, 2.0]), {}, True)
    tensor([-0.0100,  2.0000])
    """
    if type(layer) not in FORWARDS:
        raise UsageError(
            Message("scratch=true: the layer {layer} has no from-scratch form", layer=layer), Message("remove scratch")
        )
    return FORWARDS[type(layer)](layer)


def _linear(_layer: nn.Linear) -> Forward:
    def forward(x: Tensor, tensors: Mapping[str, Tensor], _training: bool) -> Tensor:
        weight = tensors["weight"]
        return linear(x, weight, tensors["bias"] if "bias" in tensors else weight.new_zeros(len(weight)))

    return forward


def _conv(layer: nn.Conv2d) -> Forward:
    (stride,), (padding,) = set(layer.stride), set(layer.padding)
    assert isinstance(padding, int)  # the networks with a from-scratch form have no padding="same"

    def forward(x: Tensor, tensors: Mapping[str, Tensor], _training: bool) -> Tensor:
        return cross_correlation(x, tensors["weight"], tensors.get("bias"), stride=stride, padding=padding)

    return forward


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Forward:
    momentum = layer.momentum
    assert momentum is not None  # None means a cumulative average, which no network here uses

    def forward(x: Tensor, tensors: Mapping[str, Tensor], training: bool) -> Tensor:
        running = (tensors["running_mean"], tensors["running_var"])
        y, mean, var = batch_norm(
            x, tensors["weight"], tensors["bias"], *running, training=training, momentum=momentum, eps=layer.eps
        )
        if training:
            for buffer, value in zip(running, (mean, var), strict=True):
                buffer.copy_(value)
            tensors["num_batches_tracked"].add_(1)
        return y

    return forward


def _dropout(layer: nn.Dropout) -> Forward:
    return lambda x, _tensors, training: dropout(x, p=layer.p, training=training)


def _pooling(pool: Callable[..., Tensor]) -> Callable[[Any], Forward]:
    def make_forward(layer: nn.MaxPool2d | nn.AvgPool2d) -> Forward:
        return lambda x, _tensors, _training: pool(x, layer.kernel_size, stride=layer.stride, padding=layer.padding)

    return make_forward


def _activation(function: Callable[[Tensor], Tensor]) -> Callable[[Any], Forward]:
    return lambda _layer: lambda x, _tensors, _training: function(x)


def _leaky_relu(layer: nn.LeakyReLU) -> Forward:
    return lambda x, _tensors, _training: torch.where(x > 0, x, layer.negative_slope * x)


def _elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x.clamp_max(0).exp() - 1)  # clamped: an infinite exp(x) for x > 0 gives NaN gradients


def _selu(x: Tensor) -> Tensor:
    alpha, scale = 1.6732632423543772, 1.0507009873554805  # Klambauer et al., 2017, equation 14
    return scale * torch.where(x > 0, x, alpha * (x.clamp_max(0).exp() - 1))


def _gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def _softplus(layer: nn.Softplus) -> Forward:
    def forward(x: Tensor, _tensors: Mapping[str, Tensor], _training: bool) -> Tensor:
        # Above the threshold softplus differs from the identity by 2e-9 at most, and torch uses the identity.
        return torch.where(x > layer.threshold, x, (1 + x.clamp_max(layer.threshold).exp()).log())

    return forward


FORWARDS: Mapping[type[nn.Module], Callable[[Any], Forward]] = {
    nn.Flatten: _activation(lambda x: x.reshape(len(x), -1)),
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.MaxPool2d: _pooling(max_pooling),
    nn.AvgPool2d: _pooling(average_pooling),
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Dropout: _dropout,
    nn.ReLU: _activation(relu),
    nn.Sigmoid: _activation(sigmoid),
    nn.Tanh: _activation(tanh),
    nn.LeakyReLU: _leaky_relu,
    nn.ELU: _activation(_elu),
    nn.SELU: _activation(_selu),
    nn.GELU: _activation(_gelu),
    nn.SiLU: _activation(lambda x: x * sigmoid(x)),
    nn.Softplus: _softplus,
    ScaledSigmoid: _activation(lambda x: 4 * sigmoid(x) - 2),
    nn.Identity: _activation(lambda x: x),
}
"""Layer class -> function from a layer to its forward. Activations that `yisheng.scratch` lacks are defined above."""
