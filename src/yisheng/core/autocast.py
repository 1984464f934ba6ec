"""Computing in half precision."""

from __future__ import annotations

import torch
from torch import nn


def output(model: nn.Module, x: torch.Tensor, *, half: bool) -> torch.Tensor:
    """What the network gives.

    Args:
        model: the network.
        x: its input ``(B, ...)``.
        half: let torch run the layers that bear it in bfloat16 (autocast); the weights stay, and the output comes in
            float32 all the same.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> nn.init.constant_(layer.weight, 1 / 3).dtype
    torch.float32
    >>> [output(layer, torch.ones(1, 1), half=half).item() for half in (False, True)]
    [0.3333333432674408, 0.333984375]
    """
    if not half:
        found: torch.Tensor = model(x)
        return found
    with torch.autocast(x.device.type, dtype=torch.bfloat16):
        found = model(x)
    return found.float()
