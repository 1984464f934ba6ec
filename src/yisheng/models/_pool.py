"""Means of 2 x 2 pixels, quicker than torch's on a processor."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

EXACT = (torch.float32, torch.float64)
"""Types in which torch adds as it is told here; shorter ones it adds in float32."""


class AvgPool2d(nn.Module):
    """`torch.nn.AvgPool2d(2)` to the bit, but for the sign of a zero.

    In training on a processor torch's own is slow forward in float32, and back in every type (docs/speed.md): there the
    sum of four strided views is taken, and each gradient is written to its four pixels. Elsewhere and in use, where it
    may be exported, it is torch's own.

    >>> x = torch.arange(4.0).view(1, 1, 2, 2)
    >>> AvgPool2d()(x).item() == nn.AvgPool2d(2)(x).item() == 1.5
    True
    """

    kernel_size, stride, padding = 2, 2, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, C, H // 2, W // 2)``."""
        if self.training and x.ndim == 4 and x.device.type == "cpu" and min(x.shape[2:]) >= 2:
            found: torch.Tensor = _Halved.apply(x)
            return found
        return F.avg_pool2d(x, 2)


class _Halved(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        if x.dtype not in EXACT:
            return F.avg_pool2d(x, 2)
        h, w = (2 * (n // 2) for n in x.shape[2:])
        first, *others = (x[:, :, row:h:2, column:w:2] for row in (0, 1) for column in (0, 1))
        total = first + others[0]
        return total.add_(others[1]).add_(others[2]).mul_(0.25)  # in torch's own order

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
        (x,) = inputs
        ctx.shape, ctx.channels_last = x.shape, x.stride(1) == 1 and x.shape[1] > 1

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (B, C, H, W), quarter = ctx.shape, gradients[0] * 0.25
        make = quarter.new_zeros if H % 2 or W % 2 else quarter.new_empty  # a last odd row has no part in any mean
        found = make((B, H, W, C)).permute(0, 3, 1, 2) if ctx.channels_last else make((B, C, H, W))
        h, w = 2 * (H // 2), 2 * (W // 2)
        for row in (0, 1):
            for column in (0, 1):
                found[:, :, row:h:2, column:w:2] = quarter
        return found

    @staticmethod
    def jvp(_ctx: Any, *tangents: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(tangents[0], 2)
