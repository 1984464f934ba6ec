"""Forward passes in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from yisheng.core import nested
from yisheng.core.input_spec import Inputs


def forward(model: nn.Module, x: Inputs, *, bf16: bool, call: Callable[..., Any] | None = None) -> torch.Tensor:
    """Return the output of a network, in float32.

    Args:
        model: the network.
        x: its input ``(B, ...)``, or a tuple or dict of several; see `yisheng.core.nested.call`.
        bf16: let torch compute layers in bfloat16 where this is safe (autocast); the weights stay as they are.
        call: computes the network's output from its arguments, as compiled code does; by default the network itself.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> nn.init.constant_(layer.weight, 1 / 3).dtype
    torch.float32
    >>> [forward(layer, torch.ones(1, 1), bf16=bf16).item() for bf16 in (False, True)]
    [0.3333333432674408, 0.333984375]
    """
    output: torch.Tensor
    args, kwargs = nested.arguments_of(model, x)
    compute = model if call is None else call
    if not bf16:
        output = compute(*args, **kwargs)
        return output
    with torch.autocast(nested.tensors(x)[0].device.type, dtype=torch.bfloat16):
        output = compute(*args, **kwargs)
    return output.float()
