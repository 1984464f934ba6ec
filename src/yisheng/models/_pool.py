"""Means of 2 x 2 pixels, quicker than torch's on a processor."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

EXACT = (torch.float32, torch.float64)
"""Types in which torch adds as it is told here; shorter ones it adds in float32."""
MULTIPLIED = (*EXACT, torch.bfloat16)
"""Types whose matrix products are quick."""
WIDE = 16
"""Channels side by side from which on torch's own way forward is the quicker one."""


class AvgPool2d(nn.Module):
    """`torch.nn.AvgPool2d(2)`, of finite values in float32 and float64 to the bit but for the sign of a zero.

    In training on a processor torch's own is slow forward but for many channels side by side, and back in every type
    (docs/speed.md). There float32 is the sum of four strided views. bfloat16 is a product with a small matrix of
    quarters, with channels last after adding rows in pairs: sums may be rounded on the way, torch rounds the mean.
    Gradients come back through the matrix' transpose: each quarter is exact (an infinite one spoils those beside it).
    Odd sides take neither. Elsewhere and in use, where it may be exported, it is torch's own.

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
        B, C, H, W = x.shape
        side_by_side = _is_channels_last(x)
        if side_by_side and C >= WIDE:
            return F.avg_pool2d(x, 2)
        if x.dtype in EXACT:
            h, w = 2 * (H // 2), 2 * (W // 2)
            first, *others = (x[:, :, row:h:2, column:w:2] for row in (0, 1) for column in (0, 1))
            total = first + others[0]
            return total.add_(others[1]).add_(others[2]).mul_(0.25)  # in torch's own order
        if x.dtype != torch.bfloat16 or H % 2 or W % 2:
            return F.avg_pool2d(x, 2)
        if side_by_side:
            pairs = x.permute(0, 2, 3, 1).reshape(B * H // 2, 2, W * C)
            means = (pairs[:, 0] + pairs[:, 1]).reshape(-1, 2 * C) @ _quarters(1, 2, C, x.dtype)
            return means.reshape(B, H // 2, W // 2, C).permute(0, 3, 1, 2)
        return (x.reshape(-1, 2 * W) @ _quarters(2, W, 1, x.dtype)).reshape(B, C, H // 2, W // 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
        (x,) = inputs
        ctx.shape, ctx.channels_last = x.shape, _is_channels_last(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        B, C, H, W = ctx.shape
        g = gradients[0]
        if g.dtype in MULTIPLIED and not (H % 2 or W % 2):
            with torch.autocast("cpu", enabled=False):
                if ctx.channels_last:
                    wide = g.permute(0, 2, 3, 1).reshape(-1, C) @ _quarters(1, 2, C, g.dtype).t()
                    return wide.reshape(-1, 1, W * C).repeat(1, 2, 1).reshape(B, H, W, C).permute(0, 3, 1, 2)
                return (g.reshape(-1, W // 2) @ _quarters(2, W, 1, g.dtype).t()).reshape(B, C, H, W)
        quarter = g * 0.25
        zeros = quarter.new_zeros  # a last odd row has no part in any mean
        found = zeros((B, H, W, C)).permute(0, 3, 1, 2) if ctx.channels_last else zeros((B, C, H, W))
        h, w = 2 * (H // 2), 2 * (W // 2)
        for row in (0, 1):
            for column in (0, 1):
                found[:, :, row:h:2, column:w:2] = quarter
        return found

    @staticmethod
    def jvp(_ctx: Any, *tangents: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(tangents[0], 2)


def _is_channels_last(x: torch.Tensor) -> bool:
    return x.stride(1) == 1 and x.shape[1] > 1


@functools.lru_cache(maxsize=16)
def _quarters(H: int, W: int, C: int, dtype: torch.dtype) -> torch.Tensor:
    """The matrix ``(H W C, W // 2 C)`` that gives quarters of H rows and neighbouring columns, channel by channel."""
    with torch.inference_mode(False):  # kept for trainings to come
        each = torch.eye(W // 2 * C, dtype=dtype, device="cpu").view(1, W // 2, 1, C, -1) / 4
        return each.expand(H, -1, 2, -1, -1).reshape(H * W * C, -1)
