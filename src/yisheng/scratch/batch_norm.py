"""Batch normalization."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register


def _plot(axes: Any) -> None:
    """Draw three channels of different mean and standard deviation, before and after."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=generator) * torch.tensor([0.4, 1.0, 2.0]) + torch.tensor([-3.0, 0.0, 5.0])
    scale, shift = torch.ones(3), torch.zeros(3)
    y, _, _ = batch_norm(x, scale, shift, shift, scale, training=True)
    for i, color in enumerate(("#0072b2", "#e69f00", "#009e73")):
        for values, style in ((x, "--"), (y, "-")):
            fraction = torch.histc(values[:, i], 40, -8, 12) / 400
            axes.plot(torch.linspace(-7.75, 11.75, 40), fraction, style, color=color)
    axes.set(xlabel="value", ylabel="fraction", title="three channels before (dashed) and after")


@register(
    equation="""training:    μ, σ² = mean and variance of the batch, channel by channel (σ² divided by n)
             running_mean ← (1 − momentum) running_mean + momentum μ
             running_var ← (1 − momentum) running_var + momentum n/(n − 1) σ²
evaluation:  μ, σ² = running_mean, running_var
both:        y = γ (x − μ) / √(σ² + eps) + β""",
    usual="""
import torch
layer = torch.nn.BatchNorm2d(16)
y = layer(torch.randn(8, 16, 14, 14))
""",
    when="""In deep convolutional networks, between convolution and activation: they train faster and with larger
learning rates. Use batches of 16 or more, and do not forget model.eval() for prediction. For tables and small
batches it often does not help; layer norm does not depend on the batch.""",
    plot=_plot,
)
def batch_norm(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize each channel by its mean and standard deviation, then scale and shift it.

    y = γ (x - μ) / √(σ² + eps) + β, with the batch's μ and σ² (divided by n) in training, and in evaluation the running
    averages, whose variance is divided by n - 1.

    Args:
        x: rows (N, C) or images (N, C, H, W); n = N, or N H W, values per channel.
        gamma: scale (C,); ones at first.
        beta: shift (C,); zeros at first.
        running_mean: moving average of the means (C,); zeros at first.
        running_var: moving average of the variances (C,); ones at first.
        training: normalize by the batch and update the averages; otherwise normalize by the averages.
        momentum: weight of the newest value in an average; 0.1, torch's, averages over about 10 batches.
        eps: keeps the quotient finite if a channel is constant.

    Returns:
        y and the two averages.

    Raises:
        UsageError: in training a channel has a single value, whose variance is undefined.

    Source: Ioffe and Szegedy, "Batch normalization", 2015, algorithms 1 and 2.

    >>> x = torch.tensor([[1.0], [3.0]])
    >>> scale, shift = torch.ones(1), torch.zeros(1)
    >>> y, mean, var = batch_norm(x, scale, shift, shift, scale, training=True, eps=0.0)
    >>> y.flatten(), mean, var  # var: 0.9 * 1 + 0.1 * 2
    (tensor([-1.,  1.]), tensor([0.2000]), tensor([1.1000]))
    """
    n = x.numel() // x.shape[1]
    if training and n == 1:
        raise UsageError(
            Message("batch norm got one value per channel"), Message("use larger batches, or training=False")
        )
    axes = [0, *range(2, x.ndim)]
    channels = [1, -1] + [1] * (x.ndim - 2)
    mean, var = running_mean, running_var
    if training:
        mean = x.mean(axes)
        var = (x - mean.view(channels)).square().mean(axes)
        running_mean = (1 - momentum) * running_mean + momentum * mean.detach()
        running_var = (1 - momentum) * running_var + momentum * n / (n - 1) * var.detach()
    y = (x - mean.view(channels)) / (var.view(channels) + eps).sqrt()
    return gamma.view(channels) * y + beta.view(channels), running_mean, running_var
