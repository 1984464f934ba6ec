"""Forward passes in bfloat16."""

from __future__ import annotations

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.types import Inputs


def forward(model: nn.Module, x: Inputs, *, bf16: bool) -> torch.Tensor:
    """Return the output of a network, in float32.

    Args:
        model: the network.
        x: its input ``(B, ...)``, or a tuple or dict of several; see `yisheng.core.nested.call`.
        bf16: let torch compute layers in bfloat16 where this is safe (autocast); the weights stay as they are.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> nn.init.constant_(layer.weight, 1 / 3).dtype
    torch.float32
    >>> [forward(layer, torch.ones(1, 1), bf16=bf16).item() for bf16 in (False, True)]
    [0.3333333432674408, 0.333984375]
    """
    output: torch.Tensor
    if not bf16:
        output = nested.call(model, x)
        return output
    with torch.autocast(nested.tensors(x)[0].device.type, dtype=torch.bfloat16):
        output = nested.call(model, x)
    return output.float()
